//! Every rule fails on a template that breaks it: without this, a rule that looks at nothing would pass for ever.
//! Must not know: how a rule finds what it finds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use towpath_doctor::{Source, examine};

use super::source::{Code, ROOT, template};
use super::{RULES, as_written, secrets, stack};

/// The rule that must object, the template, and what is put where. Null takes the thing away.
pub(super) type Break = (&'static str, &'static str, &'static str, Value);

const CONSUMER: &str = "infra/consumer.yaml";
const TOPICS: &str = "infra/topics.yaml";
const TABLES: &str = "infra/tables.yaml";
const API: &str = "infra/api.yaml";
const RECEIVER: &str = "infra/receiver.yaml";
const ALARMS: &str = "infra/alarms.yaml";

fn code() -> Vec<Break> {
    let rule = "every function crate is deployed";
    let binary = "/Resources/InventoryFunction/Metadata/BuildProperties/Binary";
    let mut breaks = vec![(rule, ROOT, binary, json!("other")), (rule, ROOT, "/Resources/RelayFunction", Value::Null)];
    let rule = "the filter policy is what the code handles";
    let types = "/Resources/CrmTimelineConsumer/Properties/Parameters/EventTypes";
    breaks.extend([
        (rule, ROOT, types, json!("order.placed")),
        (rule, ROOT, types, json!("order.placed,order.cancelled,order.shipped")),
        (rule, ROOT, "/Resources/OrderSummaryMapping", Value::Null),
        (rule, ROOT, "/Resources/PaymentsConsumer/Properties/Parameters/CommandsTo", json!("payment")),
        (rule, ROOT, "/Resources/ShippingConsumer/Properties/Parameters/CommandsTo", Value::Null),
        (rule, ROOT, binary, json!("other")),
        (rule, CONSUMER, "/Resources/Subscription/Properties/FilterPolicy", Value::Null),
        (
            rule,
            CONSUMER,
            "/Resources/Subscription/Properties/Endpoint",
            json!({ "Fn::GetAtt": ["DeadLetterQueue", "Arn"] }),
        ),
    ]);
    let rule = "the environment is complete";
    let own = "/Resources/InventoryFunction/Properties/Environment/Variables/TOWPATH_DEAD_LETTER_QUEUE_URL";
    let queue = "/Resources/InventoryFunction/Properties/Environment/Variables/TOWPATH_QUEUE_URL";
    let wakes = "/Resources/InventoryFunction/Properties/Environment/Variables/TOWPATH_WAKE_QUEUE_URL";
    let neighbours = |queue: &str| json!({ "Fn::GetAtt": ["CrmTimelineConsumer", format!("Outputs.{queue}Url")] });
    let lanes = "/Resources/RelayFunction/Properties/Environment/Variables/TOWPATH_LANES";
    let issuer = "/Resources/OrdersApiFunction/Properties/Environment/Variables/TOWPATH_TOKEN_ISSUER";
    let stage = "/Resources/OrdersApiFunction/Properties/Environment/Variables/TOWPATH_STAGE";
    breaks.extend([
        (rule, ROOT, own, Value::Null),
        (rule, ROOT, own, neighbours("DeadLetterQueue")),
        (rule, ROOT, queue, Value::Null),
        (rule, ROOT, queue, neighbours("Queue")),
        (rule, ROOT, wakes, Value::Null),
        (rule, ROOT, wakes, neighbours("WakeQueue")),
        (rule, ROOT, lanes, Value::Null),
        (rule, ROOT, stage, Value::Null),
        (rule, ROOT, issuer, Value::Null),
        (rule, ROOT, "/Parameters/LogLevel/Default", json!("loud")),
    ]);
    breaks
}

fn mappings() -> Vec<Break> {
    let rule = "mapping-ends";
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryMapping/Properties/FunctionName", json!({ "Ref": "InventoryFunction" })),
        (rule, ROOT, "/Resources/RelayMapping/Properties/EventSourceArn", json!("arn:aws:sqs:eu-west-1:1:other")),
        (rule, CONSUMER, "/Outputs/QueueArn", Value::Null),
    ];
    let none = "/Resources/InventoryFunction/Properties/ReservedConcurrentExecutions";
    breaks.push(("may-run", ROOT, none, json!(0)));
    let rule = "single-failures";
    let (of_queue, of_stream) = (
        "/Resources/InventoryMapping/Properties/FunctionResponseTypes",
        "/Resources/RelayMapping/Properties/FunctionResponseTypes",
    );
    breaks.extend([(rule, ROOT, of_queue, Value::Null), (rule, ROOT, of_stream, json!([]))]);
    let rule = "queue-mapping";
    breaks.extend([
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/BatchSize", json!(11)),
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/FilterCriteria", json!({ "Filters": [] })),
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/ScalingConfig", Value::Null),
    ]);
    let rule = "stream-mapping";
    breaks.extend([
        (rule, ROOT, "/Resources/RelayMapping/Properties/StartingPosition", json!("LATEST")),
        (rule, ROOT, "/Resources/RelayMapping/Properties/MaximumRetryAttempts", json!(-1)),
        (rule, ROOT, "/Resources/RelayMapping/Properties/MaximumRetryAttempts", Value::Null),
        (rule, ROOT, "/Resources/RelayMapping/Properties/MaximumRecordAgeInSeconds", json!(-1)),
        (rule, ROOT, "/Resources/RelayMapping/Properties/MaximumRecordAgeInSeconds", json!(86_400)),
        (rule, ROOT, "/Resources/RelayMapping/Properties/BisectBatchOnFunctionError", Value::Null),
        (rule, ROOT, "/Resources/RelayMapping/Properties/DestinationConfig", Value::Null),
        (rule, TOPICS, "/Resources/RelayFailuresQueue/Properties/FifoQueue", json!(true)),
        (rule, ROOT, "/Resources/RelayMapping/Properties/FilterCriteria", Value::Null),
        (rule, ROOT, "/Resources/RelayMapping/Properties/FilterCriteria/Filters/0/Pattern", json!("{}")),
    ]);
    breaks
}

