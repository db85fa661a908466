//! What is wrong with queues and subscriptions in a stack that is up.
//! Must not know: how it is asked.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_sqs::types::QueueAttributeName as Is;
use serde_json::Value;
use towpath_aws::registry::Registration;

use super::Finding;
use super::live::{Queue, Seen};

const FORTNIGHT_SECONDS: i64 = 14 * 86_400;
const LEAST_RECEIVES: i64 = 5;

/// Every finding.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    let taken: BTreeSet<&str> = seen.mappings.iter().filter_map(|mapping| mapping.event_source_arn()).collect();
    let mut found = Vec::new();
    for queue in &seen.queues {
        let is_taken = taken.contains(queue.text(Is::QueueArn));
        found.extend(if is_taken { of_taken(queue) } else { of_set_aside(queue) });
    }
    found.extend(seen.subscriptions.iter().flat_map(|subscription| of_subscription(seen, subscription)));
    found.extend(seen.registered.iter().flat_map(|consumer| of_filter(seen, consumer)));
    found
}

fn of_taken(queue: &Queue) -> Option<Finding> {
    let policy: Value = serde_json::from_str(queue.text(Is::RedrivePolicy)).unwrap_or_default();
    let receives = &policy["maxReceiveCount"];
    let receives = receives.as_i64().or_else(|| receives.as_str()?.parse().ok()).unwrap_or_default();
    let is_right = policy["deadLetterTargetArn"].is_string() && receives >= LEAST_RECEIVES;
    (!is_right).then(|| {
        let what = format!("{}: no dead-letter queue after {LEAST_RECEIVES} receives or more", queue.place);
        Finding::new("dead-letters", what, "deploy again; somebody has changed the queue's RedrivePolicy")
    })
}

fn of_set_aside(queue: &Queue) -> Option<Finding> {
    let kept = queue.number(Is::MessageRetentionPeriod);
    (kept < FORTNIGHT_SECONDS).then(|| {
        let what = format!("{}: it forgets after {kept} s", queue.place);
        let attribute = format!("--attributes MessageRetentionPeriod={FORTNIGHT_SECONDS}");
        let fix = format!("`aws sqs set-queue-attributes --queue-url {} {attribute}`", queue.url);
        Finding::new("set-aside-retention", what, fix)
    })
}

fn of_subscription(seen: &Seen, subscription: &HashMap<String, String>) -> Vec<Finding> {
    let text = |name: &str| subscription.get(name).map_or("", String::as_str);
    let place = seen.queue(text("Endpoint")).map_or(text("Endpoint"), |queue| &queue.place);
    let write = |attribute: &str| {
        let arn = text("SubscriptionArn");
        format!("`aws sns set-subscription-attributes --subscription-arn {arn} {attribute}`")
    };
    let mut found = Vec::new();
    if text("RawMessageDelivery") != "true" {
        let fix = write("--attribute-name RawMessageDelivery --attribute-value true");
        found.push(Finding::new("subscription", format!("{place}: messages are delivered wrapped"), fix));
    }
    if text("RedrivePolicy").is_empty() {
        let what = format!("{place}: what cannot be delivered is kept nowhere");
        found.push(Finding::new("subscription", what, "deploy again; the subscription has lost its RedrivePolicy"));
    }
    found
}

/// What the subscriptions to a queue let through, by this attribute. An empty text lets nothing through.
fn let_through(seen: &Seen, queue: &str, attribute: &str) -> BTreeSet<String> {
    let to_it = seen.subscriptions.iter().filter(|it| it.get("Endpoint").is_some_and(|endpoint| endpoint == queue));
    let policies = to_it.filter_map(|it| serde_json::from_str::<Value>(it.get("FilterPolicy")?).ok());
    let texts = |policy: Value| -> Vec<String> {
        policy[attribute].as_array().into_iter().flatten().filter_map(|it| Some(it.as_str()?.to_owned())).collect()
    };
    policies.flat_map(texts).filter(|text| !text.is_empty()).collect()
}

/// The types that a consumer handles are those that it is sent.
fn of_filter(seen: &Seen, consumer: &Registration) -> Option<Finding> {
    let url = consumer.queue_url.as_deref()?;
    let queue = seen.queues.iter().find(|queue| queue.url == url)?;
    let arn = queue.text(Is::QueueArn);
    let sent = let_through(seen, arn, "event_type");
    let handled: BTreeSet<String> =
        consumer.consumer.handles.iter().map(|handled| handled.event_type.to_string()).collect();
    let is_addressed = !let_through(seen, arn, "consumer").is_empty();
    // A registry row does not tell commands from events; nobody subscribes to a command.
    let published: BTreeSet<String> = seen
        .queues
        .iter()
        .filter(|other| other.place != queue.place)
        .flat_map(|other| let_through(seen, other.text(Is::QueueArn), "event_type"))
        .collect();
    let is_missing = |kind: &&String| !sent.contains(*kind) && (!is_addressed || published.contains(*kind));
    let missing: Vec<&str> = handled.iter().filter(is_missing).map(String::as_str).collect();
    let strange: Vec<&str> = sent.difference(&handled).map(String::as_str).collect();
    if missing.is_empty() && strange.is_empty() {
        return None;
    }
    let mut what = format!("{}:", consumer.consumer.name);
    if !missing.is_empty() {
        what += &format!(" it handles {} and is not sent them", missing.join(", "));
    }
    if !strange.is_empty() {
        what += &format!(" it is sent {} and does not handle them", strange.join(", "));
    }
    let fix =
        "set EventTypes of its nested stack to what consumers.lock says, and deploy: first the code, then the filter";
    Some(Finding::new("filter", what, fix))
}
