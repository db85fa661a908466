//! The relay as a Lambda function: outbox inserts in, the record to start again from out.

use std::rc::Rc;

use aws_lambda_events::dynamodb::EventRecord;
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use towpath::Lanes;
use towpath::ports::JournalRow;
use towpath::relay::relay;

use crate::lambda::{Exit, Problem, host, invocation_failed, opened, plant, run};
use crate::queues::Quarantine;
use crate::rows::OutboxItem;
use crate::spans::Tracer;
use crate::topics::{SnsTopics, TopicArns};
use crate::{clients, config, spans, telemetry};

/// Runs the relay: `fn main() -> Exit { run_relay() }`.
pub fn run_relay() -> Exit {
    run(async {
        let config = config::relay(config::process_environment)?;
        let metrics = telemetry::start(&config.common.stage, &config.common.log_level, &[("function", "relay")]);
        plant();
        let tracer = Tracer::new(config.common.traces.as_ref(), &config.common.stage, "relay").await?;
        let sdk = clients::load().await;
        let arns = TopicArns { events: config.events_topic_arn, commands: config.commands_topic_arn };
        let function = Function {
            topics: SnsTopics::new(aws_sdk_sns::Client::new(&sdk), arns),
            quarantine: Quarantine::new(aws_sdk_sqs::Client::new(&sdk), config.failures_queue_url),
            lanes: config.lanes,
            tracer,
        };
        opened(function.topics.warm().await);
        opened(function.quarantine.warm().await);
        let function = &function;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
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
    topics: SnsTopics,
    quarantine: Quarantine,
    lanes: Lanes,
    tracer: Option<Rc<Tracer>>,
}

/// What a stream record is to the relay.
#[derive(Debug)]
pub(crate) enum Record {
    Row(Box<JournalRow>),
    /// Not an insert: removed by TTL, or touched by hand.
    Ignored,
    /// No journal row; the shard must not stop for it.
    Unreadable(String),
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<DynamoDbEventResponse, Diagnostic> {
        let Some(records) = event.payload.get("Records").and_then(Value::as_array) else {
            return Err(invocation_failed("NotAStreamEvent", "the event is not a DynamoDB stream event"));
        };
        let (mut rows, mut numbers, mut failed, mut quarantined) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for record in records {
            let number = record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str).unwrap_or_default();
            match read(record) {
                Ok(Record::Row(row)) => {
                    rows.push(*row);
                    numbers.push(number.to_owned());
                }
                Ok(Record::Ignored) => telemetry::count("Ignored", 1),
                Ok(Record::Unreadable(why)) => {
                    tracing::error!(
                        sequence_number = number,
                        reason = why,
                        "a stream record cannot be read; it is kept"
                    );
                    match self.quarantine.keep(&record.to_string(), &why).await {
                        Ok(()) => quarantined += 1,
                        Err(_) => failed.push(number.to_owned()),
                    }
                }
                Err(why) => return Err(invocation_failed("WrongStreamView", why)),
            }
        }
        let spans = self.tracer.as_ref().map(|_| Tracer::publishing(&rows));
        let report = relay(&self.topics, &host(&event.context), &self.lanes, rows).await;
        if let Some((tracer, spans)) = self.tracer.as_ref().zip(spans) {
            tracer.published(spans, &report.failed);
        }
        telemetry::count_relay(&report, quarantined);
        for (group, reason) in &report.reasons {
            tracing::error!(group, reason, "a group could not be published; the stream will offer it again");
        }
        failed.extend(report.failed.iter().filter_map(|index| numbers.get(*index).cloned()));
        Ok(start_again_from(failed))
    }
}

/// The stream takes the lowest number as its checkpoint. Numbers are decimal integers of different lengths.
fn start_again_from(failed: Vec<String>) -> DynamoDbEventResponse {
    let lowest = failed.into_iter().min_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut answer = DynamoDbEventResponse::default();
    answer.batch_item_failures = lowest.into_iter().map(failed_item).collect();
    answer
}

fn failed_item(number: String) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(number);
    failure
}

