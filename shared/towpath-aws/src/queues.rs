//! Queues that keep what could not be handled: a consumer's FIFO dead-letter queue, the relay's failures queue.
//! Must not know: why it could not be handled, beyond a reason for people.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use towpath::batch::Message;
use towpath::ports::{Answer, DeadLetters, Unavailable};

use crate::store::unavailable;

/// Longest reason that is kept with a message, in bytes.
const REASON_BYTES: usize = 512;

/// A consumer's dead-letter queue.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    sqs: Client,
    url: String,
}

impl DeadLetterQueue {
    /// Keeps messages in the FIFO queue at `url`.
    pub fn new(sqs: Client, url: String) -> Self {
        Self { sqs, url }
    }

    /// Opens the connection before it is needed.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        warm(&self.sqs, &self.url).await
    }

    async fn send(&self, message: &Message, reason: &str) -> Result<(), Unavailable> {
        self.sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .message_group_id(&message.group)
            .message_deduplication_id(&message.id)
            .message_attributes("reason", text(reason)?)
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("SendMessage to the dead-letter queue"))
    }
}

impl DeadLetters for DeadLetterQueue {
    fn keep<'a>(&'a self, message: &'a Message, reason: &'a str) -> Answer<'a, ()> {
        Box::pin(self.send(message, reason))
    }
}

/// The queue that keeps stream records which the relay could not read.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    sqs: Client,
    url: String,
}

impl Quarantine {
    pub(crate) fn new(sqs: Client, url: String) -> Self {
        Self { sqs, url }
    }

    pub(crate) async fn warm(&self) -> Result<(), Unavailable> {
        warm(&self.sqs, &self.url).await
    }

    /// Keeps a record whole, as the stream gave it.
    pub(crate) async fn keep(&self, record: &str, reason: &str) -> Result<(), Unavailable> {
        self.sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(record)
            .message_attributes("reason", text(reason)?)
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("SendMessage to the relay's failures queue"))
    }
}

async fn warm(sqs: &Client, url: &str) -> Result<(), Unavailable> {
    let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await;
    asked.map(|_| ()).map_err(unavailable("GetQueueAttributes"))
}

fn text(reason: &str) -> Result<MessageAttributeValue, Unavailable> {
    let mut end = reason.len().min(REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = if end == 0 { "no reason was given" } else { &reason[..end] };
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(reason)
        .build()
        .map_err(|error| Unavailable { call: "SendMessage", why: error.to_string() })
}
