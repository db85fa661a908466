//! P7: a replay applies again what was applied before, beside the live cursor: twice is once, and only where a handler is
//! declared replayable.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use towpath::{AggregateKey, Replay, Seq, Verb};

use crate::Test;
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p7_a_day_of_orders_replayed_leaves_crm_and_stock_equal_to_a_fold_of_the_outbox", a_day),
    ("p7_a_replay_sent_twice_restores_the_timeline_and_moves_no_live_cursor", twice),
    ("p7_a_consumer_that_is_not_declared_replayable_refuses_a_replay", refused),
];

fn all(id: u64) -> Verb {
    Verb::Replay(Replay { id, after: Seq::ZERO, through: Seq(1_000), types: vec![] })
}

fn twice(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p7-replay", "k-1", "tea")?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p7-replay", "k-2", "{}")?;
        let live = stack.applied("crm-timeline", &order, 2).await?;
        let timeline = stack.timeline("p7-replay", "c-1")?;
        ensure!(timeline.len() == 2, "{timeline:?}");
        stack.lose_entry(&stack.journal(&order).await?[0].envelope, "c-1").await?;
        ensure!(stack.timeline("p7-replay", "c-1")?.len() == 1);
        for _ in 0..2 {
            stack.wake("crm-timeline", &order, all(7)).await?;
        }
        let own = stack.applied("crm-timeline@7", &order, 2).await?;
        stack.holds("CrmTimelineWakeQueueUrl", &order.to_string(), 0).await?;
        ensure!(stack.timeline("p7-replay", "c-1")? == timeline, "the timeline is another one");
        ensure!(stack.position("crm-timeline", &order).await? == Some(live.clone()), "the live cursor was moved");
        // A third time, later: its own cursor knows that there is nothing left to do.
        stack.wake("crm-timeline", &order, all(7)).await?;
        stack.holds("CrmTimelineWakeQueueUrl", &order.to_string(), 0).await?;
        ensure!(stack.position("crm-timeline@7", &order).await? == Some(own), "it was applied again");
        ensure!(stack.timeline("p7-replay", "c-1")? == timeline);
        ensure!(stack.position("crm-timeline", &order).await? == Some(live));
        Ok(())
    })
}

fn refused(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p7-refused", "tea", 10)?;
        let order = stack.place("p7-refused", "k-1", "tea")?;
        for consumer in ["inventory", "order-summary"] {
            let live = stack.applied(consumer, &order, 1).await?;
            stack.wake(consumer, &order, all(8)).await?;
            stack.holds(&crate::operator::queues_of(consumer).wake, &order.to_string(), 0).await?;
            ensure!(stack.position(consumer, &order).await? == Some(live), "{consumer} moved its cursor");
            ensure!(stack.position(&format!("{consumer}@8"), &order).await?.is_none(), "{consumer} began a replay");
        }
        ensure!(stack.stock("p7-refused", "tea").await?["on_hand"] == 8);
        Ok(())
    })
}