fn wakes() -> Vec<Break> {
    let rule = "wake-mapping";
    let source = json!({ "Fn::GetAtt": ["InventoryConsumer", "Outputs.QueueArn"] });
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryWakeMapping", Value::Null),
        (rule, ROOT, "/Resources/InventoryWakeMapping/Properties/EventSourceArn", source),
        (rule, ROOT, "/Resources/CrmTimelineWakeMapping/Properties/BatchSize", json!(2)),
        (rule, ROOT, "/Resources/CrmTimelineWakeMapping/Properties/BatchSize", Value::Null),
        (rule, ROOT, "/Resources/OrderSummaryFunction/Properties/RecursiveLoop", Value::Null),
        (rule, ROOT, "/Resources/OrderSummaryFunction/Properties/RecursiveLoop", json!("Terminate")),
    ];
    let rule = "auditor-minute";
    let latest = json!({ "Fn::GetAtt": ["AuditorFunction", "Arn"] });
    breaks.extend([
        (rule, ROOT, "/Resources/AuditorSchedule", Value::Null),
        (rule, ROOT, "/Resources/AuditorSchedule/Properties/ScheduleExpression", json!("rate(5 minutes)")),
        (rule, ROOT, "/Resources/AuditorSchedule/Properties/State", json!("DISABLED")),
        (rule, ROOT, "/Resources/AuditorSchedule/Properties/Targets/0/Arn", latest.clone()),
        (rule, ROOT, "/Resources/AuditorMayBeWoken", Value::Null),
        (rule, ROOT, "/Resources/AuditorMayBeWoken/Properties/SourceArn", Value::Null),
        (rule, ROOT, "/Resources/AuditorMayBeWoken/Properties/FunctionName", latest),
        (rule, ROOT, "/Resources/AuditorFunction/Properties/Timeout", json!(60)),
    ]);
    breaks
}

