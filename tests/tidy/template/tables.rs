//! Tables survive mistakes, and two stages fit into one account.
//! Must not know: what is in the tables.

use serde_json::Value;

use super::Findings;
use super::stack::{Resource, Stack};

/// Properties that end in `Name` and name nothing in the account: parts of something, or measures.
const NO_PHYSICAL_NAMES: &[(&str, &str)] = &[
    ("AWS::Lambda::Alias", "Name"),
    ("AWS::ApiGatewayV2::Stage", "StageName"),
    ("AWS::CloudWatch::Alarm", "MetricName"),
];

/// Point-in-time recovery, kept when the stack goes, and protected where the stage is prod.
pub(crate) fn protection(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for table in stack.each("AWS::DynamoDB::Table") {
        let recovery = &table.property("PointInTimeRecoverySpecification")["PointInTimeRecoveryEnabled"];
        let protected = table.property("DeletionProtectionEnabled");
        let demands = [
            (*recovery == true, "point-in-time recovery must be on"),
            (*table.at("/DeletionPolicy") == "Retain", "DeletionPolicy must be Retain"),
            (*table.at("/UpdateReplacePolicy") == "Retain", "UpdateReplacePolicy must be Retain"),
            (
                *protected == true || (protected["Fn::If"][0] == "IsProd" && protected["Fn::If"][1] == true),
                "DeletionProtectionEnabled must be true in prod",
            ),
        ];
        let broken = demands.iter().filter(|(holds, _)| !holds);
        findings.extend(broken.map(|(_, demand)| format!("{}: {demand}", table.place)));
    }
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
