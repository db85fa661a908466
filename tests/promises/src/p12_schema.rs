//! P12: what cannot be understood is neither dropped nor half applied.

use anyhow::{Context, Result, ensure};
use towpath::{AggregateKey, Cursor, Status};

use crate::Test;
use crate::hands::Row;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p12_a_body_that_is_no_envelope_is_kept_whole_with_its_reason", no_envelope),
    ("p12_an_unknown_version_holds_its_aggregate_back_and_is_tried_again", unknown_version),
    ("p12_an_unknown_type_holds_its_aggregate_back_and_is_tried_again", unknown_type),
    ("p12_a_stream_record_that_cannot_be_read_is_kept_and_the_shard_goes_on", bad_record),
];

fn no_envelope(stack: &Stack) -> Result<()> {
    wait(async {
        stack.send("InventoryQueueUrl", "p12#0", "garbage", "{\"hello\": \"garbage\"}").await?;
        let kept = until("the garbage is in the dead-letter queue", async || {
            let kept = stack.receive("InventoryDeadLetterQueueUrl").await?;
            Ok(kept.into_iter().find(|message| message.body() == Some("{\"hello\": \"garbage\"}")))
        })
        .await?;
        let reason = kept.message_attributes().and_then(|all| all.get("reason")?.string_value());
        let reason = reason.context("no reason is kept")?;
        ensure!(reason.starts_with("the body is not an envelope: a field is missing"), "{reason}");
        // The group goes on behind it.
        let order = stack.place("p12", "k-1", "tea")?;
        stack.applied("inventory", &order, 1).await.map(|_| ())
    })
}

/// Neither dropped nor half applied: the message is acknowledged, the row says what it waits for, and a wake comes back
/// for it, later each time. What follows waits too.
fn unknown_version(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p12-version", "k-1", "tea")?;
        stack.applied("crm-timeline", &order, 1).await?;
        let newer = Row { version: 7, ..Row::cancelled(&order, 2, &[("order.placed", 1)]) }.build()?;
        let prior = [("order.placed", 1), ("order.cancelled", 2)];
        stack.append([newer, Row::placed(&order, 3, &prior, "tea").build()?]).await?;
        let row = waits(stack, &order, "unknown event version").await?;
        ensure!(row.seq.0 == 1 && stack.timeline("p12-version", "c-1")?.len() == 1, "{row:?}");
        let said = row.trouble.map(|trouble| trouble.message).unwrap_or_default();
        ensure!(said.starts_with("order.cancelled has version 7, crm-timeline handles version 1"), "{said}");
        Ok(())
    })
}

/// As if the filter policy let through a type that this code has no handler for.
fn unknown_type(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p12-type", "k-1", "tea")?;
        stack.applied("crm-timeline", &order, 1).await?;
        let prior = [("order.placed", 1)];
        let data = "{}".to_owned();
        let row = Row { of: &order, seq: 2, prior: &prior, event_type: "order.noted", version: 1, data }.build()?;
        let body = row.envelope.to_body();
        stack.append([row]).await?;
        stack.send("CrmTimelineQueueUrl", "p12-type#0", "noted", &body).await?;
        let row = waits(stack, &order, "unknown event type").await?;
        ensure!(row.seq.0 == 1 && stack.timeline("p12-type", "c-1")?.len() == 1, "{row:?}");
        Ok(())
    })
}

/// The row once its second attempt has failed: no message of the tenant is left, and one wake is hidden.
async fn waits(stack: &Stack, order: &AggregateKey, class: &str) -> Result<Cursor> {
    let row = until(&format!("{order} was tried twice"), async || {
        let row = stack.blocked("crm-timeline", order, Status::Retrying).await?;
        let failed = row.trouble.as_ref().is_some_and(|trouble| trouble.class == class && trouble.running.is_none());
        Ok((failed && row.attempt == 2).then_some(row))
    })
    .await?;
    stack.holds("CrmTimelineQueueUrl", order.id.as_str(), 0).await?;
    let wakes = stack.about("CrmTimelineWakeQueueUrl", &order.to_string())?;
    ensure!(wakes.len() == 1 && wakes[0]["IsVisible"] == false, "{wakes:?}");
    Ok(row)
}

fn bad_record(stack: &Stack) -> Result<()> {
    wait(async {
        let dynamodb = aws_sdk_dynamodb::Client::new(&stack.sdk());
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let row = dynamodb.put_item().table_name(stack.output("OutboxTable")?);
        let row = row.item("aggregate", text("p12-bad#order#o-1")).item("note", text("no journal row"));
        row.item("seq", aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned())).send().await?;
        let kept = until("the record is at the relay's failures queue", async || {
            let kept = stack.receive("RelayFailuresQueueUrl").await?;
            Ok(kept.into_iter().find(|message| message.body().is_some_and(|body| body.contains("p12-bad#order#o-1"))))
        })
        .await?;
        ensure!(kept.message_attributes().is_some_and(|all| all.contains_key("reason")));
        let order = stack.place("p12-bad", "k-1", "tea")?;
        stack.applied("order-summary", &order, 1).await.map(|_| ())
    })
}
