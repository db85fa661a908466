//! An alarm for each path that can lose, delay or double, which somebody hears of and which says what to do.
//! Must not know: at which value an alarm goes off, any one product.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::rule::Findings;
use crate::stack::{Consumed, Resource, Stack, binary_of, items};

const ALARM: &str = "AWS::CloudWatch::Alarm";
const OURS: &str = "Towpath";
/// The parameter with which a stage goes without alarms, and what it is then.
const CHOICE: (&str, &str) = ("Alarms", "none");
/// Who looks for what is missing, by the name in its metrics.
const AUDITOR: &str = "auditor";
/// What it says of all consumers together.
const AUDITED: &[&str] =
    &["Ticks", "NotAudited", "UnaccountedEvents", "OverdueRows", "OverdueTimers", "SweepAgeSeconds", "UsageNotFolded"];
/// What an API that takes tokens says.
const OF_API: &[&str] = &["IssuerAway", "TokensRefused", "TenantsMismatched", "Throttled", "LimiterUnavailable"];

/// What an alarm must watch: namespace, metric, and every dimension but the stage, which each of our own metrics has.
struct Watch {
    /// What is watched by it.
    of: String,
    namespace: &'static str,
    metric: &'static str,
    dimensions: Vec<(&'static str, Value)>,
}

/// Whoever goes without alarms has chosen to: [`complete`] finds nothing then. A template without them unless somebody asks
/// for more is no such choice.
pub(crate) fn complete(stack: &Stack) -> Findings {
    let (parameter, none) = CHOICE;
    if stack.chosen(parameter).is_some_and(|chosen| chosen == none) {
        return Findings::new();
    }
    if stack.chosen(parameter).is_none() && stack.parameter(parameter)["Default"] == none {
        return vec![format!("the parameter {parameter}: its default is {none}, so nobody would be told of anything")];
    }
    let missing =
        demands(stack).into_iter().filter(|watch| !stack.each(ALARM).any(|alarm| watches(stack, alarm, watch)));
    missing
        .map(|Watch { of, namespace, metric, .. }| format!("{of}: no alarm watches {metric} of {namespace}"))
        .collect()
}

fn demands(stack: &Stack) -> Vec<Watch> {
    let name_of = |it: &Resource, name: &str| json!({ "Fn::GetAtt": [it.place, name] });
    let watch =
        |of: &Resource, namespace, metric, dimensions| Watch { of: of.place.clone(), namespace, metric, dimensions };
    let of_queue =
        |queue: &Resource, metric| watch(queue, "AWS/SQS", metric, vec![("QueueName", name_of(queue, "QueueName"))]);
    // A receiver's own queue has a name, because another system reads it.
    let set_aside = stack.set_aside().filter(|queue| queue.property("QueueName").is_null());
    let mut demands: Vec<Watch> =
        set_aside.map(|queue| of_queue(queue, "ApproximateNumberOfMessagesVisible")).collect();
    demands.extend(stack.consumed().map(|consumed| of_queue(consumed.queue, "ApproximateAgeOfOldestMessage")));
    demands.extend(of_functions(stack));
    let audited = AUDITED.iter().map(|metric| Watch {
        of: format!("the {AUDITOR}"),
        namespace: OURS,
        metric,
        dimensions: vec![("function", json!(AUDITOR))],
    });
    demands.extend(audited);
    for topic in stack.each("AWS::SNS::Topic").filter(|topic| topic.is_fifo()) {
        for metric in ["NumberOfNotificationsFailed", "NumberOfNotificationsFailedToRedriveToDlq"] {
            demands.push(watch(topic, "AWS/SNS", metric, vec![("TopicName", name_of(topic, "TopicName"))]));
        }
    }
    for table in stack.each("AWS::DynamoDB::Table") {
        for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
            demands.push(watch(table, "AWS/DynamoDB", metric, vec![("TableName", json!({ "Ref": table.place }))]));
        }
    }
    if let Some(outbox) = stack.told_table("TOWPATH_OUTBOX_TABLE") {
        let commits = vec![("TableName", json!({ "Ref": outbox.place })), ("Operation", json!("TransactWriteItems"))];
        demands.push(watch(outbox, "AWS/DynamoDB", "SystemErrors", commits));
    }
    for api in stack.each("AWS::ApiGatewayV2::Api") {
        demands.push(watch(api, "AWS/ApiGateway", "5xx", vec![("ApiId", json!({ "Ref": api.place }))]));
    }
    demands
}