fn queues() -> Vec<Break> {
    let rule = "visibility";
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryFunction/Properties/Timeout", json!(31)),
        (rule, CONSUMER, "/Parameters/VisibilitySeconds/Default", json!(179)),
        (rule, CONSUMER, "/Resources/Queue/Properties/VisibilityTimeout", Value::Null),
        (rule, CONSUMER, "/Resources/WakeQueue/Properties/VisibilityTimeout", json!(179)),
    ];
    let rule = "dead-letters";
    breaks.extend([
        (rule, CONSUMER, "/Parameters/MaxReceiveCount/Default", json!(4)),
        (rule, CONSUMER, "/Resources/Queue/Properties/RedrivePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/FifoQueue", Value::Null),
        (rule, CONSUMER, "/Resources/WakeQueue/Properties/RedrivePolicy", Value::Null),
    ]);
    let rule = "set-aside-retention";
    breaks.extend([
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/MessageRetentionPeriod", json!(345_600)),
        (rule, CONSUMER, "/Resources/UndeliveredQueue/Properties/MessageRetentionPeriod", Value::Null),
        (rule, CONSUMER, "/Resources/WakeDeadLetterQueue/Properties/MessageRetentionPeriod", Value::Null),
        (rule, TOPICS, "/Resources/RelayFailuresQueue/Properties/MessageRetentionPeriod", Value::Null),
    ]);
    let rule = "set-aside-sources";
    let another = json!({ "Fn::GetAtt": ["UndeliveredQueue", "Arn"] });
    let anybody = json!({ "redrivePermission": "allowAll" });
    breaks.extend([
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/RedriveAllowPolicy", Value::Null),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/RedriveAllowPolicy", anybody),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/RedriveAllowPolicy/sourceQueueArns", json!([])),
        (rule, CONSUMER, "/Resources/Queue/Properties/RedrivePolicy/deadLetterTargetArn", another),
        (rule, CONSUMER, "/Resources/WakeDeadLetterQueue/Properties/RedriveAllowPolicy", Value::Null),
        (rule, TOPICS, "/Resources/RelayFailuresQueue/Properties/RedriveAllowPolicy", Value::Null),
    ]);
    let rule = "no-content-dedup";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Queue/Properties/ContentBasedDeduplication", json!(true)),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/ContentBasedDeduplication", json!(true)),
        (rule, TOPICS, "/Resources/EventsTopic/Properties/ContentBasedDeduplication", json!(true)),
    ]);
    let rule = "group-throughput";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Queue/Properties/DeduplicationScope", json!("queue")),
        (rule, CONSUMER, "/Resources/Queue/Properties/FifoThroughputLimit", Value::Null),
        (rule, TOPICS, "/Resources/EventsTopic/Properties/FifoThroughputScope", Value::Null),
    ]);
    breaks
}

fn bus() -> Vec<Break> {
    let rule = "who forwards events is told of the bus";
    let mut breaks = vec![
        (
            rule,
            ROOT,
            "/Resources/IntegrationBusFunction/Properties/Environment/Variables/TOWPATH_BUS_NAME",
            Value::Null,
        ),
        (rule, ROOT, "/Resources/IntegrationBusFunctionRole/Properties/ManagedPolicyArns", json!([])),
        (
            rule,
            "infra/bus.yaml",
            "/Resources/PutPolicy/Properties/PolicyDocument/Statement/0/Action",
            json!(["events:DescribeEventBus"]),
        ),
    ];
    let rule = "bus-rules";
    let target = "/Resources/Rule/Properties/Targets/0";
    let condition = "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/0/Condition";
    breaks.extend([
        (rule, RECEIVER, "/Resources/QueuePolicy", Value::Null),
        (rule, RECEIVER, condition, Value::Null),
        (rule, RECEIVER, "/Resources/DeadLetterQueuePolicy/Properties/PolicyDocument/Statement/0", Value::Null),
    ]);
    breaks.push((rule, RECEIVER, "/Resources/Rule/Properties/State", json!("DISABLED")));
    breaks.push((rule, RECEIVER, "/Resources/Rule/Properties/Targets/0/DeadLetterConfig", Value::Null));
    breaks.push((rule, RECEIVER, target, json!({ "Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:1:other" })));
    breaks
}

fn apis() -> Vec<Break> {
    let rule = "an API takes only tokens of its issuer";
    let issuer = "/Resources/OrdersApiFunction/Properties/Environment/Variables/TOWPATH_TOKEN_ISSUER";
    let audience = "/Resources/OrdersApiFunction/Properties/Environment/Variables/TOWPATH_TOKEN_AUDIENCE";
    vec![
        (rule, API, "/Resources/Route/Properties/AuthorizationType", json!("NONE")),
        (rule, API, "/Resources/Route/Properties/AuthorizerId", Value::Null),
        (rule, API, "/Resources/Tokens/Properties/AuthorizerType", json!("REQUEST")),
        (rule, API, "/Resources/Tokens/Properties/JwtConfiguration/Audience", json!(["everybody"])),
        (rule, API, "/Resources/Integration", Value::Null),
        (rule, ROOT, "/Parameters/ApiAuthorizer/Default", json!("false")),
        (rule, ROOT, issuer, json!("https://other.example")),
        (rule, ROOT, audience, json!("everybody")),
    ]
}

