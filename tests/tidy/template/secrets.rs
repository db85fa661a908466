//! Misconfigurations of who may do what, of keys, and of the way in: each is found by the rule that it is written with.
//! Must not know: how a rule finds what it finds.

use serde_json::{Value, json};

use towpath_doctor::{RULES, Source, Stack, examine};

use super::as_written;
use super::broken::Break;
use super::source::{ROOT, template};

const API: &str = "infra/api.yaml";
const CONSUMER: &str = "infra/consumer.yaml";
const KEYS: &str = "infra/keys.yaml";
const TABLES: &str = "infra/tables.yaml";
const TOPICS: &str = "infra/topics.yaml";

pub(super) fn breaks() -> Vec<Break> {
    [keys(), statements(), roles(), lasting(), ways_in()].concat()
}

fn keys() -> Vec<Break> {
    let aws_owned = || json!("alias/aws/sqs");
    let mut breaks = vec![
        ("customer-keys", TOPICS, "/Resources/EventsTopic/Properties/KmsMasterKeyId", Value::Null),
        ("customer-keys", CONSUMER, "/Resources/DeadLetterQueue/Properties/KmsMasterKeyId", aws_owned()),
        ("customer-keys", TABLES, "/Resources/OutboxTable/Properties/SSESpecification", json!({ "SSEEnabled": true })),
        ("customer-keys", ROOT, "/Resources/LogGroup/Properties/KmsKeyId", Value::Null),
        ("customer-keys", ROOT, "/Resources/InventoryConsumer/Properties/Parameters/KeyArn", Value::Null),
        ("key-reuse", CONSUMER, "/Resources/WakeQueue/Properties/KmsDataKeyReusePeriodSeconds", json!(300)),
        ("key-policy", KEYS, "/Resources/Key/Properties/EnableKeyRotation", json!(false)),
        ("key-policy", KEYS, "/Resources/Key/DeletionPolicy", json!("Delete")),
    ];
    for (index, _) in ["sns", "logs"].iter().enumerate() {
        let pointer =
            ["/Resources/Key/Properties/KeyPolicy/Statement/2", "/Resources/Key/Properties/KeyPolicy/Statement/3"];
        breaks.push(("key-policy", KEYS, pointer[index], Value::Null));
    }
    breaks
}

fn statements() -> Vec<Break> {
    let rule = "no-star";
    let deliver = "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/0";
    let consumer = "/Resources/ConsumerPolicy/Properties/PolicyDocument/Statement/0";
    let open = json!({ "Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*" });
    let not = json!({ "Effect": "Allow", "NotAction": "iam:*", "Resource": "*" });
    let everywhere = json!({ "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*" });
    let star = json!({ "Effect": "Allow", "Action": "sqs:Send*", "Resource": { "Fn::GetAtt": ["Queue", "Arn"] } });
    let mut breaks = vec![
        (rule, CONSUMER, deliver, open),
        (rule, CONSUMER, consumer, not),
        (rule, CONSUMER, consumer, everywhere),
        (rule, CONSUMER, consumer, star),
        (rule, KEYS, "/Resources/Key/Properties/KeyPolicy/Statement/0/Action", json!("kms:*")),
        (rule, KEYS, "/Resources/Key/Properties/KeyPolicy/Statement/1/Principal", json!({ "AWS": "*" })),
    ];
    let rule = "service-source";
    breaks.extend([
        (rule, CONSUMER, "/Resources/QueuePolicy/Properties/PolicyDocument/Statement/0/Condition", Value::Null),
        (rule, KEYS, "/Resources/Key/Properties/KeyPolicy/Statement/2/Condition", Value::Null),
        (rule, ROOT, "/Resources/AuditorMayBeWoken/Properties/SourceArn", Value::Null),
        (rule, API, "/Resources/ApiMayInvoke/Properties/SourceArn", Value::Null),
    ]);
    breaks
}

