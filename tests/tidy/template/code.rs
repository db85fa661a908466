//! Code and template agree: which functions there are, what each consumer is sent, what each function is told.
//! Must not know: queues' properties.

use std::collections::BTreeSet;

use serde_json::Value;
use towpath_aws::config;

use towpath_doctor::{Consumed, Resource, Stack, binary_of};

use super::source::Code;
use super::{Findings, is_consumer, policy};

/// Every crate under functions/ is one function, and every function is such a crate.
pub(crate) fn functions(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    let deployed: Vec<&str> = stack.each("AWS::Lambda::Function").map(binary_of).collect();
    for name in &code.functions {
        match deployed.iter().filter(|binary| *binary == name).count() {
            1 => (),
            count => findings.push(format!("functions/{name} is deployed {count} times in template.yaml, not once")),
        }
    }
    let strange = deployed.iter().filter(|binary| !code.functions.contains(**binary));
    findings.extend(strange.map(|binary| format!("the binary {binary:?} is no crate under functions/")));
    findings
}

/// The types that a consumer's code handles are those that its subscription lets through.
pub(crate) fn filters(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    for (name, handled) in &code.handled {
        let own = stack.consumed().filter(|consumed| binary_of(consumed.function) == name);
        let queues: Vec<&Resource> = own.map(|consumed| consumed.queue).collect();
        let is_own = |subscription: &&Resource| {
            let to = stack.follow(subscription.property("Endpoint"));
            to.is_some_and(|to| queues.iter().any(|queue| queue.place == to.place))
        };
        let [first, ..] = &*queues else {
            findings.push(format!("the consumer {name} has no function with a queue in template.yaml"));
            continue;
        };
        let by = |attribute: &str| -> BTreeSet<String> {
            let own = stack.each("AWS::SNS::Subscription").filter(is_own);
            own.flat_map(|subscription| texts(&subscription.property("FilterPolicy")[attribute])).collect()
        };
        let addressed: BTreeSet<String> = code.commanded.get(name).into_iter().cloned().collect();
        if by("consumer") != addressed {
            let (handled, filter) = (joined(&addressed), joined(&by("consumer")));
            findings.push(format!("{name}: commands to {handled}, but CommandsTo of {} is {filter}", first.scope()));
        }
        let sent = by("event_type");
        if sent != *handled {
            let (handled, filter) = (joined(handled), joined(&sent));
            findings.push(format!("{name} handles {handled}, but EventTypes of {} is {filter}", first.scope()));
        }
    }
    findings
}

/// Every variable that a function reads at its start is there, and names what belongs to it.
pub(crate) fn environments(stack: &Stack, _: &Code) -> Findings {
    let mut findings = Findings::new();
    for function in stack.each("AWS::Lambda::Function") {
        let lookup = |name: &str| match &function.property("Environment")["Variables"][name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let read = match binary_of(function) {
            "relay" => config::relay(lookup).map(drop),
            binary if is_consumer(binary) => config::consumer(lookup).map(drop),
            binary if binary.ends_with("-api") => config::api(lookup).map(drop),
            _ => config::common(lookup).map(drop),
        };
        findings.extend(read.err().map(|problems| format!("{}: {problems}", function.place)));
    }
    for Consumed { queue, function, .. } in stack.consumed() {
        let dead_letters = stack.follow(&queue.property("RedrivePolicy")["deadLetterTargetArn"]);
        let demands = if queue.is_fifo() {
            vec![("TOWPATH_QUEUE_URL", Some(queue)), ("TOWPATH_DEAD_LETTER_QUEUE_URL", dead_letters)]
        } else {
            vec![("TOWPATH_WAKE_QUEUE_URL", Some(queue))]
        };
        for (name, own) in demands {
            let told = stack.follow(&function.property("Environment")["Variables"][name]);
            if told.map(|queue| &queue.place) != own.map(|queue| &queue.place) {
                findings.push(format!("{}: {name} is not what belongs to {}", function.place, queue.place));
            }
        }
    }
    findings
}

/// A function may add to the journal rows of exactly those aggregates whose events it records.
pub(crate) fn journal(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    for function in stack.each("AWS::Lambda::Function") {
        let records = code.records.get(binary_of(function)).cloned().unwrap_or_default();
        let patterns: BTreeSet<String> = records.iter().map(|kind| format!("*#{kind}#*")).collect();
        let allowed = policy::written(&policy::of(stack, function));
        if allowed != patterns {
            let (may, should) = (joined(&allowed), joined(&patterns));
            findings.push(format!("{}: may add {may} to the journal, records {should}", function.place));
        }
    }
    findings
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn joined(types: &BTreeSet<String>) -> String {
    if types.is_empty() { "nothing".to_owned() } else { types.iter().cloned().collect::<Vec<_>>().join(",") }
}
