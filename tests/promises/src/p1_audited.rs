//! P1: whatever is lost on the way is found and healed. Queues, subscriptions, mappings and the topic itself may go; the
//! outbox has every event, and the auditor compares it with the cursors.

use anyhow::{Context, Result, ensure};
use towpath::audit::{AuditReport, Found};
use towpath::{AggregateKey, ConsumerName};

use crate::Test;
use crate::stack::{Stack, until, wait};

pub(crate) const ALONE: &[Test] = &[
    ("p1_a_consumer_that_was_off_catches_up_exactly", off),
    ("p1_a_purged_queue_is_healed_by_the_auditor", purged),
    ("p1_a_deleted_subscription_is_healed_by_the_auditor", unsubscribed),
    ("p1_the_deployed_auditor_ticks_every_minute_and_publishes_what_is_missing", deployed),
    ("p1_at_rest_every_event_is_accounted_for", at_rest),
    ("p1_a_deleted_topic_is_healed_by_the_auditor", no_topic),
];

/// Places orders of two pieces each and cancels every second one.
async fn trade(stack: &Stack, tenant: &str, orders: u64) -> Result<Vec<(AggregateKey, u64)>> {
    let mut placed = Vec::new();
    for n in 0..orders {
        let order = stack.place(tenant, &format!("k-{n}"), "tea")?;
        if n % 2 == 0 {
            stack.ask("POST", &format!("/orders/{}/cancel", order.id), tenant, &format!("x-{n}"), "{}")?;
        }
        placed.push((order, if n % 2 == 0 { 2 } else { 1 }));
    }
    Ok(placed)
}

fn found<'r>(report: &'r AuditReport, consumer: &str) -> Result<&'r Found> {
    report.consumers.get(&consumer.parse::<ConsumerName>()?).context("the consumer is registered")
}

fn off(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-off", "tea", 100)?;
        stack.switch("InventoryQueueUrl", false)?;
        let orders = trade(stack, "p1-off", 20).await?;
        stack.holds("InventoryQueueUrl", "p1-off", 30).await?;
        for (order, head) in &orders {
            stack.applied("crm-timeline", order, *head).await?;
            ensure!(stack.position("inventory", order).await?.is_none(), "it is off");
        }
        // The queue still has them: a backlog is not a loss.
        let report = stack.audit().await?;
        ensure!(found(&report, "inventory")?.unaccounted == 0, "{report:?}");
        stack.switch("InventoryQueueUrl", true)?;
        for (order, head) in &orders {
            let cursor = stack.applied("inventory", order, *head).await?.cursor;
            ensure!(cursor.rev.0 <= *head && cursor.trouble.is_none(), "{cursor:?}");
            let all = ["stock.reserved", "stock.released"];
            ensure!(stack.story(order, "tea").await? == all[..usize::try_from(*head)?]);
        }
        ensure!(stack.stock("p1-off", "tea").await?["on_hand"] == 80);
        Ok(())
    })
}

fn purged(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-purged", "tea", 100)?;
        stack.switch("InventoryQueueUrl", false)?;
        let orders = trade(stack, "p1-purged", 10).await?;
        stack.holds("InventoryQueueUrl", "p1-purged", 15).await?;
        stack.purge("InventoryQueueUrl").await?;
        stack.switch("InventoryQueueUrl", true)?;
        let report = stack.audit().await?;
        let missed = found(&report, "inventory")?;
        ensure!(missed.unaccounted >= 15 && missed.woken >= 10, "{report:?}");
        for (order, head) in &orders {
            stack.applied("inventory", order, *head).await?;
        }
        ensure!(stack.stock("p1-purged", "tea").await?["on_hand"] == 90);
        healed(stack, "inventory").await
    })
}

