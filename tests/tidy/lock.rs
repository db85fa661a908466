//! consumers.lock says what the code handles: a consumer's types and starts never change unseen.
//! Must not know: what a consumer does with an event.

use std::collections::BTreeSet;

use towpath::Consumer;

use crate::repo;
use crate::template::consumers;

fn line(consumer: &Consumer) -> String {
    let registered = consumer.registration();
    let added = |added| if added > 1 { format!("@{added}") } else { String::new() };
    let handles = registered.handles.iter().map(|of| format!(" {}={}{}", of.event_type, of.start, added(of.added)));
    let handles: String = handles.collect();
    format!("{} {}{handles}", registered.name, registered.generation)
}

fn differences(lock: &str, consumers: &[Consumer]) -> Vec<String> {
    let locked: BTreeSet<String> =
        lock.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    let coded: BTreeSet<String> = consumers.iter().map(line).collect();
    let missing = coded.difference(&locked).map(|line| format!("consumers.lock lacks the line: {line}"));
    let strange = locked.difference(&coded).map(|line| format!("consumers.lock says what the code does not: {line}"));
    missing.chain(strange).collect()
}

#[test]
fn consumers_lock_says_what_the_code_handles() {
    let lock = std::fs::read_to_string(repo::root().join("consumers.lock")).unwrap_or_default();
    repo::none(&differences(&lock, &consumers()));
}

#[test]
fn a_consumer_that_handles_something_else_is_found() {
    let all = consumers();
    let lock: String = all.iter().map(|consumer| line(consumer) + "\n").collect();
    assert!(differences(&lock, &all).is_empty());
    assert_eq!(differences(&lock.replacen("order.placed", "order.moved", 1), &all).len(), 2);
    assert_eq!(differences(&lock.replacen(" 1 ", " 2 ", 1), &all).len(), 2);
    assert_eq!(differences("# nothing\n", &all).len(), all.len());
}
