//! What somebody who runs the pipeline does: looks into queues, orders a retry or a skip, moves tickets, switches a
//! mapping off, purges a queue, audits.
//! Must not know: any one promise.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use towpath::audit::{AuditOptions, AuditPorts, AuditReport, tick};
use towpath::ports::Wakes;
use towpath::{AggregateKey, Cursor, Instruction, Rev, Status, Ticket, Verb, Wake};
use towpath_aws::WakeQueues;

use crate::hands::host;
use crate::stack::{Stack, until};

/// The queues of a consumer, as the stack's outputs call them.
pub(crate) struct Queues {
    pub(crate) first: String,
    pub(crate) wake: String,
    pub(crate) dead: String,
}

/// A queue that is gone.
pub(crate) struct Deleted {
    sqs: aws_sdk_sqs::Client,
    name: String,
    attributes: HashMap<QueueAttributeName, String>,
}

impl Deleted {
    /// Makes it again, as its template says.
    pub(crate) async fn create(self) -> Result<()> {
        use QueueAttributeName as Is;
        let kept = [
            Is::FifoQueue,
            Is::DeduplicationScope,
            Is::FifoThroughputLimit,
            Is::MessageRetentionPeriod,
            Is::Policy,
            Is::RedriveAllowPolicy,
            Is::RedrivePolicy,
            Is::VisibilityTimeout,
        ];
        let mut create = self.sqs.create_queue().queue_name(self.name);
        for (name, value) in self.attributes.into_iter().filter(|(name, _)| kept.contains(name)) {
            create = create.attributes(name, value);
        }
        create.send().await?;
        Ok(())
    }
}

/// `crm-timeline` → `CrmTimelineQueueUrl` …
pub(crate) fn queues_of(consumer: &str) -> Queues {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let prefix: String = consumer.split('-').map(capital).collect();
    Queues {
        first: format!("{prefix}QueueUrl"),
        wake: format!("{prefix}WakeQueueUrl"),
        dead: format!("{prefix}DeadLetterQueueUrl"),
    }
}

/// An order about a row that was looked at.
pub(crate) fn instruction(rev: Rev, who: &str) -> Instruction {
    Instruction { rev, who: who.to_owned(), why: "a test".to_owned() }
}

