//! What statements may say, wherever they stand: nobody and nothing by a star, no service without whose errand it is on.
//! Must not know: which function a policy is for.

use serde_json::{Map, Value};

use crate::rule::Findings;
use crate::stack::{Resource, Stack, items, statements, texts};

const KEY: &str = "AWS::KMS::Key";
const ROLE: &str = "AWS::IAM::Role";
/// Actions that take no resource.
/// Of alarms, CloudWatch says what a composite one is only to who may ask for all.
const WITHOUT_RESOURCE: &[&str] = &[
    "cloudwatch:DescribeAlarms",
    "dynamodb:ListStreams",
    "lambda:ListEventSourceMappings",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
];

/// Every statement of a resource, each policy that it holds or is.
fn all(resource: &Resource) -> impl Iterator<Item = &Value> {
    let documents = ["PolicyDocument", "KeyPolicy"].into_iter().map(|name| resource.property(name));
    let own = items(resource.property("Policies")).iter().map(|policy| &policy["PolicyDocument"]);
    documents.chain(own).flat_map(statements)
}

/// An `Allow` names who, what and where. `Deny` may say "everybody" and "everything".
pub(crate) fn stars(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for resource in stack.all() {
        for statement in all(resource).filter(|statement| statement["Effect"] == "Allow") {
            let mut wrong = |what: &str| findings.push(format!("{}: {what}", resource.place));
            let principal = &statement["Principal"];
            let named = principal.as_object().into_iter().flat_map(Map::values).flat_map(texts);
            if principal == "*" || named.into_iter().any(|who| who == "*") {
                wrong("a statement allows everybody (Principal *)");
            }
            // A key's administration is a list of verbs that nobody knows by heart.
            let by_heart = |action: &&str| resource.kind != KEY && action.contains('*');
            let actions = texts(&statement["Action"]);
            for action in actions.iter().filter(|action| by_heart(action) || **action == "*" || action.ends_with(":*"))
            {
                wrong(&format!("a statement allows {action}"));
            }
            for not in ["NotAction", "NotPrincipal", "NotResource"].iter().filter(|not| !statement[**not].is_null()) {
                wrong(&format!("a statement allows by {not}"));
            }
            let everywhere = texts(&statement["Resource"]).contains(&"*") && resource.kind != KEY;
            if everywhere && !actions.iter().all(|action| WITHOUT_RESOURCE.contains(action)) {
                wrong(&format!("a statement allows {} on everything (Resource *)", actions.join(", ")));
            }
        }
    }
    findings
}

/// A service that is let in must come from something of this account, or anybody could send it. Who takes on a role, and
/// so runs our code, is no such door.
pub(crate) fn sources(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for resource in stack.all().filter(|resource| resource.kind != ROLE) {
        let open = all(resource).filter(|statement| {
            statement["Effect"] == "Allow" && !statement["Principal"]["Service"].is_null() && !is_bound(statement)
        });
        findings.extend(open.map(|statement| {
            let who = texts(&statement["Principal"]["Service"]).join(", ");
            let who = if who.is_empty() { "a service" } else { &who };
            format!("{}: {who} may come on anybody's errand", resource.place)
        }));
        let is_open = resource.kind == "AWS::Lambda::Permission"
            && resource.property("SourceArn").is_null()
            && resource.property("SourceAccount").is_null();
        if is_open {
            findings.push(format!("{}: it has neither SourceArn nor SourceAccount", resource.place));
        }
    }
    findings
}

/// Is a condition on the source, or on what the key is used for?
fn is_bound(statement: &Value) -> bool {
    let operators = statement["Condition"].as_object().into_iter().flat_map(Map::iter);
    let keys =
        operators.filter(|(operator, _)| !operator.ends_with("IfExists")).filter_map(|(_, keys)| keys.as_object());
    keys.flat_map(Map::keys).any(|key| {
        ["aws:SourceArn", "aws:SourceAccount"].contains(&&**key) || key.starts_with("kms:EncryptionContext:")
    })
}
