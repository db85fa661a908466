//! What is wrong with how long events are kept, and between the consumers that ever started and those that are deployed.
//! Must not know: how it is asked.

use aws_sdk_sqs::types::QueueAttributeName as Is;

use super::Finding;
use super::live::{Function, Seen};

/// Dead letters are kept for 14 days, and may be replayed for as long after that.
const LEAST_RETENTION_DAYS: u64 = 28;

/// Every finding.
pub(super) fn findings(seen: &Seen, lock: Option<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    for function in &seen.functions {
        let days = function.variables.get("TOWPATH_OUTBOX_RETENTION_DAYS").and_then(|days| days.parse::<u64>().ok());
        if days.is_some_and(|days| days != 0 && days < LEAST_RETENTION_DAYS) {
            let what = format!("{}: its events are kept for {} days", function.name, days.unwrap_or_default());
            let fix = format!("deploy with OutboxRetentionDays=0, or {LEAST_RETENTION_DAYS} or more");
            found.push(Finding::new("no-forgetting", what, fix));
        }
    }
    found.extend(of_registry(seen));
    found.extend(lock.into_iter().flat_map(|lock| of_lock(seen, lock)));
    found
}

/// What is no mistake, and good to know.
pub(super) fn notes(seen: &Seen) -> Vec<String> {
    let quiet = unknown(seen).filter(|function| waiting(seen, function) == 0);
    let names: Vec<&str> = quiet.map(|function| function.name.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!("not started yet, and nothing waits for them: {}", names.join(", "))]
}

/// Functions of consumers that are in no registry row.
fn unknown(seen: &Seen) -> impl Iterator<Item = &Function> {
    seen.functions.iter().filter(|function| {
        let url = function.variables.get("TOWPATH_QUEUE_URL");
        url.is_some() && !seen.registered.iter().any(|known| known.queue_url.as_ref() == url)
    })
}

/// How many messages wait for it.
fn waiting(seen: &Seen, function: &Function) -> i64 {
    let url = function.variables.get("TOWPATH_QUEUE_URL");
    let queue = seen.queues.iter().find(|queue| Some(&queue.url) == url);
    queue.map_or(0, |queue| queue.number(Is::ApproximateNumberOfMessages))
}

fn of_registry(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    for known in &seen.registered {
        let has_function = seen.functions.iter().any(|function| {
            known.queue_url.is_some() && function.variables.get("TOWPATH_QUEUE_URL") == known.queue_url.as_ref()
        });
        if !has_function {
            let name = &known.consumer.name;
            let what = format!("{name}: it has started once, and no function takes from its queue");
            let fix = "deploy its function again; if it was removed for good, delete its row of the registry";
            found.push(Finding::new("consumer-without-function", what, fix));
        }
    }
    for function in unknown(seen) {
        let number = waiting(seen, function);
        if number > 0 {
            let what = format!("{}: {number} messages wait, and it has never started", function.name);
            let fix = "read its log: it refuses to start, or its mapping is off";
            found.push(Finding::new("function-without-consumer", what, fix));
        }
    }
    found
}

/// The generation that consumers.lock says is the one that has started.
fn of_lock(seen: &Seen, lock: &str) -> Vec<Finding> {
    let locked = crate::lock::generations(lock);
    let differs = seen.registered.iter().filter_map(|known| {
        let name = &known.consumer.name;
        let (here, there) = (*locked.get(name.as_str())?, known.consumer.generation);
        (here != there).then(|| {
            let what = format!("{name}: generation {there} has started, consumers.lock says {here}");
            let fix =
                if here > there { "deploy this code" } else { "this code is older than the stack: take the newer" };
            Finding::new("generation-drift", what, fix)
        })
    });
    differs.collect()
}