fn policies_and_tables() -> Vec<Break> {
    let rule = "tls-only";
    let mut breaks = vec![
        (rule, CONSUMER, "/Resources/DeadLetterQueuePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/WakeQueuePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1", Value::Null),
        (rule, CONSUMER, "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1/Effect", json!("Allow")),
        (
            rule,
            CONSUMER,
            "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1/Action",
            json!("sqs:SendMessage"),
        ),
        (
            rule,
            CONSUMER,
            "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1/Principal",
            json!({ "AWS": "1" }),
        ),
        (rule, CONSUMER, "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1/Condition", Value::Null),
        (
            rule,
            CONSUMER,
            "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/1/Resource",
            json!({ "Fn::GetAtt": ["DeadLetterQueue", "Arn"] }),
        ),
        (rule, CONSUMER, "/Resources/QueuePolicy/Properties/Queues", json!([{ "Ref": "DeadLetterQueue" }])),
        (rule, TOPICS, "/Resources/EventsTopicPolicy", Value::Null),
    ];
    let rule = "subscription";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Subscription/Properties/RawMessageDelivery", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/FilterPolicyScope", json!("MessageBody")),
        (rule, CONSUMER, "/Resources/CommandsSubscription/Properties/FilterPolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/FilterPolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/RedrivePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/Endpoint", json!("arn:aws:sqs:eu-west-1:1:other.fifo")),
    ]);
    let rule = "tables-survive";
    breaks.extend([
        (rule, TABLES, "/Resources/OutboxTable/Properties/PointInTimeRecoverySpecification", Value::Null),
        (rule, TABLES, "/Resources/ViewsTable/DeletionPolicy", json!("Delete")),
        (rule, TABLES, "/Resources/EntitiesTable/UpdateReplacePolicy", Value::Null),
        (rule, TABLES, "/Resources/ProgressTable/Properties/DeletionProtectionEnabled", json!(false)),
    ]);
    let rule = "own-names";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Queue/Properties/QueueName", json!("inventory.fifo")),
        (
            rule,
            TOPICS,
            "/Resources/EventsTopic/Properties/TopicName",
            json!({ "Fn::Sub": "events-${AWS::Region}.fifo" }),
        ),
        (rule, TABLES, "/Resources/OutboxTable/Properties/TableName", json!("outbox")),
        (rule, ROOT, "/Resources/RelayFunction/Properties/FunctionName", json!("relay")),
        (rule, "infra/api.yaml", "/Resources/Api/Properties/Name", json!("towpath")),
    ]);
    breaks
}

