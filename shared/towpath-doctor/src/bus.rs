//! The integration bus: what a rule picks reaches a queue or is kept.
//! Must not know: which events there are.

use serde_json::{Value, json};

use crate::rule::Findings;
use crate::stack::{Stack, items};

const QUEUE: &str = "AWS::SQS::Queue";

/// Each target of a rule is a queue that lets this rule in, and what cannot be delivered goes to another that does.
pub(crate) fn rules(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for rule in stack.each("AWS::Events::Rule").filter(|rule| !rule.property("EventBusName").is_null()) {
        if *rule.property("State") == "DISABLED" {
            findings.push(format!("{}: it is off, and what it would pick is delivered to nobody", rule.place));
        }
        let lets_in = |queue: &Value| {
            let Some(queue) = stack.follow(queue).filter(|queue| queue.kind == QUEUE) else { return false };
            let is_it = |value: &Value, place: &str| stack.follow(value).is_some_and(|found| found.place == place);
            let lets = |statement: &Value| {
                statement["Effect"] == "Allow"
                    && statement["Principal"] == json!({ "Service": "events.amazonaws.com" })
                    && statement["Action"] == "sqs:SendMessage"
                    && is_it(&statement["Resource"], &queue.place)
                    && is_it(&statement["Condition"]["ArnEquals"]["aws:SourceArn"], &rule.place)
            };
            stack.each("AWS::SQS::QueuePolicy").any(|policy| {
                items(policy.property("Queues")).iter().any(|of| is_it(of, &queue.place))
                    && items(&policy.property("PolicyDocument")["Statement"]).iter().any(lets)
            })
        };
        for target in items(rule.property("Targets")) {
            if !lets_in(&target["Arn"]) {
                findings.push(format!("{}: its target is no queue that lets this rule in", rule.place));
            }
            if !lets_in(&target["DeadLetterConfig"]["Arn"]) {
                findings.push(format!("{}: what it cannot deliver is kept in no queue that lets it in", rule.place));
            }
        }
    }
    findings
}
