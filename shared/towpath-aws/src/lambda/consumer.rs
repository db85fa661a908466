//! A consumer as a Lambda function: an SQS batch in, the failed messages out.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::{Consumer, Era, Producer};

use crate::lambda::{Exit, Problem, host, invocation_failed, plant, producer, run};
use crate::{AwsStore, DeadLetterQueue, clients, config, telemetry};

/// Runs a consumer: `fn main() -> Exit { run_consumer(inventory::consumer(), env!("CARGO_PKG_VERSION")) }`.
pub fn run_consumer(consumer: Consumer, version: &str) -> Exit {
    run(async move {
        let config = config::consumer(config::process_environment)?;
        let common = &config.common;
        let metrics = telemetry::start(&common.stage, &common.log_level, ("consumer", consumer.name().as_str()));
        plant();
        let sdk = clients::load().await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
        let function = Function {
            producer: producer(consumer.name().as_str(), version)?,
            store: AwsStore::new(dynamodb, common.tables.clone(), common.outbox_retention_days),
            dead_letters: DeadLetterQueue::new(aws_sdk_sqs::Client::new(&sdk), config.dead_letter_queue_url),
            consumer,
        };
        function.store.register(&function.consumer).await?;
        function.dead_letters.warm().await?;
        let function = &function;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| async move {
            let answer = function.handle(event).await;
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
}

impl Function {
    async fn handle(&self, event: LambdaEvent<serde_json::Value>) -> Result<SqsBatchResponse, Diagnostic> {
        let messages = messages(event.payload).map_err(|why| invocation_failed("NotAnSqsEvent", why))?;
        let host = host(&event.context);
        let ports = ConsumerPorts {
            store: &self.store,
            host: &host,
            dead_letters: &self.dead_letters,
            producer: &self.producer,
            era: Era::FIRST,
        };
        let report = handle_batch(&self.consumer, ports, &messages).await;
        telemetry::count_batch(&report);
        for (envelope, failure) in &report.failures {
            telemetry::log_failure(self.consumer.name().as_str(), envelope.as_deref(), failure);
        }
        let mut answer = SqsBatchResponse::default();
        answer.batch_item_failures = report.failed.into_iter().map(failed_item).collect();
        Ok(answer)
    }
}

fn failed_item(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

/// The messages of an SQS event. What is no SQS event is an error, so that Lambda delivers it again; an empty one is
/// an empty batch.
fn messages(payload: serde_json::Value) -> Result<Vec<Message>, String> {
    let event: SqsEvent = serde_json::from_value(payload)
        .map_err(|_| "the event is not an SQS event: map this function to an SQS FIFO queue".to_owned())?;
    let message = |record: aws_lambda_events::sqs::SqsMessage| {
        let id = record.message_id.filter(|id| !id.is_empty()).ok_or("an SQS record has no messageId")?;
        let group = record.attributes.get("MessageGroupId").cloned().unwrap_or_default();
        Ok(Message { id, group, body: record.body.unwrap_or_default() })
    };
    event.records.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_sqs_event_is_an_error_and_an_empty_one_is_empty() {
        assert_eq!(messages(json!({ "Records": [] })), Ok(vec![]));
        assert!(messages(json!({ "hello": 1 })).is_err());
        let nameless = json!({ "Records": [{ "body": "x", "attributes": {}, "messageAttributes": {} }] });
        assert_eq!(messages(nameless), Err("an SQS record has no messageId".to_owned()));
    }
}
