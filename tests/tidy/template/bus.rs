//! The integration bus: who forwards events is told of it, and may.
//! Must not know: which events there are.

use serde_json::{Value, json};
use towpath_doctor::{Resource, Stack, binary_of};

use super::Findings;
use super::source::Code;

/// A function whose code forwards events is told of a bus of this stack, and may put events on it.
pub(crate) fn told(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    let forwards = |function: &&Resource| code.forwarding.contains(binary_of(function));
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

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
