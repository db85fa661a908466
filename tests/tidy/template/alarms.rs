//! Alarms: every path that can lose, delay or double has one, and each tells somebody and names a runbook that is there.
//! Must not know: thresholds.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use towpath_doctor::{Resource, Stack, binary_of};

use super::Findings;
use super::source::Code;

/// What an alarm must watch: namespace, metric, and the dimensions besides the stage.
type Watch = (&'static str, &'static str, Vec<(&'static str, Value)>);

/// A resource, and what must be watched of it.
fn demands(stack: &Stack, code: &Code) -> Vec<(String, Watch)> {
    let mut demands = Vec::new();
    let mut demand = |of: &str, namespace, metric, dimensions| {
        demands.push((of.to_owned(), (namespace, metric, dimensions)));
    };
    let name_of = |resource: &Resource, name: &str| json!({ "Fn::GetAtt": [resource.place, name] });
    // A receiver's own queue has a name: another system reads it.
    for queue in stack.set_aside().filter(|queue| queue.property("QueueName").is_null()) {
        let queue_name = vec![("QueueName", name_of(queue, "QueueName"))];
        demand(&queue.place, "AWS/SQS", "ApproximateNumberOfMessagesVisible", queue_name);
    }
    for consumed in stack.consumed() {
        let queue_name = vec![("QueueName", name_of(consumed.queue, "QueueName"))];
        demand(&consumed.queue.place, "AWS/SQS", "ApproximateAgeOfOldestMessage", queue_name);
    }
    for function in stack.each("AWS::Lambda::Function") {
        let name = vec![("FunctionName", function.property("FunctionName").clone())];
        demand(&function.place, "AWS/Lambda", "Errors", name.clone());
        demand(&function.place, "AWS/Lambda", "Throttles", name.clone());
        let binary = binary_of(function);
        if code.handled.contains_key(binary) {
            demand(&function.place, "Towpath", "ParkedRows", vec![("consumer", json!(binary))]);
            demand(&function.place, "Towpath", "Lag", vec![("consumer", json!(binary))]);
        }
        if binary == "relay" {
            demand(&function.place, "AWS/Lambda", "IteratorAge", name);
        }
    }
    for metric in ["Ticks", "NotAudited", "UnaccountedEvents", "OverdueRows", "OverdueTimers", "SweepAgeSeconds"] {
        demand("the auditor", "Towpath", metric, vec![("function", json!("auditor"))]);
    }
    for topic in stack.each("AWS::SNS::Topic").filter(|topic| topic.is_fifo()) {
        for metric in ["NumberOfNotificationsFailed", "NumberOfNotificationsFailedToRedriveToDlq"] {
            demand(&topic.place, "AWS/SNS", metric, vec![("TopicName", name_of(topic, "TopicName"))]);
        }
    }
    for table in stack.each("AWS::DynamoDB::Table") {
        for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
            demand(&table.place, "AWS/DynamoDB", metric, vec![("TableName", json!({ "Ref": table.place }))]);
        }
    }
    for api in stack.each("AWS::ApiGatewayV2::Api") {
        demand(&api.place, "AWS/ApiGateway", "5xx", vec![("ApiId", json!({ "Ref": api.place }))]);
    }
    demands
}

/// Everything that must be watched is.
pub(crate) fn watched(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    for (of, (namespace, metric, dimensions)) in demands(stack, code) {
        let watches = |alarm: &Resource| {
            let said = alarm.property("Dimensions").as_array().map(Vec::as_slice).unwrap_or_default();
            let is = |name: &str, value: &Value| {
                said.iter().any(|each| each["Name"] == name && same(stack, &each["Value"], value))
            };
            let stage = namespace != "Towpath" || said.iter().any(|each| each["Name"] == "stage");
            let all = dimensions.len() + usize::from(namespace == "Towpath");
            *alarm.property("Namespace") == namespace
                && *alarm.property("MetricName") == metric
                && said.len() == all
                && stage
                && dimensions.iter().all(|(name, value)| is(name, value))
        };
        if !stack.each("AWS::CloudWatch::Alarm").any(watches) {
            findings.push(format!(
                "{of}: no alarm watches {metric} of {namespace}: see infra/consumer.yaml and infra/alarms.yaml"
            ));
        }
    }
    findings
}

/// Is it one function, named by its convention or by a reference?
fn same(stack: &Stack, said: &Value, wanted: &Value) -> bool {
    let plain = |value: &Value| match stack.follow(value).filter(|found| found.kind == "AWS::Lambda::Function") {
        Some(function) => function.property("FunctionName").clone(),
        None => value.clone(),
    };
    let text = |value: Value| value.to_string().replace("${Pipeline}", "${AWS::StackName}");
    text(plain(said)) == text(plain(wanted))
}

/// Silence is told from health: whoever watches the auditor takes missing data for the worst.
pub(crate) fn silence(stack: &Stack, _: &Code) -> Findings {
    let ticks = stack.each("AWS::CloudWatch::Alarm").filter(|alarm| *alarm.property("MetricName") == "Ticks");
    let deaf = ticks.filter(|alarm| *alarm.property("TreatMissingData") != "breaching");
    deaf.map(|alarm| format!("{}: TreatMissingData must be breaching: a dead auditor says nothing", alarm.place))
        .collect()
}

/// Each alarm says how bad it is, links to a runbook that is there, and tells the topic of alarms of the good end too.
pub(crate) fn told(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    let runbooks: &BTreeSet<String> = &code.runbooks;
    for alarm in stack.each("AWS::CloudWatch::Alarm").chain(stack.each("AWS::CloudWatch::CompositeAlarm")) {
        let description = alarm.property("AlarmDescription");
        let text = description.as_str().or_else(|| description["Fn::Sub"].as_str()).unwrap_or_default();
        if !["critical: ", "warning: "].iter().any(|severity| text.starts_with(severity)) {
            findings.push(format!("{}: its description must begin with critical: or warning:", alarm.place));
        }
        let runbook = text.rsplit_once("docs/runbooks/").map(|(_, file)| file);
        if !runbook.is_some_and(|file| runbooks.contains(file)) {
            findings.push(format!("{}: its description must end with a file of docs/runbooks", alarm.place));
        }
        for actions in ["AlarmActions", "OKActions"] {
            let action = &alarm.property(actions)[0];
            let action = if action["Fn::If"].is_array() { &action["Fn::If"][1] } else { action };
            if !stack.follow(action).is_some_and(|topic| topic.kind == "AWS::SNS::Topic" && !topic.is_fifo()) {
                findings.push(format!("{}: {actions} must name the topic of alarms", alarm.place));
            }
        }
    }
    findings
}