impl Stack {
    /// Asks the end point itself: what the SDKs of this crate do not speak.
    pub(crate) fn control(&self, method: &str, path: &str, target: &str, body: &Value) -> Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        if !target.is_empty() {
            request = request.header("x-amz-target", target).header("content-type", "application/x-amz-json-1.1");
        }
        let mut response = match method {
            "GET" => agent.run(request.body(())?)?,
            _ => agent.run(request.body(body.to_string())?)?,
        };
        let text = response.body_mut().read_to_string()?;
        ensure!(response.status().is_success(), "{method} {path}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Looks into a queue without taking anything: only the emulator can.
    pub(crate) fn messages(&self, queue: &str) -> Result<Vec<Value>> {
        let path = format!("/_ministack/sqs/messages?QueueUrl={}", self.output(queue)?);
        let shown = self.control("GET", &path, "", &Value::Null)?;
        let accounts = shown["messages"].as_object().context("no accounts")?.values();
        let queues = accounts.filter_map(Value::as_object).flat_map(|regions| regions.values());
        let lists = queues.filter_map(Value::as_object).flat_map(|queues| queues.values());
        Ok(lists.filter_map(Value::as_array).flatten().cloned().collect())
    }

    /// Messages that are about something: an aggregate or a tenant, by its text in the body.
    pub(crate) fn about(&self, queue: &str, word: &str) -> Result<Vec<Value>> {
        let mut messages = self.messages(queue)?;
        messages.retain(|message| message["Body"].as_str().is_some_and(|body| body.contains(word)));
        Ok(messages)
    }

    /// Waits until a queue holds so many messages about something.
    pub(crate) async fn holds(&self, queue: &str, word: &str, count: usize) -> Result<()> {
        until(&format!("{queue} holds {count} messages about {word}"), async || {
            Ok((self.about(queue, word)?.len() == count).then_some(()))
        })
        .await
    }

    pub(crate) async fn purge(&self, queue: &str) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk());
        sqs.purge_queue().queue_url(self.output(queue)?).send().await?;
        Ok(())
    }

    /// Deletes a queue, and remembers what it was.
    pub(crate) async fn delete(&self, queue: &str) -> Result<Deleted> {
        let (sqs, url) = (aws_sdk_sqs::Client::new(&self.sdk()), self.output(queue)?);
        let got = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await?;
        sqs.delete_queue().queue_url(url).send().await?;
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Deleted { sqs, name, attributes: got.attributes.unwrap_or_default() })
    }

    /// Sets how long a message stays hidden that was taken and not acknowledged.
    pub(crate) async fn hide_for(&self, queue: &str, seconds: u32) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk());
        let set = sqs.set_queue_attributes().queue_url(self.output(queue)?);
        set.attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string()).send().await?;
        Ok(())
    }

    /// The mapping that feeds a function from a queue.
    fn mapping(&self, queue: &str) -> Result<Value> {
        let listed = self.control("GET", "/2015-03-31/event-source-mappings/", "", &Value::Null)?;
        let name = self.output(queue)?.rsplit('/').next().unwrap_or_default();
        let mappings = listed["EventSourceMappings"].as_array().cloned().unwrap_or_default();
        let of_queue = |mapping: &Value| mapping["EventSourceArn"].as_str().is_some_and(|arn| arn.ends_with(name));
        mappings.into_iter().find(of_queue).with_context(|| format!("{queue} has no mapping"))
    }

    /// The name of the function that a consumer's queue feeds.
    pub(crate) fn function_of(&self, consumer: &str) -> Result<String> {
        let mapping = self.mapping(&queues_of(consumer).first)?;
        let arn = mapping["FunctionArn"].as_str().unwrap_or_default();
        arn.split(':').nth(6).map(str::to_owned).with_context(|| format!("{arn} names no function"))
    }

    /// Switches a queue's mapping off or on.
    pub(crate) fn switch(&self, queue: &str, on: bool) -> Result<()> {
        let mapping = self.mapping(queue)?;
        let path = format!("/2015-03-31/event-source-mappings/{}", mapping["UUID"].as_str().unwrap_or_default());
        self.control("PUT", &path, "", &json!({ "Enabled": on })).map(|_| ())
    }

    /// Places an order whose message a consumer is given as if for the second time: somebody took it before, and did not
    /// acknowledge it.
    pub(crate) async fn place_taken_before(&self, tenant: &str, key: &str, consumer: &str) -> Result<AggregateKey> {
        let queue = &queues_of(consumer).first;
        self.switch(queue, false)?;
        let order = self.place(tenant, key, "tea")?;
        until("the message was taken once", async || {
            let taken = self.receive(queue).await?;
            Ok(taken
                .iter()
                .any(|message| message.body().is_some_and(|it| it.contains(order.id.as_str())))
                .then_some(()))
        })
        .await?;
        self.switch(queue, true)?;
        Ok(order)
    }

    fn wakes(&self, registrations: Vec<towpath_aws::registry::Registration>) -> WakeQueues {
        WakeQueues::of(aws_sdk_sqs::Client::new(&self.sdk()), registrations)
    }

    /// Sends a wake to a consumer.
    pub(crate) async fn wake(&self, consumer: &str, aggregate: &AggregateKey, verb: Verb) -> Result<()> {
        let wakes = self.wakes(self.store()?.registered().await?);
        Ok(wakes.wake(&consumer.parse()?, &Wake { aggregate: aggregate.clone(), verb }).await?)
    }

    /// The row of an aggregate that a consumer does not handle further, once it is in this status.
    pub(crate) async fn blocked(&self, consumer: &str, aggregate: &AggregateKey, status: Status) -> Result<Cursor> {
        until(&format!("{consumer} has {aggregate} {status:?}"), async || {
            let position = self.position(consumer, aggregate).await?;
            Ok(position.map(|position| position.cursor).filter(|cursor| cursor.status == status))
        })
        .await
    }

    /// The row of an aggregate that waits for an operator, when no attempt is under way.
    pub(crate) async fn parked(&self, consumer: &str, aggregate: &AggregateKey) -> Result<Cursor> {
        until(&format!("{consumer} has parked {aggregate}"), async || {
            let cursor = self.blocked(consumer, aggregate, Status::Parked).await?;
            let rests = cursor.trouble.as_ref().is_some_and(|trouble| trouble.running.is_none());
            Ok(rests.then_some(cursor))
        })
        .await
    }

    /// The tickets of an aggregate that lie in a consumer's dead-letter queue.
    pub(crate) fn tickets(&self, consumer: &str, aggregate: &AggregateKey) -> Result<Vec<Ticket>> {
        let found = self.about(&queues_of(consumer).dead, &aggregate.to_string())?;
        let tickets = found.iter().filter_map(|message| Ticket::parse(message["Body"].as_str()?));
        Ok(tickets.filter(|ticket| ticket.aggregate == *aggregate).collect())
    }

    /// Moves an aggregate's ticket from the dead-letter queue to the consumer's queue, as the console does with a custom
    /// destination: body and group as they are. `copies` of it, as if somebody clicked so often.
    pub(crate) async fn redrive(&self, consumer: &str, aggregate: &AggregateKey, copies: u32) -> Result<()> {
        let (sqs, queues) = (aws_sdk_sqs::Client::new(&self.sdk()), queues_of(consumer));
        let (from, to) = (self.output(&queues.dead)?, self.output(&queues.first)?);
        let message = until(&format!("the ticket of {aggregate} can be taken"), async || {
            let receive = sqs.receive_message().queue_url(from).max_number_of_messages(10).visibility_timeout(1);
            let got = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await?;
            let of_it = |message: &aws_sdk_sqs::types::Message| {
                message.body().and_then(Ticket::parse).is_some_and(|ticket| ticket.aggregate == *aggregate)
            };
            Ok(got.messages.unwrap_or_default().into_iter().find(of_it))
        })
        .await?;
        let group = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId));
        for copy in 0..copies {
            let send = sqs.send_message().queue_url(to).set_message_body(message.body.clone());
            let moved = format!("moved-{copy}-{}", message.message_id().unwrap_or_default());
            send.set_message_group_id(group.cloned()).message_deduplication_id(moved).send().await?;
        }
        sqs.delete_message().queue_url(from).set_receipt_handle(message.receipt_handle).send().await?;
        Ok(())
    }

    /// What `towpath status --audit` does: one look at everything, with no patience.
    pub(crate) async fn audit(&self) -> Result<AuditReport> {
        let (store, host) = (self.store()?, host());
        let wakes = self.wakes(store.registered().await?);
        let ports = AuditPorts { ledger: &store, store: &store, wakes: &wakes, host: &host, meters: None };
        let options = AuditOptions { grace: Duration::ZERO, sweep_pages: 20, wakes: 10_000, ..Default::default() };
        Ok(tick(ports, options).await?)
    }

    /// Calls a function by a part of its name, and answers with what it says.
    pub(crate) fn invoke(&self, name: &str) -> Result<Value> {
        let listed = self.control("GET", "/2015-03-31/functions/", "", &Value::Null)?;
        let names = listed["Functions"].as_array().cloned().unwrap_or_default();
        let names = names.iter().filter_map(|function| function["FunctionName"].as_str());
        let mut ours = names.filter(|function| function.starts_with(&format!("{}-{name}", self.stack_name)));
        let function = ours.next().with_context(|| format!("no function {name}"))?;
        self.control("POST", &format!("/2015-03-31/functions/{function}:live/invocations"), "", &json!({}))
    }

    /// What a consumer has counted under this name, in its metric lines so far.
    pub(crate) fn counted(&self, consumer: &str, metric: &str) -> Result<f64> {
        let lines = self.logged(metric)?;
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["consumer"] == consumer).filter_map(|line| line[metric].as_f64()).sum())
    }

    /// Lines of the functions' log that have these words in them.
    pub(crate) fn logged(&self, words: &str) -> Result<Vec<String>> {
        let ask = json!({ "logGroupName": self.output("LogGroup")?, "filterPattern": words });
        let found = self.control("POST", "/", "Logs_20140328.FilterLogEvents", &ask)?;
        let events = found["events"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect())
    }
}
