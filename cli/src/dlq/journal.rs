//! What the journal says of a row that waits: its event, and how many events wait behind it.
//! Must not know: how it is shown.

use anyhow::{Context, Result};
use towpath::ports::{JournalRow, Registered, Store};
use towpath::{AggregateKey, ConsumerName, EventType, Seq, Start};
use towpath_aws::AwsStore;

/// Rows of the journal read at a time.
const PAGE: usize = 100;
/// Waiting events that are counted one by one; more are "more".
const COUNTED: u64 = 1_000;

/// How many events wait behind one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// As far as was counted.
    pub(super) events: u64,
    /// Are there more?
    pub(super) more: bool,
}

/// Does a consumer handle this row of the journal?
pub(super) fn is_handled(handles: &[(EventType, Start)], name: &ConsumerName, row: &JournalRow) -> bool {
    let event = &row.envelope;
    handles.iter().any(|(kind, start)| *kind == event.event_type && start.includes(event.occurred_at))
        && row.to.as_ref().is_none_or(|to| to == name)
}

/// One row of the journal, unless it is gone.
pub(super) async fn row(store: &AwsStore, aggregate: &AggregateKey, seq: Seq) -> Result<Option<JournalRow>> {
    let before = Seq(seq.0.saturating_sub(1));
    let rows = store.journal(aggregate, before, seq, 1).await;
    Ok(rows.context("the journal cannot be read")?.pop())
}

/// Counts the events after `seq` that a consumer handles.
pub(super) async fn behind(
    store: &AwsStore,
    consumer: &Registered,
    aggregate: &AggregateKey,
    seq: Seq,
) -> Result<Behind> {
    let (mut events, mut from) = (0, seq);
    loop {
        let rows = store.journal(aggregate, from, Seq(i64::MAX.unsigned_abs()), PAGE).await;
        let rows = rows.context("the journal cannot be read")?;
        let Some(last) = rows.last() else { return Ok(Behind { events, more: false }) };
        from = last.envelope.seq;
        events += rows.iter().filter(|row| is_handled(&consumer.handles, &consumer.name, row)).count() as u64;
        if events >= COUNTED {
            return Ok(Behind { events, more: true });
        }
    }
}
