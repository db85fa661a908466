//! Reading an aggregate's journal: one row, page by page, or how many events wait in it for a consumer.
//! Must not know: how it is shown.

use anyhow::{Context, Result};
use towpath::ports::{JournalRow, Registered, Store};
use towpath::{AggregateKey, Seq};
use towpath_aws::AwsStore;

/// Rows of the journal read at a time.
const PAGE: usize = 100;
/// Waiting events that are counted one by one; more are "more".
const COUNTED: u64 = 1_000;

/// How many events wait behind one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    /// As far as was counted.
    pub(crate) events: u64,
    /// Are there more?
    pub(crate) more: bool,
}

/// Does a consumer handle this row? By type, by start, and, for a command, by address.
pub(crate) fn wants(consumer: &Registered, row: &JournalRow) -> bool {
    consumer.handles(&row.envelope.event_type, row.envelope.occurred_at)
        && row.to.as_ref().is_none_or(|to| *to == consumer.name)
}

/// One row of the journal, unless it is gone.
pub(crate) async fn row(store: &AwsStore, aggregate: &AggregateKey, seq: Seq) -> Result<Option<JournalRow>> {
    let before = Seq(seq.0.saturating_sub(1));
    let rows = store.journal(aggregate, before, seq, 1).await;
    Ok(rows.context("the journal cannot be read")?.pop())
}

/// The next rows after `after`, in order; none at the end.
pub(crate) async fn page(store: &AwsStore, aggregate: &AggregateKey, after: Seq) -> Result<Vec<JournalRow>> {
    let rows = store.journal(aggregate, after, Seq(i64::MAX.unsigned_abs()), PAGE).await;
    rows.context("the journal cannot be read")
}

/// Counts the events after `seq` that a consumer handles.
pub(crate) async fn behind(
    store: &AwsStore,
    consumer: &Registered,
    aggregate: &AggregateKey,
    seq: Seq,
) -> Result<Behind> {
    let (mut events, mut from) = (0, seq);
    loop {
        let rows = page(store, aggregate, from).await?;
        let Some(last) = rows.last() else { return Ok(Behind { events, more: false }) };
        from = last.envelope.seq;
        events += rows.iter().filter(|row| wants(consumer, row)).count() as u64;
        if events >= COUNTED {
            return Ok(Behind { events, more: true });
        }
    }
}