pub(crate) fn read(record: &Value) -> Result<Record, String> {
    if record.get("eventName").and_then(Value::as_str) != Some("INSERT") {
        return Ok(Record::Ignored);
    }
    let view = record.pointer("/dynamodb/StreamViewType").and_then(Value::as_str);
    if !matches!(view, None | Some("NEW_IMAGE" | "NEW_AND_OLD_IMAGES")) {
        return Err("the outbox's stream has no new images: set StreamViewType to NEW_IMAGE".to_owned());
    }
    let decoded = serde_json::from_value::<EventRecord>(record.clone())
        .map_err(|error| error.to_string())
        .and_then(|record| {
            serde_dynamo::from_item::<_, OutboxItem>(record.change.new_image).map_err(|error| error.to_string())
        })
        .and_then(|item| item.into_row().map_err(|error| error.to_string()))
        .and_then(|row| row.envelope.check().map_err(|error| error.to_string()).map(|()| row));
    Ok(match decoded {
        Ok(row) => Record::Row(Box::new(row)),
        Err(why) => Record::Unreadable(why),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn the_stream_starts_again_from_the_lowest_number_however_long_the_numbers_are(
            numbers in proptest::collection::vec(prop_oneof![any::<u128>(), 0_u128..2_000], 0..20),
        ) {
            let answer = start_again_from(numbers.iter().map(ToString::to_string).collect());
            let lowest = answer.batch_item_failures.iter().map(|item| item.item_identifier.clone().unwrap());
            prop_assert_eq!(lowest.collect::<Vec<_>>(), numbers.iter().min().map(ToString::to_string).into_iter().collect::<Vec<_>>());
        }
    }

    fn record(image: &Value) -> Value {
        json!({
            "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1", "eventSourceARN": "arn:aws:dynamodb:us-east-1:1:table/t/stream/s",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_255_200.0, "Keys": {}, "NewImage": image,
                "SequenceNumber": "100", "SizeBytes": 1, "StreamViewType": "NEW_IMAGE"
            }
        })
    }

    fn image() -> Value {
        json!({
            "aggregate": {"S": "acme#order#o-1"}, "seq": {"N": "1"}, "format": {"N": "1"}, "kind": {"S": "event"},
            "visibility": {"S": "public"}, "event_id": {"S": "00000000-03e8-7200-8000-000000000000"},
            "event_type": {"S": "order.placed"}, "event_version": {"N": "1"}, "prior": {"M": {}}, "era": {"N": "1"},
            "occurred_at": {"S": "2026-11-21T10:00:00.000Z"}, "correlation_id": {"S": "c"}, "causation_id": {"S": "c"},
            "producer": {"S": "orders-api@0.1.0"}, "hops": {"N": "0"}, "data": {"S": "{\"n\":1}"},
            "bucket": {"S": "2026-11-21T10#0"}
        })
    }

    #[test]
    fn an_insert_is_a_row_and_anything_else_is_ignored() {
        let Ok(Record::Row(row)) = read(&record(&image())) else { panic!("not a row: {:?}", read(&record(&image()))) };
        assert_eq!(row.envelope.aggregate().to_string(), "acme#order#o-1");
        for name in ["REMOVE", "MODIFY", "insert", ""] {
            let mut other = record(&image());
            other["eventName"] = json!(name);
            assert!(matches!(read(&other), Ok(Record::Ignored)), "{name}");
            other["dynamodb"].as_object_mut().unwrap().remove("NewImage");
            assert!(matches!(read(&other), Ok(Record::Ignored)), "{name} without its image");
        }
        let expired = json!({ "eventName": "REMOVE", "userIdentity": { "principalId": "dynamodb.amazonaws.com", "type": "Service" } });
        assert!(matches!(read(&expired), Ok(Record::Ignored)), "what TTL takes is no event");
    }

    #[test]
    fn a_record_that_is_no_journal_row_does_not_stop_the_shard() {
        for (attribute, value) in [
            ("data", json!({"S": "{broken"})),
            ("seq", json!({"N": "1e400"})),
            ("seq", json!({"N": "9".repeat(39)})),
            ("event_version", json!({"N": format!("1.{}", "0".repeat(38))})),
            ("aggregate", json!({"S": "acme#order"})),
            ("format", json!({"N": "7"})),
            ("kind", json!({"B": "AAAA"})),
            // These can be read here, but not by any consumer.
            ("seq", json!({"N": "0"})),
            ("prior", json!({"M": {"order.placed": {"N": "1"}}})),
            ("data", json!({"S": format!("\"{}\"", "x".repeat(250_000))})),
        ] {
            let mut image = image();
            image[attribute] = value;
            assert!(matches!(read(&record(&image)), Ok(Record::Unreadable(_))), "{attribute}");
        }
        let mut imageless = record(&image());
        imageless["dynamodb"].as_object_mut().unwrap().remove("NewImage");
        assert!(matches!(read(&imageless), Ok(Record::Unreadable(_))), "an insert is kept, never ignored");
    }

    #[test]
    fn a_stream_without_new_images_fails_loudly() {
        for view in ["KEYS_ONLY", "OLD_IMAGE"] {
            let mut wrong = record(&image());
            wrong["dynamodb"]["StreamViewType"] = json!(view);
            wrong["dynamodb"].as_object_mut().unwrap().remove("NewImage");
            assert!(read(&wrong).unwrap_err().contains("set StreamViewType to NEW_IMAGE"), "{view}");
        }
    }

    #[test]
    fn the_stream_starts_again_from_the_lowest_number() {
        let answer = start_again_from(vec!["1000".into(), "999".into()]);
        assert_eq!(answer.batch_item_failures[0].item_identifier.as_deref(), Some("999"));
        assert!(start_again_from(vec![]).batch_item_failures.is_empty());
    }
}
