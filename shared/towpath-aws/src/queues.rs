//! Queues: the wake queues of consumers, their FIFO dead-letter queues, and the relay's failures queue.
//! Must not know: when an aggregate is woken, or why something could not be handled, beyond a reason for people.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use towpath::batch::Message;
use towpath::limits::HINT_AHEAD;
use towpath::ports::{Answer, DeadLetters, Unavailable, Wakes};
use towpath::{ConsumerName, Ticket, Wake};

use crate::bus::EventBus;
use crate::registry::Registration;
use crate::store::unavailable;

/// Longest reason that is kept with a message, in bytes.
const REASON_BYTES: usize = 512;
/// Longest error class that a ticket shows outside its body, in bytes.
const CLASS_BYTES: usize = 256;
/// Longest time for which SQS hides a message, in seconds.
const LONGEST_HIDDEN_SECONDS: i32 = 43_200;
/// Group of a message that came without one; no tenant is called so.
const NO_GROUP: &str = "~none";

/// A consumer's dead-letter queue.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    sqs: Client,
    url: String,
    bus: Option<EventBus>,
}

impl DeadLetterQueue {
    /// Keeps messages in the FIFO queue at `url`.
    pub fn new(sqs: Client, url: String) -> Self {
        Self { sqs, url, bus: None }
    }

    /// Tells this bus, too, of each ticket.
    #[must_use]
    pub fn telling(self, bus: Option<EventBus>) -> Self {
        Self { bus, ..self }
    }

    /// Opens the connection before it is needed.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        warm(&self.sqs, &self.url).await
    }

    async fn send(&self, message: &Message, reason: &str) -> Result<(), Unavailable> {
        let group = if message.group.is_empty() { NO_GROUP } else { &message.group };
        self.sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .message_group_id(group)
            .message_deduplication_id(&message.id)
            .message_attributes("reason", text(reason, REASON_BYTES)?)
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("SendMessage to the dead-letter queue"))
    }

    async fn send_ticket(&self, ticket: &Ticket) -> Result<(), Unavailable> {
        self.sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(ticket.to_body())
            .message_group_id(ticket.group())
            .message_deduplication_id(ticket.deduplication_id())
            .message_attributes("ticket", text(&ticket.class, CLASS_BYTES)?)
            .send()
            .await
            .map_err(unavailable("SendMessage of a ticket to the dead-letter queue"))?;
        if let Some(bus) = &self.bus
            && let Err(error) = bus.tell_parked(ticket).await
        {
            tracing::warn!(reason = %error, "the bus was not told that a row was parked");
        }
        Ok(())
    }
}

impl DeadLetters for DeadLetterQueue {
    fn keep<'a>(&'a self, message: &'a Message, reason: &'a str) -> Answer<'a, ()> {
        Box::pin(self.send(message, reason))
    }

    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Answer<'a, ()> {
        Box::pin(self.send_ticket(ticket))
    }
}

/// The wake queues of some consumers: of one for its own function, of all for the auditor and the CLI.
#[derive(Debug, Clone)]
pub struct WakeQueues {
    sqs: Client,
    urls: BTreeMap<ConsumerName, QueueUrls>,
}

/// Where a consumer's two ways in are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// The FIFO queue of first deliveries.
    pub queue: String,
    /// The standard queue of wakes.
    pub wake: String,
}

impl WakeQueues {
    /// Sends wakes to the standard queues at these URLs.
    pub fn new(sqs: Client, urls: BTreeMap<ConsumerName, QueueUrls>) -> Self {
        Self { sqs, urls }
    }

    /// The queues of all consumers that said where theirs are.
    pub fn of(sqs: Client, registrations: impl IntoIterator<Item = Registration>) -> Self {
        let urls =
            |it: Registration| Some((it.consumer.name, QueueUrls { queue: it.queue_url?, wake: it.wake_queue_url? }));
        Self::new(sqs, registrations.into_iter().filter_map(urls).collect())
    }

    /// Opens the connection before it is needed.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        for urls in self.urls.values() {
            warm(&self.sqs, &urls.wake).await?;
        }
        Ok(())
    }

    /// The group is the tenant: on a standard queue that is fairness, not order.
    async fn send(&self, to: &ConsumerName, wake: &Wake, wait: Duration) -> Result<(), Unavailable> {
        let seconds = i32::try_from(wait.min(HINT_AHEAD).as_secs()).unwrap_or_default();
        self.sqs
            .send_message()
            .queue_url(&self.urls(to)?.wake)
            .set_delay_seconds((seconds > 0).then_some(seconds))
            .message_body(wake.to_body())
            .message_group_id(wake.aggregate.tenant.as_str())
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("SendMessage to a wake queue"))
    }

    /// Hides a received wake for `time` from now on, in whole seconds and at most 12 hours; then it comes back.
    pub(crate) async fn put_off(&self, of: &ConsumerName, receipt: &str, time: Duration) -> Result<(), Unavailable> {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        self.sqs
            .change_message_visibility()
            .queue_url(&self.urls(of)?.wake)
            .receipt_handle(receipt)
            .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX).min(LONGEST_HIDDEN_SECONDS))
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("ChangeMessageVisibility"))
    }

    async fn count(&self, of: &ConsumerName) -> Result<u64, Unavailable> {
        use QueueAttributeName::{ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible};
        let names = [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible];
        let asked = self.sqs.get_queue_attributes().queue_url(&self.urls(of)?.queue);
        let asked = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let found = asked.map_err(unavailable("GetQueueAttributes"))?.attributes.unwrap_or_default();
        Ok(names.iter().filter_map(|name| found.get(name)?.parse::<u64>().ok()).sum())
    }

    fn urls(&self, of: &ConsumerName) -> Result<&QueueUrls, Unavailable> {
        self.urls.get(of).ok_or_else(|| Unavailable {
            call: "finding a wake queue",
            why: format!("the queues of {of} are not known"),
        })
    }
}

impl Wakes for WakeQueues {
    fn wake<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()> {
        Box::pin(self.send(to, wake, Duration::ZERO))
    }

    fn wake_later<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake, wait: Duration) -> Answer<'a, ()> {
        Box::pin(self.send(to, wake, wait))
    }

    fn backlog<'a>(&'a self, of: &'a ConsumerName) -> Answer<'a, u64> {
        Box::pin(self.count(of))
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
            .message_attributes("reason", text(reason, REASON_BYTES)?)
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

/// A message attribute of at most so many bytes, whole characters; SQS refuses an empty one.
fn text(value: &str, most_bytes: usize) -> Result<MessageAttributeValue, Unavailable> {
    let mut end = value.len().min(most_bytes);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let value = if end == 0 { "no reason was given" } else { &value[..end] };
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .map_err(|error| Unavailable { call: "SendMessage", why: error.to_string() })
}
