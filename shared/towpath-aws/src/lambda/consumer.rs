//! A consumer as a Lambda function, woken by two queues: its FIFO queue brings batches of events, its wake queue single
//! wakes. Out go the messages that must be delivered again. Must not know: what either machine decides.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::ports::{Bus, DeadLetters, NoBus};
use towpath::wake::{Outcome, handle_wake};
use towpath::{AlsoWrites, Consumer, Counts, Era, Failed, Failure, Producer, Then, Wake};

use crate::config::ConsumerConfig;
use crate::lambda::{Exit, Problem, host, invocation_failed, opened, plant, producer, run};
use crate::queues::{QueueUrls, WakeQueues};
use crate::registry::Registration;
use crate::spans::Tracer;
use crate::watch::Watches;
use crate::{AwsStore, DeadLetterQueue, EventBus, clients, config, spans, telemetry};

/// Runs a consumer: `fn main() -> Exit { run_consumer(inventory::consumer(), env!("CARGO_PKG_VERSION")) }`.
pub fn run_consumer(consumer: Consumer, version: &str) -> Exit {
    run_consumer_with(|_| Ok::<_, Problem>(consumer), version)
}

/// Runs a consumer that is made of what it is told, as one that calls a provider:
/// `run_consumer_with(|told| Ok::<_, InvalidProvider>(consumer(HttpProvider::new(told.provider_url.as_deref())?)), …)`.
pub fn run_consumer_with<E: Into<Problem>>(
    consumer: impl FnOnce(&ConsumerConfig) -> Result<Consumer, E>,
    version: &str,
) -> Exit {
    run(async move {
        let config = config::consumer(config::process_environment)?;
        let consumer = consumer(&config).map_err(Into::into)?;
        let common = &config.common;
        let metrics = telemetry::start(&common.stage, &common.log_level, &[("consumer", consumer.name().as_str())]);
        plant();
        let sdk = clients::load().await;
        let sqs = aws_sdk_sqs::Client::new(&sdk);
        let bus = config
            .bus_name
            .clone()
            .map(|name| EventBus::new(aws_sdk_eventbridge::Client::new(&sdk), name, &common.stage));
        let urls = QueueUrls { queue: config.queue_url.clone(), wake: config.wake_queue_url.clone() };
        let function = Function {
            producer: producer(consumer.name().as_str(), version)?,
            store: AwsStore::new(
                aws_sdk_dynamodb::Client::new(&sdk),
                common.tables.clone(),
                common.outbox_retention_days,
            ),
            dead_letters: DeadLetterQueue::new(sqs.clone(), config.dead_letter_queue_url.clone()).telling(bus.clone()),
            wakes: WakeQueues::new(sqs, [(consumer.name().clone(), urls)].into()),
            bus,
            also_writes: Arc::new(common.also_writes.clone()),
            watches: Watches::default(),
            tracer: Tracer::new(common.traces.as_ref(), &common.stage, consumer.name().as_str()).await?,
            consumer,
        };
        let registration = Registration {
            consumer: function.consumer.registration(),
            replayable: function.consumer.is_replayable(),
            queue_url: Some(config.queue_url),
            wake_queue_url: Some(config.wake_queue_url),
            dead_letter_queue_url: Some(config.dead_letter_queue_url),
        };
        function.store.register(&registration).await?;
        opened(function.dead_letters.warm().await);
        opened(function.wakes.warm().await);
        if function.consumer.forwards() {
            let missing = "TOWPATH_BUS_NAME is missing: this consumer puts events on the integration bus";
            opened(function.bus.as_ref().ok_or(missing)?.warm().await);
        }
        let function = &function;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| async move {
            let answer = function.handle(event).await;
            spans::flush(function.tracer.as_deref()).await;
            telemetry::flush(metrics);
            answer
        }))
        .await
        .map_err(|error| -> Problem { error })
    })
}

struct Function {
    consumer: Consumer,
    producer: Producer,
    store: AwsStore,
    dead_letters: DeadLetterQueue,
    wakes: WakeQueues,
    bus: Option<EventBus>,
    also_writes: Arc<AlsoWrites>,
    watches: Watches,
    tracer: Option<Rc<Tracer>>,
}