fn unsubscribed(stack: &Stack) -> Result<()> {
    wait(async {
        let sns = aws_sdk_sns::Client::new(&stack.sdk());
        let topic = stack.output("EventsTopicArn")?;
        let queue = stack.output("OrderSummaryQueueUrl")?.rsplit('/').next().unwrap_or_default();
        let listed = sns.list_subscriptions_by_topic().topic_arn(topic).send().await?.subscriptions.unwrap_or_default();
        let ours = listed.into_iter().find(|one| one.endpoint().is_some_and(|endpoint| endpoint.ends_with(queue)));
        let ours = ours.context("order-summary is subscribed")?;
        let arn = ours.subscription_arn().context("it has an ARN")?.to_owned();
        let had = sns.get_subscription_attributes().subscription_arn(&arn).send().await?.attributes.unwrap_or_default();
        sns.unsubscribe().subscription_arn(&arn).send().await?;
        let orders = trade(stack, "p1-unsubscribed", 10).await?;
        for (order, head) in &orders {
            stack.applied("crm-timeline", order, *head).await?;
            ensure!(stack.position("order-summary", order).await?.is_none(), "nobody told it");
        }
        let report = stack.audit().await?;
        ensure!(found(&report, "order-summary")?.unaccounted >= 15, "{report:?}");
        for (order, head) in &orders {
            stack.applied("order-summary", order, *head).await?;
            let summary = stack.ask("GET", &format!("/orders/{}", order.id), "p1-unsubscribed", "", "")?;
            let status = if *head == 2 { "cancelled" } else { "placed" };
            ensure!(summary.field("status")? == status, "{summary:?}");
        }
        let kept = ["RawMessageDelivery", "FilterPolicy", "FilterPolicyScope"];
        let mut again = sns.subscribe().topic_arn(topic).protocol("sqs").set_endpoint(ours.endpoint);
        for (name, value) in kept.iter().filter_map(|name| Some((*name, had.get(*name)?))) {
            again = again.attributes(name, value);
        }
        again.send().await?;
        let order = stack.place("p1-unsubscribed", "k-last", "tea")?;
        stack.applied("order-summary", &order, 1).await.map(|_| ())
    })
}

/// Nothing is left to heal for a consumer.
async fn healed(stack: &Stack, consumer: &str) -> Result<()> {
    until(&format!("all events of {consumer} are accounted for"), async || {
        let report = stack.audit().await?;
        Ok((found(&report, consumer)?.unaccounted == 0).then_some(()))
    })
    .await
}

/// The function answers, writes its sums, zeros too, and the rule wakes it without anybody's help.
fn deployed(stack: &Stack) -> Result<()> {
    wait(async {
        let before = stack.logged("Ticks")?.len();
        let answer = stack.invoke("auditor")?;
        ensure!(answer.is_null(), "{answer}");
        let lines = stack.logged("Ticks")?;
        ensure!(lines.len() > before, "the auditor says nothing");
        for line in &lines[before..] {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let sums = ["UnaccountedEvents", "OverdueTimers", "NotAudited"];
            ensure!(line["function"] == "auditor" && sums.iter().all(|name| line[name] == 0.0), "{line}");
            ensure!(line["ParkedRows"].is_number() && line["OverdueRows"].is_number(), "{line}");
        }
        let invoked = stack.logged("Ticks")?.len();
        until("the rule has woken it", async || {
            let now = stack.logged("Ticks")?.len();
            Ok((now > invoked || before > 0).then_some(()))
        })
        .await
    })
}

/// After all that was done to the stack, by all tests: the numbers of the audit, and they are right.
fn at_rest(stack: &Stack) -> Result<()> {
    wait(async {
        let of_orders = ["inventory", "order-summary", "crm-timeline", "integration-bus"];
        for consumer in of_orders {
            healed(stack, consumer).await?;
        }
        let report = stack.audit().await?;
        ensure!(report.troubles.is_empty(), "{report:?}");
        for consumer in of_orders {
            ensure!(found(&report, consumer)?.compared > 300, "{report:?}");
        }
        Ok(())
    })
}

/// The last test of all: nothing is published any more, and the relay fails for good.
fn no_topic(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-topic", "tea", 100)?;
        let sns = aws_sdk_sns::Client::new(&stack.sdk());
        sns.delete_topic().topic_arn(stack.output("EventsTopicArn")?).send().await?;
        let orders = trade(stack, "p1-topic", 6).await?;
        for consumer in ["inventory", "order-summary", "crm-timeline", "integration-bus"] {
            for (order, _) in &orders {
                ensure!(stack.position(consumer, order).await?.is_none(), "{consumer} knows of {order}");
            }
        }
        stack.audit().await?;
        for consumer in ["inventory", "order-summary", "crm-timeline", "integration-bus"] {
            for (order, head) in &orders {
                stack.applied(consumer, order, *head).await?;
            }
            healed(stack, consumer).await?;
        }
        ensure!(stack.stock("p1-topic", "tea").await?["on_hand"] == 94);
        Ok(())
    })
}
