//! P12: what cannot be understood is neither dropped nor half applied.

use anyhow::{Context, Result, ensure};

use crate::Test;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p12_a_body_that_is_no_envelope_is_kept_whole_with_its_reason", no_envelope),
    ("p12_an_unknown_version_is_not_acknowledged_and_not_applied", unknown_version),
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

fn unknown_version(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p12-version", "k-1", "tea")?;
        stack.applied("crm-timeline", &order, 1).await?;
        let body = stack.journal(&order).await?[0].envelope.to_body();
        let newer = body
            .replace(r#""seq":1,"prior":{}"#, r#""seq":2,"prior":{"order.placed":1}"#)
            .replace(r#""event_version":1"#, r#""event_version":7"#);
        stack.send("CrmTimelineQueueUrl", "p12-version#0", "newer", &newer).await?;
        let sqs = aws_sdk_sqs::Client::new(&stack.sdk());
        let queue = stack.output("CrmTimelineQueueUrl")?;
        until("the message waits in flight, to be offered again", async || {
            let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
            let asked = sqs.get_queue_attributes().queue_url(queue).attribute_names(name.clone()).send().await?;
            let waiting = asked.attributes().and_then(|all| all.get(&name)).is_some_and(|count| count != "0");
            Ok(waiting.then_some(()))
        })
        .await?;
        ensure!(stack.applied("crm-timeline", &order, 1).await?.cursor.seq.0 == 1);
        Ok(())
    })
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
