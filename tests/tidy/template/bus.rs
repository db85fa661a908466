//! The integration bus: who forwards events is told of it, and what a rule picks reaches a queue or is kept.
//! Must not know: which events there are.

use serde_json::{Value, json};

use super::Findings;
use super::stack::{Resource, Stack, binary_of};

const QUEUE: &str = "AWS::SQS::Queue";

/// A function whose code forwards events is told of a bus of this stack, and may put events on it.
pub(crate) fn told(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    let forwards = |function: &&Resource| stack.forwarding.contains(binary_of(function));
    for function in stack.each("AWS::Lambda::Function").filter(forwards) {
        let bus = stack.follow(&function.property("Environment")["Variables"]["TOWPATH_BUS_NAME"]);
        let Some(bus) = bus.filter(|bus| bus.kind == "AWS::Events::EventBus") else {
            findings.push(format!("{}: TOWPATH_BUS_NAME is no bus of this stack", function.place));
            continue;
        };
        let role = stack.follow(function.property("Role"));
        let policies = role.into_iter().flat_map(|role| items(role.property("ManagedPolicyArns")));
        let may = policies.filter_map(|policy| stack.follow(policy)).any(|policy| {
            items(&policy.property("PolicyDocument")["Statement"]).iter().any(|statement| {
                let on_it = stack.follow(&statement["Resource"]).is_some_and(|on| on.place == bus.place);
                on_it && items(&statement["Action"]).contains(&json!("events:PutEvents"))
            })
        });
        if !may {
            findings.push(format!("{}: no policy of it allows events:PutEvents on {}", function.place, bus.place));
        }
    }
    findings
}

/// Each target of a rule is a queue that lets this rule in, and what cannot be delivered goes to another that does.
pub(crate) fn rules(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for rule in stack.each("AWS::Events::Rule").filter(|rule| !rule.property("EventBusName").is_null()) {
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

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
