//! P2: the effects of an event happen once, however often and however late it is delivered.

use anyhow::{Result, bail, ensure};
use towpath::AggregateKey;

use crate::Test;
use crate::processes::{Processes, Seen};
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p2_an_event_delivered_ten_times_has_its_effects_once", ten_times),
    ("p2_a_late_duplicate_behind_newer_events_changes_nothing", late),
];

pub(crate) const ALONE: &[Test] = &[
    ("p2_a_message_that_was_taken_before_and_not_applied_is_applied_once_by_a_wake", taken),
    ("p2_a_process_killed_between_commit_and_acknowledgement_doubles_nothing", killed_after),
    ("p2_a_process_killed_before_its_commit_loses_nothing", killed_before),
];

/// How long a message is hidden in the tests that kill whoever has taken it: the wait until it is delivered again.
const HIDDEN_SECONDS: u32 = 6;
/// Orders with which such a test is tried.
const TRIES: u64 = 10;

fn ten_times(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p2-ten", "tea", 100)?;
        let order = stack.place("p2-ten", "k-1", "tea")?;
        let body = stack.journal(&order).await?[0].envelope.to_body();
        for copy in 0..10 {
            stack.send("InventoryQueueUrl", "p2-ten#0", &format!("copy-{copy}"), &body).await?;
        }
        // The queue hands a group out in order: when this later order is through, so are the copies.
        let later = stack.place("p2-ten", "k-2", "tea")?;
        let marker = stack.journal(&later).await?[0].envelope.to_body();
        stack.send("InventoryQueueUrl", "p2-ten#0", "marker", &marker).await?;
        stack.applied("inventory", &later, 1).await?;
        let position = stack.applied("inventory", &order, 1).await?;
        ensure!(position.cursor.rev.0 == 1, "the cursor was written {} times", position.cursor.rev);
        ensure!(stack.stock("p2-ten", "tea").await?["on_hand"] == 96);
        Ok(())
    })
}

fn late(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p2-late", "tea", 100)?;
        let order = stack.place("p2-late", "k-1", "tea")?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p2-late", "k-2", "{}")?;
        stack.applied("inventory", &order, 2).await?;
        let body = stack.journal(&order).await?[0].envelope.to_body();
        stack.send("InventoryQueueUrl", "p2-late#0", "a-day-later", &body).await?;
        let later = stack.place("p2-late", "k-3", "tea")?;
        stack.applied("inventory", &later, 1).await?;
        ensure!(stack.stock("p2-late", "tea").await?["on_hand"] == 98);
        let position = stack.applied("inventory", &order, 2).await?;
        ensure!(position.cursor.seq.0 == 2 && position.cursor.rev.0 == 2, "{position:?}");
        Ok(())
    })
}

fn taken(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p2-taken", "tea", 100)?;
        let order = stack.place_taken_before("p2-taken", "k-1", "inventory").await?;
        let cursor = stack.applied("inventory", &order, 1).await?.cursor;
        // Marked as handed over, counted as an attempt, applied.
        ensure!((cursor.rev.0, cursor.attempt, cursor.trouble.is_none()) == (3, 0, true), "{cursor:?}");
        ensure!(stack.stock("p2-taken", "tea").await?["on_hand"] == 98);
        stack.holds("InventoryQueueUrl", order.id.as_str(), 0).await?;
        stack.holds("InventoryWakeQueueUrl", order.id.as_str(), 0).await
    })
}

/// Kills inventory once a cursor shows that it has committed, or with its message not even read. The first may be over
/// too soon to be seen: then once more, with the next order.
fn killed(stack: &Stack, tenant: &str, committed: bool) -> Result<()> {
    wait(async {
        stack.stock_up(tenant, "tea", 100)?;
        // A first order, so that there is a process to stop.
        let first = stack.place(tenant, "k-first", "tea")?;
        stack.applied("inventory", &first, 1).await?;
        let processes = Processes::of(stack, &stack.function_of("inventory")?);
        stack.hide_for("InventoryQueueUrl", HIDDEN_SECONDS).await?;
        for tries in 1..=TRIES {
            processes.stop()?;
            let order = stack.place(tenant, &format!("k-{tries}"), "tea")?;
            let shows = async || {
                let moved = stack.position("inventory", &order).await?.is_some();
                let taken = stack.about("InventoryQueueUrl", order.id.as_str())?;
                let in_flight = taken.iter().any(|message| message["ReceiveCount"] == 1);
                Ok(match (in_flight, moved) {
                    (true, moved) if moved == committed => Seen::Now,
                    (false, true) => Seen::Over,
                    _ => Seen::NotYet,
                })
            };
            if processes.kill_when("its message is in flight", shows).await? {
                let moved = stack.position("inventory", &order).await?.is_some();
                ensure!(moved == committed, "the process was killed too late or too early");
                stack.holds("InventoryQueueUrl", order.id.as_str(), 0).await?;
                stack.hide_for("InventoryQueueUrl", 180).await?;
                return outlived(stack, &order, tries, if committed { 1 } else { 3 }).await;
            }
        }
        bail!("{TRIES} orders were committed and acknowledged in one go")
    })
}

/// All of `orders` orders and the first one have their effects once; this one's row was written so often.
async fn outlived(stack: &Stack, order: &AggregateKey, orders: u64, writes: u64) -> Result<()> {
    let cursor = stack.applied("inventory", order, 1).await?.cursor;
    ensure!(cursor.rev.0 == writes, "{cursor:?}");
    ensure!(stack.story(order, "tea").await? == ["stock.reserved"]);
    let stock = stack.stock(order.tenant.as_str(), "tea").await?;
    ensure!(stock["on_hand"] == 98 - 2 * orders, "{stock}");
    Ok(())
}

fn killed_after(stack: &Stack) -> Result<()> {
    killed(stack, "p2-after", true)
}

fn killed_before(stack: &Stack) -> Result<()> {
    killed(stack, "p2-before", false)
}
