//! What a template may be told: nothing empty, nothing out of bounds gets past CloudFormation's own check.
//! Must not know: what a parameter is for.

use serde_json::Value;

use crate::rule::Findings;
use crate::stack::{Stack, items};

/// A text has a pattern or a list, a number has a list or both bounds; and a default keeps them.
pub(crate) fn bounded(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for (place, parameter) in stack.declared() {
        let has = |name: &str| !parameter[name].is_null();
        let is_number = parameter["Type"] == "Number";
        let (bounded, what) = match is_number {
            true => (has("MinValue") && has("MaxValue"), "MinValue and MaxValue, or AllowedValues"),
            false => (has("AllowedPattern"), "AllowedPattern, or AllowedValues"),
        };
        if !bounded && !has("AllowedValues") {
            findings.push(format!("{place}: it takes anything: {what}"));
        }
        if !is_within(parameter) {
            findings.push(format!("{place}: its default is not within its own bounds"));
        }
    }
    findings
}

/// CloudFormation refuses any other default, but only when somebody deploys.
fn is_within(parameter: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some(default) = parameter.get("Default") else { return true };
    let listed = items(&parameter["AllowedValues"]);
    if !listed.is_empty() {
        return listed.iter().any(|one| text(one) == text(default));
    }
    let number = |name: &str| text(&parameter[name]).parse::<f64>().ok();
    let value = text(default).parse::<f64>().unwrap_or_default();
    parameter["Type"] != "Number"
        || (number("MinValue").is_none_or(|least| least <= value)
            && number("MaxValue").is_none_or(|most| value <= most))
}
