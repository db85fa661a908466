//! The core's `Publisher` port on SNS FIFO topics.
//! Must not know: what is published, and when to try again.

use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use towpath::Kind;
use towpath::ports::{Answer, Publication, Publisher, Unavailable};

use crate::store::unavailable;

/// Where events and commands go.
#[derive(Debug, Clone)]
pub struct TopicArns {
    /// The topic of events.
    pub events: String,
    /// The topic of commands.
    pub commands: String,
}

/// The topics of a stack.
#[derive(Debug, Clone)]
pub struct SnsTopics {
    sns: Client,
    arns: TopicArns,
}

impl SnsTopics {
    /// Publishes to these topics.
    pub fn new(sns: Client, arns: TopicArns) -> Self {
        Self { sns, arns }
    }

    /// Opens the connection before the first record comes.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        let asked = self.sns.get_topic_attributes().topic_arn(&self.arns.events).send().await;
        asked.map(|_| ()).map_err(unavailable("GetTopicAttributes"))
    }

    async fn publish_batch(&self, topic: Kind, batch: &[Publication]) -> Result<Vec<Result<(), String>>, Unavailable> {
        let arn = match topic {
            Kind::Event => &self.arns.events,
            Kind::Command => &self.arns.commands,
        };
        let entries = batch.iter().enumerate().map(|(index, message)| entry(index, message));
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Unavailable { call: "PublishBatch", why: error.to_string() })?;
        let answer = self
            .sns
            .publish_batch()
            .topic_arn(arn)
            .set_publish_batch_request_entries(Some(entries))
            .send()
            .await
            .map_err(unavailable("PublishBatch"))?;
        // A 200 can carry failed entries; what is named neither way was not published.
        let mut results = vec![Err("the answer does not name this entry".to_owned()); batch.len()];
        for done in answer.successful() {
            if let Some(result) = done.id().and_then(position).and_then(|index| results.get_mut(index)) {
                *result = Ok(());
            }
        }
        for failed in answer.failed() {
            if let Some(result) = position(failed.id()).and_then(|index| results.get_mut(index)) {
                *result = Err(format!("{}: {}", failed.code(), failed.message().unwrap_or_default()));
            }
        }
        Ok(results)
    }
}

impl Publisher for SnsTopics {
    fn publish<'a>(&'a self, topic: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>> {
        Box::pin(self.publish_batch(topic, batch))
    }
}

fn position(id: &str) -> Option<usize> {
    id.parse().ok()
}

fn entry(index: usize, message: &Publication) -> Result<PublishBatchRequestEntry, aws_sdk_sns::error::BuildError> {
    let mut entry = PublishBatchRequestEntry::builder()
        .id(index.to_string())
        .message(&message.body)
        .message_group_id(&message.group)
        .message_deduplication_id(message.event_id.to_string())
        .message_attributes("event_type", text(message.event_type.as_str())?);
    if let Some(to) = &message.to {
        entry = entry.message_attributes("consumer", text(to.as_str())?);
    }
    entry.build()
}

fn text(value: &str) -> Result<MessageAttributeValue, aws_sdk_sns::error::BuildError> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build()
}