fn roles() -> Vec<Break> {
    let shared = json!({ "Fn::GetAtt": ["RelayFunctionRole", "Arn"] });
    let put = json!({ "Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": { "Fn::GetAtt": ["OutboxTable", "Arn"] } });
    let change = json!({ "Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": { "Fn::GetAtt": ["OutboxTable", "Arn"] } });
    let scan =
        json!({ "Effect": "Allow", "Action": "dynamodb:Scan", "Resource": { "Fn::GetAtt": ["OutboxTable", "Arn"] } });
    let handler = "/Resources/HandlerPolicy/Properties/PolicyDocument/Statement/0";
    let own = "/Resources/InventoryFunctionRole/Properties/Policies/0/PolicyDocument/Statement/0/Condition";
    let kinds = "/Resources/InventoryFunctionRole/Properties/Policies/0/PolicyDocument/Statement/0/Condition/\
                 ForAllValues:StringLike/dynamodb:LeadingKeys";
    vec![
        ("own-role", ROOT, "/Resources/InventoryFunction/Properties/Role", shared),
        ("own-role", ROOT, "/Resources/InventoryFunction/Properties/Role", json!("arn:aws:iam::1:role/admin")),
        ("no-scan", TABLES, handler, scan),
        ("journal-writers", TABLES, handler, put),
        ("journal-writers", TABLES, handler, change),
        ("journal-writers", ROOT, own, Value::Null),
        ("journal-writers", ROOT, kinds, json!(["*"])),
        ("journal-writers", ROOT, kinds, json!(["*#*#*"])),
        ("a function adds to the journal what it records", ROOT, kinds, json!(["*#order#*"])),
        (
            "journal-writers",
            ROOT,
            "/Resources/InventoryFunctionRole/Properties/Policies/0/PolicyDocument/Statement/0/Condition/Null",
            Value::Null,
        ),
    ]
}

fn lasting() -> Vec<Break> {
    let expires = json!({ "AttributeName": "until", "Enabled": true });
    vec![
        (
            "stream-images",
            TABLES,
            "/Resources/OutboxTable/Properties/StreamSpecification/StreamViewType",
            json!("KEYS_ONLY"),
        ),
        ("no-forgetting", TABLES, "/Resources/EntitiesTable/Properties/TimeToLiveSpecification", expires),
        ("no-forgetting", ROOT, "/Parameters/OutboxRetentionDays/Default", json!(7)),
        ("no-forgetting", ROOT, "/Parameters/OutboxRetentionDays/AllowedValues", json!([0, 14, 30])),
        ("no-forgetting", ROOT, "/Parameters/OutboxRetentionDays/AllowedValues", Value::Null),
        ("parameters", ROOT, "/Parameters/TokenAudience/AllowedPattern", Value::Null),
        ("parameters", ROOT, "/Parameters/TenantBurst/MaxValue", Value::Null),
        ("parameters", ROOT, "/Parameters/OutboxRetentionDays/Default", json!(-1)),
        ("parameters", ROOT, "/Parameters/LogLevel/Default", json!("")),
        ("parameters", CONSUMER, "/Parameters/VisibilitySeconds/MinValue", Value::Null),
        ("parameters", CONSUMER, "/Parameters/MaxReceiveCount/Default", json!(0)),
        ("parameters", API, "/Parameters/Stage/AllowedPattern", Value::Null),
        ("logs-end", ROOT, "/Resources/LogGroup/Properties/RetentionInDays", Value::Null),
        ("logs-end", ROOT, "/Resources/RelayFunction/Properties/LoggingConfig", Value::Null),
        ("logs-end", ROOT, "/Resources/RelayFunction/Properties/LoggingConfig/ApplicationLogLevel", Value::Null),
    ]
}

fn ways_in() -> Vec<Break> {
    vec![
        ("mapping-enabled", ROOT, "/Resources/InventoryMapping/Properties/Enabled", json!(false)),
        ("api-limits", API, "/Resources/ApiStage/Properties/DefaultRouteSettings", Value::Null),
        ("api-limits", API, "/Resources/ApiStage/Properties/AccessLogSettings", Value::Null),
    ]
}

#[test]
fn a_cell_is_protected_as_prod_is_when_it_says_so() {
    let (source, _) = as_written();
    let cell = |source: &Source| {
        let found = examine(&Stack::new(source, &[("Stage", "cell1"), ("Protected", "true")]), RULES);
        found.into_iter().map(|it| it.rule).collect::<Vec<_>>()
    };
    assert_eq!(cell(source), [""; 0]);
    let mut open = source.clone();
    template(&mut open, TABLES)["Resources"]["OutboxTable"]["Properties"]["DeletionProtectionEnabled"] = false.into();
    assert_eq!(cell(&open), ["tables-survive"]);
    let mut without = source.clone();
    template(&mut without, ROOT)["Conditions"]["HasKey"] = json!({ "Fn::Equals": [{ "Ref": "Stage" }, "prod"] });
    assert!(cell(&without).contains(&"customer-keys"));
}
