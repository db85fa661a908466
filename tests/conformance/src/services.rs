//! What a case may ask for, in the words of AWS and of the core's ports. `model` answers with the simulator's model,
//! `endpoint` with the SDK. Must not know: any case, either of the two.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use towpath::TenantId;
use towpath::ports::{Ledger, Publisher, Store};

/// The answer to one request.
pub(crate) type Reply<'a, T> = LocalBoxFuture<'a, Result<T>>;

/// A topic, as the relay publishes to it, and the queues that are subscribed to it.
pub(crate) type TopicAndQueues = (Rc<dyn Publisher>, Vec<Rc<dyn Queue>>);

/// The services. Whatever a case makes is its own.
pub(crate) trait Services {
    /// The tables, as the pipeline writes and reads them.
    fn store(&self) -> &dyn Store;
    /// The tables, as the auditor reads them.
    fn ledger(&self) -> &dyn Ledger;
    /// Puts that many rows in one transaction, past our own checks. Was it accepted?
    fn put_rows(&self, tenant: TenantId, count: usize) -> Reply<'_, bool>;
    /// A FIFO queue as infra/consumer.yaml has it: ids are deduplicated within a group.
    fn fifo(&self) -> Reply<'_, Rc<dyn Queue>>;
    /// A FIFO queue, and the one that gets what was received `most` times.
    fn fifo_with_dead_letters(&self, most: u32) -> Reply<'_, (Rc<dyn Queue>, Rc<dyn Queue>)>;
    /// A standard queue.
    fn standard(&self) -> Reply<'_, Rc<dyn Queue>>;
    /// A FIFO topic as infra/topics.yaml has it, and for each list of event types a FIFO queue that gets those, raw.
    fn topic<'a>(&'a self, filters: &'a [&'a [&'a str]]) -> Reply<'a, TopicAndQueues>;
    /// Time passes: at once, or by waiting.
    fn pass(&self, time: Duration) -> LocalBoxFuture<'_, ()>;
    /// For how long something that must come may be waited for.
    fn patience(&self) -> Duration;
    /// A tenant that no other case has.
    fn tenant(&self) -> TenantId;
}

/// A queue.
pub(crate) trait Queue {
    /// Sends a message. A standard queue is told neither group nor deduplication id.
    fn send<'a>(&'a self, group: &'a str, id: &'a str, body: &'a str) -> Reply<'a, ()>;
    /// Receives up to `most` messages, and waits a second for the first.
    fn receive(&self, most: u32, visibility: Duration) -> Reply<'_, Vec<Received>>;
    /// Deletes a message. Whether that is refused or passed over does not matter: the case looks at what is left.
    fn delete<'a>(&'a self, of: &'a Received) -> Reply<'a, ()>;
    /// Changes how long a message is hidden, from now on; a refusal is as good as no change.
    fn show<'a>(&'a self, of: &'a Received, after: Duration) -> Reply<'a, ()>;
    /// Deletes all messages.
    fn purge(&self) -> Reply<'_, ()>;
}

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// SQS's own id of it.
    pub(crate) id: String,
    /// Its group, empty if there is none.
    pub(crate) group: String,
    /// What was sent.
    pub(crate) body: String,
    /// How often it was received.
    pub(crate) receives: u32,
    /// What deletes it.
    pub(crate) receipt: String,
}
