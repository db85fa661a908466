//! Judges a stack that is up: what was deployed with what is set now put in its place, by the rules of towpath-doctor.
//! What is set now goes before what the template says. Must not know: any rule, how the services are asked.

use std::collections::HashMap;

use serde_json::{Value, json};
use towpath_doctor::{RULES, Stack, examine};

use super::live::Seen;
use super::settings::{self, Setting};
use super::{Finding, mend};

const MAPPING: &str = "AWS::Lambda::EventSourceMapping";
const SUBSCRIPTION: &str = "AWS::SNS::Subscription";
/// Of these each one that was deployed is looked for.
const SOUGHT: &[&str] = &[
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    MAPPING,
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Logs::LogGroup",
    "AWS::Events::Rule",
];
/// What silences, loses or delays though no rule of templates is about it: any property of an alarm, and these.
const HARMFUL: &[(&str, &str)] = &[
    ("AWS::CloudWatch::", ""),
    ("AWS::Events::Rule", "EventPattern"),
    ("AWS::SQS::Queue", "DelaySeconds"),
    (MAPPING, "MaximumBatchingWindowInSeconds"),
];
/// The policies of queues and topics are resources of their own, which name whom they are for.
const POLICIES: &[(&str, &str)] = &[("AWS::SQS::QueuePolicy", "Queues"), ("AWS::SNS::TopicPolicy", "Topics")];

/// What somebody has changed by hand since it was deployed.
#[derive(Debug)]
pub(super) struct Change {
    /// What was changed: `InventoryConsumer/Queue`.
    pub(super) place: String,
    pub(super) how: How,
}

#[derive(Debug)]
pub(super) enum How {
    /// A property, which may be said by another resource: a queue's policy.
    Set {
        at: String,
        property: String,
        was: Value,
        now: Value,
    },
    Gone,
    /// No template has it; what it does.
    Added {
        does: String,
    },
}

/// What is wrong, and what is no mistake and good to know.
pub(super) fn judge(seen: &Seen) -> (Vec<Finding>, Vec<String>) {
    let deployed = &seen.deployed.stack;
    let (changes, unknown) = changes(seen);
    let so = |changes: &[&Change]| {
        let mut stack = deployed.clone();
        changes.iter().for_each(|change| change.apply(seen, &mut stack));
        examine(&stack, RULES)
    };
    let alone: Vec<_> = changes.iter().map(|change| so(&[change])).collect();
    let written = examine(deployed, RULES);
    let mut blamed = vec![false; changes.len()];
    let mut findings = Vec::new();
    for found in so(&changes.iter().collect::<Vec<_>>()) {
        if written.contains(&found) {
            findings.push(Finding::new(found.rule, found.what, format!("{}; then deploy", found.fix)));
            continue;
        }
        let causes: Vec<usize> = (0..changes.len()).filter(|at| alone[*at].contains(&found)).collect();
        let fix = |at: &usize| format!("{}; {}", changes[*at].sentence(), mend::how(seen, &changes[*at]));
        let fixes: Vec<String> = causes.iter().map(fix).collect();
        causes.into_iter().for_each(|at| blamed[at] = true);
        let fix = if fixes.is_empty() { found.fix } else { fixes.join(". ") };
        findings.push(Finding::new(found.rule, found.what, fix));
    }
    let mut notes = Vec::new();
    for (change, _) in changes.iter().zip(blamed).filter(|(_, blamed)| !blamed) {
        match change.rule(seen) {
            Some(rule) => findings.push(Finding::new(rule, change.sentence(), mend::how(seen, change))),
            None => notes.push(format!("changed by hand, which breaks no rule by itself: {}", change.sentence())),
        }
    }
    if !unknown.is_empty() {
        notes.push(format!(
            "what these were deployed with cannot be told, so they were not compared: {}",
            unknown.join(", ")
        ));
    }
    (findings, notes)
}

