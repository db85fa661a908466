//! P18: old and new code side by side. Old code does not start beside newer, and what newer code has touched waits for it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use towpath::batch::ConsumerPorts;
use towpath::ports::{Handled, NoBus};
use towpath::wake::{Outcome, handle_wake};
use towpath::{Era, Producer, Start, Wake};
use towpath_aws::registry::{NotRegistered, Registration};
use towpath_aws::{AwsStore, DeadLetterQueue, QueueUrls, WakeQueues};

use crate::Test;
use crate::hands::host;
use crate::operator::queues_of;
use crate::stack::{Stack, root, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p18_old_code_does_not_start_where_a_newer_generation_has", old_code),
    ("p18_a_row_that_newer_code_has_touched_is_left_to_newer_code", newer_row),
];

/// In a registry of its own, so that the deployed functions are not disturbed.
fn old_code(stack: &Stack) -> Result<()> {
    wait(async {
        let mut tables = stack.tables()?;
        tables.progress = format!("registry-{}", std::process::id());
        let dynamodb = aws_sdk_dynamodb::Client::new(&stack.sdk());
        let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let text = |name| {
            let text = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            text.build()
        };
        let create = dynamodb.create_table().table_name(&tables.progress).billing_mode(BillingMode::PayPerRequest);
        let create = create.key_schema(key("pk", KeyType::Hash)?).key_schema(key("sk", KeyType::Range)?);
        create.attribute_definitions(text("pk")?).attribute_definitions(text("sk")?).send().await?;
        let store = AwsStore::new(dynamodb, tables.clone(), 0);
        let of = |generation: u32| Registration {
            replayable: false,
            consumer: inventory::consumer().generation(generation).registration(),
            queue_url: None,
            wake_queue_url: None,
            dead_letter_queue_url: None,
        };
        let deployed = inventory::consumer().current_generation();
        let newer = of(deployed + 1);
        // The usual way round: first the old one, then the newer one.
        store.register(&of(deployed)).await?;
        store.register(&newer).await?;
        let mut grown = newer.clone();
        let counted = Handled { event_type: "stock.counted".parse()?, start: Start::Beginning, added: 1 };
        grown.consumer.handles.push(counted);
        let refused = store.register(&grown).await;
        ensure!(matches!(refused, Err(NotRegistered::SameGeneration(..))), "a type was added unseen: {refused:?}");
        let queues = queues_of("inventory");
        let run = Command::new(root().join(".aws-sam/build/InventoryFunction/bootstrap"))
            .env_clear()
            .envs([("TOWPATH_STAGE", "test"), ("TOWPATH_LOG_LEVEL", "info"), ("TOWPATH_OUTBOX_RETENTION_DAYS", "0")])
            .envs([("TOWPATH_OUTBOX_TABLE", &tables.outbox), ("TOWPATH_ENTITIES_TABLE", &tables.entities)])
            .envs([("TOWPATH_VIEWS_TABLE", &tables.views), ("TOWPATH_PROGRESS_TABLE", &tables.progress)])
            .env("TOWPATH_QUEUE_URL", stack.output(&queues.first)?)
            .env("TOWPATH_WAKE_QUEUE_URL", stack.output(&queues.wake)?)
            .env("TOWPATH_DEAD_LETTER_QUEUE_URL", stack.output(&queues.dead)?)
            .envs([("AWS_ENDPOINT_URL", stack.endpoint.as_str()), ("AWS_REGION", "us-east-1")])
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.code() == Some(1), "{run:?}");
        let why = format!("a newer generation of inventory has started, and this is generation {deployed}");
        ensure!(said.contains(&why), "{said}");
        ensure!(store.registered().await? == [newer], "the old one has written itself down");
        Ok(())
    })
}

/// The newer code is this test, with the same handlers as a newer generation, over the same tables and queues.
fn newer_row(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p18-row", "tea", 10)?;
        let order = stack.place("p18-row", "k-1", "tea")?;
        stack.applied("inventory", &order, 1).await?;
        let newer = inventory::consumer().current_generation() + 1;
        stack.rewrite("inventory", &order, |position| position.cursor.generation = newer).await?;
        let touched = stack.position("inventory", &order).await?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p18-row", "k-2", "{}")?;
        // The deployed, older code takes the message and leaves it to a wake, and the wake to somebody newer.
        until("the old code has put the wake off", async || {
            let wakes = stack.about("InventoryWakeQueueUrl", &order.to_string())?;
            Ok(wakes.iter().any(|wake| wake["IsVisible"] == false).then_some(()))
        })
        .await?;
        stack.holds("InventoryQueueUrl", order.id.as_str(), 0).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        ensure!(stack.position("inventory", &order).await? == touched, "old code has touched the row");
        let (sqs, queues) = (aws_sdk_sqs::Client::new(&stack.sdk()), queues_of("inventory"));
        let urls =
            QueueUrls { queue: stack.output(&queues.first)?.to_owned(), wake: stack.output(&queues.wake)?.to_owned() };
        let ports = ConsumerPorts {
            store: &stack.store()?,
            host: &host(),
            dead_letters: &DeadLetterQueue::new(sqs.clone(), stack.output(&queues.dead)?.to_owned()),
            wakes: &WakeQueues::new(sqs, [("inventory".parse()?, urls)].into()),
            bus: &NoBus,
            producer: &Producer::parse("inventory@2.0.0")?,
            era: Era::FIRST,
        };
        let newest = inventory::consumer().generation(newer);
        let report = handle_wake(&newest, ports, &Wake::advance(order.clone()), 1).await;
        ensure!(report.outcome == Outcome::Done && report.counts.applied == 1, "{report:?}");
        let cursor = stack.applied("inventory", &order, 2).await?.cursor;
        ensure!(cursor.generation == newer, "{cursor:?}");
        ensure!(stack.story(&order, "tea").await? == ["stock.reserved", "stock.released"]);
        Ok(())
    })
}
