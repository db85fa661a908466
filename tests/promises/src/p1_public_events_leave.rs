//! P1 beyond the pipeline: every public event reaches a receiver on the integration bus, as it was committed; nothing that is
//! not public does. And whoever watches the bus hears of what is parked.

use anyhow::{Context, Result, ensure};
use aws_sdk_eventbridge::types::Target;
use serde_json::{Value, json};
use towpath::{CloudEvent, EventType};

use crate::Test;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p1_a_public_event_reaches_a_receiver_as_it_was_committed_and_others_do_not", leaves),
    ("p15_the_bus_hears_of_a_parked_event_without_its_data", hears),
];

const RECEIVER: &str = "ExampleReceiverQueueUrl";

fn leaves(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p1-bus", "tea", 10)?;
        let order = stack.place("p1-bus", "k-1", "tea")?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p1-bus", "k-2", r#"{"reason":"late"}"#)?;
        stack.applied("inventory", &order, 2).await?;
        stack.applied("integration-bus", &order, 2).await?;
        // Its stock has rows, too, which are not public.
        ensure!(!stack.journal(&"p1-bus#stock#tea".parse()?).await?.is_empty());
        let public = |kind: &EventType| kind.as_str().starts_with("order.");
        let rows = stack.journal(&order).await?;
        let left: Vec<CloudEvent> = rows.iter().flat_map(|row| CloudEvent::of(&row.envelope, public)).collect();
        // A bus writes the JSON of `data` anew.
        let as_json = |event: &CloudEvent| serde_json::to_value(event);
        let wanted = left.iter().map(as_json).collect::<Result<Vec<_>, _>>()?;
        let mut came = until("both events have come", async || {
            let came = received(stack, "p1-bus")?.iter().map(as_json).collect::<Result<Vec<_>, _>>()?;
            Ok((wanted.iter().all(|event| came.contains(event))).then_some(came))
        })
        .await?;
        came.retain(|event| !wanted.contains(event));
        ensure!(came.is_empty(), "nobody should have heard of {came:?}");
        let cancelled = &left[1];
        ensure!(
            (cancelled.kind.as_str(), cancelled.prior.as_deref()) == ("order.cancelled.v1", Some("order.placed=1"))
        );
        let read = cancelled.to_envelope()?;
        ensure!(read == rows[1].envelope, "{read:?}");
        Ok(())
    })
}

fn hears(stack: &Stack) -> Result<()> {
    wait(async {
        let queue = watch(stack, "towpath.event.parked.v1").await?;
        let poison = stack.poison("p15-bus").await?;
        let ticket = stack.parked("inventory", &poison.order).await?;
        let fact = until("the bus has told of the parked event", async || {
            let sqs = aws_sdk_sqs::Client::new(&stack.sdk());
            let got = sqs.receive_message().queue_url(&queue).max_number_of_messages(10).send().await?;
            let bodies = got.messages.unwrap_or_default().into_iter().filter_map(|message| message.body);
            let facts = bodies.map(|body| serde_json::from_str::<Value>(&body)).collect::<Result<Vec<_>, _>>()?;
            Ok(facts.into_iter().find(|fact| fact["detail"]["tenantid"] == "p15-bus"))
        })
        .await?;
        let trouble = ticket.trouble.context("a parked row says why")?;
        let (detail, data) = (&fact["detail"], &fact["detail"]["data"]);
        ensure!(detail["source"] == "/inventory" && fact["source"] == "towpath.test", "{fact}");
        ensure!(data["aggregate"] == poison.order.to_string() && data["event_id"] == json!(trouble.event_id), "{fact}");
        ensure!((&data["class"], &data["seq"]) == (&json!("rejected"), &json!(2)), "{fact}");
        ensure!(!fact.to_string().contains(&trouble.message) && !fact.to_string().contains("c-1"), "{fact}");
        Ok(())
    })
}

/// What the example receiver has got of a tenant; it stays in the queue.
fn received(stack: &Stack, tenant: &str) -> Result<Vec<CloudEvent>> {
    let bodies = stack.about(RECEIVER, &format!("\"{tenant}\""))?;
    let bodies = bodies.iter().filter_map(|message| message["Body"].as_str());
    bodies.map(|body| Ok(CloudEvent::parse(body)?)).collect()
}

/// A queue that gets everything of one type from now on.
pub(crate) async fn watch(stack: &Stack, kind: &str) -> Result<String> {
    let name = format!("watch-{}", kind.replace('.', "-"));
    let (events, sqs) = (aws_sdk_eventbridge::Client::new(&stack.sdk()), aws_sdk_sqs::Client::new(&stack.sdk()));
    let url = sqs.create_queue().queue_name(&name).send().await?.queue_url.context("it has a URL")?;
    let asked = sqs.get_queue_attributes().queue_url(&url);
    let asked = asked.attribute_names(aws_sdk_sqs::types::QueueAttributeName::QueueArn).send().await?;
    let arn = asked.attributes.unwrap_or_default().into_values().next().context("it has an ARN")?;
    let (bus, pattern) = (stack.output("BusName")?, json!({ "detail-type": [kind] }).to_string());
    events.put_rule().name(&name).event_bus_name(bus).event_pattern(pattern).send().await?;
    let target = Target::builder().id("queue").arn(arn).build()?;
    events.put_targets().rule(&name).event_bus_name(bus).targets(target).send().await?;
    Ok(url)
}