impl Change {
    /// What has become of it, and what it was.
    pub(super) fn sentence(&self) -> String {
        match &self.how {
            How::Set { property, was, now, .. } if property.starts_with("Policy") => {
                format!("{}: its policy was deployed {}", self.place, statements(was, now))
            }
            How::Set { property, was, now, .. } => {
                format!("{}: {property} is {}, it was deployed as {}", self.place, plain(now), plain(was))
            }
            How::Gone => format!("{}: it was deployed and is gone", self.place),
            How::Added { does } => format!("{}: it {does}, and is of no template of this stack", self.place),
        }
    }

    /// The rule that is broken by such a change alone.
    fn rule(&self, seen: &Seen) -> Option<&'static str> {
        let kind = seen.deployed.made(&self.place).map_or("", |made| made.kind.as_str());
        match &self.how {
            How::Gone => Some("gone"),
            How::Added { .. } => Some("stranger"),
            How::Set { property, .. } => {
                let harms = HARMFUL.iter().any(|(of, it)| kind.starts_with(of) && (it.is_empty() || it == property));
                harms.then_some("drift")
            }
        }
    }

    /// What is gone or added is a finding of its own, and the rest is judged as if it were not.
    fn apply(&self, seen: &Seen, stack: &mut Stack) {
        if let How::Set { at, property, now, .. } = &self.how {
            stack.set(at, property, referring(seen, now));
        }
    }
}

fn changes(seen: &Seen) -> (Vec<Change>, Vec<String>) {
    let deployed = &seen.deployed;
    let mut now: HashMap<String, Vec<Setting>> = settings::all(seen);
    let (mut changes, mut unknown) = (Vec::new(), Vec::new());
    let of_events = deployed
        .stack
        .each(SUBSCRIPTION)
        .filter(|it| deployed.stack.follow(it.property("TopicArn")).is_some_and(towpath_doctor::Resource::is_fifo));
    let sought = SOUGHT.iter().flat_map(|kind| deployed.stack.each(kind)).chain(of_events);
    for place in sought.map(|resource| resource.place.clone()).filter(|place| !now.contains_key(place)) {
        changes.push(Change { place, how: How::Gone });
    }
    let mut places: Vec<String> = now.keys().filter(|place| deployed.stack.at(place).is_some()).cloned().collect();
    places.sort();
    for place in places {
        for Setting { property, now, default } in now.remove(&place).unwrap_or_default() {
            let (at, property) = said_at(&deployed.stack, &place, property);
            match deployed.was(&at, &property) {
                Some(was) => {
                    let was = if was.is_null() { default } else { was };
                    if canonical(&was) != canonical(&now) {
                        changes.push(Change { place: place.clone(), how: How::Set { at, property, was, now } });
                    }
                }
                None => unknown.push(format!("{property} of {place}")),
            }
        }
    }
    changes.extend(added(seen));
    (changes, unknown)
}

/// Where a template says a property: a policy stands by itself.
fn said_at(stack: &Stack, place: &str, property: &str) -> (String, String) {
    let is_for = |policy: &&towpath_doctor::Resource, list: &str| {
        let named = policy.property(list).as_array().into_iter().flatten();
        named.into_iter().any(|it| stack.follow(it).is_some_and(|found| found.place == place))
    };
    let policy = POLICIES.iter().find_map(|(kind, list)| stack.each(kind).find(|policy| is_for(policy, list)));
    match policy.filter(|_| property == "Policy") {
        Some(policy) => (policy.place.clone(), "PolicyDocument".to_owned()),
        None => (place.to_owned(), property.to_owned()),
    }
}

