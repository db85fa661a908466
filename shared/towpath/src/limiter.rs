//! Who may come in: each process leases a chunk of a tenant's tokens from the one bucket, and spends it without asking again.
//! Must not know: what a command does, what HTTP says, where the bucket lies.
//!
//! Two clocks, and neither is trusted with more than it knows. The bucket fills by the clock of the **store**, which says
//! with each answer when it gave it: one clock for all processes. A process's **own** clock only measures how long it has
//! held a lease, from before it asked; one that runs backwards ends the lease. So clocks that differ make no tokens, and
//! lock nobody out.
//!
//! What can come in too much: in any window at most `burst + rate × (window + 60 s + a second or two)`, and never more than
//! `burst + rate × (window + …)` and a chunk for each process. The first term is the lease's life, the second that a
//! store's clock has whole seconds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::limit::{Bucket, Limit};
use crate::planted::is_on;
use crate::ports::{Answer, CommitError, Host};
use crate::{Rev, TenantId, Timestamp};

/// How long a process may hold a token that it has not spent.
pub const LEASE: Duration = Duration::from_secs(60);
/// How long a process goes by an empty bucket without looking again: somebody may have raised the limit.
const SHUT: Duration = Duration::from_secs(1);
/// Times that a bucket is read again because others took of it meanwhile.
const TRIES: u32 = 8;
/// Tenants that a process remembers, at most, before it forgets those whose leases are over.
const REMEMBERED: usize = 1_000;

/// The buckets: one row for each tenant.
pub trait Buckets {
    /// Reads a tenant's bucket, strongly consistent, and the store's time of the answer.
    fn bucket<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)>;
    /// Writes it; only if its rev is `expect`.
    fn keep_bucket<'a>(&'a self, tenant: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError>;
}

/// The limits as a command meets them.
#[derive(Clone, Copy)]
pub struct Limiter<'a> {
    /// Where the tokens are.
    pub buckets: &'a dyn Buckets,
    /// Those that this process has.
    pub leases: &'a Leases,
    /// The limit of each tenant that has none of its own.
    pub every: Limit,
}

/// A command that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// Whole seconds, after which there is a token, unless somebody else has taken it.
    pub wait: Duration,
    /// Whose turn it is to tell of it: at most one process in a minute.
    pub tell: bool,
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wait {} s", self.wait.as_secs())
    }
}

/// What a process has leased, by tenant. It lives as long as the process.
#[derive(Debug, Default)]
pub struct Leases(RefCell<BTreeMap<TenantId, Held>>);

/// By this process's own clock.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Tokens that are left; none and a `wait`: the bucket was empty.
    left: u32,
    since: Timestamp,
    wait: Duration,
}

impl Held {
    /// Since then this much time has passed, at most so much; a clock that went back says nothing.
    fn within(&self, time: Duration, now: Timestamp) -> bool {
        now >= self.since && now < self.since.plus(time)
    }
}

impl Leases {
    fn spend(&self, tenant: &TenantId, now: Timestamp) -> Option<Result<(), Throttled>> {
        let mut all = self.0.borrow_mut();
        let held = all.get_mut(tenant)?;
        if held.left > 0 && held.within(LEASE, now) {
            held.left -= 1;
            return Some(Ok(()));
        }
        if held.left == 0 && held.within(SHUT.min(held.wait), now) {
            let left = held.since.plus(held.wait).millis_since(now).div_ceil(1_000).max(1);
            return Some(Err(Throttled { wait: Duration::from_secs(left), tell: false }));
        }
        None
    }

    fn keep(&self, tenant: &TenantId, held: Held) {
        let mut all = self.0.borrow_mut();
        if all.len() >= REMEMBERED {
            all.retain(|_, known| known.within(LEASE, held.since));
        }
        all.insert(tenant.clone(), held);
    }

    /// What was asked for had been done before: it costs nothing. A lease that is over gets nothing back.
    pub(crate) fn give_back(&self, tenant: &TenantId) {
        if let Some(held) = self.0.borrow_mut().get_mut(tenant).filter(|held| held.wait.is_zero()) {
            held.left += 1;
        }
    }
}

impl Limiter<'_> {
    /// May a command of this tenant come in? `Ok(true)`: a token was spent. `Ok(false)`: the bucket could not be reached,
    /// and then everybody comes in: what is away is the table that the command is to be written to.
    pub(crate) async fn admit(&self, tenant: &TenantId, host: &dyn Host) -> Result<bool, Throttled> {
        // From before the store is asked, so that a slow answer only makes the lease shorter.
        let since = host.now();
        if let Some(known) = self.leases.spend(tenant, since) {
            return known.map(|()| true);
        }
        for _ in 0..TRIES {
            let Ok((bucket, at)) = self.buckets.bucket(tenant).await else { return Ok(false) };
            let local = is_on("50 a limiter on the local clock");
            let at = if local { host.now() } else { at };
            let mut bucket = bucket.unwrap_or_else(|| Bucket::full(self.every, at));
            if local {
                bucket.at = bucket.at.min(at);
            }
            let limit = bucket.own.unwrap_or(self.every);
            match bucket.take(limit, at, limit.chunk()) {
                Ok((next, tokens)) => match self.buckets.keep_bucket(tenant, &next, bucket.rev).await {
                    Ok(()) => {
                        self.leases.keep(tenant, Held { left: tokens - 1, since, wait: Duration::ZERO });
                        return Ok(true);
                    }
                    Err(CommitError::Refused(_)) => {} // somebody else took of it
                    Err(_) => return Ok(false),
                },
                Err(wait) => {
                    self.leases.keep(tenant, Held { left: 0, since, wait });
                    return Err(Throttled { wait, tell: self.may_tell(tenant, &bucket, at).await });
                }
            }
        }
        // So many take of it that there is nothing left to fight for.
        Err(Throttled { wait: SHUT, tell: false })
    }

    async fn may_tell(&self, tenant: &TenantId, bucket: &Bucket, at: Timestamp) -> bool {
        match bucket.telling(at) {
            Some(next) => self.buckets.keep_bucket(tenant, &next, bucket.rev).await.is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
