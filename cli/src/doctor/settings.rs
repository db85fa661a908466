//! What is set now, in the words of templates: for each resource that is asked for, the properties that the rules judge.
//! Must not know: what was deployed, what is right and what is wrong.

use std::collections::HashMap;

use aws_sdk_cloudwatch::types::{CompositeAlarm, MetricAlarm};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use serde_json::{Value, json};

use super::live::{Function, Logs, Queue, Schedule, Seen, Table, Topic};

/// One property as it is now, and what it is where a template says nothing.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) property: &'static str,
    pub(super) now: Value,
    pub(super) default: Value,
}

fn setting(property: &'static str, now: impl Into<Value>, default: impl Into<Value>) -> Setting {
    let default = default.into();
    let now = Some(now.into()).filter(|now| !now.is_null()).unwrap_or_else(|| default.clone());
    Setting { property, now, default }
}

/// Everything that was asked for and is there, by its place.
pub(super) fn all(seen: &Seen) -> HashMap<String, Vec<Setting>> {
    let mut found: HashMap<String, Vec<Setting>> = HashMap::new();
    found.extend(seen.queues.iter().map(|it| (it.place.clone(), of_queue(it))));
    found.extend(seen.topics.iter().map(|it| (it.place.clone(), of_topic(it))));
    found.extend(seen.tables.iter().map(|it| (it.place.clone(), of_table(it))));
    found.extend(seen.functions.iter().map(|it| (it.place.clone(), of_function(it))));
    found.extend(seen.logs.iter().map(|it| (it.place.clone(), of_logs(it))));
    found.extend(seen.schedules.iter().map(|it| (it.place.clone(), of_schedule(it))));
    let place = |id: Option<&str>| seen.deployed.place(id.unwrap_or_default()).map(str::to_owned);
    let subscribed = |it: &HashMap<String, String>| {
        Some((place(it.get("SubscriptionArn").map(String::as_str))?, of_subscription(it)))
    };
    found.extend(seen.subscriptions.iter().filter_map(subscribed));
    found.extend(seen.mappings.iter().filter_map(|it| Some((place(it.uuid())?, of_mapping(it)))));
    found.extend(seen.alarms.iter().filter_map(|it| Some((place(it.alarm_name())?, of_alarm(it)))));
    found.extend(seen.composites.iter().filter_map(|it| Some((place(it.alarm_name())?, of_composite(it)))));
    found
}

/// A document that AWS keeps as a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn of_queue(queue: &Queue) -> Vec<Setting> {
    let text =
        |name: &str| queue.attributes.iter().find(|(known, _)| known.as_str() == name).map(|(_, text)| text.as_str());
    let plain = |name: &'static str, default: Value| setting(name, text(name), default);
    let document = |name: &str| text(name).map(parsed);
    vec![
        plain("VisibilityTimeout", json!(30)),
        plain("MessageRetentionPeriod", json!(345_600)),
        plain("DelaySeconds", json!(0)),
        plain("ContentBasedDeduplication", json!(false)),
        plain("DeduplicationScope", json!("queue")),
        plain("FifoThroughputLimit", json!("perQueue")),
        plain("KmsMasterKeyId", Value::Null),
        plain("KmsDataKeyReusePeriodSeconds", json!(300)),
        setting("RedrivePolicy", document("RedrivePolicy"), Value::Null),
        setting("RedriveAllowPolicy", document("RedriveAllowPolicy"), Value::Null),
        setting("Policy", document("Policy"), Value::Null),
    ]
}

fn of_topic(topic: &Topic) -> Vec<Setting> {
    let text = |name: &str| topic.attributes.get(name).map(String::as_str);
    vec![
        setting("ContentBasedDeduplication", text("ContentBasedDeduplication"), false),
        setting("FifoThroughputScope", text("FifoThroughputScope"), Value::Null),
        setting("KmsMasterKeyId", text("KmsMasterKeyId"), Value::Null),
        setting("Policy", text("Policy").map(parsed), Value::Null),
    ]
}

fn of_subscription(subscription: &HashMap<String, String>) -> Vec<Setting> {
    let text = |name: &str| subscription.get(name).map(String::as_str).filter(|text| !text.is_empty());
    vec![
        setting("RawMessageDelivery", text("RawMessageDelivery"), false),
        setting("FilterPolicyScope", text("FilterPolicyScope"), "MessageAttributes"),
        setting("FilterPolicy", text("FilterPolicy").map(parsed), Value::Null),
        setting("RedrivePolicy", text("RedrivePolicy").map(parsed), Value::Null),
    ]
}

fn of_table(table: &Table) -> Vec<Setting> {
    let encryption = table
        .encryption
        .as_ref()
        .filter(|it| it.status().is_some_and(|status| ["ENABLED", "ENABLING", "UPDATING"].contains(&status.as_str())));
    let encryption = encryption.map(|it| {
        let kind = it.sse_type().map(|kind| kind.as_str().to_owned());
        json!({ "SSEEnabled": true, "SSEType": kind, "KMSMasterKeyId": it.kms_master_key_arn() })
    });
    let recovers = |is_on: bool| json!({ "PointInTimeRecoveryEnabled": is_on });
    let mut settings = vec![
        setting("DeletionProtectionEnabled", table.is_protected, false),
        setting("PointInTimeRecoverySpecification", recovers(table.recovers), recovers(false)),
        setting("StreamSpecification", table.view.as_ref().map(|view| json!({ "StreamViewType": view })), Value::Null),
        setting("SSESpecification", encryption, json!({ "SSEEnabled": false })),
    ];
    // Rows that do not expire cost money and nothing else.
    if let Some(name) = &table.expires {
        let expires = json!({ "AttributeName": name, "Enabled": true });
        settings.push(setting("TimeToLiveSpecification", expires, Value::Null));
    }
    settings
}

