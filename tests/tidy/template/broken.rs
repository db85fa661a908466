//! Every rule fails on a template that breaks it: without this, a rule that looks at nothing would pass for ever.
//! Must not know: how a rule finds what it finds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::source::{ROOT, Source};
use super::stack::Stack;
use super::{RULES, as_written};

/// The rule that must object, the template, and what is put where. Null takes the thing away.
type Break = (&'static str, &'static str, &'static str, Value);

const CONSUMER: &str = "infra/consumer.yaml";
const TOPICS: &str = "infra/topics.yaml";
const TABLES: &str = "infra/tables.yaml";
const API: &str = "infra/api.yaml";
const RECEIVER: &str = "infra/receiver.yaml";

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
    let rule = "every mapping goes from a known source to the alias live";
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryMapping/Properties/FunctionName", json!({ "Ref": "InventoryFunction" })),
        (rule, ROOT, "/Resources/RelayMapping/Properties/EventSourceArn", json!("arn:aws:sqs:eu-west-1:1:other")),
        (rule, CONSUMER, "/Outputs/QueueArn", Value::Null),
    ];
    let rule = "every mapping reports single failures";
    let (of_queue, of_stream) = (
        "/Resources/InventoryMapping/Properties/FunctionResponseTypes",
        "/Resources/RelayMapping/Properties/FunctionResponseTypes",
    );
    breaks.extend([(rule, ROOT, of_queue, Value::Null), (rule, ROOT, of_stream, json!([]))]);
    let rule = "queue mappings are bounded and take everything";
    breaks.extend([
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/BatchSize", json!(11)),
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/FilterCriteria", json!({ "Filters": [] })),
        (rule, ROOT, "/Resources/CrmTimelineMapping/Properties/ScalingConfig", Value::Null),
    ]);
    let rule = "stream mappings lose nothing and end";
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
    let rule = "every consumer takes its wakes one by one";
    let source = json!({ "Fn::GetAtt": ["InventoryConsumer", "Outputs.QueueArn"] });
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryWakeMapping", Value::Null),
        (rule, ROOT, "/Resources/InventoryWakeMapping/Properties/EventSourceArn", source),
        (rule, ROOT, "/Resources/CrmTimelineWakeMapping/Properties/BatchSize", json!(2)),
        (rule, ROOT, "/Resources/CrmTimelineWakeMapping/Properties/BatchSize", Value::Null),
        (rule, ROOT, "/Resources/OrderSummaryFunction/Properties/RecursiveLoop", Value::Null),
        (rule, ROOT, "/Resources/OrderSummaryFunction/Properties/RecursiveLoop", json!("Terminate")),
    ];
    let rule = "the auditor runs every minute";
    let latest = json!({ "Fn::GetAtt": ["AuditorFunction", "Arn"] });
    breaks.extend([
        (rule, ROOT, "/Resources/AuditorSchedule", Value::Null),
        (rule, ROOT, "/Resources/AuditorSchedule/Properties/ScheduleExpression", json!("rate(5 minutes)")),
        (rule, ROOT, "/Resources/AuditorSchedule/Properties/Targets/0/Arn", latest.clone()),
        (rule, ROOT, "/Resources/AuditorMayBeWoken", Value::Null),
        (rule, ROOT, "/Resources/AuditorMayBeWoken/Properties/SourceArn", Value::Null),
        (rule, ROOT, "/Resources/AuditorMayBeWoken/Properties/FunctionName", latest),
        (rule, ROOT, "/Resources/AuditorFunction/Properties/Timeout", json!(60)),
    ]);
    breaks
}

