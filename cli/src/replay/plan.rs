//! Which events a replay would apply again: those of the window that the consumer handles and has applied.
//! Must not know: how they are applied.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use towpath::ports::{Consistency, CursorKey, IndexRow, Ledger, Registered, Store};
use towpath::{AggregateKey, ConsumerName, EventType, Seq};

use super::Options;
use crate::journal;
use crate::pipeline::Pipeline;
use crate::when::Span;

/// What would be applied again.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The events of each aggregate, in order.
    pub(super) aggregates: BTreeMap<AggregateKey, BTreeSet<Seq>>,
    /// How many there are of each type.
    pub(super) types: BTreeMap<EventType, u64>,
    /// Events that the consumer handles and has not applied.
    pub(super) not_yet_applied: u64,
}

impl Plan {
    fn add(&mut self, rows: Vec<IndexRow>, cursors: &BTreeMap<AggregateKey, Seq>) {
        for row in rows {
            if cursors.get(&row.aggregate).is_none_or(|cursor| *cursor < row.seq) {
                self.not_yet_applied += 1;
            } else if self.aggregates.entry(row.aggregate).or_default().insert(row.seq) {
                *self.types.entry(row.event_type).or_default() += 1;
            }
        }
    }
}

/// Walks through the journal's window.
pub(super) async fn gather(pipeline: &Pipeline, consumer: &Registered, options: &Options, span: Span) -> Result<Plan> {
    let mut plan = Plan::default();
    if let Some(aggregate) = &options.aggregate {
        let mut from = Seq::ZERO;
        loop {
            let rows = journal::page(&pipeline.store, aggregate, from).await?;
            let Some(last) = rows.last() else { return Ok(plan) };
            from = last.envelope.seq;
            let rows = rows.into_iter().filter(|row| journal::wants(consumer, row)).map(|row| row.envelope);
            let rows = rows.map(|event| IndexRow {
                aggregate: aggregate.clone(),
                seq: event.seq,
                event_id: event.event_id,
                event_type: event.event_type,
                weight: None,
            });
            add(pipeline, consumer, options, span, rows.collect(), &mut plan).await?;
        }
    }
    let mut place = None;
    loop {
        let page = pipeline.store.committed(span.since, span.until, place.as_deref()).await;
        let (rows, next) = page.context("the journal's time index cannot be read")?;
        add(pipeline, consumer, options, span, rows, &mut plan).await?;
        place = next;
        if place.is_none() {
            return Ok(plan);
        }
    }
}

async fn add(
    pipeline: &Pipeline,
    consumer: &Registered,
    options: &Options,
    span: Span,
    rows: Vec<IndexRow>,
    plan: &mut Plan,
) -> Result<()> {
    let rows: Vec<IndexRow> = rows.into_iter().filter(|row| is_meant(consumer, options, span, row)).collect();
    let aggregates: BTreeSet<AggregateKey> = rows.iter().map(|row| row.aggregate.clone()).collect();
    plan.add(rows, &cursors(pipeline, consumer, &consumer.name, aggregates).await?);
    Ok(())
}

fn is_meant(consumer: &Registered, options: &Options, span: Span, row: &IndexRow) -> bool {
    let at = row.event_id.at();
    consumer.handles(&row.event_type, at)
        && span.includes(at)
        && options.tenant.as_ref().is_none_or(|tenant| *tenant == row.aggregate.tenant)
        && (options.types.is_empty() || options.types.contains(&row.event_type))
}

/// Where the cursors of this name are, for those aggregates that have one.
pub(super) async fn cursors(
    pipeline: &Pipeline,
    consumer: &Registered,
    name: &ConsumerName,
    aggregates: impl IntoIterator<Item = AggregateKey>,
) -> Result<BTreeMap<AggregateKey, Seq>> {
    let key = |aggregate| CursorKey { aggregate, consumer: name.clone() };
    let keys: Vec<CursorKey> = aggregates.into_iter().map(key).collect();
    let positions = pipeline.store.positions(consumer.home, &keys, Consistency::Strong).await;
    let positions = positions.context("the cursors cannot be read")?;
    let at = keys.into_iter().zip(positions).filter_map(|(key, position)| Some((key.aggregate, position?.cursor.seq)));
    Ok(at.collect())
}

#[cfg(test)]
mod tests {
    use towpath::{EventId, Timestamp};

    use super::*;

    fn row(id: &str, seq: u64, kind: &str) -> IndexRow {
        IndexRow {
            aggregate: format!("acme#order#{id}").parse().unwrap(),
            seq: Seq(seq),
            event_id: EventId::new(Timestamp::from_millis(seq), u128::from(seq)),
            event_type: kind.parse().unwrap(),
            weight: None,
        }
    }

    #[test]
    fn only_what_was_applied_is_applied_again_and_twice_read_is_once_counted() {
        let rows = vec![
            row("o-1", 1, "order.placed"),
            row("o-1", 2, "order.cancelled"),
            row("o-2", 1, "order.placed"),
            row("o-1", 1, "order.placed"),
            row("o-3", 1, "order.placed"),
        ];
        let cursors = [(rows[0].aggregate.clone(), Seq(1)), (rows[2].aggregate.clone(), Seq(9))].into();
        let mut plan = Plan::default();
        plan.add(rows, &cursors);
        assert_eq!(plan.aggregates.len(), 2);
        assert_eq!(plan.types, [("order.placed".parse().unwrap(), 2)].into());
        assert_eq!(plan.not_yet_applied, 2);
    }
}
