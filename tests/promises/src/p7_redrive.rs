//! P7: a parked row is tried again, or passed over, once for each order, whoever gives it and however often. The row is
//! the truth: losing tickets, or the whole dead-letter queue, loses nothing.

use anyhow::{Result, ensure};
use towpath::ports::{CursorHome, CursorKey, Host, Ledger, Store};
use towpath::trouble::{TICKET_RENEWAL, TicketState, Trouble};
use towpath::{AggregateKey, Cursor, Rev, Seq, Verb};

use crate::Test;
use crate::hands::{Row, host, overdue};
use crate::operator::instruction;
use crate::processes::Processes;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p7_a_ticket_moved_back_by_hand_applies_its_event", console),
    ("p7_a_ticket_redriven_twice_is_one_attempt", twice),
    ("p7_two_operators_who_retry_one_row_are_one", two_operators),
    ("p7_a_skip_is_on_record_once_and_a_corrective_event_puts_things_right", skip_and_correct),
    ("p7_an_order_about_a_row_that_went_on_does_nothing", too_late),
];

pub(crate) const ALONE: &[Test] = &[
    ("p7_a_purged_dead_letter_queue_loses_nothing", purged),
    ("p7_a_missing_dead_letter_queue_parks_all_the_same_and_the_ticket_is_sent_later", missing),
];

const RELEASED: [&str; 2] = ["stock.reserved", "stock.released"];

fn console(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-console").await?;
        stack.parked("inventory", &poison.order).await?;
        stack.cure(&poison).await?;
        stack.redrive("inventory", &poison.order, 1).await?;
        stack.applied("inventory", &poison.order, 2).await?;
        stack.story_is(&poison.order, &RELEASED).await?;
        ensure!(stack.tickets("inventory", &poison.order)?.is_empty());
        stack.holds("InventoryQueueUrl", poison.order.id.as_str(), 0).await
    })
}

/// Somebody clicks twice, and nothing was mended: one attempt, one new ticket.
fn twice(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-twice").await?;
        let before = stack.parked("inventory", &poison.order).await?;
        stack.redrive("inventory", &poison.order, 2).await?;
        let tried = parked_again(stack, &poison.order, before.rev).await?;
        settled(stack, &poison.order).await?;
        let after = stack.parked("inventory", &poison.order).await?;
        ensure!(after == tried && (after.rev.0, after.attempt) == (before.rev.0 + 2, before.attempt + 1), "{after:?}");
        let tickets = stack.tickets("inventory", &poison.order)?;
        ensure!(tickets.len() == 1 && tickets[0].rev == after.rev, "{tickets:?}");
        // The same, mended.
        stack.cure(&poison).await?;
        stack.redrive("inventory", &poison.order, 2).await?;
        stack.applied("inventory", &poison.order, 2).await?;
        settled(stack, &poison.order).await?;
        stack.story_is(&poison.order, &RELEASED).await
    })
}

fn two_operators(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-two").await?;
        let before = stack.parked("inventory", &poison.order).await?;
        let retry = |who: &str| Verb::Retry(instruction(before.rev, who));
        stack.wake("inventory", &poison.order, retry("ann")).await?;
        stack.wake("inventory", &poison.order, retry("bob")).await?;
        parked_again(stack, &poison.order, before.rev).await?;
        settled(stack, &poison.order).await?;
        let after = stack.parked("inventory", &poison.order).await?;
        ensure!((after.rev.0, after.attempt) == (before.rev.0 + 2, before.attempt + 1), "{before:?} {after:?}");
        stack.cure(&poison).await?;
        let retry = |who: &str| Verb::Retry(instruction(after.rev, who));
        stack.wake("inventory", &poison.order, retry("ann")).await?;
        stack.wake("inventory", &poison.order, retry("bob")).await?;
        stack.applied("inventory", &poison.order, 2).await?;
        settled(stack, &poison.order).await?;
        stack.story_is(&poison.order, &RELEASED).await
    })
}

