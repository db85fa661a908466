//! Encryption at rest with the stack's own key: who must use it, and whom it must let.
//! Must not know: what is stored.

use serde_json::{Map, Value};

use crate::rule::Findings;
use crate::stack::{Resource, Stack, statements, texts};

const KEY: &str = "AWS::KMS::Key";
const LEAST_REUSE_SECONDS: u64 = 3_600;

/// What a resource says of its key, be it null; none if nothing lies in it.
fn key_of(resource: &Resource) -> Option<&Value> {
    match resource.kind.as_str() {
        "AWS::SNS::Topic" | "AWS::SQS::Queue" => Some(resource.property("KmsMasterKeyId")),
        "AWS::Logs::LogGroup" => Some(resource.property("KmsKeyId")),
        "AWS::DynamoDB::Table" => {
            let encryption = resource.property("SSESpecification");
            let is_on = encryption["SSEEnabled"] == true && encryption["SSEType"] == "KMS";
            Some(if is_on { &encryption["KMSMasterKeyId"] } else { &Value::Null })
        }
        _ => None,
    }
}

/// An alias of AWS's own would look like encryption, and is a key that nobody can take away.
pub(crate) fn used(stack: &Stack) -> Findings {
    if !stack.is_protected() {
        return Findings::new();
    }
    let without = stack
        .all()
        .filter(|resource| key_of(resource).is_some_and(|key| stack.follow(key).is_none_or(|key| key.kind != KEY)));
    without.map(|resource| format!("{}: not encrypted with the stack's key", resource.place)).collect()
}

/// The services that use the key on their own: without it they drop what they should deliver, and say nothing.
pub(crate) fn policy(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for key in stack.each(KEY) {
        let lets = |service: &str, action: &str| {
            statements(key.property("KeyPolicy")).iter().any(|statement| {
                let actions = texts(&statement["Action"]);
                statement["Effect"] == "Allow"
                    && named(&statement["Principal"]["Service"]).any(|name| name.starts_with(service))
                    && actions.iter().any(|allowed| *allowed == action || *allowed == format!("{action}*"))
            })
        };
        let demands = [
            (*key.property("EnableKeyRotation") == true, "EnableKeyRotation must be true"),
            (*key.at("/DeletionPolicy") == "Retain", "DeletionPolicy must be Retain, or the tables' rows are lost"),
            (*key.at("/UpdateReplacePolicy") == "Retain", "UpdateReplacePolicy must be Retain"),
            (
                lets("sns.", "kms:Decrypt") && lets("sns.", "kms:GenerateDataKey"),
                "sns.amazonaws.com must be allowed kms:Decrypt and kms:GenerateDataKey, or topics deliver nothing",
            ),
            (lets("logs.", "kms:Encrypt"), "the logs service must be allowed kms:Encrypt and the like"),
        ];
        let broken = demands.iter().filter(|(holds, _)| !holds);
        findings.extend(broken.map(|(_, demand)| format!("{}: {demand}", key.place)));
    }
    findings
}

/// A service by its name, also where the Region is part of that.
fn named(services: &Value) -> impl Iterator<Item = &str> {
    let substituted = services.as_object().into_iter().flat_map(Map::values).flat_map(texts);
    texts(services).into_iter().chain(substituted)
}

/// Each new data key is a paid request, for each queue.
pub(crate) fn reuse(stack: &Stack) -> Findings {
    let encrypted = stack.each("AWS::SQS::Queue").filter(|queue| !queue.property("KmsMasterKeyId").is_null());
    let often = encrypted.filter(|queue| {
        queue.number("KmsDataKeyReusePeriodSeconds").is_none_or(|seconds| seconds < LEAST_REUSE_SECONDS)
    });
    often.map(|queue| format!("{}: its data key is used for less than an hour", queue.place)).collect()
}
