//! What each registered consumer made of each event, from the cursors and from what is on record as passed over.
//! Must not know: trees, terminals. A duplicate leaves no trace: that is what a cursor is for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Serialize;
use towpath::ports::{Consistency, CursorKey, JournalRow, Store};
use towpath::{AggregateKey, Cursor, Seq, Skipped, Status, Timestamp};

use super::tree::{Event, Told};
use crate::blocked::status_name;
use crate::journal;
use crate::pipeline::Pipeline;

/// What one consumer made of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Its effects are there.
    Applied,
    /// It is on its way.
    Waiting,
    /// An earlier event of the aggregate is in its way.
    Behind { seq: Seq, status: &'static str },
    /// It failed and is tried again.
    Retrying { attempts: u32, class: String, message: String, next: Timestamp },
    /// It failed and waits for an operator.
    Parked { attempts: u32, class: String, message: String, since: Timestamp },
    /// An operator stopped the tenant.
    Held,
    /// An operator passed over it.
    Skipped { who: String, why: String, at: Timestamp },
}

/// Adds to each event what became of it.
pub(super) async fn of_all(pipeline: &Pipeline, rows: Vec<JournalRow>) -> Result<Vec<Told>> {
    let mut outcomes: Vec<BTreeMap<String, Outcome>> = vec![BTreeMap::new(); rows.len()];
    for known in &pipeline.consumers {
        let consumer = &known.consumer;
        let wanted: Vec<usize> = (0..rows.len()).filter(|index| journal::wants(consumer, &rows[*index])).collect();
        let aggregates: BTreeSet<AggregateKey> = wanted.iter().map(|index| rows[*index].envelope.aggregate()).collect();
        let key = |aggregate: AggregateKey| CursorKey { aggregate, consumer: consumer.name.clone() };
        let keys: Vec<CursorKey> = aggregates.into_iter().map(key).collect();
        let positions = pipeline.store.positions(consumer.home, &keys, Consistency::Strong).await;
        let positions = positions.context("the cursors cannot be read")?;
        let mut known: BTreeMap<AggregateKey, (Option<Cursor>, Vec<Skipped>)> = BTreeMap::new();
        for (key, position) in keys.into_iter().zip(positions) {
            let skipped = pipeline.store.skipped(&key).await.context("the skips on record cannot be read")?;
            known.insert(key.aggregate, (position.map(|position| position.cursor), skipped));
        }
        for index in wanted {
            let event = &rows[index].envelope;
            if let Some((cursor, skipped)) = known.get(&event.aggregate()) {
                let has_passed = |cursor: &Cursor| consumer.has_passed(cursor, &event.event_type, event.seq);
                let passed = cursor.as_ref().is_some_and(has_passed);
                let outcome = outcome(event.seq, cursor.as_ref(), passed, skipped);
                outcomes[index].insert(consumer.name.to_string(), outcome);
            }
        }
    }
    Ok(rows.iter().map(Event::from).zip(outcomes).map(|(event, outcomes)| Told { event, outcomes }).collect())
}

/// `passed`: by the cursor, moved by code that knew the type.
fn outcome(seq: Seq, cursor: Option<&Cursor>, passed: bool, skipped: &[Skipped]) -> Outcome {
    if let Some(skipped) = skipped.iter().find(|skipped| skipped.seq == seq) {
        return Outcome::Skipped { who: skipped.who.clone(), why: skipped.why.clone(), at: skipped.at };
    }
    let Some(cursor) = cursor else { return Outcome::Waiting };
    if passed {
        return Outcome::Applied;
    }
    let trouble = cursor.trouble.as_ref().filter(|trouble| !trouble.is_backlog());
    match trouble {
        Some(trouble) if trouble.seq == seq && cursor.status == Status::Parked => Outcome::Parked {
            attempts: cursor.attempt,
            class: trouble.class.clone(),
            message: trouble.message.clone(),
            since: trouble.since,
        },
        Some(trouble) if trouble.seq == seq && cursor.status == Status::Retrying => Outcome::Retrying {
            attempts: cursor.attempt,
            class: trouble.class.clone(),
            message: trouble.message.clone(),
            next: trouble.due,
        },
        _ if cursor.status == Status::Held => Outcome::Held,
        Some(trouble) if trouble.seq < seq => Outcome::Behind { seq: trouble.seq, status: status_name(cursor.status) },
        _ => Outcome::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocked::tests::row;

    #[test]
    fn an_event_is_applied_waiting_blocked_behind_or_passed_over() {
        let parked = row("o-1", "rejected", "no", 5).cursor; // its cursor is at 2, and 3 failed
        let of = |seq: u64| outcome(Seq(seq), Some(&parked), seq <= 2, &[]);
        assert_eq!([of(1), of(2)], [Outcome::Applied, Outcome::Applied]);
        assert!(matches!(of(3), Outcome::Parked { attempts: 2, .. }));
        assert_eq!(of(4), Outcome::Behind { seq: Seq(3), status: "parked" });
        assert_eq!(outcome(Seq(1), None, false, &[]), Outcome::Waiting);
        // Older code went past it.
        let late = Cursor { seq: Seq(5), ..parked.clone() };
        assert!(matches!(outcome(Seq(3), Some(&late), false, &[]), Outcome::Parked { .. }));
        let retrying = Cursor { status: Status::Retrying, ..parked.clone() };
        assert!(matches!(outcome(Seq(3), Some(&retrying), false, &[]), Outcome::Retrying { .. }));
        let ready = Cursor { status: Status::Ready, trouble: None, ..parked };
        assert_eq!(outcome(Seq(3), Some(&ready), false, &[]), Outcome::Waiting);
        let trouble = retrying.trouble.unwrap();
        let (event_id, event_type, at) = (trouble.event_id, trouble.event_type, trouble.since);
        let skipped = Skipped { seq: Seq(2), event_id, event_type, who: "ann".into(), why: "wrong".into(), at };
        assert!(matches!(outcome(Seq(2), Some(&ready), true, &[skipped]), Outcome::Skipped { .. }));
    }
}
