//! Rebuilding a projection, one row at a time, while its events go on: the journal is folded once more into a second state
//! beside the live one, up to the row's own cursor and no further; from then on every event is folded into both.
//! Must not know: who asks for it, how fast, when the builds are swapped.

use std::rc::Rc;
use std::time::Duration;

use crate::apply::Worker;
use crate::batch::{ConsumerPorts, MARGIN, failure_of};
use crate::build::{Beside, Rebuild, Step};
use crate::commit::Commit;
use crate::consumer::{Fold, Run};
use crate::cursor::Status;
use crate::limits;
use crate::panics::caught;
use crate::planted::is_on;
use crate::ports::{CommitError, Consistency, CursorHome, Position, Unavailable};
use crate::trouble::{TicketState, backoff};
use crate::wake::{Outcome, WakeReport};
use crate::{AggregateKey, Consumer, Counts, Cursor, Envelope, Failure, Seq, Then, Verb, Wake};

/// Rows of the journal that are folded before the row is written.
const PAGE: usize = 100;
/// Deliveries of a wake before it is given up. The operator's command says where it stopped.
const RECEIVES: u32 = 5;
/// What a row needs besides its states, in bytes: a trouble, names, numbers.
const BESIDES: usize = 8 * 1_024;

/// Does one step in one row, as far as time allows.
pub(crate) async fn rebuild_aggregate(
    consumer: &Consumer,
    ports: ConsumerPorts<'_>,
    aggregate: &AggregateKey,
    rebuild: Rebuild,
    receives: u32,
) -> WakeReport {
    let mut counts = Counts { received: 1, ..Counts::default() };
    let done = match consumer.home() {
        CursorHome::Views => run(Worker::new(consumer, ports), aggregate, rebuild).await,
        CursorHome::Progress => {
            let why = "only a Projection, which has its cursor in the row that it folds, can be rebuilt";
            Err(Failure::reject("not rebuildable", why))
        }
    };
    let Err(failure) = done else { return WakeReport { outcome: Outcome::Done, counts } };
    let gives_up = matches!(failure, Failure::Reject(_)) || receives >= RECEIVES;
    let (then, outcome) =
        if gives_up { (Then::GivenUp, Outcome::Done) } else { (Then::Again, Outcome::Again(backoff(receives))) };
    counts.failures.push(failure_of(Some(aggregate.clone()), failure, then));
    WakeReport { outcome, counts }
}

async fn run(worker: Worker<'_>, aggregate: &AggregateKey, rebuild: Rebuild) -> Result<(), Failure> {
    let (store, name) = (worker.ports.store, worker.consumer.name());
    let key = [worker.key(aggregate.clone())];
    loop {
        if worker.ports.host.remaining() < MARGIN {
            let wake = Wake { aggregate: aggregate.clone(), verb: Verb::Rebuild(rebuild) };
            return Ok(worker.ports.wakes.wake(name, &wake).await?);
        }
        let builds = store.builds(name, Consistency::Strong).await?;
        if !builds.allow(&rebuild) {
            return Ok(());
        }
        let found = store.positions(CursorHome::Views, &key, Consistency::Strong).await?.pop().flatten();
        let Some(row) = found else { return Ok(()) };
        if let Some(failure) = worker.outdated(Some(&row.cursor)) {
            return Err(failure);
        }
        let next = match rebuild.step {
            Step::Fill => match left_over(&row, rebuild.build, builds.live) {
                Some(cleared) => Some(cleared),
                None => worker.fill_build(aggregate, &row, rebuild.build).await?,
            },
            Step::Keep => match kept(&row, rebuild.build) {
                None if row.beside.as_ref().is_some_and(|beside| beside.build == rebuild.build) => {
                    worker.fill_build(aggregate, &row, rebuild.build).await?
                }
                next => next,
            },
            Step::Discard => discarded(&row, rebuild.build),
        };
        let Some(next) = next else { return Ok(()) };
        let to = Position { cursor: again(&row.cursor, worker.ports.host.now()), ..next };
        write(worker, aggregate, &row, to).await?;
    }
}

/// The row is written once more. Whoever holds its rev has to look again; so a parked row needs another ticket.
fn again(cursor: &Cursor, now: crate::Timestamp) -> Cursor {
    let mut trouble = cursor.trouble.clone();
    let waits = trouble.as_mut().filter(|trouble| cursor.status == Status::Parked && trouble.running.is_none());
    if let Some(trouble) = waits {
        (trouble.ticket, trouble.due) = (Some(TicketState::Missing), now);
    }
    Cursor { rev: cursor.rev.next(), trouble, ..cursor.clone() }
}

/// What the drop of an earlier build has not come to yet: it is done first, or the row would show what was dropped.
fn left_over(row: &Position, build: u32, live: u32) -> Option<Position> {
    let beside = row.beside.as_ref().filter(|beside| beside.build < build)?;
    let kept = if beside.build == live { kept(row, live) } else { None };
    kept.or_else(|| discarded(row, beside.build))
}

/// The row with this build only, if it has all of it.
fn kept(row: &Position, build: u32) -> Option<Position> {
    let beside = row.beside.as_ref().filter(|beside| beside.build == build && beside.seq == row.cursor.seq)?;
    Some(Position { state: beside.state.clone(), beside: None, ..row.clone() })
}