fn alarms() -> Vec<Break> {
    let rule = "alarms";
    let parameter = |name: &str| format!("/Resources/InventoryConsumer/Properties/Parameters/{name}");
    let mut breaks: Vec<Break> = vec![
        (rule, CONSUMER, "/Resources/ParkedAlarm/Properties/MetricName", json!("ParkedRow")),
        (rule, CONSUMER, "/Resources/LagAlarm/Properties/Dimensions/1/Name", json!("Consumer")),
        (rule, CONSUMER, "/Resources/WakeAgeAlarm/Properties/Namespace", json!("AWS/Sqs")),
        (rule, RECEIVER, "/Resources/DeadLettersAlarm/Properties/Dimensions", json!([])),
        (rule, "infra/api.yaml", "/Resources/FaultsAlarm/Properties/MetricName", json!("5XXError")),
    ];
    for alarm in ["DeadLetters", "WakeDeadLetters", "Undelivered", "QueueAge", "Errors", "Throttles"] {
        breaks.push((rule, CONSUMER, leak(format!("/Resources/{alarm}Alarm")), Value::Null));
    }
    for alarm in ["AuditorSilent", "Unaccounted", "SweepAge", "RelayFailures", "RelayLate", "CommandsNotKept"] {
        breaks.push((rule, ALARMS, leak(format!("/Resources/{alarm}Alarm")), Value::Null));
    }
    breaks.extend([
        (rule, ROOT, leak(parameter("Consumer")), json!("inventories")),
        (rule, ROOT, leak(parameter("FunctionName")), json!({ "Fn::Sub": "${AWS::StackName}-stock" })),
        (rule, ROOT, leak(parameter("OpsTopicArn")), Value::Null),
    ]);
    let silent = "/Resources/AuditorSilentAlarm/Properties/TreatMissingData";
    breaks.push(("alarms-silence", ALARMS, silent, json!("notBreaching")));
    let nowhere = json!({ "Fn::Sub": "critical: x. ${Runbooks}/nowhere.md" });
    let parked = "/Resources/ParkedAlarm/Properties/AlarmDescription";
    breaks.push(("the runbook of an alarm is there", CONSUMER, parked, nowhere));
    let rule = "alarms-told";
    let unweighed = json!({ "Fn::Sub": "x. ${Runbooks}/parked.md" });
    breaks.extend([
        (rule, CONSUMER, parked, json!({ "Fn::Sub": "critical: something is wrong." })),
        (rule, CONSUMER, parked, unweighed),
        (rule, CONSUMER, "/Resources/LagAlarm/Properties/OKActions", Value::Null),
        (rule, CONSUMER, "/Resources/LagAlarm/Properties/ActionsEnabled", json!(false)),
        (rule, ALARMS, "/Resources/PipelineUnhealthyAlarm/Properties/AlarmActions", json!([])),
    ]);
    breaks
}

/// The table is made once, for a test that ends with its process.
fn leak(pointer: String) -> &'static str {
    pointer.leak()
}

/// Puts a value at a place, or takes away what is there.
fn put(template: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let parent =
        template.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}: the table is out of date"));
    match parent {
        Value::Array(items) => {
            let index: usize = last.parse().expect("an index");
            if value.is_null() { drop(items.remove(index)) } else { items[index] = value }
        }
        Value::Object(fields) if value.is_null() => {
            assert!(fields.remove(last).is_some(), "nothing at {pointer}: the table is out of date");
        }
        Value::Object(fields) => drop(fields.insert(last.to_owned(), value)),
        _ => panic!("{pointer} leads into a plain value"),
    }
}

/// What each rule finds, ours and those of any pipeline, by the rule's name.
fn found(source: &Source, code: &Code) -> BTreeSet<(&'static str, String)> {
    let stack = stack(source);
    let ours =
        RULES.iter().flat_map(|(name, rule)| rule(&stack, code).into_iter().map(move |finding| (*name, finding)));
    let all = examine(&stack, towpath_doctor::RULES).into_iter().map(|finding| (finding.rule, finding.what));
    all.chain(ours).collect()
}

#[test]
fn every_rule_fails_on_a_template_that_breaks_it() {
    let (sound, about) = as_written();
    let before = found(sound, about);
    let mut shown = BTreeSet::new();
    let parts =
        [code(), mappings(), wakes(), queues(), bus(), apis(), policies_and_tables(), alarms(), secrets::breaks()];
    let breaks = parts.concat();
    for (name, file, pointer, value) in &breaks {
        let mut source = sound.clone();
        put(template(&mut source, file), pointer, value.clone());
        let is_new = |finding: &(&str, String)| finding.0 == *name && !before.contains(finding);
        assert!(found(&source, about).iter().any(is_new), "{name}: {file} {pointer} = {value} passes");
        shown.insert(*name);
    }
    let all = RULES.iter().map(|(name, _)| *name).chain(towpath_doctor::RULES.iter().map(|rule| rule.id));
    assert_eq!(shown, all.collect::<BTreeSet<_>>(), "every rule is shown failing");
    assert!(breaks.len() >= 30, "{} misconfigurations", breaks.len());
}

#[test]
fn a_consumer_and_a_function_crate_that_nobody_deploys_are_found() {
    let (source, about) = as_written();
    let mut about = about.clone();
    about.functions.insert("airmail".to_owned());
    about.handled.insert("airmail".to_owned(), ["order.placed".to_owned()].into());
    let stack = stack(source);
    assert_eq!(super::code::functions(&stack, &about).len(), 1);
    assert_eq!(super::code::filters(&stack, &about).len(), 1);
}
