//! Finds the events of a story: by the time index for a correlation or an event, by the journal for an aggregate.
//! Must not know: causes, consumers.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use towpath::ports::{IndexRow, JournalRow};
use towpath::{AggregateKey, CorrelationId, Seq, Timestamp};

use super::Subject;
use crate::journal;
use crate::pipeline::Pipeline;

/// Most events of one story; more cannot be looked at by a person.
const EVENTS: usize = 2_000;
/// Most correlations of one aggregate that are followed, the newest first.
const CORRELATIONS: usize = 100;
/// Requests at a time.
const AT_ONCE: usize = 8;

/// What was found.
pub(super) struct Found {
    pub(super) events: Vec<JournalRow>,
    /// Is there more than that?
    pub(super) cut: bool,
}

/// The events of the story, in the order of their commits.
pub(super) async fn events(pipeline: &Pipeline, of: &Subject, now: Timestamp, time: Duration) -> Result<Found> {
    let (mut correlations, mut since, mut until, mut cut) = (Vec::new(), now.minus(time), now, false);
    match of {
        Subject::Correlation(id) => correlations.push(id.clone()),
        Subject::Event(id, otherwise) => {
            let row = pipeline.store.event(*id).await.context("the journal's time index cannot be read")?;
            let event = match row {
                Some(row) => journal::row(&pipeline.store, &row.aggregate, row.seq).await?,
                None => None,
            };
            if let Some(event) = &event {
                let at = event.envelope.occurred_at;
                (since, until) = (at.minus(time), at.plus(time).min(now.max(at)));
            }
            correlations.push(event.map_or_else(|| otherwise.clone(), |event| event.envelope.correlation_id));
        }
        Subject::Of(..) => {} // the tenant is known before anything is looked for
        Subject::Aggregate(aggregate) => {
            (correlations, cut) = correlations_of(pipeline, aggregate, since).await?;
        }
    }
    if correlations.is_empty() {
        return Ok(Found { events: Vec::new(), cut: false });
    }
    let rows = pipeline.store.correlated(&correlations, since, until).await;
    let mut rows = rows.context("the journal's time index cannot be read")?;
    rows.sort_by_key(|row| row.event_id);
    cut |= rows.len() > EVENTS;
    rows.truncate(EVENTS);
    let read = |row: IndexRow| async move { journal::row(&pipeline.store, &row.aggregate, row.seq).await };
    let events: Vec<Option<JournalRow>> = stream::iter(rows).map(read).buffered(AT_ONCE).try_collect().await?;
    Ok(Found { events: events.into_iter().flatten().collect(), cut })
}

/// The correlations that an aggregate had a part in since a time, and whether there are more.
async fn correlations_of(
    pipeline: &Pipeline,
    aggregate: &AggregateKey,
    since: Timestamp,
) -> Result<(Vec<CorrelationId>, bool)> {
    let (mut from, mut known, mut found) = (Seq::ZERO, BTreeSet::new(), Vec::new());
    loop {
        let rows = journal::page(&pipeline.store, aggregate, from).await?;
        let Some(last) = rows.last() else { break };
        from = last.envelope.seq;
        let recent = rows.into_iter().map(|row| row.envelope).filter(|event| event.occurred_at >= since);
        found.extend(recent.map(|event| event.correlation_id).filter(|id| known.insert(id.clone())));
    }
    let more = found.len().saturating_sub(CORRELATIONS);
    Ok((found.split_off(more), more > 0))
}