fn discarded(row: &Position, build: u32) -> Option<Position> {
    row.beside.as_ref().filter(|beside| beside.build == build)?;
    Some(Position { beside: None, ..row.clone() })
}

async fn write(worker: Worker<'_>, aggregate: &AggregateKey, from: &Position, to: Position) -> Result<(), Failure> {
    let write = worker.cursor_write(aggregate.clone(), to, Some(&from.cursor));
    let commit = Commit::new(vec![write]).map_err(|error| Failure::reject("not rebuildable", error))?;
    match worker.ports.store.commit(&commit).await {
        // Refused: an event was applied meanwhile. It goes on from what is there now.
        Ok(()) | Err(CommitError::Refused(_)) => {
            worker.ports.host.sleep(Duration::ZERO).await;
            Ok(())
        }
        Err(CommitError::Unavailable(error)) => Err(error.into()),
        Err(CommitError::Invalid(why)) => Err(Unavailable { call: "a rebuild's commit", why }.into()),
    }
}

impl Worker<'_> {
    /// The row with more of this build in it; `None` when it has all, or a newer build.
    async fn fill_build(
        &self,
        aggregate: &AggregateKey,
        row: &Position,
        build: u32,
    ) -> Result<Option<Position>, Failure> {
        let there = row.beside.as_ref();
        if row.has(build) || there.is_some_and(|beside| beside.build > build) {
            return Ok(None);
        }
        let own = there.filter(|beside| beside.build == build);
        let (mut at, mut state) = own.map_or((Seq::ZERO, None), |beside| (beside.seq, beside.state.clone()));
        let end = row.cursor.seq;
        let end = if is_on("48 a build filled to a moving end") { Seq(i64::MAX.unsigned_abs()) } else { end };
        let store = self.ports.store;
        let rows = store.journal(aggregate, at, end, PAGE).await?;
        // Read after the row: whatever its cursor has passed over is on record by now.
        let skipped = store.skipped(&self.key(aggregate.clone())).await?;
        let passed_over =
            |seq: Seq| skipped.iter().any(|skipped| skipped.seq == seq) && !is_on("48 a build with what was skipped");
        for found in rows {
            if found.envelope.seq != at.next() {
                break;
            }
            at = found.envelope.seq;
            if self.consumer.wants(&found) && !passed_over(at) {
                let envelope = Rc::new(found.envelope);
                let Run::Fold(fold) = &self.consumer.handler(&envelope)?.run else { continue };
                caught(async { self.consumer.interrupted(&envelope) }).await?;
                state = Some(folded(fold, state.as_deref(), &envelope).await?);
            }
        }
        if own.map_or(Seq::ZERO, |beside| beside.seq) == at {
            let why = format!("the journal has no row {} any more: it cannot be folded from its beginning", at.next());
            return Err(Failure::reject("journal trimmed", why));
        }
        if !fits(row.state.as_ref(), state.as_ref()) {
            let why = "the row has no room for two builds: make it smaller, or fold it into a projection of a new name";
            return Err(Failure::reject("not rebuildable", why));
        }
        Ok(Some(Position { beside: Some(Beside { build, seq: at, state }), ..row.clone() }))
    }

    /// Folds an event into each build of its row. A build that readers do not see never holds up the one that they do: where
    /// only one of them can go on, that is the live one, and the other stays behind or is let go.
    pub(crate) async fn fold(
        &self,
        fold: &Fold,
        before: Option<&Position>,
        row: &Rc<Envelope>,
    ) -> Result<(Option<String>, Option<Beside>), Failure> {
        let own = folded(fold, before.and_then(|before| before.state.as_deref()), row).await;
        let Some((at, beside)) = before.and_then(|before| Some((before.cursor.seq, before.beside.as_ref()?))) else {
            return Ok((Some(own?), None));
        };
        let behind = beside.seq != at && !is_on("49 a build without its own cursor");
        if behind || is_on("48 a build that events pass by") {
            let own = own?;
            let behind = still(&own, beside);
            return Ok((Some(own), behind));
        }
        let other = folded(fold, beside.state.as_deref(), row).await;
        match (own, other) {
            (Ok(own), Ok(other)) if fits(Some(&own), Some(&other)) => {
                let beside = Beside { seq: row.seq, state: Some(other), build: beside.build };
                Ok((Some(own), Some(beside)))
            }
            (own, other) => {
                let live = self.ports.store.builds(self.consumer.name(), Consistency::Strong).await?.live;
                if live == beside.build {
                    return Ok((Some(other?), None));
                }
                let own = own?;
                let behind = still(&own, beside);
                Ok((Some(own), behind))
            }
        }
    }
}

async fn folded(fold: &Fold, state: Option<&str>, row: &Rc<Envelope>) -> Result<String, Failure> {
    caught(async { fold(state, Rc::clone(row)) }).await
}

/// A build that stays behind, if the row has room for it. An event is never refused because of it.
fn still(own: &String, beside: &Beside) -> Option<Beside> {
    fits(Some(own), beside.state.as_ref()).then(|| beside.clone())
}

fn fits(own: Option<&String>, other: Option<&String>) -> bool {
    own.map_or(0, String::len) + other.map_or(0, String::len) + BESIDES <= limits::ITEM_BYTES
}