/// Whoever takes from the stack's queues and streams, or hears its events, and is of no template of it.
fn added(seen: &Seen) -> Vec<Change> {
    let known = |id: &str| seen.deployed.place(id).map(str::to_owned);
    let change = |place: String, does: String| Change { place, how: How::Added { does } };
    let mappings = seen.mappings.iter().filter(|it| known(it.uuid().unwrap_or_default()).is_none()).map(|mapping| {
        let (source, function) =
            (mapping.event_source_arn().unwrap_or_default(), mapping.function_arn().unwrap_or_default());
        // A stream is said by its table.
        let from = source.split("/stream/").next().and_then(known).unwrap_or_else(|| source.to_owned());
        let to = known(function).unwrap_or_else(|| function.to_owned());
        change(format!("the mapping {}", mapping.uuid().unwrap_or_default()), format!("takes from {from} for {to}"))
    });
    let subscriptions = seen.subscriptions.iter().filter_map(|subscription| {
        let text = |name: &str| subscription.get(name).map_or("", String::as_str);
        let is_strange = known(text("SubscriptionArn")).is_none() && text("TopicArn").ends_with(".fifo");
        let hears = format!("hears {}", known(text("TopicArn")).unwrap_or_default());
        is_strange.then(|| change(format!("the subscription of {}", text("Endpoint")), hears))
    });
    mappings.chain(subscriptions).collect()
}

/// As a template would say it: what is of this stack by its place, truths as truths.
fn referring(seen: &Seen, value: &Value) -> Value {
    match value {
        Value::String(text) => match (seen.deployed.place(text), text.as_str()) {
            (Some(place), _) => json!({ "Ref": place }),
            (None, "true" | "false") => json!(text == "true"),
            (None, text) => json!(text),
        },
        Value::Array(items) => items.iter().map(|item| referring(seen, item)).collect(),
        // The keys of a condition are strings of their own: "false" stays a text there.
        Value::Object(fields) => {
            let each = fields.iter().map(|(key, value)| match value.as_str() {
                Some("true" | "false") if key.contains(':') => (key.clone(), value.clone()),
                _ => (key.clone(), referring(seen, value)),
            });
            Value::Object(each.collect())
        }
        plain => plain.clone(),
    }
}

/// The same for all spellings of one thing: numbers and truths as texts, one blank for many, a list of one as that one, lists in any sequence.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Array(items) => {
            let mut all: Vec<Value> = items.iter().map(canonical).collect();
            all.sort_by_key(Value::to_string);
            if all.len() == 1 { all.remove(0) } else { Value::Array(all) }
        }
        Value::Object(fields) if fields.len() == 1 && fields.get("AWS").is_some_and(|who| who == "*") => json!("*"),
        Value::Object(fields) => {
            let each = fields.iter().map(|(key, value)| (key.clone(), canonical(value)));
            Value::Object(each.filter(|(_, value)| !value.is_null()).collect())
        }
        plain => {
            let text = plain.as_str().map_or_else(|| plain.to_string(), str::to_owned);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            json!(text.parse::<f64>().map_or(text, |number| number.to_string()))
        }
    }
}