/// A message, and what only SQS wants to know of it.
#[derive(Debug, PartialEq)]
struct Delivery {
    message: Message,
    /// By which SQS is asked to hide it longer.
    receipt: String,
    /// Does it come from a FIFO queue?
    fifo: bool,
}

impl Function {
    async fn handle(&self, event: LambdaEvent<serde_json::Value>) -> Result<SqsBatchResponse, Diagnostic> {
        let deliveries = deliveries(event.payload).map_err(|why| invocation_failed("NotAnSqsEvent", why))?;
        let watches = self.watches.read(&self.store).await;
        let host = host(&event.context).also_writing(&self.also_writes).watching(watches);
        let host = host.tracing(self.tracer.as_ref());
        let ports = ConsumerPorts {
            store: &self.store,
            host: &host,
            dead_letters: &self.dead_letters,
            wakes: &self.wakes,
            bus: self.bus.as_ref().map_or(&NoBus as &dyn Bus, |bus| bus),
            producer: &self.producer,
            era: Era::FIRST,
        };
        let (events, wakes): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|delivery| delivery.fifo);
        let mut failed = Vec::new();
        if !events.is_empty() {
            let events: Vec<Message> = events.into_iter().map(|delivery| delivery.message).collect();
            let report = handle_batch(&self.consumer, ports, &events).await;
            self.tell(&report.counts, report.failed.len());
            failed.extend(report.failed);
        }
        let mut wakes = wakes.into_iter();
        if let Some(wake) = wakes.next()
            && !self.wake(ports, &wake).await
        {
            failed.push(wake.message.id);
        }
        for one_too_many in wakes {
            tracing::error!("the wake queue's mapping must have BatchSize 1: a wake is left to the queue");
            failed.push(one_too_many.message.id);
        }
        let mut answer = SqsBatchResponse::default();
        answer.batch_item_failures = failed.into_iter().map(failed_item).collect();
        Ok(answer)
    }

    /// Carries out one wake. `false`: it is put off, and must come back.
    async fn wake(&self, ports: ConsumerPorts<'_>, delivery: &Delivery) -> bool {
        let message = &delivery.message;
        let (counts, done) = match Wake::parse(&message.body) {
            Ok(wake) => {
                let report = handle_wake(&self.consumer, ports, &wake, message.receives).await;
                if let Outcome::Again(after) = report.outcome {
                    self.put_off(&delivery.receipt, jittered(after, ports.host.random())).await;
                }
                (report.counts, report.outcome == Outcome::Done)
            }
            Err(error) => self.set_aside(message, &format!("it is no wake: {error}")).await,
        };
        self.tell(&counts, usize::from(!done));
        done
    }

    /// A wake that cannot be put off comes back when the queue's own visibility timeout ends.
    async fn put_off(&self, receipt: &str, time: Duration) {
        if let Err(error) = self.wakes.put_off(self.consumer.name(), receipt, time).await {
            tracing::warn!(reason = %error, "a wake comes back later than it should");
        }
    }

    /// Keeps a message of the wake queue that is no wake. `false`: it could not be kept, and must come back.
    async fn set_aside(&self, message: &Message, reason: &str) -> (Counts, bool) {
        let (kept, then, reason) = match self.dead_letters.keep(message, reason).await {
            Ok(()) => (true, Then::Kept, reason.to_owned()),
            Err(error) => (false, Then::Again, format!("{reason}; {error}")),
        };
        let failure = Failure::reject("unreadable wake", reason);
        let failures = vec![Failed { aggregate: None, envelope: None, failure, then }];
        (Counts { received: 1, dead_lettered: u64::from(kept), failures, ..Counts::default() }, kept)
    }

    fn tell(&self, counts: &Counts, failed: usize) {
        telemetry::count_consumer(counts, failed);
        for failure in &counts.failures {
            telemetry::log_failure(self.consumer.name().as_str(), failure);
            if let Some(tracer) = &self.tracer {
                tracer.failed(failure);
            }
        }
    }
}

