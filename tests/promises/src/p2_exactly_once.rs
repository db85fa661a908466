//! P2: the effects of an event happen once, however often and however late it is delivered.

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p2_an_event_delivered_ten_times_has_its_effects_once", ten_times),
    ("p2_a_late_duplicate_behind_newer_events_changes_nothing", late),
];

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