fn of_function(function: &Function) -> Vec<Setting> {
    vec![
        setting("Timeout", function.timeout, 3),
        setting("ReservedConcurrentExecutions", function.reserved, Value::Null),
        setting("RecursiveLoop", function.recursion.clone(), "Terminate"),
    ]
}

fn of_mapping(mapping: &EventSourceMappingConfiguration) -> Vec<Setting> {
    let is_on = ["Enabled", "Creating", "Enabling", "Updating"].contains(&mapping.state().unwrap_or_default());
    let is_stream = mapping.event_source_arn().is_some_and(|arn| arn.contains("/stream/"));
    let answers: Vec<&str> = mapping.function_response_types().iter().map(|kind| kind.as_str()).collect();
    let filters = mapping.filter_criteria().map(|criteria| criteria.filters()).unwrap_or_default();
    let filters: Vec<Value> = filters.iter().map(|filter| json!({ "Pattern": filter.pattern() })).collect();
    let most = mapping.scaling_config().and_then(aws_sdk_lambda::types::ScalingConfig::maximum_concurrency);
    let failed = mapping.destination_config().and_then(|to| to.on_failure()).and_then(|to| to.destination());
    let mut settings = vec![
        setting("FunctionName", mapping.function_arn(), Value::Null),
        setting("Enabled", is_on, true),
        setting("BatchSize", mapping.batch_size(), if is_stream { 100 } else { 10 }),
        setting("MaximumBatchingWindowInSeconds", mapping.maximum_batching_window_in_seconds(), 0),
        setting("FunctionResponseTypes", answers, json!([])),
        setting("ScalingConfig", most.map(|most| json!({ "MaximumConcurrency": most })), Value::Null),
        setting(
            "FilterCriteria",
            Some(filters).filter(|filters| !filters.is_empty()).map(|filters| json!({ "Filters": filters })),
            Value::Null,
        ),
    ];
    if is_stream {
        let begin = mapping.starting_position().map(|begin| begin.as_str().to_owned());
        settings.extend([
            setting("StartingPosition", begin, Value::Null),
            setting("MaximumRetryAttempts", mapping.maximum_retry_attempts(), -1),
            setting("MaximumRecordAgeInSeconds", mapping.maximum_record_age_in_seconds(), -1),
            setting("BisectBatchOnFunctionError", mapping.bisect_batch_on_function_error(), false),
            setting("ParallelizationFactor", mapping.parallelization_factor(), 1),
            setting("DestinationConfig", failed.map(|arn| json!({ "OnFailure": { "Destination": arn } })), Value::Null),
        ]);
    }
    settings
}

fn of_alarm(alarm: &MetricAlarm) -> Vec<Setting> {
    let dimension = |it: &aws_sdk_cloudwatch::types::Dimension| json!({ "Name": it.name(), "Value": it.value() });
    let dimensions: Vec<Value> = alarm.dimensions().iter().map(dimension).collect();
    let statistic = alarm.statistic().filter(|_| alarm.extended_statistic().is_none());
    let mut settings = vec![
        setting("Namespace", alarm.namespace(), Value::Null),
        setting("MetricName", alarm.metric_name(), Value::Null),
        setting("Dimensions", dimensions, json!([])),
        // An alarm has one of the two, whatever an emulator says of the other.
        setting("Statistic", statistic.map(|it| it.as_str().to_owned()), Value::Null),
        setting("ExtendedStatistic", alarm.extended_statistic(), Value::Null),
        setting("Period", alarm.period(), Value::Null),
        setting("EvaluationPeriods", alarm.evaluation_periods(), Value::Null),
        setting("DatapointsToAlarm", alarm.datapoints_to_alarm(), alarm.evaluation_periods()),
        setting("Threshold", alarm.threshold(), Value::Null),
        setting("ComparisonOperator", alarm.comparison_operator().map(|it| it.as_str().to_owned()), Value::Null),
        setting("TreatMissingData", alarm.treat_missing_data(), "missing"),
    ];
    settings.extend(told(alarm.actions_enabled(), alarm.alarm_actions(), alarm.ok_actions()));
    settings
}

fn of_composite(alarm: &CompositeAlarm) -> Vec<Setting> {
    let mut settings = vec![setting("AlarmRule", alarm.alarm_rule(), Value::Null)];
    settings.extend(told(alarm.actions_enabled(), alarm.alarm_actions(), alarm.ok_actions()));
    settings
}

fn told(is_on: Option<bool>, alarm: &[String], ok: &[String]) -> [Setting; 3] {
    [
        setting("ActionsEnabled", is_on, true),
        setting("AlarmActions", alarm.to_vec(), json!([])),
        setting("OKActions", ok.to_vec(), json!([])),
    ]
}

fn of_logs(logs: &Logs) -> Vec<Setting> {
    vec![setting("RetentionInDays", logs.days, Value::Null), setting("KmsKeyId", logs.key.clone(), Value::Null)]
}

fn of_schedule(Schedule { about, .. }: &Schedule) -> Vec<Setting> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    vec![
        setting("State", about.state().map(|state| state.as_str().to_owned()), "ENABLED"),
        setting("ScheduleExpression", text(about.schedule_expression()), Value::Null),
        setting("EventPattern", text(about.event_pattern()).map(|pattern| parsed(&pattern)), Value::Null),
    ]
}
