//! Is each consumer that has started sent what its code handles? Only a stack that is up can tell.
//! Must not know: how it is asked.

use std::collections::BTreeSet;

use aws_sdk_sqs::types::QueueAttributeName as Is;
use serde_json::Value;
use towpath_aws::registry::Registration;

use super::Finding;
use super::live::Seen;

/// Every finding.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    seen.registered.iter().filter_map(|consumer| of_filter(seen, consumer)).collect()
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
