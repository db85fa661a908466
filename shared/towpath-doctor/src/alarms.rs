//! An alarm for each path that can lose, delay or double, which somebody hears and which says what to do.
//! Must not know: at which value an alarm goes off.

use std::collections::BTreeSet;

use crate::rule::Findings;
use crate::stack::{Resource, Stack, items};

const ALARM: &str = "AWS::CloudWatch::Alarm";
const VISIBLE: &str = "ApproximateNumberOfMessagesVisible";
const OLDEST: &str = "ApproximateAgeOfOldestMessage";
/// Once in a stack.
const OF_STACK: &[&str] = &["UnaccountedEvents", "IteratorAge", "NumberOfNotificationsFailed"];
/// In the nested stack of each consumer.
const OF_CONSUMER: &[&str] = &["ParkedRows", "Lag", "Errors", "Throttles"];

/// What is missing, and alarms that nobody hears or that leave one alone.
pub(crate) fn complete(stack: &Stack) -> Findings {
    let alarms = || stack.each(ALARM);
    let watches = |queue: &Resource, metric: &str| {
        alarms().filter(|alarm| *alarm.property("MetricName") == metric).any(|alarm| {
            let dimensions = items(alarm.property("Dimensions")).iter();
            dimensions.filter_map(|one| stack.follow(&one["Value"])).any(|watched| watched.place == queue.place)
        })
    };
    let has = |metric: &str, scope: Option<&str>| {
        let of = |alarm: &Resource| scope.is_none_or(|scope| alarm.scope() == scope);
        alarms().any(|alarm| *alarm.property("MetricName") == metric && of(alarm))
    };
    let mut findings = Findings::new();
    let unwatched = stack.set_aside().filter(|queue| !watches(queue, VISIBLE));
    findings.extend(unwatched.map(|queue| format!("{}: no alarm on {VISIBLE}", queue.place)));
    let wakes = stack.consumed().map(|consumed| consumed.queue).filter(|queue| !queue.is_fifo());
    let unwatched = wakes.filter(|queue| !watches(queue, OLDEST));
    findings.extend(unwatched.map(|queue| format!("{}: no alarm on {OLDEST}", queue.place)));
    let consumers: BTreeSet<&str> = stack.consumed().map(|consumed| consumed.queue.scope()).collect();
    for scope in consumers {
        let missing = OF_CONSUMER.iter().filter(|metric| !has(metric, Some(scope)));
        findings.extend(missing.map(|metric| format!("{scope}: no alarm on {metric}")));
    }
    let missing = OF_STACK.iter().filter(|metric| !has(metric, None));
    findings.extend(missing.map(|metric| format!("the stack: no alarm on {metric}")));
    for alarm in alarms() {
        if items(alarm.property("AlarmActions")).is_empty() {
            findings.push(format!("{}: nobody hears it (AlarmActions)", alarm.place));
        }
        if !alarm.property("AlarmDescription").to_string().contains("docs/runbooks/") {
            findings.push(format!("{}: it names no runbook", alarm.place));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::{ALARM_RULES, Source, examine};

    fn alarm(metric: &str, of: &str) -> Value {
        let dimensions = json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": [of, "QueueName"] } }]);
        json!({ "Type": ALARM, "Properties": {
            "MetricName": metric, "AlarmActions": [{ "Ref": "Ops" }], "Dimensions": dimensions,
            "AlarmDescription": { "Fn::Sub": "Look at docs/runbooks/queue.md" } } })
    }

    fn template() -> Value {
        let mapping = json!({ "Type": "AWS::Lambda::EventSourceMapping", "Properties": {
            "FunctionName": { "Ref": "Live" }, "EventSourceArn": { "Fn::GetAtt": ["Wake", "Arn"] } } });
        let mut resources = json!({
            "Function": { "Type": "AWS::Lambda::Function", "Properties": {} },
            "Live": { "Type": "AWS::Lambda::Alias", "Properties": { "FunctionName": { "Ref": "Function" } } },
            "Wake": { "Type": "AWS::SQS::Queue", "Properties": {} },
            "Dead": { "Type": "AWS::SQS::Queue", "Properties": {} },
            "Mapping": mapping, "DeadAlarm": alarm(VISIBLE, "Dead"), "WakeAlarm": alarm(OLDEST, "Wake"),
        });
        for metric in OF_STACK.iter().chain(OF_CONSUMER) {
            resources[format!("{metric}Alarm")] = alarm(metric, "nothing");
        }
        json!({ "Resources": resources })
    }

    fn findings(root: Value) -> usize {
        let source = Source { root, nested: BTreeMap::new() };
        examine(&Stack::new(&source, &[]), ALARM_RULES).len()
    }

    #[test]
    fn every_alarm_that_is_missing_unheard_or_without_a_runbook_is_found() {
        assert_eq!(findings(template()), 0);
        let alarms: Vec<String> = template()["Resources"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| name.ends_with("Alarm"))
            .cloned()
            .collect();
        assert_eq!(alarms.len(), 9);
        for name in alarms {
            let mut without = template();
            without["Resources"].as_object_mut().unwrap().remove(&name);
            assert_eq!(findings(without), 1, "without {name}");
            let mut unheard = template();
            unheard["Resources"][&name]["Properties"]["AlarmActions"] = json!([]);
            assert_eq!(findings(unheard), 1, "{name} unheard");
            let mut alone = template();
            alone["Resources"][&name]["Properties"]["AlarmDescription"] = json!("Look");
            assert_eq!(findings(alone), 1, "{name} without a runbook");
        }
    }
}
