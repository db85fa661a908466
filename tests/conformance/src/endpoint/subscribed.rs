//! FIFO topics through SNS's SDK, and queues that are subscribed to them. Must not know: any case.

use anyhow::{Context, Result};
use towpath_aws::{SnsTopics, TopicArns};

use super::made::Thing;
use super::{Endpoint, SqsQueue};

/// Lets a topic send to the queue. From the beginning: a change of attributes takes up to a minute (13).
pub(crate) fn open_to(topic: &str) -> (&'static str, String) {
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
        "Resource": "*", "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
    }] });
    ("Policy", policy.to_string())
}

impl Endpoint {
    /// A FIFO topic as infra/topics.yaml has it.
    pub(crate) async fn fifo_topic(&self) -> Result<String> {
        let create = self.sns.create_topic().name(format!("{}.fifo", self.fresh("t")));
        let create = create.attributes("FifoTopic", "true").attributes("FifoThroughputScope", "MessageGroup");
        let arn = create.attributes("ContentBasedDeduplication", "false").send().await?.topic_arn;
        let arn = arn.context("a topic without an ARN")?;
        self.made.note(Thing::Topic(arn.clone()));
        Ok(arn)
    }

    /// What the relay publishes with.
    pub(crate) fn publisher(&self, topic: &str) -> SnsTopics {
        SnsTopics::new(self.sns.clone(), TopicArns { events: topic.to_owned(), commands: topic.to_owned() })
    }

    /// Raw delivery to a queue that is open to the topic, of some event types or of everything.
    pub(crate) async fn subscribe(&self, topic: &str, queue: &SqsQueue, types: Option<&[&str]>) -> Result<()> {
        let mut subscribe = self.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(&queue.arn);
        subscribe = subscribe.attributes("RawMessageDelivery", "true").return_subscription_arn(true);
        if let Some(types) = types {
            let filter = serde_json::json!({ "event_type": types });
            subscribe = subscribe.attributes("FilterPolicyScope", "MessageAttributes");
            subscribe = subscribe.attributes("FilterPolicy", filter.to_string());
        }
        let arn = subscribe.send().await?.subscription_arn.context("a subscription without an ARN")?;
        self.made.note(Thing::Subscription(arn));
        Ok(())
    }
}