/// An order that is cancelled before it is placed makes no summary. The journal is not edited: the event is passed over,
/// and a new one says what is right.
fn skip_and_correct(stack: &Stack) -> Result<()> {
    wait(async {
        let before = stack.counted("order-summary", "Skipped")?;
        let order: AggregateKey = "p7-skip#order#o-1".parse()?;
        let wrong = Row::cancelled(&order, 1, &[]).build()?;
        stack.append([wrong.clone()]).await?;
        let parked = stack.parked("order-summary", &order).await?;
        let right = Row::placed(&order, 2, &[("order.cancelled", 1)], "tea").build()?;
        stack.append([right]).await?;
        for who in ["ann", "bob"] {
            stack.wake("order-summary", &order, Verb::Skip(instruction(parked.rev, who))).await?;
        }
        stack.applied("order-summary", &order, 2).await?;
        stack.holds("OrderSummaryWakeQueueUrl", &order.to_string(), 0).await?;
        let key = CursorKey { aggregate: order.clone(), consumer: "order-summary".parse()? };
        let skipped = stack.store()?.skipped(&key).await?;
        ensure!(skipped.len() == 1, "{skipped:?}");
        ensure!((skipped[0].seq, skipped[0].event_id) == (Seq(1), wrong.envelope.event_id), "{skipped:?}");
        ensure!(["ann", "bob"].contains(&skipped[0].who.as_str()) && skipped[0].why == "a test", "{skipped:?}");
        let summary = stack.ask("GET", &format!("/orders/{}", order.id), "p7-skip", "", "")?;
        ensure!(summary.field("status")? == "placed" && summary.field("version")? == "2", "{summary:?}");
        ensure!(stack.journal(&order).await?.len() == 2, "the journal keeps what was passed over");
        // P15
        until("it is in the metrics", async || Ok((stack.counted("order-summary", "Skipped")? > before).then_some(())))
            .await
    })
}

fn too_late(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p7-late", "k-1", "tea")?;
        let before = stack.applied("order-summary", &order, 1).await?;
        let orders = [Verb::Skip(instruction(before.cursor.rev, "ann")), Verb::Retry(instruction(Rev(0), "bob"))];
        for order_ in orders {
            stack.wake("order-summary", &order, order_).await?;
        }
        stack.holds("OrderSummaryWakeQueueUrl", &order.to_string(), 0).await?;
        ensure!(stack.position("order-summary", &order).await? == Some(before), "the row was touched");
        Ok(())
    })
}

fn purged(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-purged").await?;
        let parked = stack.parked("inventory", &poison.order).await?;
        stack.purge("InventoryDeadLetterQueueUrl").await?;
        // What an operator is shown comes from the rows, and needs no ticket.
        let key = CursorKey { aggregate: poison.order.clone(), consumer: "inventory".parse()? };
        let by_then = host().now().plus(TICKET_RENEWAL * 2);
        ensure!(stack.store()?.due(CursorHome::Progress, by_then, 1_000).await?.contains(&key));
        let report = stack.audit().await?;
        ensure!(report.consumers[&key.consumer].unaccounted == 0, "a parked row is accounted for: {report:?}");
        stack.cure(&poison).await?;
        stack.wake("inventory", &poison.order, Verb::Retry(instruction(parked.rev, "ann"))).await?;
        stack.applied("inventory", &poison.order, 2).await?;
        stack.story_is(&poison.order, &RELEASED).await
    })
}

/// The queue is deleted, an event is parked, the queue is there again: the auditor sees that the ticket is overdue.
fn missing(stack: &Stack) -> Result<()> {
    wait(async {
        let again = stack.delete("InventoryDeadLetterQueueUrl").await?;
        // A process that starts now must do so without the queue.
        Processes::of(stack, &stack.function_of("inventory")?).kill()?;
        let poison = stack.poison("p7-missing").await?;
        let parked = stack.parked("inventory", &poison.order).await?;
        let ticket = |trouble: &Option<Trouble>| trouble.as_ref().and_then(|trouble| trouble.ticket);
        ensure!(ticket(&parked.trouble) == Some(TicketState::Missing), "{parked:?}");
        // The queue stays away: the auditor's wake tries in vain, and the row says so.
        stack.rewrite("inventory", &poison.order, overdue).await?;
        stack.audit().await?;
        let tried = parked_again(stack, &poison.order, Rev(parked.rev.0 + 1)).await?;
        ensure!(ticket(&tried.trouble) == Some(TicketState::Missing), "{tried:?}");
        again.create().await?;
        stack.rewrite("inventory", &poison.order, overdue).await?;
        stack.audit().await?;
        let sent = parked_again(stack, &poison.order, Rev(tried.rev.0 + 1)).await?;
        ensure!(ticket(&sent.trouble) == Some(TicketState::Sent), "{sent:?}");
        ensure!(sent.attempt == parked.attempt, "sending a ticket is no attempt");
        stack.cure(&poison).await?;
        stack.redrive("inventory", &poison.order, 1).await?;
        stack.applied("inventory", &poison.order, 2).await.map(|_| ())
    })
}

/// The row when it is parked again, after it was written since `rev`.
async fn parked_again(stack: &Stack, order: &AggregateKey, rev: Rev) -> Result<Cursor> {
    until(&format!("{order} is parked again"), async || {
        let cursor = stack.parked("inventory", order).await?;
        Ok((cursor.rev > rev).then_some(cursor))
    })
    .await
}

/// Waits until nothing about an aggregate is on its way to inventory.
async fn settled(stack: &Stack, order: &AggregateKey) -> Result<()> {
    stack.holds("InventoryQueueUrl", order.id.as_str(), 0).await?;
    stack.holds("InventoryWakeQueueUrl", &order.to_string(), 0).await
}
