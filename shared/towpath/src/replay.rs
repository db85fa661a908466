//! A replay applies events again that were applied before: only by handlers that are declared replayable, only effects
//! on read models, with a cursor of its own beside the live one, which is never moved.
//! Must not know: who asks for it, how fast aggregates are replayed.

use std::rc::Rc;
use std::time::Duration;

use crate::apply::{Draft, Worker};
use crate::batch::{ConsumerPorts, MARGIN, failure_of};
use crate::planted::is_on;
use crate::ports::{CommitError, Consistency, CursorHome, CursorKey, JournalRow, Position, Unavailable};
use crate::trouble::backoff;
use crate::wake::{Outcome, WakeReport};
use crate::{AggregateKey, Consumer, Counts, Envelope, Failure, Replay, Seq, Then, Verb, Wake};

/// Rows of the journal read at a time.
const PAGE: usize = 100;
/// Events in one commit.
const SLICE: usize = 25;
/// Deliveries of a replay's wake before it is given up. The operator's command says where it stopped.
const RECEIVES: u32 = 5;

/// Replays one aggregate, as far as time allows.
pub(crate) async fn replay_aggregate(
    consumer: &Consumer,
    ports: ConsumerPorts<'_>,
    aggregate: &AggregateKey,
    replay: &Replay,
    receives: u32,
) -> WakeReport {
    let mut counts = Counts { received: 1, ..Counts::default() };
    let failure = match refused(consumer, replay) {
        Some(failure) => failure,
        None => match run(consumer, ports, aggregate, replay, &mut counts).await {
            Ok(()) => return WakeReport { outcome: Outcome::Done, counts },
            Err(failure) => failure,
        },
    };
    let gives_up = matches!(failure, Failure::Reject(_)) || receives >= RECEIVES;
    let (then, outcome) =
        if gives_up { (Then::GivenUp, Outcome::Done) } else { (Then::Again, Outcome::Again(backoff(receives))) };
    counts.failures.push(failure_of(Some(aggregate.clone()), failure, then));
    WakeReport { outcome, counts }
}

fn refused(consumer: &Consumer, replay: &Replay) -> Option<Failure> {
    if consumer.home() == CursorHome::Views {
        let why = "a projection with its cursor in the row is rebuilt, not replayed: its row already holds every event";
        return Some(Failure::reject("not replayable", why));
    }
    if !consumer.is_replayable() && !is_on("41 a replay of whatever there is") {
        let why = format!("{} is not declared replayable: handling an event again may do harm", consumer.name());
        return Some(Failure::reject("not replayable", why));
    }
    replay.cursors_of(consumer.name()).err().map(|why| Failure::reject("not replayable", why))
}

async fn run(
    consumer: &Consumer,
    ports: ConsumerPorts<'_>,
    aggregate: &AggregateKey,
    replay: &Replay,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let cursors = replay.cursors_of(consumer.name())?;
    let live = CursorKey { aggregate: aggregate.clone(), consumer: consumer.name().clone() };
    let skipped = ports.store.skipped(&live).await?;
    let worker = Worker { cursors: &cursors, ..Worker::new(consumer, ports) };
    let keys = [live, worker.key(aggregate.clone())];
    let mut seen = replay.after;
    loop {
        if ports.host.remaining() < MARGIN {
            let wake = Wake { aggregate: aggregate.clone(), verb: Verb::Replay(replay.clone()) };
            return Ok(ports.wakes.wake(consumer.name(), &wake).await?);
        }
        let mut positions = ports.store.positions(consumer.home(), &keys, Consistency::Strong).await?;
        let (own, live) = (positions.pop().flatten(), positions.pop().flatten());
        let after = own.as_ref().map_or(seen, |position| position.cursor.seq.max(seen));
        let through = live.map_or(Seq::ZERO, |position| position.cursor.seq).min(replay.through);
        if after >= through {
            return Ok(());
        }
        let rows = ports.store.journal(aggregate, after, through, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.envelope.seq) else { return Ok(()) };
        let again = |row: &JournalRow| {
            consumer.wants(row)
                && !skipped.iter().any(|skipped| skipped.seq == row.envelope.seq)
                && (replay.types.is_empty() || replay.types.contains(&row.envelope.event_type))
        };
        let wanted: Vec<Rc<Envelope>> = rows.into_iter().filter(again).map(|row| Rc::new(row.envelope)).collect();
        if wanted.is_empty() {
            seen = last;
            continue;
        }
        commit(worker, own, &wanted, counts).await?;
    }
}

async fn commit(
    worker: Worker<'_>,
    own: Option<Position>,
    rows: &[Rc<Envelope>],
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut draft = Draft::default();
    let mut position = own;
    for row in rows.iter().take(SLICE) {
        let applied = worker.apply(draft.overlay(), position.as_ref(), row).await?;
        if applied.is_more_than_views() {
            let why = "the handler changed an entity or recorded an event, which a replay must not do again";
            return Err(Failure::reject("not replayable", why));
        }
        if !draft.has_room_for(&applied) {
            break;
        }
        position = Some(applied.position.clone());
        draft.add(row, applied, false);
        draft.counts().lags.clear(); // an event's age says nothing when it is applied again
    }
    match draft.commit(worker, counts).await {
        // Refused: the same wake was delivered twice, and the other one goes on from where it is.
        Ok(()) | Err(CommitError::Refused(_)) => {
            worker.ports.host.sleep(Duration::ZERO).await;
            Ok(())
        }
        Err(CommitError::Unavailable(error)) => Err(error.into()),
        Err(CommitError::Invalid(why)) => Err(Unavailable { call: "a replay's commit", why }.into()),
    }
}
