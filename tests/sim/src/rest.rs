//! What must hold of the shop at rest: every view, every entity and every diary says what was applied, and no more.
//! Must not know: how it came to rest.

use std::collections::{BTreeMap, BTreeSet};

use commerce::customer::TimelineEntry;
use commerce::notification::NotificationSent;
use commerce::order::{OrderCancelled, OrderPlaced, OrderStatus, OrderSummary};
use commerce::stock::{Stock, StockReceived, StockReleased, StockReserved};
use serde::de::DeserializeOwned;
use towpath::ports::CursorKey;
use towpath::{Aggregate, AggregateKey, ConsumerName, Envelope, Event, Seq};
use towpath_sim::{Applied, Tables};

use crate::diary::{Diary, Folded, page_of};
use crate::points;
use crate::tills::one_is_open;

type Checked = Result<(), String>;

/// All of it.
pub fn check(tables: &Tables, applied: &Applied, consumers: &[String], diaries: &[&'static str]) -> Checked {
    stock_adds_up(tables)?;
    one_is_open(tables)?;
    points::were_decided_on_what_was_there(tables)?;
    commands_ran_once(tables)?;
    for name in consumers {
        let consumer: ConsumerName = name.parse().unwrap();
        match name.as_str() {
            "inventory" => every_order_was_answered(tables, applied, &consumer)?,
            "order-summary" => summaries_are_folds(tables, applied, &consumer)?,
            "crm-timeline" => the_timeline_has_every_entry_once(tables, applied, &consumer)?,
            "notify-customer" => every_mail_is_on_record_once(tables, applied, &consumer)?,
            "points" => points::were_earned_once(tables, applied, &consumer)?,
            "folding" => rows_are_folds(tables, applied, &consumer)?,
            _ => {}
        }
    }
    diaries.iter().filter(|name| **name != "folding").try_for_each(|name| diaries_are_right(tables, applied, name))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, found: &T) -> Checked {
    if wanted == found { Ok(()) } else { Err(format!("{what}: expected {wanted:?}, found {found:?}")) }
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn envelopes(tables: &Tables) -> impl Iterator<Item = &Envelope> {
    tables.outbox.values().map(|row| &row.envelope)
}

/// Pieces in the warehouse are those that came in, less those that are set aside.
fn stock_adds_up(tables: &Tables) -> Checked {
    for (key, stored) in tables.entities.iter().filter(|(key, _)| key.kind.as_str() == Stock::TYPE) {
        let stock: Stock = read(stored.state.as_deref().unwrap());
        let mut on_hand = 0;
        for row in envelopes(tables).filter(|row| row.aggregate() == *key) {
            let data = row.data.as_str();
            match row.event_type.as_str() {
                StockReceived::TYPE => on_hand += read::<StockReceived>(data).quantity.pieces(),
                StockReserved::TYPE => on_hand -= read::<StockReserved>(data).quantity,
                StockReleased::TYPE => on_hand += read::<StockReleased>(data).quantity,
                _ => {}
            }
        }
        same(&format!("pieces of {key}"), &on_hand, &stock.on_hand())?;
    }
    Ok(())
}

/// P9: whatever a client asked for twice happened once.
fn commands_ran_once(tables: &Tables) -> Checked {
    let mut seen = BTreeSet::new();
    for row in envelopes(tables).filter(|row| row.hops == 0) {
        if !seen.insert((row.tenant_id.clone(), row.correlation_id.clone())) {
            return Err(format!("P9: the command {} was executed twice", row.correlation_id));
        }
    }
    Ok(())
}

/// Every applied order has an answer of the stock, and only one per sku.
fn every_order_was_answered(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in envelopes(tables).filter(|row| row.aggregate_type.as_str() == Stock::TYPE && row.hops == 1) {
        let sku = row.aggregate_id.to_string();
        answers.entry(row.causation_id.to_string()).or_default().push(sku);
    }
    for (aggregate, seqs) in applied.by(consumer) {
        for row in seqs.iter().map(|seq| &tables.outbox[&(aggregate.clone(), *seq)].envelope) {
            let of = answers.remove(&row.event_id.to_string()).unwrap_or_default();
            let unique: BTreeSet<&String> = of.iter().collect();
            same(&format!("answers to {aggregate} row {}", row.seq), &unique.len(), &of.len())?;
            if row.event_type.as_str() == OrderPlaced::TYPE && of.is_empty() {
                return Err(format!("{aggregate} was applied, and no stock was reserved or refused"));
            }
        }
    }
    same("answers to events that were not applied", &BTreeMap::new(), &answers)
}

fn summaries_are_folds(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    for (aggregate, seqs) in applied.by(consumer).filter(|(_, seqs)| !seqs.is_empty()) {
        let key = CursorKey { aggregate: aggregate.clone(), consumer: consumer.clone() };
        let state = tables.summaries[&key].state.as_deref().ok_or_else(|| format!("{aggregate} has no row"))?;
        let cancelled = seqs
            .iter()
            .any(|seq| tables.outbox[&(aggregate.clone(), *seq)].envelope.event_type.as_str() == OrderCancelled::TYPE);
        let status = if cancelled { OrderStatus::Cancelled } else { OrderStatus::Placed };
        same(&format!("the summary of {aggregate}"), &status, &read::<OrderSummary>(state).status)?;
    }
    Ok(())
}

fn the_timeline_has_every_entry_once(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    let mut wanted = Vec::new();
    for (aggregate, seqs) in applied.by(consumer) {
        let rows = seqs.iter().map(|seq| &tables.outbox[&(aggregate.clone(), *seq)].envelope);
        wanted.extend(rows.map(|row| format!("{} {} {}", aggregate.tenant, aggregate.id, row.event_type)));
    }
    let views = tables.views.iter().filter(|((_, place), _)| place.view == "crm-timeline");
    let mut found: Vec<String> = views
        .map(|((tenant, _), state)| {
            let entry: serde_json::Value = read(state);
            format!("{tenant} {} {}", entry["order_id"].as_str().unwrap(), entry["event_type"].as_str().unwrap())
        })
        .collect();
    wanted.sort();
    found.sort();
    let _shape = std::marker::PhantomData::<TimelineEntry>;
    same("the timeline", &wanted, &found)
}

/// Each applied event has one answer of the provider on record.
fn every_mail_is_on_record_once(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    let mut wanted: Vec<String> = Vec::new();
    for (aggregate, seqs) in applied.by(consumer) {
        wanted.extend(seqs.iter().map(|seq| tables.outbox[&(aggregate.clone(), *seq)].envelope.event_id.to_string()));
    }
    let sent = envelopes(tables).filter(|row| row.event_type.as_str() == NotificationSent::TYPE);
    let mut found: Vec<String> = sent.map(|row| row.causation_id.to_string()).collect();
    wanted.sort();
    found.sort();
    same("mails on record", &wanted, &found)
}

fn rows_are_folds(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    for (aggregate, seqs) in applied.by(consumer) {
        let key = CursorKey { aggregate: aggregate.clone(), consumer: consumer.clone() };
        let state = tables.summaries[&key].state.as_deref().map(read::<Folded>);
        same(&format!("the fold of {aggregate}"), &seqs.to_vec(), &state.map(|row| row.seqs).unwrap_or_default())?;
    }
    Ok(())
}

/// P3: each diary lists the rows that were applied, in their order, and there is no other diary.
fn diaries_are_right(tables: &Tables, applied: &Applied, name: &'static str) -> Checked {
    let consumer: ConsumerName = name.parse().unwrap();
    let mut wanted: BTreeMap<AggregateKey, Vec<Seq>> = BTreeMap::new();
    for (aggregate, seqs) in applied.by(&consumer).filter(|(_, seqs)| !seqs.is_empty()) {
        let id = page_of(name, aggregate);
        wanted.insert(AggregateKey { kind: Diary::TYPE.parse().unwrap(), id, ..aggregate.clone() }, seqs.to_vec());
    }
    let own = |key: &&AggregateKey| key.id.as_str().starts_with(&format!("{name}."));
    let diaries = tables.entities.iter().filter(|(key, _)| own(key));
    let found = diaries.map(|(key, stored)| (key.clone(), read::<Diary>(stored.state.as_deref().unwrap()).seqs));
    same(&format!("P3: the diaries of {name}"), &wanted, &found.collect())
}
