//! Snapshots of event-sourced aggregates, in the table of entities beside the state of the others.
//! Must not know: what is folded, expressions.

use serde::{Deserialize, Serialize};
use towpath::ports::Snapshot;
use towpath::{AggregateKey, EventId, FORMAT, Seq};

use super::{UnreadableRow, check_format};

/// A snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotItem {
    aggregate: String,
    format: u16,
    seq: Seq,
    event_id: EventId,
    folds: String,
    state: String,
}

/// Its key. `~` is in no id, so it cannot be taken for an aggregate.
pub(crate) fn snapshot_key(of: &AggregateKey) -> String {
    format!("{of}#~snapshot")
}

impl SnapshotItem {
    /// The counter under which it is replaced.
    pub(crate) const COUNTER: &'static str = "seq";

    pub(crate) fn new(of: &AggregateKey, snapshot: &Snapshot) -> Self {
        Self {
            aggregate: snapshot_key(of),
            format: FORMAT,
            seq: snapshot.seq,
            event_id: snapshot.event_id,
            folds: snapshot.folds.clone(),
            state: snapshot.state.clone(),
        }
    }

    pub(crate) fn into_snapshot(self) -> Result<Snapshot, UnreadableRow> {
        check_format(self.format)?;
        Ok(Snapshot { seq: self.seq, event_id: self.event_id, folds: self.folds, state: self.state })
    }
}
