//! Event-sourced aggregates: a state that is nowhere but in the events, made by folding them in order. A snapshot spares
//! reading those before it, and is only a cache.
//! Must not know: handlers, commits, where rows lie.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::planted::is_on;
use crate::ports::{Head, JournalRow, Snapshot, Store};
use crate::versions::decode;
use crate::{
    Aggregate, AggregateKey, Envelope, Event, EventId, EventType, Failure, Kind, Received, Seq, Storage, Timestamp,
    limits,
};

/// Rows of the journal read at a time.
const PAGE: usize = 100;
/// Bytes of data beyond which a page may have been cut: what DynamoDB counts besides the data fits the other half.
const CUT: usize = limits::QUERY_PAGE_BYTES / 2;
/// What a row with a snapshot has besides the state, and more.
const SNAPSHOT_OVERHEAD_BYTES: usize = 1_024;

/// An aggregate whose state is the fold of its events. It is stored nowhere else, so `STORAGE` is [`Storage::Events`].
pub trait EventSourced: Aggregate + Serialize + DeserializeOwned {
    /// A number that goes up when a fold gives another state than before. Snapshots of the other number are not read.
    const SHAPE: u32;
    /// A snapshot is kept about each so many rows. 0: never, for an aggregate that stays short.
    const SNAPSHOT_EVERY: u64 = 100;
    /// One fold for each type of its events. All of them: a state must not be made of some.
    fn folds() -> Folds<Self>;
}

/// The folds of an event-sourced aggregate. Each sees the state so far and the event: no clock, no tenant, no I/O.
pub struct Folds<A>(BTreeMap<EventType, Fold<A>>);

struct Fold<A> {
    version: u32,
    run: Box<Run<A>>,
}

type Run<A> = dyn Fn(Option<A>, Rc<Envelope>) -> Result<A, Failure>;

/// Snapshots that are due.
pub(crate) type Snapshots = Vec<(AggregateKey, Snapshot)>;

impl<A: EventSourced> Folds<A> {
    /// No folds.
    #[allow(clippy::new_without_default, reason = "no folds are no use: they are always followed by one")]
    #[must_use]
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Folds one type of event into the state, `None` before the first. What is recorded has happened, so a fold fails only
    /// if the journal itself is wrong.
    ///
    /// # Panics
    /// If the type is not `aggregate.past_tense`, or has a fold already.
    #[must_use]
    pub fn fold<E: Event<Of = A>>(
        mut self,
        fold: impl Fn(Option<A>, &Received<E>) -> Result<A, Failure> + 'static,
    ) -> Self {
        let event_type = EventType::parse(E::TYPE).unwrap_or_else(|rule| panic!("{}: {rule}", E::TYPE));
        let run: Box<Run<A>> =
            Box::new(move |state, envelope| fold(state, &Received::new(decode::<E>(&envelope)?, envelope)));
        let earlier = self.0.insert(event_type, Fold { version: E::VERSION, run });
        assert!(earlier.is_none(), "{} has two folds in {}", E::TYPE, A::TYPE);
        self
    }

    /// The state after one more event.
    ///
    /// # Errors
    /// A retry, if there is no fold for its type or version: newer code has written it, and a state without it would be wrong.
    pub fn after(&self, state: Option<A>, event: Rc<Envelope>) -> Result<A, Failure> {
        let (event_type, version) = (&event.event_type, event.event_version);
        let place = || format!("row {} of {}", event.seq, event.aggregate());
        let Some(fold) = self.0.get(event_type) else {
            let why = format!("{} is {event_type}, for which this code has no fold: deploy code that has", place());
            return Err(Failure::retry("unknown event type", why));
        };
        if version > fold.version && event.older.get(fold.version).is_none() {
            let knows = fold.version;
            let why =
                format!("{} has {event_type} v{version}, this code folds v{knows}: deploy code that does", place());
            return Err(Failure::retry("unknown event version", why));
        }
        (fold.run)(state, event)
    }

