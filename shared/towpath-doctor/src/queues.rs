//! Queues, topics and subscriptions: nothing is dropped, taken for a copy, or sent in plain text.
//! Must not know: which consumer a queue belongs to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::rule::Findings;
use crate::stack::{Consumed, Resource, Stack, items, number};

const QUEUE: &str = "AWS::SQS::Queue";
const TOPIC: &str = "AWS::SNS::Topic";
const FORTNIGHT_SECONDS: u64 = 14 * 86_400;

/// A message must not come back while the function still works on it: six timeouts is what AWS asks for.
pub(crate) fn visibility(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for Consumed { queue, function, .. } in stack.consumed() {
        let (hidden, timeout) = (queue.number("VisibilityTimeout").unwrap_or(30), function.number("Timeout"));
        if timeout.is_none_or(|timeout| hidden < 6 * timeout) {
            let timeout = timeout.unwrap_or_default();
            findings.push(format!("{}: {hidden} s, {} times out after {timeout} s", queue.place, function.place));
        }
    }
    findings
}

/// A dead-letter queue of the same kind, after at least five receives.
pub(crate) fn redrive(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for Consumed { queue, .. } in stack.consumed() {
        let policy = queue.property("RedrivePolicy");
        match stack.follow(&policy["deadLetterTargetArn"]) {
            Some(target) if target.kind == QUEUE && target.is_fifo() == queue.is_fifo() => (),
            _ => findings.push(format!("{}: it has no dead-letter queue of its own kind", queue.place)),
        }
        if number(&policy["maxReceiveCount"]).is_none_or(|count| count < 5) {
            findings.push(format!("{}: maxReceiveCount must be 5 or more", queue.place));
        }
    }
    findings
}

/// What was set aside stays as long as SQS can keep it.
pub(crate) fn retention(stack: &Stack) -> Findings {
    let short = stack.set_aside().filter(|queue| queue.number("MessageRetentionPeriod") != Some(FORTNIGHT_SECONDS));
    short.map(|queue| format!("{}: MessageRetentionPeriod must be {FORTNIGHT_SECONDS}", queue.place)).collect()
}

/// A dead-letter queue names its sources, any other set-aside queue refuses to be one.
pub(crate) fn allowed_sources(stack: &Stack) -> Findings {
    let target = |queue: &Resource| {
        stack.follow(&queue.property("RedrivePolicy")["deadLetterTargetArn"]).map(|queue| queue.place.clone())
    };
    let targets: BTreeSet<String> = stack.each(QUEUE).filter_map(target).collect();
    let mut findings = Findings::new();
    for queue in stack.set_aside() {
        let policy = queue.property("RedriveAllowPolicy");
        let named = policy["redrivePermission"] == "byQueue"
            && policy["sourceQueueArns"].as_array().is_some_and(|sources| !sources.is_empty());
        let is_right = if targets.contains(&queue.place) { named } else { policy["redrivePermission"] == "denyAll" };
        if !is_right {
            findings.push(format!("{}: RedriveAllowPolicy must name its sources (no source: denyAll)", queue.place));
        }
    }
    findings
}

/// Two events with equal content are two events.
pub(crate) fn deduplication(stack: &Stack) -> Findings {
    let both = stack.each(QUEUE).chain(stack.each(TOPIC)).filter(|each| each.is_fifo());
    let wrong = both.filter(|each| *each.property("ContentBasedDeduplication") != false);
    wrong.map(|each| format!("{}: ContentBasedDeduplication must be false", each.place)).collect()
}

/// Without these, all tenants share 300 calls a second.
pub(crate) fn throughput(stack: &Stack) -> Findings {
    let taken = stack.consumed().map(|consumed| consumed.queue).filter(|queue| queue.is_fifo());
    let queues = taken.filter(|queue| {
        *queue.property("DeduplicationScope") != "messageGroup"
            || *queue.property("FifoThroughputLimit") != "perMessageGroupId"
    });
    let fifo = stack.each(TOPIC).filter(|topic| topic.is_fifo());
    let topics = fifo.filter(|topic| *topic.property("FifoThroughputScope") != "MessageGroup");
    queues.chain(topics).map(|each| format!("{}: its throughput limit is not per message group", each.place)).collect()
}

/// Every queue and topic has a policy that denies everybody who comes without TLS.
pub(crate) fn transport(stack: &Stack) -> Findings {
    let open = |resource: &&Resource| {
        let (policies, list, action) = match resource.kind.as_str() {
            QUEUE => ("AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
            _ => ("AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
        };
        let is_it = |value: &Value| stack.follow(value).is_some_and(|other| other.place == resource.place);
        let refuses = |statement: &Value| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == action
                && is_it(&statement["Resource"])
                && statement["Condition"] == json!({ "Bool": { "aws:SecureTransport": "false" } })
        };
        !stack.each(policies).any(|policy| {
            items(policy.property(list)).iter().any(is_it)
                && items(&policy.property("PolicyDocument")["Statement"]).iter().any(refuses)
        })
    };
    let both = stack.each(QUEUE).chain(stack.each(TOPIC));
    both.filter(open).map(|each| format!("{}: no policy denies it to plain text", each.place)).collect()
}

/// A queue gets the event itself, by its type alone, and what cannot be delivered is kept.
pub(crate) fn subscriptions(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    // Whoever is told of alarms is no receiver of events: their topic is not FIFO.
    let of_events =
        |subscription: &&Resource| stack.follow(subscription.property("TopicArn")).is_none_or(Resource::is_fifo);
    for subscription in stack.each("AWS::SNS::Subscription").filter(of_events) {
        let kept = stack.follow(&subscription.property("RedrivePolicy")["deadLetterTargetArn"]);
        let queue = stack.follow(subscription.property("Endpoint"));
        let is_queue =
            |target: Option<&Resource>| target.is_some_and(|target| target.kind == QUEUE && target.is_fifo());
        let demands = [
            (*subscription.property("RawMessageDelivery") == true, "RawMessageDelivery must be true"),
            (
                *subscription.property("FilterPolicyScope") == "MessageAttributes"
                    && ["event_type", "consumer"]
                        .iter()
                        .any(|by| !items(&subscription.property("FilterPolicy")[by]).is_empty()),
                "its FilterPolicy must be on a message attribute: event_type of events, consumer of commands",
            ),
            (is_queue(queue), "its Endpoint must be a FIFO queue of this stack"),
            (is_queue(kept), "its RedrivePolicy must name a FIFO queue for what cannot be delivered"),
        ];
        let broken = demands.iter().filter(|(holds, _)| !holds);
        findings.extend(broken.map(|(_, demand)| format!("{}: {demand}", subscription.place)));
    }
    findings
}