fn of_functions(stack: &Stack) -> Vec<Watch> {
    let consumers: BTreeMap<&str, &Resource> =
        stack.consumed().map(|Consumed { function, .. }| (function.place.as_str(), function)).collect();
    let of_stream = |mapping: &&Resource| {
        stack.follow(mapping.property("EventSourceArn")).is_some_and(|source| source.kind != "AWS::SQS::Queue")
    };
    let relays: BTreeMap<&str, &Resource> = stack
        .each("AWS::Lambda::EventSourceMapping")
        .filter(of_stream)
        .filter_map(|mapping| stack.function_of(mapping).map(|function| (function.place.as_str(), function)))
        .collect();
    let mut demands = Vec::new();
    for function in stack.each("AWS::Lambda::Function") {
        let mut demand = |namespace, metric, dimension: &'static str, value: Value| {
            demands.push(Watch { of: function.place.clone(), namespace, metric, dimensions: vec![(dimension, value)] });
        };
        let name = function.property("FunctionName");
        demand("AWS/Lambda", "Errors", "FunctionName", name.clone());
        demand("AWS/Lambda", "Throttles", "FunctionName", name.clone());
        if relays.contains_key(function.place.as_str()) {
            demand("AWS/Lambda", "IteratorAge", "FunctionName", name.clone());
        }
        let binary = binary_of(function);
        if consumers.contains_key(function.place.as_str()) {
            demand(OURS, "ParkedRows", "consumer", json!(binary));
            demand(OURS, "Lag", "consumer", json!(binary));
        }
        if !function.variable("TOWPATH_TOKEN_ISSUER").is_null() {
            for metric in OF_API {
                demand(OURS, metric, "function", json!(binary));
            }
        }
    }
    demands
}

/// Does it watch this, with exactly these dimensions? With any other, CloudWatch takes it without a word, and it waits for ever.
fn watches(stack: &Stack, alarm: &Resource, watch: &Watch) -> bool {
    let said = items(alarm.property("Dimensions"));
    let is =
        |name: &str, value: &Value| said.iter().any(|each| each["Name"] == name && same(stack, &each["Value"], value));
    let has_stage = said.iter().any(|each| each["Name"] == "stage");
    let is_ours = watch.namespace == OURS;
    *alarm.property("Namespace") == watch.namespace
        && *alarm.property("MetricName") == watch.metric
        && said.len() == watch.dimensions.len() + usize::from(is_ours)
        && has_stage == is_ours
        && watch.dimensions.iter().all(|(name, value)| is(name, value))
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
pub(crate) fn silence(stack: &Stack) -> Findings {
    let ticks = stack.each(ALARM).filter(|alarm| *alarm.property("MetricName") == AUDITED[0]);
    let deaf = ticks.filter(|alarm| *alarm.property("TreatMissingData") != "breaching");
    deaf.map(|alarm| format!("{}: TreatMissingData must be breaching: a dead auditor says nothing", alarm.place))
        .collect()
}

/// Each alarm says how bad it is, links to a runbook, and tells the topic of alarms of the good end too.
pub(crate) fn told(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for alarm in stack.each(ALARM).chain(stack.each("AWS::CloudWatch::CompositeAlarm")) {
        let description = alarm.property("AlarmDescription");
        let text = description.as_str().or_else(|| description["Fn::Sub"].as_str()).unwrap_or_default();
        if !["critical: ", "warning: "].iter().any(|severity| text.starts_with(severity)) {
            findings.push(format!("{}: its description must begin with critical: or warning:", alarm.place));
        }
        let link = text.rsplit(' ').next().unwrap_or_default();
        if !link.rsplit_once('/').is_some_and(|(_, file)| file.len() > 3 && file.ends_with(".md")) {
            findings.push(format!("{}: its description must end with a link to its runbook", alarm.place));
        }
        if *alarm.property("ActionsEnabled") == false {
            findings.push(format!("{}: ActionsEnabled is false, so it rings and tells nobody", alarm.place));
        }
        for actions in ["AlarmActions", "OKActions"] {
            let topic = stack.follow(&alarm.property(actions)[0]);
            if !topic.is_some_and(|topic| topic.kind == "AWS::SNS::Topic" && !topic.is_fifo()) {
                findings.push(format!("{}: {actions} must name the topic of alarms", alarm.place));
            }
        }
    }
    findings
}
