//! P3: what a consumer applies of an aggregate is 1, 2, 3 …, through reordering, through waiting behind a parked event,
//! through a backlog of any length.

use anyhow::{Result, ensure};
use towpath::{AggregateKey, Status, Verb};

use crate::Test;
use crate::hands::Row;
use crate::operator::instruction;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] =
    &[("p3_events_behind_a_parked_one_wait_and_are_applied_after_its_retry_in_order", followers)];

pub(crate) const ALONE: &[Test] = &[
    ("p3_messages_that_come_in_reverse_are_applied_in_order", reversed),
    ("p3_a_long_backlog_is_handed_to_a_wake_and_caught_up_in_order", backlog),
];

fn followers(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p3-follow").await?;
        let order = &poison.order;
        let parked = stack.parked("inventory", order).await?;
        let prior = [("order.placed", 1), ("order.cancelled", 2)];
        let again = Row::placed(order, 3, &prior, "tea").build()?;
        let prior = [("order.placed", 3), ("order.cancelled", 2)];
        stack.append([again, Row::cancelled(order, 4, &prior).build()?]).await?;
        // The other consumers go on, and this one takes its messages without running them: the journal keeps the events.
        stack.applied("crm-timeline", order, 4).await?;
        stack.applied("order-summary", order, 4).await?;
        stack.holds("InventoryQueueUrl", "p3-follow", 0).await?;
        let still = stack.parked("inventory", order).await?;
        ensure!(still == parked, "the row was touched: {still:?}");
        ensure!(stack.story(order, "tea").await? == ["stock.reserved"]);
        stack.cure(&poison).await?;
        stack.wake("inventory", order, Verb::Retry(instruction(parked.rev, "ann"))).await?;
        let cursor = stack.applied("inventory", order, 4).await?.cursor;
        ensure!((cursor.status, cursor.attempt, cursor.trouble.is_none()) == (Status::Ready, 0, true), "{cursor:?}");
        let expected = ["stock.reserved", "stock.released", "stock.reserved", "stock.released"];
        ensure!(stack.story(order, "tea").await? == expected, "{:?}", stack.story(order, "tea").await?);
        ensure!(stack.stock("p3-follow", "tea").await?["on_hand"] == 100);
        Ok(())
    })
}

/// Both messages are lost on their way and come back the wrong way round, each in a batch of its own.
fn reversed(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p3-rev", "tea", 10)?;
        stack.switch("InventoryQueueUrl", false)?;
        let order = stack.place("p3-rev", "k-1", "tea")?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p3-rev", "k-2", "{}")?;
        stack.holds("InventoryQueueUrl", order.id.as_str(), 2).await?;
        stack.purge("InventoryQueueUrl").await?;
        stack.switch("InventoryQueueUrl", true)?;
        let rows = stack.journal(&order).await?;
        let counted =
            || Ok::<_, anyhow::Error>((stack.counted("inventory", "Gaps")?, stack.counted("inventory", "Duplicates")?));
        let before = counted()?;
        stack.send("InventoryQueueUrl", "p3-rev#1", "second", &rows[1].envelope.to_body()).await?;
        let position = stack.applied("inventory", &order, 2).await?;
        stack.send("InventoryQueueUrl", "p3-rev#2", "first", &rows[0].envelope.to_body()).await?;
        stack.holds("InventoryQueueUrl", order.id.as_str(), 0).await?;
        ensure!(stack.position("inventory", &order).await? == Some(position), "the late first one changed something");
        ensure!(stack.story(&order, "tea").await? == ["stock.reserved", "stock.released"]);
        ensure!(stack.stock("p3-rev", "tea").await?["on_hand"] == 10);
        // P15: both are counted, once each.
        let after = (before.0 + 1.0, before.1 + 1.0);
        until("the gap and the duplicate are in the metrics", async || Ok((counted()? == after).then_some(()))).await
    })
}

/// Only the last of many messages arrives. What it says is missing is more than a batch reads.
fn backlog(stack: &Stack) -> Result<()> {
    const EVENTS: u64 = 300;
    wait(async {
        let order: AggregateKey = "p3-long#order#o-1".parse()?;
        for queue in ["CrmTimelineQueueUrl", "OrderSummaryQueueUrl", "InventoryQueueUrl"] {
            stack.switch(queue, false)?;
        }
        for seq in 1..=EVENTS {
            let prior: &[(&str, u64)] = if seq == 1 { &[] } else { &[("order.placed", seq - 1)] };
            stack.append([Row::placed(&order, seq, prior, &format!("sku-{seq}")).build()?]).await?;
        }
        for queue in ["CrmTimelineQueueUrl", "OrderSummaryQueueUrl", "InventoryQueueUrl"] {
            stack.holds(queue, "p3-long", usize::try_from(EVENTS)?).await?;
            stack.purge(queue).await?;
            stack.switch(queue, true)?;
        }
        let rows = stack.journal(&order).await?;
        let last = rows[rows.len() - 1].envelope.to_body();
        for consumer in ["CrmTimeline", "OrderSummary", "Inventory"] {
            stack.send(&format!("{consumer}QueueUrl"), "p3-long#0", "last", &last).await?;
        }
        for consumer in ["crm-timeline", "order-summary", "inventory"] {
            stack.applied(consumer, &order, EVENTS).await?;
            stack.blocked(consumer, &order, Status::Ready).await?;
        }
        let timeline = stack.timeline("p3-long", "c-1")?;
        let places: Vec<&str> = timeline.iter().filter_map(|entry| entry["at"].as_str()).collect();
        ensure!(timeline.len() as u64 == EVENTS && places.is_sorted(), "{} entries", timeline.len());
        // A fold of the last event, on top of all the others.
        let summary = stack.ask("GET", &format!("/orders/{}", order.id), "p3-long", "", "")?;
        ensure!(summary.json()?["lines"][0]["sku"] == format!("sku-{EVENTS}"), "{summary:?}");
        Ok(())
    })
}
