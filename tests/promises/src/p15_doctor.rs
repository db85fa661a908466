//! P15: what is set up wrong in a stack that is up is found before it costs something, each by its rule, and with its fix.
//! Must not know: how the doctor looks.

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::Test;
use crate::p7_commands::towpath;
use crate::stack::{Stack, until, wait};

pub(crate) const ALONE: &[Test] = &[("p15_the_doctor_finds_what_somebody_changed_by_hand_and_nothing_else", by_hand)];

/// This stack has no providers, so what is sent to their consumers waits, and the doctor is right to say so.
const WITHOUT_PROVIDER: [&str; 2] = ["-payments: ", "-notify-customer: "];

/// The rules that are broken now; the exit code says whether there are any.
fn broken(stack: &Stack) -> Result<Vec<String>> {
    let (code, report) = towpath(stack, &["doctor"])?;
    let findings = report["findings"].as_array().context("it reports findings")?;
    ensure!(findings.iter().all(|it| it["fix"].as_str().is_some_and(|fix| !fix.is_empty())), "{report}");
    ensure!(code == if findings.is_empty() { 0 } else { 3 }, "{code}: {report}");
    let waits = |it: &&serde_json::Value| {
        let what = it["what"].as_str().unwrap_or_default();
        it["rule"] == "function-without-consumer" && WITHOUT_PROVIDER.iter().any(|name| what.contains(name))
    };
    let others = findings.iter().filter(|it| !waits(it));
    Ok(others.filter_map(|it| Some(it["rule"].as_str()?.to_owned())).collect())
}

pub(crate) async fn is_sound(stack: &Stack) -> Result<()> {
    let found = RefCell::new(Vec::new());
    let waited = until("the doctor finds nothing", async || {
        found.replace(broken(stack)?);
        Ok(found.borrow().is_empty().then_some(()))
    });
    waited.await.with_context(|| format!("it finds {:?}", found.borrow()))
}

async fn set(stack: &Stack, queue: &str, name: QueueAttributeName, value: &str) -> Result<()> {
    let sqs = aws_sdk_sqs::Client::new(&stack.sdk());
    sqs.set_queue_attributes().queue_url(stack.output(queue)?).attributes(name, value).send().await?;
    Ok(())
}

fn by_hand(stack: &Stack) -> Result<()> {
    wait(async {
        is_sound(stack).await?;
        stack.switch("ShippingQueueUrl", false)?;
        ensure!(broken(stack)? == ["mapping-enabled"], "{:?}", broken(stack));
        stack.switch("ShippingQueueUrl", true)?;

        set(stack, "InventoryQueueUrl", QueueAttributeName::VisibilityTimeout, "30").await?;
        ensure!(broken(stack)? == ["visibility"], "{:?}", broken(stack));
        set(stack, "InventoryQueueUrl", QueueAttributeName::VisibilityTimeout, "180").await?;

        set(stack, "InventoryDeadLetterQueueUrl", QueueAttributeName::MessageRetentionPeriod, "345600").await?;
        ensure!(broken(stack)? == ["set-aside-retention"], "{:?}", broken(stack));
        set(stack, "InventoryDeadLetterQueueUrl", QueueAttributeName::MessageRetentionPeriod, "1209600").await?;

        let sns = aws_sdk_sns::Client::new(&stack.sdk());
        let topic = stack.output("EventsTopicArn")?;
        let known = sns.list_subscriptions_by_topic().topic_arn(topic).send().await?;
        let arn = known
            .subscriptions()
            .iter()
            .find(|it| it.endpoint().is_some_and(|endpoint| endpoint.contains("OrderSummary")))
            .and_then(|it| it.subscription_arn())
            .context("the order summary is subscribed")?;
        let write = async |name: &str, value: String| {
            let set = sns.set_subscription_attributes().subscription_arn(arn).attribute_name(name);
            set.attribute_value(value).send().await
        };
        // It has started, so the registry knows what it handles.
        let order = stack.place("p15-doctor", "k", "tea")?;
        stack.applied("order-summary", &order, 1).await?;
        write("FilterPolicy", json!({ "event_type": ["order.placed"] }).to_string()).await?;
        ensure!(broken(stack)? == ["filter"], "{:?}", broken(stack));
        write("FilterPolicy", json!({ "event_type": ["order.placed", "order.cancelled"] }).to_string()).await?;
        write("RawMessageDelivery", "false".to_owned()).await?;
        ensure!(broken(stack)? == ["subscription"], "{:?}", broken(stack));
        write("RawMessageDelivery", "true".to_owned()).await?;
        is_sound(stack).await
    })
}
