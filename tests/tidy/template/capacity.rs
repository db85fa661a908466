//! What tables may use and can do at once, as parameters of the stack: off by themselves, and the same for a table and its indexes.
//! Must not know: how much is right.

use serde_json::{Value, json};
use towpath_doctor::{Resource, Source, Stack};

use super::source::template;
use super::{Findings, as_written};
use crate::repo;

const SET: [(&str, &str); 5] = [
    ("Stage", "prod"),
    ("MaxReadUnits", "3000"),
    ("MaxWriteUnits", "2000"),
    ("WarmReadUnits", "15000"),
    ("WarmWriteUnits", "0"),
];

/// The table itself, and each of its indexes: a throttled index throttles its table.
fn parts(table: &Resource) -> impl Iterator<Item = (String, &Value)> {
    let indexes = table.property("GlobalSecondaryIndexes").as_array().into_iter().flatten();
    let indexes =
        indexes.map(|index| (format!("{}/{}", table.place, index["IndexName"].as_str().unwrap_or("?")), index));
    std::iter::once((table.place.clone(), table.at("/Properties"))).chain(indexes)
}

fn capacity(stack: &Stack) -> Findings {
    let most = json!({ "MaxReadRequestUnits": "3000", "MaxWriteRequestUnits": "2000" });
    let warm = json!({ "ReadUnitsPerSecond": "15000", "WriteUnitsPerSecond": 4_000 });
    let mut findings = Findings::new();
    for (place, part) in stack.each("AWS::DynamoDB::Table").flat_map(parts) {
        for (name, wanted) in [("OnDemandThroughput", &most), ("WarmThroughput", &warm)] {
            if part[name] != *wanted {
                findings.push(format!("{place}: {name} is {}, the stack's parameters say {wanted}", part[name]));
            }
        }
    }
    findings
}

#[test]
fn what_is_said_of_capacity_holds_for_each_table_and_index() {
    let (source, _) = as_written();
    let stack = Stack::new(source, &SET);
    assert_eq!(stack.each("AWS::DynamoDB::Table").flat_map(parts).count(), 8, "four tables, an index each");
    repo::none(&capacity(&stack));
}

#[test]
fn an_index_that_is_forgotten_is_found() {
    let (sound, _) = as_written();
    for pointer in ["/Properties/WarmThroughput", "/Properties/GlobalSecondaryIndexes/0/OnDemandThroughput"] {
        let mut source: Source = sound.clone();
        let tables = template(&mut source, "infra/tables.yaml");
        *tables.pointer_mut(&format!("/Resources/ProgressTable{pointer}")).expect("it is there") = Value::Null;
        assert_eq!(capacity(&Stack::new(&source, &SET)).len(), 1, "{pointer}");
    }
}

#[test]
fn nobody_who_says_nothing_gets_a_maximum_or_pays_for_warmth() {
    let (source, _) = as_written();
    let stack = Stack::new(source, &[("Stage", "prod")]);
    for (place, part) in stack.each("AWS::DynamoDB::Table").flat_map(parts) {
        assert!(part["OnDemandThroughput"].is_null() && part["WarmThroughput"].is_null(), "{place}");
    }
}
