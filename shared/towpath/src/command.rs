//! A command from outside: decided once, committed once, answered the same however often it is sent.
//! Must not know: HTTP, JSON bodies of requests, how ids are drawn.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::apply::recorded;
use crate::commit::{Cause, Commit, Reads, plan, with_heads};
use crate::limiter::{Limiter, Throttled};
use crate::planted::is_on;
use crate::ports::{CommitError, Host, KeptAnswer, Store, Unavailable, Write};
use crate::sourced::keep;
use crate::tx::TxError;
use crate::{CausationId, Context, CorrelationId, Era, Failure, IdempotencyKey, Producer, TenantId, Traceparent, Tx};

/// How often a command is decided again after somebody else's write got in between.
const DECISIONS: u32 = 8;

/// Who sends a command, and under which key.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose data it touches.
    pub tenant: TenantId,
    /// The caller's key; without one, a command sent twice is executed twice.
    pub key: Option<IdempotencyKey>,
    /// Hash of what is asked: see [`request_hash`].
    pub hash: String,
    /// Shared by all that follows from it.
    pub correlation_id: CorrelationId,
    /// The caller's place in a distributed trace.
    pub traceparent: Option<Traceparent>,
}

/// What is said to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub code: u16,
    /// JSON body.
    pub body: String,
    /// It was answered before, and not executed again.
    pub repeated: bool,
    /// Whole seconds after which it may be sent again.
    pub retry_after: Option<u64>,
}

/// What a decision comes to.
#[derive(Debug)]
pub enum Verdict {
    /// Commit this, then say that. The answer is kept under the caller's key.
    Accept(Tx, Reply),
    /// Say no. Nothing is written and nothing is kept: the caller may try again.
    Refuse(Reply),
}

/// Why a command has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The key was used for another request.
    #[error("this idempotency key was used for another request: use a new key")]
    KeyReused,
    /// The store is away, or others kept writing: nothing is known to be written, send it again with the same key.
    #[error("the command could not be committed now ({0}): send it again with the same idempotency key")]
    TryAgain(String),
    /// The tenant has asked for too much: nothing was decided and nothing is written.
    #[error("this tenant sends commands faster than its limit: {0}, then send it again with the same idempotency key")]
    Throttled(Throttled),
    /// A bug of the handler.
    #[error("the command can never be committed: {0}")]
    Broken(String),
}

/// What a command needs of the world.
#[derive(Clone, Copy)]
pub struct CommandPorts<'a> {
    /// The tables.
    pub store: &'a dyn Store,
    /// Time and randomness.
    pub host: &'a dyn Host,
    /// Who this is, for the events that it records.
    pub producer: &'a Producer,
    /// The current history.
    pub era: Era,
    /// What a tenant may ask for; none is no limit.
    pub limiter: Option<Limiter<'a>>,
}

impl Reply {
    /// A reply with a JSON body.
    ///
    /// # Panics
    /// If `body` has a map whose keys are not strings.
    pub fn new(code: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("a reply's maps have string keys");
        Self { code, body, repeated: false, retry_after: None }
    }
}

