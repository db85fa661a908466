//! Tables survive mistakes, and two stages fit into one account.
//! Must not know: what is in the tables.

use serde_json::Value;

use crate::rule::Findings;
use crate::stack::{Resource, Stack, items, number};

const TABLE: &str = "AWS::DynamoDB::Table";
/// How long a dead-letter queue keeps what may come back.
const DEAD_LETTER_DAYS: u64 = 14;
/// How far back an operator may want to replay what has just come back.
const REPLAY_DAYS: u64 = 14;

/// Properties that end in `Name` and name nothing in the account: parts of something, or measures.
const NO_PHYSICAL_NAMES: &[(&str, &str)] = &[
    ("AWS::Lambda::Alias", "Name"),
    ("AWS::ApiGatewayV2::Stage", "StageName"),
    ("AWS::CloudWatch::Alarm", "MetricName"),
];

/// Point-in-time recovery, kept when the stack goes, and protected where the stack is.
pub(crate) fn protection(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for table in stack.each(TABLE) {
        let recovery = &table.property("PointInTimeRecoverySpecification")["PointInTimeRecoveryEnabled"];
        let protected = table.property("DeletionProtectionEnabled");
        let demands = [
            (*recovery == true, "point-in-time recovery must be on"),
            (*table.at("/DeletionPolicy") == "Retain", "DeletionPolicy must be Retain"),
            (*table.at("/UpdateReplacePolicy") == "Retain", "UpdateReplacePolicy must be Retain"),
            (
                *protected == true || !stack.is_protected(),
                "DeletionProtectionEnabled must be true where the stack is protected, as prod is",
            ),
        ];
        let broken = demands.iter().filter(|(holds, _)| !holds);
        findings.extend(broken.map(|(_, demand)| format!("{}: {demand}", table.place)));
    }
    findings
}

/// A relay that gets keys alone can publish nothing.
pub(crate) fn streams(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for mapping in stack.each("AWS::Lambda::EventSourceMapping") {
        let table = stack.follow(mapping.property("EventSourceArn")).filter(|source| source.kind == TABLE);
        let Some(table) = table else { continue };
        let view = table.property("StreamSpecification")["StreamViewType"].as_str();
        if !matches!(view, Some("NEW_IMAGE" | "NEW_AND_OLD_IMAGES")) {
            findings.push(format!("{}: StreamViewType is {}", table.place, view.unwrap_or("not set")));
        }
    }
    findings
}

/// Expiry is for rows that nothing rests on. The journal is needed as long as anything may be redriven or replayed.
pub(crate) fn forgetting(stack: &Stack) -> Findings {
    let lasting = ["TOWPATH_ENTITIES_TABLE", "TOWPATH_VIEWS_TABLE"].iter().filter_map(|name| stack.told_table(name));
    let expiring = lasting.filter(|table| table.property("TimeToLiveSpecification")["Enabled"] == true);
    let mut findings: Findings = expiring.map(|table| format!("{}: its rows may expire", table.place)).collect();
    let days = stack.parameter("OutboxRetentionDays");
    let allowed = items(&days["AllowedValues"]).iter().chain(std::iter::once(&days["Default"])).map(number);
    let least = DEAD_LETTER_DAYS + REPLAY_DAYS;
    if days.is_null() || items(&days["AllowedValues"]).is_empty() {
        findings.push("OutboxRetentionDays: it must be a parameter with AllowedValues".to_owned());
    }
    let short = allowed.filter(|days| days.is_none_or(|days| days != 0 && days < least));
    findings.extend(
        short.map(|days| format!("OutboxRetentionDays: {} is less than {least} days", days.unwrap_or_default())),
    );
    findings
}

/// A name that is given is made of the stack's name.
pub(crate) fn names(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for resource in stack.all() {
        let fixed = resource.properties().filter(|(key, value)| is_physical(resource, key) && is_fixed(value));
        findings.extend(fixed.map(|(key, _)| format!("{}: {key} must contain ${{AWS::StackName}}", resource.place)));
    }
    findings
}

fn is_physical(resource: &Resource, key: &str) -> bool {
    key.ends_with("Name") && !NO_PHYSICAL_NAMES.contains(&(resource.kind.as_str(), key))
}

/// A reference to something else is no name of its own.
fn is_fixed(value: &Value) -> bool {
    let text = value.as_str().or_else(|| value["Fn::Sub"].as_str()).or_else(|| value["Fn::Sub"][0].as_str());
    text.is_some_and(|text| !text.contains("${AWS::StackName}"))
}