/// Whole seconds, and up to a fifth more, so that what failed together does not come back together.
fn jittered(after: Duration, random: u128) -> Duration {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    let permille = u32::try_from(random % 201).unwrap_or_default(); // of 0 to 200
    let whole = Duration::from_secs(seconds);
    whole + whole * permille / 1_000
}

fn failed_item(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

/// The messages of an SQS event. What is no SQS event is an error, so that Lambda delivers it again; an empty one is
/// an empty batch.
fn deliveries(payload: serde_json::Value) -> Result<Vec<Delivery>, String> {
    let event: SqsEvent = serde_json::from_value(payload)
        .map_err(|_| "the event is not an SQS event: map this function to its two SQS queues".to_owned())?;
    event.records.into_iter().map(delivery).collect()
}

/// Only the messages of an SQS event.
pub(crate) fn read_messages(payload: serde_json::Value) -> Result<Vec<Message>, String> {
    Ok(deliveries(payload)?.into_iter().map(|delivery| delivery.message).collect())
}

fn delivery(record: SqsMessage) -> Result<Delivery, String> {
    let id = record.message_id.filter(|id| !id.is_empty()).ok_or("an SQS record has no messageId")?;
    let group = record.attributes.get("MessageGroupId").cloned().unwrap_or_default();
    let receives = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    Ok(Delivery {
        message: Message { id, group, receives: receives.unwrap_or(1).max(1), body: record.body.unwrap_or_default() },
        receipt: record.receipt_handle.unwrap_or_default(),
        fifo: record.event_source_arn.is_some_and(|arn| arn.ends_with(".fifo")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_sqs_event_is_an_error_and_an_empty_one_is_empty() {
        assert_eq!(deliveries(json!({ "Records": [] })), Ok(vec![]));
        assert!(deliveries(json!({ "hello": 1 })).is_err());
        let nameless = json!({ "Records": [{ "body": "x", "attributes": {}, "messageAttributes": {} }] });
        assert_eq!(deliveries(nameless), Err("an SQS record has no messageId".to_owned()));
    }

    #[test]
    fn a_message_comes_with_its_queue_and_with_how_often_it_came() {
        let record = |queue: &str, receives: &str| {
            json!({ "Records": [{
                "messageId": "m", "receiptHandle": "r", "body": "x", "messageAttributes": {},
                "attributes": { "MessageGroupId": "acme#0", "ApproximateReceiveCount": receives },
                "eventSourceARN": format!("arn:aws:sqs:us-east-1:1:{queue}")
            }] })
        };
        let one = |queue, receives| deliveries(record(queue, receives)).unwrap().remove(0);
        let event = one("inventory.fifo", "3");
        assert_eq!((event.fifo, event.message.receives, event.message.group.as_str()), (true, 3, "acme#0"));
        let wake = one("inventory-WakeQueue-1", "0");
        assert_eq!((wake.fifo, wake.message.receives, wake.receipt.as_str()), (false, 1, "r"));
    }

    #[test]
    fn no_attribute_of_a_message_says_what_it_is_good_for() {
        let record = |attributes: serde_json::Value| {
            let said = json!({ "Records": [{
                "messageId": "m", "receiptHandle": "r", "body": "x", "messageAttributes": attributes,
                "attributes": { "MessageGroupId": "acme#0", "ApproximateReceiveCount": "1", "SentTimestamp": "99999999999999" },
                "eventSourceARN": "arn:aws:sqs:us-east-1:1:inventory.fifo"
            }] });
            deliveries(said).unwrap().remove(0)
        };
        let forged = |name: &str| json!({ name: { "dataType": "String", "stringValue": "true" } });
        for name in ["replay", "ticket", "tenant_id", "verb"] {
            assert_eq!(record(forged(name)), record(json!({})), "{name} is not even read");
        }
    }

    #[test]
    fn a_wait_is_never_shortened_and_at_most_a_fifth_longer() {
        for random in [0, 7, 200, 201, u128::MAX] {
            for wait in [0, 1, 900].map(Duration::from_secs) {
                let jittered = jittered(wait, random);
                assert!(jittered >= wait && jittered <= wait * 6 / 5, "{wait:?} {random} {jittered:?}");
            }
        }
        assert_eq!(jittered(Duration::from_millis(1_200), 0), Duration::from_secs(2));
    }
}
