//! What to type against a change that was made by hand. Must not know: whether the change does harm.

use serde_json::{Map, Value, json};

use super::drift::{Change, How};
use super::live::Seen;

/// CloudFormation compares a template with the one before, never with what is there.
const BY_HAND: &str = "put it back by hand, or with a change set that has --deployment-mode REVERT_DRIFT; the same template again changes nothing";

/// What an alarm is made of.
const ALARM: &[&str] = &[
    "AlarmDescription",
    "ActionsEnabled",
    "AlarmActions",
    "OKActions",
    "Namespace",
    "MetricName",
    "Dimensions",
    "Statistic",
    "ExtendedStatistic",
    "ComparisonOperator",
    "TreatMissingData",
];
const NUMBERS: &[&str] = &["Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"];

/// How to put it right.
pub(super) fn how(seen: &Seen, change: &Change) -> String {
    match (&change.how, command(seen, change)) {
        (How::Added { .. }, _) => "find out whose it is, and remove it".to_owned(),
        (_, Some(command)) => format!("put it back with `{command}`"),
        (_, None) => BY_HAND.to_owned(),
    }
}

/// The command, where one line does it.
fn command(seen: &Seen, change: &Change) -> Option<String> {
    let made = seen.deployed.made(&change.place)?;
    let id = &made.id;
    let (property, was) = match &change.how {
        How::Set { property, was, .. } => (property, was),
        How::Gone if made.kind == "AWS::CloudWatch::Alarm" => return alarm(seen, &change.place, id),
        How::Gone | How::Added { .. } => return None,
    };
    let text = was.as_str().map_or_else(|| was.to_string(), str::to_owned);
    Some(match (made.kind.as_str(), property.as_str()) {
        ("AWS::SQS::Queue", "PolicyDocument") => {
            let attributes = json!({ "Policy": text });
            format!("aws sqs set-queue-attributes --queue-url {id} --attributes '{attributes}'")
        }
        ("AWS::SNS::Topic", "PolicyDocument") => {
            format!("aws sns set-topic-attributes --topic-arn {id} --attribute-name Policy --attribute-value '{text}'")
        }
        ("AWS::SQS::Queue", name) => {
            let attributes = json!({ name: text });
            format!("aws sqs set-queue-attributes --queue-url {id} --attributes '{attributes}'")
        }
        ("AWS::SNS::Subscription", name) => format!(
            "aws sns set-subscription-attributes --subscription-arn {id} --attribute-name {name} --attribute-value '{text}'"
        ),
        (
            "AWS::Lambda::EventSourceMapping",
            "Enabled" | "BatchSize" | "FunctionName" | "FunctionResponseTypes" | "ScalingConfig",
        ) if !was.is_null() => {
            let asked = json!({ "UUID": id, property: was });
            format!("aws lambda update-event-source-mapping --cli-input-json '{asked}'")
        }
        ("AWS::Lambda::Function", "ReservedConcurrentExecutions") if was.is_null() => {
            format!("aws lambda delete-function-concurrency --function-name {id}")
        }
        ("AWS::Lambda::Function", "RecursiveLoop") => {
            format!("aws lambda put-function-recursion-config --function-name {id} --recursive-loop {text}")
        }
        ("AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm", "ActionsEnabled")
            if *was == Value::Bool(true) =>
        {
            format!("aws cloudwatch enable-alarm-actions --alarm-names {id}")
        }
        ("AWS::CloudWatch::Alarm", _) => return alarm(seen, &change.place, id),
        ("AWS::Logs::LogGroup", "RetentionInDays") if !was.is_null() => {
            format!("aws logs put-retention-policy --log-group-name {id} --retention-in-days {text}")
        }
        ("AWS::Events::Rule", "State") => {
            let (bus, name) = id.split_once('|').unwrap_or(("default", id));
            format!("aws events enable-rule --event-bus-name {bus} --name {name}")
        }
        ("AWS::DynamoDB::Table", "DeletionProtectionEnabled") => {
            format!("aws dynamodb update-table --table-name {id} --deletion-protection-enabled")
        }
        ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification") => format!(
            "aws dynamodb update-continuous-backups --table-name {id} --point-in-time-recovery-specification \
             PointInTimeRecoveryEnabled=true"
        ),
        _ => return None,
    })
}

/// An alarm as it was deployed: templates and CloudWatch have the same names for what it is.
fn alarm(seen: &Seen, place: &str, id: &str) -> Option<String> {
    let mut asked = Map::from_iter([("AlarmName".to_owned(), json!(id))]);
    for property in ALARM.iter().chain(NUMBERS) {
        let was = seen.deployed.was(place, property)?;
        // What a parameter says is a text.
        let number = was.as_str().and_then(|text| text.parse::<serde_json::Number>().ok());
        let number = number.filter(|_| NUMBERS.contains(property)).map(Value::Number);
        asked.insert((*property).to_owned(), number.unwrap_or(was));
    }
    asked.retain(|_, was| !was.is_null());
    let asked = Value::Object(asked).to_string().replace('\'', r"'\''");
    Some(format!("aws cloudwatch put-metric-alarm --cli-input-json '{asked}'"))
}