    /// Tells snapshots of other folds apart: by the author's number, and by the types and versions that have a fold.
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new().chain_update(A::SHAPE.to_string());
        for (event_type, fold) in &self.0 {
            hash.update(format!(" {event_type}@{}", fold.version));
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the journal says of an aggregate, up to some row.
pub(crate) struct Past<A> {
    pub(crate) state: Option<A>,
    pub(crate) head: Option<Head>,
    last: Option<EventId>,
    /// Rows since the beginning or since a snapshot.
    rows: u64,
    folds: Folds<A>,
}

impl<A: EventSourced> Past<A> {
    fn new() -> Self {
        Self { state: None, head: None, last: None, rows: 0, folds: A::folds() }
    }

    /// One more row, which must be the next one.
    pub(crate) fn follow(&mut self, row: &JournalRow) -> Result<(), Failure> {
        let (event, at) = (&row.envelope, self.seq());
        if event.seq <= at {
            return Ok(()); // a row of our own that was committed meanwhile, or one in the place of ours
        }
        if event.seq != at.next() {
            let (key, gone) = (event.aggregate(), at.next());
            let why = format!("row {gone} of {key} is gone from the journal, without which there is no state");
            return Err(Failure::reject("journal trimmed", why));
        }
        if row.kind == Kind::Event {
            self.state = Some(self.folds.after(self.state.take(), Rc::new(event.clone()))?);
        }
        self.stand_at(event);
        self.rows += 1;
        Ok(())
    }

    fn stand_at(&mut self, event: &Envelope) {
        self.head = Some(Head::at(event));
        self.last = Some(event.event_id);
    }

    fn seq(&self) -> Seq {
        self.head.as_ref().map_or(Seq::ZERO, |head| head.seq)
    }

    /// A snapshot of this, if it is time for one and if it fits.
    pub(crate) fn snapshot(&self) -> Result<Option<Snapshot>, Failure> {
        let (Some(state), Some(event_id)) = (&self.state, self.last) else { return Ok(None) };
        if A::SNAPSHOT_EVERY == 0 || self.rows < A::SNAPSHOT_EVERY {
            return Ok(None);
        }
        let snapshot = Snapshot {
            seq: self.seq(),
            event_id,
            folds: self.folds.fingerprint(),
            state: serde_json::to_string(state)?,
        };
        Ok(Some(snapshot).filter(|of| of.state.len() + SNAPSHOT_OVERHEAD_BYTES <= limits::ITEM_BYTES))
    }
}

/// Reads an aggregate's past, up to a time if there is one: the snapshot and the rows after it, page by page.
pub(crate) async fn past<A: EventSourced>(
    store: &dyn Store,
    key: &AggregateKey,
    until: Option<Timestamp>,
) -> Result<Past<A>, Failure> {
    const {
        assert!(matches!(A::STORAGE, Storage::Events), "an event-sourced aggregate has STORAGE = Storage::Events");
    }
    if store.forgets() {
        let why = format!("the journal forgets, and {key} has no other state: deploy with OutboxRetentionDays=0");
        return Err(Failure::retry("journal forgets", why));
    }
    let mut past = Past::new();
    let mut begin = match A::SNAPSHOT_EVERY {
        0 => None,
        _ => store.snapshot(key).await?.and_then(|snapshot| readable(snapshot, &past)),
    };
    // From the snapshot's own row on: it says whether the snapshot is of this history, and it is the head if it is the last.
    let mut from = begin.as_ref().map_or(Seq::ZERO, |(snapshot, _)| Seq(snapshot.seq.0.saturating_sub(1)));
    loop {
        let rows = store.journal(key, from, Seq(i64::MAX.unsigned_abs()), PAGE).await?;
        let mut rest = &rows[..];
        if let Some((snapshot, state)) = begin.take() {
            let first = rows.first().map(|row| &row.envelope);
            let Some(first) = first.filter(|first| is_of(&snapshot, first, until)) else {
                from = Seq::ZERO;
                continue;
            };
            past.state = Some(state);
            past.stand_at(first);
            rest = &rows[1..];
            if is_on("a snapshot taken for the state") {
                return Ok(past);
            }
        }
        for row in rest {
            if until.is_some_and(|until| row.envelope.occurred_at > until) {
                return Ok(past);
            }
            past.follow(row)?;
        }
        if is_last(&rows) {
            return Ok(past);
        }
        from = past.seq();
    }
}

/// The state in a snapshot, if these folds made it.
fn readable<A: EventSourced>(snapshot: Snapshot, past: &Past<A>) -> Option<(Snapshot, A)> {
    let ours = snapshot.folds == past.folds.fingerprint();
    let state = serde_json::from_str(&snapshot.state).ok().filter(|_| ours && snapshot.seq > Seq::ZERO)?;
    Some((snapshot, state))
}

/// Is the snapshot of the history that this row is of, and of a time that is asked for?
fn is_of(snapshot: &Snapshot, row: &Envelope, until: Option<Timestamp>) -> bool {
    let same = row.seq == snapshot.seq && row.event_id == snapshot.event_id;
    same && until.is_none_or(|until| row.occurred_at <= until)
}

/// Is there nothing after this page? A query ends at its limit or at 1 MB, so a short and small page is the last one: the
/// usual load is one query.
fn is_last(rows: &[JournalRow]) -> bool {
    let bytes: usize = rows.iter().map(|row| row.envelope.data.as_str().len() + row.envelope.older.bytes()).sum();
    rows.is_empty() || rows.len() < PAGE && bytes < CUT
}

/// The state of an event-sourced aggregate now or as it was at a time, without guard, and the row that it stands at.
///
/// # Errors
/// A retry, if the store is away or a row is of newer code; a rejection, if rows are gone.
pub async fn state_at<A: EventSourced>(
    store: &dyn Store,
    key: &AggregateKey,
    time: Option<Timestamp>,
) -> Result<Option<(A, Seq)>, Failure> {
    let past = past::<A>(store, key, time).await?;
    if let Some(snapshot) = past.snapshot()?.filter(|_| time.is_none()) {
        store.keep_snapshot(key, &snapshot).await;
    }
    let seq = past.seq();
    Ok(past.state.map(|state| (state, seq)))
}

/// Keeps what is due: after the commit, which neither waits for it nor depends on it.
pub(crate) async fn keep(store: &dyn Store, snapshots: &Snapshots) {
    for (key, snapshot) in snapshots {
        store.keep_snapshot(key, snapshot).await;
    }
}

/// The guide's code, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/event-sourced-aggregate.md")]
struct Guide;

#[cfg(test)]
mod properties;
