//! P1 and P3: every committed event reaches every consumer, in order, whatever the transport does.

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p1_every_order_reaches_every_consumer", every_consumer),
    ("p1_p3_a_missing_event_is_read_from_the_journal_and_applied_first", gap),
    ("p1_a_rejected_order_is_a_business_no_and_not_a_failure", rejected),
];

fn every_consumer(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-all", "tea", 10)?;
        let order = stack.place("p1-all", "k-1", "tea")?;
        for consumer in ["inventory", "order-summary", "crm-timeline", "integration-bus"] {
            stack.applied(consumer, &order, 1).await?;
        }
        let summary = stack.ask("GET", &format!("/orders/{}", order.id), "p1-all", "", "")?;
        ensure!(summary.field("status")? == "placed" && summary.field("total_cents")? == "900", "{summary:?}");
        let timeline = stack.ask("GET", "/customers/c-1/timeline", "p1-all", "", "")?;
        ensure!(timeline.text.contains("placed an order of 1 line for 9.00"), "{timeline:?}");
        ensure!(stack.stock("p1-all", "tea").await?["on_hand"] == 8);
        Ok(())
    })
}

/// The cancellation is put into the queues before the relay can send anything: straight after the commits, under the
/// group of the relay's own messages, so that whichever comes second is the duplicate.
fn gap(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-gap", "tea", 10)?;
        let order = stack.place("p1-gap", "k-1", "tea")?;
        let path = format!("/orders/{}/cancel", order.id);
        let cancelled = stack.ask("POST", &path, "p1-gap", "k-2", r#"{"reason":"late"}"#)?;
        ensure!(cancelled.status == 200, "{cancelled:?}");
        let rows = stack.journal(&order).await?;
        let body = rows[1].envelope.to_body();
        // A lane that the relay does not use: no order between this message and the relay's.
        stack.send("InventoryQueueUrl", "p1-gap#9", "early", &body).await?;
        stack.applied("inventory", &order, 2).await?;
        let sku = "p1-gap#stock#tea".parse()?;
        let journal = stack.journal(&sku).await?;
        let story: Vec<&str> = journal.iter().map(|row| row.envelope.event_type.as_str()).collect();
        ensure!(story == ["stock.received", "stock.reserved", "stock.released"], "{story:?}");
        ensure!(stack.stock("p1-gap", "tea").await?["on_hand"] == 10);
        Ok(())
    })
}

fn rejected(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p1-no", "k-1", "unheard-of")?;
        stack.applied("inventory", &order, 1).await?;
        let journal = stack.journal(&"p1-no#stock#unheard-of".parse()?).await?;
        ensure!(journal.len() == 1 && journal[0].envelope.event_type.as_str() == "stock.rejected", "{journal:?}");
        Ok(())
    })
}
