//! What functions may do: each has a role of its own, reads no whole table, and adds to the journal what is its to add.
//! Must not know: which aggregates there are.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::rule::Findings;
use crate::stack::{Resource, Stack, binary_of, items, texts};

const FUNCTION: &str = "AWS::Lambda::Function";

/// A role that two functions have allows each of them what only the other needs.
pub(crate) fn own(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    let mut of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for function in stack.each(FUNCTION) {
        match stack.follow(function.property("Role")) {
            Some(role) => of.entry(role.place.clone()).or_default().push(&function.place),
            None => findings.push(format!("{}: its role is none of this stack", function.place)),
        }
    }
    let shared = of.into_iter().filter(|(_, functions)| functions.len() > 1);
    findings.extend(shared.map(|(role, functions)| format!("{role}: shared by {}", functions.join(" and "))));
    findings
}

/// Every function with each statement that allows it something.
fn allowed(stack: &Stack) -> impl Iterator<Item = (&Resource, &Value)> {
    let roles = stack.each(FUNCTION).filter_map(|function| Some((function, stack.follow(function.property("Role"))?)));
    let statements = roles.flat_map(|(function, role)| stack.statements_of(role).map(move |each| (function, each)));
    statements.filter(|(_, statement)| statement["Effect"] == "Allow")
}

/// Only the auditor's sweep reads everything, piece by piece.
pub(crate) fn scan(stack: &Stack) -> Findings {
    let scans = allowed(stack).filter(|(function, statement)| {
        binary_of(function) != "auditor" && texts(&statement["Action"]).contains(&"dynamodb:Scan")
    });
    scans.map(|(function, _)| format!("{}: may scan a table", function.place)).collect()
}

/// Who may put rows into the journal may do so for the aggregates that are named, and may change none.
pub(crate) fn journal(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    let Some(journal) = stack.told_table("TOWPATH_OUTBOX_TABLE") else {
        return vec!["TOWPATH_OUTBOX_TABLE names no table of this stack".to_owned()];
    };
    let is_it = |value: &Value| stack.follow(value).is_some_and(|table| table.place == journal.place);
    let on_it = |value: &Value| is_it(value) || items(value).iter().any(is_it);
    for (function, statement) in allowed(stack).filter(|(_, statement)| on_it(&statement["Resource"])) {
        let actions = texts(&statement["Action"]);
        let changes = ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"];
        if let Some(action) = actions.iter().find(|action| changes.contains(action)) {
            findings.push(format!("{}: {action} on the journal", function.place));
        }
        if actions.contains(&"dynamodb:PutItem") && !is_bounded(&statement["Condition"]) {
            findings.push(format!("{}: may add rows of any aggregate to the journal", function.place));
        }
    }
    findings
}

/// `ForAllValues` is true of no key at all, so it needs the `Null` beside it.
fn is_bounded(condition: &Value) -> bool {
    let patterns = texts(&condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
    let one = |pattern: &&str| {
        let kind = pattern.strip_prefix("*#").and_then(|rest| rest.strip_suffix("#*"));
        kind.is_some_and(|kind| !kind.is_empty() && !kind.contains(['*', '?', '#']))
    };
    !patterns.is_empty() && patterns.iter().all(one) && condition["Null"] == json!({ "dynamodb:LeadingKeys": "false" })
}