/// Hash of what is asked: the operation and the body, byte for byte.
pub fn request_hash(operation: &str, body: &[u8]) -> String {
    let hash = Sha256::new().chain_update(operation).chain_update([0]).chain_update(body).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decides, commits, replies, if the tenant's limit lets it. The common command costs one transaction and no read of its
/// own: only when the kept answer is in the way, or the decision is a no, is the kept answer looked at; and when the limit
/// is reached: what was answered before is answered again, and costs no token.
pub async fn execute(
    ports: CommandPorts<'_>,
    request: &Request,
    decide: impl AsyncFn(&Context<'_>) -> Result<Verdict, Failure>,
) -> Result<Reply, CommandError> {
    let Some(limiter) = ports.limiter else { return Ok(carry_out(ports, request, decide).await?.0) };
    match limiter.admit(&request.tenant, ports.host).await {
        Ok(charged) => {
            let (reply, was_done) = carry_out(ports, request, decide).await?;
            if charged && was_done {
                limiter.leases.give_back(&request.tenant);
            }
            Ok(reply)
        }
        Err(throttled) => {
            if is_on("51 dropped after the commit") {
                carry_out(ports, request, decide).await?;
                return Err(CommandError::Throttled(throttled));
            }
            kept(ports, request).await?.ok_or(CommandError::Throttled(throttled))
        }
    }
}

/// The reply, and whether it is known that an earlier request did what was asked for.
async fn carry_out(
    ports: CommandPorts<'_>,
    request: &Request,
    decide: impl AsyncFn(&Context<'_>) -> Result<Verdict, Failure>,
) -> Result<(Reply, bool), CommandError> {
    let (mut why, mut may_be_ours) = (String::new(), false);
    for _ in 0..DECISIONS {
        let cx = Context::new(ports.store, ports.host, &request.tenant);
        let (tx, reply) = match decide(&cx).await {
            Ok(Verdict::Accept(tx, reply)) => (tx, reply),
            Ok(Verdict::Refuse(reply)) => {
                let kept = kept(ports, request).await?;
                let was_done = kept.is_some() && !may_be_ours;
                return Ok((kept.unwrap_or(reply), was_done));
            }
            Err(Failure::Retry(reason) | Failure::Unknown(reason)) => {
                return Err(CommandError::TryAgain(reason.message));
            }
            Err(Failure::Reject(reason)) => return Err(CommandError::Broken(reason.message)),
        };
        let (reads, snapshots) = cx.into_parts();
        let commit = prepare(ports, request, tx, reads, &reply).await?;
        match ports.store.commit(&commit).await {
            Ok(()) => {
                recorded(ports.host, commit.writes());
                keep(ports.store, &snapshots).await;
                return Ok((reply, false));
            }
            Err(CommitError::Invalid(why)) => return Err(CommandError::Broken(why)),
            Err(CommitError::Unavailable(error)) => (why, may_be_ours) = (error.to_string(), true),
            Err(error @ CommitError::Refused(_)) => why = error.to_string(),
        }
        // Refused, or the answer was lost: either way the kept answer tells whether it was committed.
        if let Some(reply) = kept(ports, request).await?
            && !is_on("22 lost answer not read back")
        {
            return Ok((reply, !may_be_ours));
        }
    }
    Err(CommandError::TryAgain(why))
}

async fn prepare(
    ports: CommandPorts<'_>,
    request: &Request,
    tx: Tx,
    reads: Reads,
    reply: &Reply,
) -> Result<Commit, CommandError> {
    let broken = |error: TxError| CommandError::Broken(error.to_string());
    let tx = tx.keep_older(|event_type, version| ports.host.also_writes(event_type, version));
    let heads = with_heads(ports.store, &tx, &request.tenant, reads).await.map_err(try_again)?;
    let cause = Cause {
        tenant: request.tenant.clone(),
        correlation_id: request.correlation_id.clone(),
        causation_id: CausationId::parse(request.correlation_id.as_str())
            .map_err(|error| CommandError::Broken(error.to_string()))?,
        traceparent: request.traceparent.clone(),
        hops: 0,
        producer: ports.producer.clone(),
        era: ports.era,
        now: ports.host.now(),
    };
    let mut writes = plan(tx, &heads, &cause, || ports.host.random()).map_err(broken)?;
    if let Some(key) = &request.key {
        let mut request_hash = request.hash.clone();
        if is_on("20 a request's hash with the time in it") {
            request_hash.push_str(&ports.host.now().to_string());
        }
        let answer = KeptAnswer { request_hash, code: reply.code, body: reply.body.clone() };
        writes.push(Write::Answer { tenant: request.tenant.clone(), key: key.clone(), answer });
    }
    Commit::new(writes).map_err(broken)
}

async fn kept(ports: CommandPorts<'_>, request: &Request) -> Result<Option<Reply>, CommandError> {
    let Some(key) = &request.key else { return Ok(None) };
    match ports.store.kept_answer(&request.tenant, key).await.map_err(try_again)? {
        None => Ok(None),
        Some(answer) if answer.request_hash != request.hash => Err(CommandError::KeyReused),
        Some(answer) => Ok(Some(Reply { code: answer.code, body: answer.body, repeated: true, retry_after: None })),
    }
}

fn try_again(error: Unavailable) -> CommandError {
    CommandError::TryAgain(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is asked under one key a second time is the same only if both the operation and every byte are.
        #[test]
        fn two_requests_have_one_hash_only_if_they_are_the_same(
            one in ("[A-Z/ ]{0,3}", "[A-Z/ ]{0,3}"), two in ("[A-Z/ ]{0,3}", "[A-Z/ ]{0,3}"),
        ) {
            let hash = |(operation, body): &(String, String)| request_hash(operation, body.as_bytes());
            prop_assert_eq!(hash(&one) == hash(&two), one == two);
            prop_assert!(hash(&one).len() == 64 && hash(&one).bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }
}
