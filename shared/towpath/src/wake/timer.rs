//! Timers of sagas: a wake says that a time has come; the saga's row says whether that timer is still set.
//! Must not know: who sends the wake, how many of them come.

use crate::apply::{hint, recorded};
use crate::batch::{ConsumerPorts, failure_of};
use crate::commit::{Cause, Commit, plan, with_heads};
use crate::panics::caught;
use crate::planted::is_on;
use crate::ports::{CommitError, Unavailable};
use crate::saga::Timer;
use crate::signal::Firing;
use crate::trouble::{LADDER, backoff};
use crate::wake::{DECISIONS, Outcome, WakeReport};
use crate::{AggregateKey, Consumer, Context, Counts, Failure, Then};

/// What one try came to.
enum Fired {
    Committed,
    /// Another setting is in force, or none: there is nothing to do.
    Gone,
    /// Its time comes later.
    Early(std::time::Duration),
    /// Something was written in between.
    Again,
}

/// Fires a timer if it is still set, once. A saga that cannot handle it keeps it: it stays overdue, and in sight.
pub(super) async fn fire(
    consumer: &Consumer,
    ports: ConsumerPorts<'_>,
    aggregate: &AggregateKey,
    firing: &Firing,
    receives: u32,
) -> WakeReport {
    let mut counts = Counts { received: 1, ..Counts::default() };
    for _ in 0..DECISIONS {
        let failure = match once(consumer, ports, aggregate, firing, &mut counts).await {
            Ok(Fired::Committed | Fired::Gone) => return WakeReport { outcome: Outcome::Done, counts },
            Ok(Fired::Early(wait)) => return WakeReport { outcome: Outcome::Again(wait), counts },
            Ok(Fired::Again) => {
                counts.refused += 1;
                continue;
            }
            Err(failure) => failure,
        };
        let wait = if failure.is_unavailable() { LADDER[1] } else { backoff(receives) };
        counts.failures.push(failure_of(Some(aggregate.clone()), failure, Then::Again));
        return WakeReport { outcome: Outcome::Again(wait), counts };
    }
    WakeReport { outcome: Outcome::Again(LADDER[0]), counts }
}

async fn once(
    consumer: &Consumer,
    ports: ConsumerPorts<'_>,
    aggregate: &AggregateKey,
    firing: &Firing,
    counts: &mut Counts,
) -> Result<Fired, Failure> {
    let Some(fires) = consumer.timers_of(&aggregate.kind) else {
        let why = format!(
            "{} has no saga {} whose timer could fire: deploy the one that has",
            consumer.name(),
            aggregate.kind
        );
        return Err(Failure::retry("unknown saga", why));
    };
    let cx = Context::new(ports.store, ports.host, &aggregate.tenant);
    let stored = cx.key_under_guard(aggregate.clone()).await?;
    let set = stored.as_ref().and_then(|stored| stored.saga.as_ref()?.timers.get(&firing.name));
    let stale = set.is_none_or(|timer| timer.nonce != firing.nonce)
        || is_on("66 a timer is stale when its saga has moved")
            && stored.as_ref().is_some_and(|stored| stored.head.seq.0 >= firing.nonce.0 + 2);
    let (Some(stored), Some(timer)) = (&stored, set.filter(|_| !stale)) else { return Ok(Fired::Gone) };
    let now = ports.host.now();
    if now < timer.due {
        return Ok(Fired::Early(std::time::Duration::from_millis(timer.due.millis_since(now))));
    }
    let step = timer.traceparent.as_ref().map(|after| ports.host.step(&timer.causation_id, after));
    let timer = &Timer { traceparent: step, ..timer.clone() };
    let tx = caught(async { fires(stored, &firing.name, timer, now) }).await?;
    let tx = tx.keep_older(|event_type, version| ports.host.also_writes(event_type, version));
    let cause = cause(ports, aggregate, timer);
    let heads = with_heads(ports.store, &tx, &aggregate.tenant, cx.into_parts().0).await?;
    let author = |error| Failure::reject("a Tx that cannot be written", error);
    let writes = plan(tx, &heads, &cause, || ports.host.random()).map_err(author)?;
    let rows = writes.iter().filter(|write| matches!(write, crate::ports::Write::Append(_))).count();
    let commit = Commit::new(writes).map_err(author)?;
    match ports.store.commit(&commit).await {
        Ok(()) => {
            counts.committed += rows as u64;
            counts.fired += 1;
            hint(ports, commit.writes(), counts).await;
            recorded(ports.host, commit.writes());
            Ok(Fired::Committed)
        }
        // It may be ours, with the answer lost: then the timer is gone when it is looked at again.
        Err(CommitError::Refused(_) | CommitError::Unavailable(_)) if ports.host.remaining() > crate::batch::MARGIN => {
            Ok(Fired::Again)
        }
        Err(CommitError::Unavailable(error)) => Err(error.into()),
        Err(CommitError::Refused(_)) => Err(Unavailable { call: "firing a timer", why: "out of time".into() }.into()),
        Err(CommitError::Invalid(why)) => Err(crate::apply::invalid(&why)),
    }
}

fn cause(ports: ConsumerPorts<'_>, aggregate: &AggregateKey, timer: &Timer) -> Cause {
    Cause {
        tenant: aggregate.tenant.clone(),
        correlation_id: timer.correlation_id.clone(),
        causation_id: timer.causation_id.clone(),
        traceparent: timer.traceparent.clone(),
        hops: timer.hops,
        producer: ports.producer.clone(),
        era: ports.era,
        now: ports.host.now(),
    }
}