/// What one policy has and the other has not.
fn statements(was: &Value, now: &Value) -> String {
    let of = |policy: &Value| policy["Statement"].as_array().cloned().unwrap_or_default();
    let name = |statement: Value| statement["Sid"].as_str().map_or_else(|| statement.to_string(), str::to_owned);
    let without = |left: Vec<Value>, right: &[Value]| -> Vec<String> {
        let is_there = |statement: &Value| right.iter().any(|other| canonical(other) == canonical(statement));
        left.into_iter().filter(|statement| !is_there(statement)).map(name).collect()
    };
    let (was, now) = (of(was), of(now));
    let (gone, new) = (without(was.clone(), &now), without(now, &was));
    let with = |what: &str, names: Vec<String>| {
        (!names.is_empty()).then(|| format!("{what} the statement {}", names.join(" and the statement ")))
    };
    [with("with", gone), with("without", new)].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// For people.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::deployed::Deployed;
    use super::super::live::Queue;
    use super::*;

    /// A stack of one queue, which keeps what was set aside for so long.
    fn seen(deployed: Value, now: Option<&str>) -> Seen {
        let template = json!({ "Resources": { "Dead": {
            "Type": "AWS::SQS::Queue", "Properties": { "MessageRetentionPeriod": deployed }
        } } });
        let queue = |seconds: &str| Queue {
            place: "Dead".to_owned(),
            url: "https://sqs/1/dead".to_owned(),
            attributes: [("MessageRetentionPeriod".into(), seconds.to_owned())].into(),
        };
        Seen {
            name: "s".to_owned(),
            deployed: Deployed::of(template, &[("Dead", "AWS::SQS::Queue", "https://sqs/1/dead")]),
            functions: Vec::new(),
            mappings: Vec::new(),
            queues: now.map(queue).into_iter().collect(),
            topics: Vec::new(),
            subscriptions: Vec::new(),
            tables: Vec::new(),
            alarms: Vec::new(),
            composites: Vec::new(),
            logs: Vec::new(),
            schedules: Vec::new(),
            registered: Vec::new(),
        }
    }

    fn fixes(seen: &Seen, rule: &str) -> Vec<String> {
        judge(seen).0.into_iter().filter(|finding| finding.rule == rule).map(|finding| finding.fix).collect()
    }

    #[test]
    fn what_is_set_now_goes_before_what_the_template_says_and_each_finding_is_said_once() {
        let rule = "set-aside-retention";
        let (right, wrong) = (json!(1_209_600), json!(60));
        assert_eq!(fixes(&seen(right.clone(), Some("1209600")), rule), Vec::<String>::new());
        let of_template = fixes(&seen(wrong.clone(), Some("60")), rule);
        assert_eq!(of_template, ["set MessageRetentionPeriod: 1209600; then deploy"]);
        let by_hand = fixes(&seen(right, Some("60")), rule);
        let command = r#"`aws sqs set-queue-attributes --queue-url https://sqs/1/dead --attributes '{"MessageRetentionPeriod":"1209600"}'`"#;
        let what = "Dead: MessageRetentionPeriod is 60, it was deployed as 1209600; put it back with";
        assert_eq!(by_hand, [format!("{what} {command}")]);
        let mended = seen(wrong, Some("1209600"));
        assert_eq!(fixes(&mended, rule), Vec::<String>::new());
        assert!(
            judge(&mended)
                .1
                .iter()
                .any(|note| note.contains("MessageRetentionPeriod is 1209600, it was deployed as 60"))
        );
    }

    #[test]
    fn what_was_deployed_and_is_gone_is_found() {
        assert_eq!(fixes(&seen(json!(1_209_600), None), "gone").len(), 1);
        assert_eq!(fixes(&seen(json!(1_209_600), Some("1209600")), "gone").len(), 0);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let unknown = seen(json!({ "Fn::Select": [0, ["1209600"]] }), Some("60"));
        assert!(judge(&unknown).1.iter().any(|note| note.contains("not compared: MessageRetentionPeriod of Dead")));
    }

    #[test]
    fn of_a_policy_the_statements_are_named() {
        let policy = |sids: &[&str]| {
            let statements: Vec<Value> = sids.iter().map(|sid| json!({ "Sid": sid, "Effect": "Deny" })).collect();
            json!({ "Statement": statements })
        };
        assert_eq!(
            statements(&policy(&["a", "b"]), &policy(&["b", "c"])),
            "with the statement a and without the statement c"
        );
    }

    #[test]
    fn one_thing_in_two_spellings_is_no_change() {
        let same = |left: Value, right: Value| assert_eq!(canonical(&left), canonical(&right));
        same(json!("180"), json!(180));
        same(json!(0), json!(0.0));
        same(json!("true"), json!(true));
        same(json!({ "Action": ["sqs:SendMessage"] }), json!({ "Action": "sqs:SendMessage" }));
        same(json!({ "Principal": { "AWS": "*" } }), json!({ "Principal": "*" }));
        same(json!([{ "Name": "a" }, { "Name": "b" }]), json!([{ "Name": "b" }, { "Name": "a" }]));
        assert_ne!(canonical(&json!({ "maxReceiveCount": 5 })), canonical(&json!({ "maxReceiveCount": 4 })));
        assert_ne!(canonical(&json!(["a", "b"])), canonical(&json!(["a"])));
    }
}
