//! A small judge of IAM policies, for the negative cases that no emulator knows: `Allow` and `Deny`, `StringLike`,
//! `ForAllValues`, `Null`. Must not know: which tables there are.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use towpath_doctor::{Resource, Stack};

use super::{as_written, stack};

/// What somebody asks for. A request about no item has no leading key.
struct Request<'a> {
    action: &'a str,
    /// The resource's place, as `Tables/OutboxTable`.
    on: &'a str,
    leading_keys: &'a [&'a str],
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_str().into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_str)).collect()
}

/// Every statement that a function's role has.
pub(crate) fn of<'a>(stack: &'a Stack, function: &Resource) -> Vec<&'a Value> {
    let Some(role) = stack.follow(function.property("Role")) else { return Vec::new() };
    let own = role.property("Policies").as_array().into_iter().flatten().map(|policy| &policy["PolicyDocument"]);
    let managed = role.property("ManagedPolicyArns").as_array().into_iter().flatten();
    let managed = managed.filter_map(|policy| stack.follow(policy)).map(|policy| policy.property("PolicyDocument"));
    own.chain(managed).flat_map(|document| document["Statement"].as_array().into_iter().flatten()).collect()
}

/// The patterns of leading keys under which these statements let rows be put into the journal.
pub(crate) fn written(statements: &[&Value]) -> BTreeSet<String> {
    let on_journal = |statement: &&&Value| statement["Resource"].to_string().contains("OutboxTable");
    let puts = statements.iter().filter(|statement| texts(&statement["Action"]).contains(&"dynamodb:PutItem"));
    let puts = puts.filter(on_journal);
    let keys = puts.flat_map(|one| texts(&one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]));
    keys.map(str::to_owned).collect()
}

/// Is it allowed? What nothing allows is refused, and what anything denies too.
fn allows(statements: &[&Value], request: &Request<'_>) -> bool {
    let says = |effect: &str| statements.iter().any(|it| it["Effect"] == effect && speaks_of(it, request));
    says("Allow") && !says("Deny")
}

fn speaks_of(statement: &Value, request: &Request<'_>) -> bool {
    let action = texts(&statement["Action"]).iter().any(|pattern| is_like(pattern, request.action));
    let is_it = |on: &Value| on["Fn::GetAtt"][0] == request.on || on["Ref"] == request.on || on == "*";
    let on = &statement["Resource"];
    let here = is_it(on) || on.as_array().into_iter().flatten().any(is_it);
    let conditions = statement["Condition"].as_object().into_iter().flat_map(Map::iter);
    action && here && conditions.into_iter().all(|(operator, keys)| holds(operator, keys, request))
}

fn holds(operator: &str, keys: &Value, request: &Request<'_>) -> bool {
    let fields = keys.as_object().unwrap_or_else(|| panic!("{operator}: {keys}"));
    fields.iter().all(|(key, wanted)| {
        let values = if key == "dynamodb:LeadingKeys" { request.leading_keys } else { &[] };
        let wanted = texts(wanted);
        match operator {
            "Null" => wanted == [if values.is_empty() { "true" } else { "false" }],
            "ForAllValues:StringLike" => values.iter().all(|value| wanted.iter().any(|one| is_like(one, value))),
            "ForAllValues:StringEquals" => values.iter().all(|value| wanted.contains(value)),
            "StringEquals" => values.iter().any(|value| wanted.contains(value)),
            other => panic!("the judge does not know {other}"),
        }
    })
}

/// `*` is any text, `?` any one character.
fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| is_like(rest, &text[at..]))
        }
        Some(first) => {
            let mut characters = text.chars();
            let next = characters.next();
            next.is_some_and(|next| first == '?' || first == next)
                && is_like(&pattern[first.len_utf8()..], characters.as_str())
        }
    }
}

#[test]
fn a_role_adds_rows_of_its_own_aggregates_only() {
    let (source, code) = as_written();
    let stack = stack(source);
    let kinds: BTreeSet<&String> = code.records.values().flatten().collect();
    for function in stack.each("AWS::Lambda::Function") {
        let name = towpath_doctor::binary_of(function);
        let statements = of(&stack, function);
        let may = |action: &str, keys: &[&str]| {
            let request = Request { action, on: "Tables/OutboxTable", leading_keys: keys };
            allows(&statements, &request)
        };
        for kind in &kinds {
            let own = code.records.get(name).is_some_and(|records| records.contains(*kind));
            let key = format!("tenant-a#{kind}#17");
            assert_eq!(may("dynamodb:PutItem", &[&key]), own, "{name} adds a row of {kind}");
            for action in ["dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Scan"] {
                assert!(!may(action, &[&key]), "{name}: {action} on the journal");
            }
        }
        let foreign = ["tenant-a", "tenant-a#other#17", "a#b#c#d"];
        for key in foreign {
            assert!(!may("dynamodb:PutItem", &[key]), "{name} adds {key}");
        }
        for own in code.records.get(name).into_iter().flatten() {
            let (own, other) = (format!("t#{own}#1"), "t#other#1");
            assert!(!may("dynamodb:PutItem", &[&own, other]), "{name}: one key of its own excuses another");
        }
        assert!(!may("dynamodb:PutItem", &[]), "{name}: ForAllValues is true of no key");
    }
}

#[test]
fn without_the_guard_no_key_at_all_would_be_allowed() {
    let mut statement = serde_json::json!({
        "Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": { "Ref": "T" },
        "Condition": { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["*#order#*"] },
                       "Null": { "dynamodb:LeadingKeys": "false" } }
    });
    let nothing = Request { action: "dynamodb:PutItem", on: "T", leading_keys: &[] };
    let own = Request { leading_keys: &["a#order#1"], ..nothing };
    assert!(!allows(&[&statement], &nothing) && allows(&[&statement], &own));
    let deny = serde_json::json!({ "Effect": "Deny", "Action": "dynamodb:*", "Resource": "*" });
    assert!(!allows(&[&statement, &deny], &own), "a Deny goes before");
    statement["Condition"].as_object_mut().expect("it has conditions").remove("Null");
    assert!(allows(&[&statement], &nothing), "this is why the guard is there");
}
