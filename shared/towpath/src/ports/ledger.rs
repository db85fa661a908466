//! What an auditor reads: who consumes what, what was committed, and what is due.
//! Must not know: what is missing, or when a row is looked at.

use super::{Answer, CommitError, CursorHome, CursorKey};
use crate::hold::{AllHolds, Holds};
use crate::saga::SagaRow;
use crate::signal::Firing;
use crate::{
    AggregateKey, ConsumerName, Cursor, EventId, EventType, Metered, Rev, Seq, Start, TenantId, Timestamp, Weight,
};

/// A consumer as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: ConsumerName,
    /// Where its cursors are.
    pub home: CursorHome,
    /// The types that it handles.
    pub handles: Vec<Handled>,
    /// Of which set of handlers.
    pub generation: u32,
}

/// A type that a consumer handles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// Which one.
    pub event_type: EventType,
    /// From when on.
    pub start: Start,
    /// The generation in which it was added: older code did not know it.
    pub added: u32,
}

impl Registered {
    /// Does it handle rows of this type that were committed then?
    pub fn handles(&self, event_type: &EventType, committed: Timestamp) -> bool {
        self.handles.iter().any(|handled| handled.event_type == *event_type && handled.start.includes(committed))
    }

    /// Is a row of this type, which it handles, at or below this cursor, and was the cursor moved there by code that knew
    /// the type?
    pub fn has_passed(&self, cursor: &Cursor, event_type: &EventType, seq: Seq) -> bool {
        let known = |handled: &Handled| handled.event_type != *event_type || handled.added <= cursor.generation;
        cursor.seq >= seq && self.handles.iter().all(known)
    }
}

/// A journal row as the time index shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Of which aggregate.
    pub aggregate: AggregateKey,
    /// Its place.
    pub seq: Seq,
    /// Its event; ordered by the time of the commit.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// What usage counts of it; rows from before it was shown have none.
    pub weight: Option<Weight>,
}

/// A timer of a saga, as the index of due rows shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimer {
    /// Of which saga.
    pub saga: AggregateKey,
    /// Whose wake queue it comes back on.
    pub consumer: ConsumerName,
    /// Which timer.
    pub firing: Firing,
    /// When its time came.
    pub due: Timestamp,
}

impl DueTimer {
    /// The timers of a saga whose time lies before `before`.
    pub fn of(saga: &AggregateKey, row: &SagaRow, before: Timestamp) -> Vec<Self> {
        let due = row.timers.iter().filter(|(_, timer)| timer.due < before);
        let due = due.map(|(name, timer)| Self {
            saga: saga.clone(),
            consumer: row.consumer.clone(),
            firing: Firing { name: name.clone(), nonce: timer.nonce },
            due: timer.due,
        });
        due.collect()
    }
}

/// How far the auditor is; one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditState {
    /// How often it was written; every write is conditional on the one that was read.
    pub rev: Rev,
    /// Events up to this time have been looked at, at least once.
    pub audited_until: Timestamp,
    /// Where the sweep of the whole journal is; `None` at its beginning.
    pub sweep: Option<String>,
    /// When the last whole sweep ended.
    pub swept: Option<Timestamp>,
    /// Which hours' usage is folded.
    pub metered: Option<Metered>,
}

/// What an auditor reads.
pub trait Ledger {
    /// All consumers that ever started.
    fn consumers(&self) -> Answer<'_, Vec<Registered>>;
    /// Rows that were committed from `since` until `until`, oldest hour first: the next page after `after` and the
    /// place from which to go on, if there is more.
    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)>;
    /// The next page of the whole journal, in no order.
    fn sweep<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)>;
    /// Cursors whose time to be looked at lies before `before`, at most `limit`.
    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>>;
    /// Timers of sagas whose time lies before `before`, at most `limit`, the earliest first.
    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>>;
    /// The holds of all consumers, strongly consistent.
    fn all_holds(&self) -> Answer<'_, AllHolds>;
    /// Changes the holds of a consumer; only if their rev is `expect`.
    fn keep_holds<'a>(&'a self, of: &'a ConsumerName, to: &'a Holds, expect: Rev) -> Answer<'a, (), CommitError>;
    /// Cursors of a tenant that are marked as held, at most `limit`.
    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>>;
    /// How far the auditor is.
    fn audit_state(&self) -> Answer<'_, AuditState>;
    /// Keeps how far the auditor is; only if its rev is `expect`.
    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, expect: Rev) -> Answer<'a, (), CommitError>;
}