fn queues() -> Vec<Break> {
    let rule = "messages stay hidden for six timeouts";
    let mut breaks = vec![
        (rule, ROOT, "/Resources/InventoryFunction/Properties/Timeout", json!(31)),
        (rule, CONSUMER, "/Parameters/VisibilitySeconds/Default", json!(179)),
        (rule, CONSUMER, "/Resources/Queue/Properties/VisibilityTimeout", Value::Null),
        (rule, CONSUMER, "/Resources/WakeQueue/Properties/VisibilityTimeout", json!(179)),
    ];
    let rule = "consumed queues have a dead-letter queue of their kind";
    breaks.extend([
        (rule, CONSUMER, "/Parameters/MaxReceiveCount/Default", json!(4)),
        (rule, CONSUMER, "/Resources/Queue/Properties/RedrivePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/FifoQueue", Value::Null),
        (rule, CONSUMER, "/Resources/WakeQueue/Properties/RedrivePolicy", Value::Null),
    ]);
    let rule = "set-aside queues keep 14 days";
    breaks.extend([
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/MessageRetentionPeriod", json!(345_600)),
        (rule, CONSUMER, "/Resources/UndeliveredQueue/Properties/MessageRetentionPeriod", Value::Null),
        (rule, CONSUMER, "/Resources/WakeDeadLetterQueue/Properties/MessageRetentionPeriod", Value::Null),
        (rule, TOPICS, "/Resources/RelayFailuresQueue/Properties/MessageRetentionPeriod", Value::Null),
    ]);
    let rule = "set-aside queues say whose they are";
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
    let rule = "nothing is deduplicated by content";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Queue/Properties/ContentBasedDeduplication", json!(true)),
        (rule, CONSUMER, "/Resources/DeadLetterQueue/Properties/ContentBasedDeduplication", json!(true)),
        (rule, TOPICS, "/Resources/EventsTopic/Properties/ContentBasedDeduplication", json!(true)),
    ]);
    let rule = "FIFO throughput is per message group";
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
    let rule = "rules of the bus lose nothing";
    let target = "/Resources/Rule/Properties/Targets/0";
    let condition = "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/0/Condition";
    breaks.extend([
        (rule, RECEIVER, "/Resources/QueuePolicy", Value::Null),
        (rule, RECEIVER, condition, Value::Null),
        (rule, RECEIVER, "/Resources/DeadLetterQueuePolicy/Properties/PolicyDocument/Statement/0", Value::Null),
    ]);
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
    let rule = "plain text is refused";
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
    let rule = "subscriptions deliver raw and lose nothing";
    breaks.extend([
        (rule, CONSUMER, "/Resources/Subscription/Properties/RawMessageDelivery", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/FilterPolicyScope", json!("MessageBody")),
        (rule, CONSUMER, "/Resources/CommandsSubscription/Properties/FilterPolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/FilterPolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/RedrivePolicy", Value::Null),
        (rule, CONSUMER, "/Resources/Subscription/Properties/Endpoint", json!("arn:aws:sqs:eu-west-1:1:other.fifo")),
    ]);
    let rule = "tables survive mistakes";
    breaks.extend([
        (rule, TABLES, "/Resources/OutboxTable/Properties/PointInTimeRecoverySpecification", Value::Null),
        (rule, TABLES, "/Resources/ViewsTable/DeletionPolicy", json!("Delete")),
        (rule, TABLES, "/Resources/EntitiesTable/UpdateReplacePolicy", Value::Null),
        (rule, TABLES, "/Resources/ProgressTable/Properties/DeletionProtectionEnabled", json!(false)),
    ]);
    let rule = "no physical name is fixed";
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

#[test]
fn every_rule_fails_on_a_template_that_breaks_it() {
    let sound: &Source = as_written();
    let mut shown = BTreeSet::new();
    for (name, file, pointer, value) in
        [code(), mappings(), wakes(), queues(), bus(), apis(), policies_and_tables()].concat()
    {
        let (_, rule) = RULES.iter().find(|(rule, _)| *rule == name).unwrap_or_else(|| panic!("no rule {name:?}"));
        let mut source = sound.clone();
        let template = source.templates.get_mut(file).unwrap_or_else(|| panic!("no template {file}"));
        put(template, pointer, value.clone());
        let before = rule(&Stack::new(sound));
        let after = rule(&Stack::new(&source));
        assert!(after.iter().any(|finding| !before.contains(finding)), "{name}: {file} {pointer} = {value} passes");
        shown.insert(name);
    }
    let all: BTreeSet<&str> = RULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, all, "every rule is shown failing");
}

#[test]
fn a_consumer_and_a_function_crate_that_nobody_deploys_are_found() {
    let mut source = as_written().clone();
    source.functions.insert("airmail".to_owned());
    source.handled.insert("airmail".to_owned(), ["order.placed".to_owned()].into());
    let stack = Stack::new(&source);
    assert_eq!(super::code::functions(&stack).len(), 1);
    assert_eq!(super::code::filters(&stack).len(), 1);
}
