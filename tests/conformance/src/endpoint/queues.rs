//! SQS through its SDK, in a case's words. Must not know: any case.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use futures_util::FutureExt;

use super::made::{Made, Thing};
use crate::services::{Queue, Received, Reply};

type Attributes<'a> = &'a [(&'a str, String)];

/// A FIFO queue as infra/consumer.yaml has it.
pub(crate) const FIFO: &[(&str, String)] = &[(FIFO_QUEUE, String::new())];
const FIFO_QUEUE: &str = "FifoQueue";

/// A queue at the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct SqsQueue {
    pub(crate) sqs: Client,
    pub(crate) url: String,
    pub(crate) arn: String,
    is_fifo: bool,
}

impl SqsQueue {
    pub(crate) async fn make(sqs: &Client, made: &Made, name: &str, attributes: Attributes<'_>) -> Result<Self> {
        let is_fifo = attributes.iter().any(|(name, _)| *name == FIFO_QUEUE);
        let name = if is_fifo { format!("{name}.fifo") } else { name.to_owned() };
        let mut create = sqs.create_queue().queue_name(&name);
        for (attribute, value) in attributes.iter().filter(|(name, _)| *name != FIFO_QUEUE) {
            create = create.attributes(QueueAttributeName::from(*attribute), value);
        }
        if is_fifo {
            create = create
                .attributes(QueueAttributeName::FifoQueue, "true")
                .attributes(QueueAttributeName::ContentBasedDeduplication, "false")
                .attributes(QueueAttributeName::DeduplicationScope, "messageGroup")
                .attributes(QueueAttributeName::FifoThroughputLimit, "perMessageGroupId");
        }
        let url = create.send().await?.queue_url.context("a queue without a URL")?;
        made.note(Thing::Queue(url.clone()));
        let asked = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let found = asked.send().await?.attributes.unwrap_or_default();
        let arn = found.get(&QueueAttributeName::QueueArn).context("a queue without an ARN")?.clone();
        Ok(Self { sqs: sqs.clone(), url, arn, is_fifo })
    }

    /// What is received, as SQS says it; waits `seconds` for the first message.
    pub(crate) async fn messages(&self, most: u32, visibility: Duration, seconds: i32) -> Result<Vec<Message>> {
        let receive = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(i32::try_from(most)?);
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let receive = receive.visibility_timeout(in_seconds(visibility)?).wait_time_seconds(seconds);
        Ok(receive.send().await?.messages.unwrap_or_default())
    }
}

impl Queue for SqsQueue {
    fn send<'a>(&'a self, group: &'a str, id: &'a str, body: &'a str) -> Reply<'a, ()> {
        async move {
            let mut send = self.sqs.send_message().queue_url(&self.url).message_body(body);
            if self.is_fifo {
                send = send.message_group_id(group).message_deduplication_id(id);
            }
            send.send().await?;
            Ok(())
        }
        .boxed_local()
    }

    fn receive(&self, most: u32, visibility: Duration) -> Reply<'_, Vec<Received>> {
        async move { Ok(self.messages(most, visibility, 1).await?.into_iter().map(received).collect()) }.boxed_local()
    }

    fn delete<'a>(&'a self, of: &'a Received) -> Reply<'a, ()> {
        async move { answered(self.sqs.delete_message().queue_url(&self.url).receipt_handle(&of.receipt).send().await) }
            .boxed_local()
    }

    fn show<'a>(&'a self, of: &'a Received, after: Duration) -> Reply<'a, ()> {
        async move {
            let change = self.sqs.change_message_visibility().queue_url(&self.url).receipt_handle(&of.receipt);
            answered(change.visibility_timeout(in_seconds(after)?).send().await)
        }
        .boxed_local()
    }

    fn purge(&self) -> Reply<'_, ()> {
        async move {
            self.sqs.purge_queue().queue_url(&self.url).send().await?;
            Ok(())
        }
        .boxed_local()
    }
}

/// A refusal is an answer, too.
fn answered<T, E: std::error::Error + Send + Sync + 'static>(
    result: Result<T, SdkError<E, aws_sdk_sqs::config::http::HttpResponse>>,
) -> Result<()> {
    match result {
        Ok(_) | Err(SdkError::ServiceError(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn in_seconds(time: Duration) -> Result<i32> {
    Ok(i32::try_from(time.as_secs())?)
}

fn received(of: Message) -> Received {
    let attribute = |name| of.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default();
    Received {
        group: attribute(MessageSystemAttributeName::MessageGroupId),
        receives: attribute(MessageSystemAttributeName::ApproximateReceiveCount).parse().unwrap_or_default(),
        id: of.message_id().unwrap_or_default().to_owned(),
        body: of.body().unwrap_or_default().to_owned(),
        receipt: of.receipt_handle().unwrap_or_default().to_owned(),
    }
}