/// Orders of several customers for several skus, some of them more than there is, every third one cancelled.
fn a_day(stack: &Stack) -> Result<()> {
    const TENANT: &str = "p7-day";
    const SKUS: [(&str, u64); 3] = [("tea", 30), ("cup", 9), ("pot", 3)];
    wait(async {
        for (sku, pieces) in SKUS {
            stack.stock_up(TENANT, sku, pieces)?;
        }
        let mut orders = Vec::new();
        for n in 0..30 {
            let (sku, customer) = (SKUS[n % 3].0, n % 4);
            let line = format!(r#"{{"sku":"{sku}","quantity":2,"unit_price_cents":450}}"#);
            let body = format!(r#"{{"customer_id":"c-{customer}","lines":[{line}]}}"#);
            let placed = stack.ask("POST", "/orders", TENANT, &format!("k-{n}"), &body)?;
            let order: AggregateKey = format!("{TENANT}#order#{}", placed.field("order_id")?).parse()?;
            if n % 3 == 0 {
                stack.ask("POST", &format!("/orders/{}/cancel", order.id), TENANT, &format!("x-{n}"), "{}")?;
            }
            orders.push((order, if n % 3 == 0 { 2 } else { 1 }));
        }
        for (order, head) in &orders {
            stack.applied("inventory", order, *head).await?;
            stack.applied("crm-timeline", order, *head).await?;
        }
        let expected = fold(stack, &orders).await?;
        ensure!(timelines(stack, TENANT)? == expected, "the live timelines are no fold of the outbox");
        for (order, _) in &orders {
            for row in stack.journal(order).await? {
                let data: Value = serde_json::from_str(row.envelope.data.as_str())?;
                stack.lose_entry(&row.envelope, data["customer_id"].as_str().context("a customer")?).await?;
            }
        }
        ensure!(timelines(stack, TENANT)?.is_empty());
        for (order, _) in &orders {
            stack.wake("crm-timeline", order, all(20_261_121)).await?;
        }
        for (order, head) in &orders {
            stack.applied("crm-timeline@20261121", order, *head).await?;
        }
        ensure!(timelines(stack, TENANT)? == expected, "the replayed timelines are no fold of the outbox");
        for (sku, _) in SKUS {
            let (on_hand, reserved) = fold_stock(stack, TENANT, sku).await?;
            let stock = stack.stock(TENANT, sku).await?;
            ensure!(stock["on_hand"] == on_hand, "{sku}: {stock}, but the outbox says {on_hand}");
            ensure!(stock["reservations"] == serde_json::to_value(&reserved)?, "{sku}: {stock}, not {reserved:?}");
        }
        Ok(())
    })
}

/// What the timeline of each customer must say, from the journal alone: times, types and orders, in the order of time.
type Entries = BTreeMap<String, Vec<(String, String, String)>>;

async fn fold(stack: &Stack, orders: &[(AggregateKey, u64)]) -> Result<Entries> {
    let mut entries = BTreeMap::new();
    for (order, head) in orders {
        let rows = stack.journal(order).await?;
        ensure!(rows.len() as u64 == *head, "{order} has {} rows", rows.len());
        for row in rows {
            let data: Value = serde_json::from_str(row.envelope.data.as_str())?;
            let at = (row.envelope.occurred_at.to_string(), row.envelope.event_id.to_string());
            let entry = (at.0.clone(), row.envelope.event_type.to_string(), order.id.to_string());
            let customer = data["customer_id"].as_str().context("a customer")?.to_owned();
            entries.insert((customer, at), entry);
        }
    }
    let mut folded = Entries::new();
    for ((customer, _), entry) in entries {
        folded.entry(customer).or_default().push(entry);
    }
    Ok(folded)
}

fn timelines(stack: &Stack, tenant: &str) -> Result<Entries> {
    let mut found = Entries::new();
    for customer in (0..4).map(|n| format!("c-{n}")) {
        for entry in stack.timeline(tenant, &customer)? {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let entry = (text("at"), text("event_type"), text("order_id"));
            found.entry(customer.clone()).or_default().push(entry);
        }
    }
    Ok(found)
}

/// Pieces for sale and pieces reserved by order, from the journals alone.
async fn fold_stock(stack: &Stack, tenant: &str, sku: &str) -> Result<(u64, BTreeMap<String, u64>)> {
    let (mut on_hand, mut reserved) = (0, BTreeMap::new());
    for row in stack.journal(&format!("{tenant}#stock#{sku}").parse()?).await? {
        let data: Value = serde_json::from_str(row.envelope.data.as_str())?;
        let order = data["order_id"].as_str().unwrap_or_default().to_owned();
        match row.envelope.event_type.as_str() {
            "stock.received" => on_hand += data["quantity"].as_u64().context("a quantity")?,
            "stock.reserved" => {
                on_hand -= data["quantity"].as_u64().context("a quantity")?;
                ensure!(reserved.insert(order, data["quantity"].as_u64().unwrap_or_default()).is_none(), "twice");
            }
            "stock.released" => on_hand += reserved.remove(&order).context("released, but not reserved")?,
            other => ensure!(other == "stock.rejected", "{other}"),
        }
    }
    Ok((on_hand, reserved))
}
