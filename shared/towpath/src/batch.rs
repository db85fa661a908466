//! The first way into a consumer: a batch of messages, which holds first deliveries on ready rows. Whatever is not that
//! plain is handed over to a wake, so that one event never holds back its tenant.
//! Must not know: SQS, Lambda, DynamoDB. It reaches the world through `ports`, so the simulator drives it too.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::apply::Worker;
use crate::delivery::{Delivery, Work};
use crate::planted::is_on;
use crate::ports::{Bus, Consistency, CursorKey, DeadLetters, Host, Position, Store, Unavailable, Wakes};
use crate::{
    AggregateKey, Consumer, Counts, Envelope, Era, Failed, Failure, Instruction, Producer, TenantId, Then, Ticket,
    Verb, Wake,
};

/// Time that is kept back for acknowledging: what was not begun by then is delivered again.
pub(crate) const MARGIN: Duration = Duration::from_secs(3);

/// A message as the queue delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By which the queue is told that it failed.
    pub id: String,
    /// `tenant#lane`.
    pub group: String,
    /// How often it was delivered, this time included.
    pub receives: u32,
    /// An envelope or a ticket, if it is one.
    pub body: String,
}

/// What a consumer needs of the world.
#[derive(Clone, Copy)]
pub struct ConsumerPorts<'a> {
    /// The tables.
    pub store: &'a dyn Store,
    /// Time and randomness.
    pub host: &'a dyn Host,
    /// Where unreadable messages and tickets are kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// This consumer's wake queue.
    pub wakes: &'a dyn Wakes,
    /// Where public events leave.
    pub bus: &'a dyn Bus,
    /// Who this is, for the events that it records.
    pub producer: &'a Producer,
    /// The current history.
    pub era: Era,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Messages to deliver again: those that failed and all later ones of their groups.
    pub failed: Vec<String>,
    /// What was done.
    pub counts: Counts,
}

/// What a body turned out to be.
enum Body {
    Event(Rc<Envelope>),
    Ticket(Box<Ticket>),
    Unreadable(String),
}

/// Handles one batch. It never fails as a whole: what could not be done is in the report.
pub async fn handle_batch(consumer: &Consumer, ports: ConsumerPorts<'_>, messages: &[Message]) -> BatchReport {
    let worker = Worker::new(consumer, ports);
    let mut counts = Counts { received: messages.len() as u64, ..Counts::default() };
    let mut failed = BTreeSet::new();
    let mut works: BTreeMap<AggregateKey, Work> = BTreeMap::new();
    for (index, message) in messages.iter().enumerate() {
        match read(message, consumer) {
            Body::Event(envelope) => {
                let work = works.entry(envelope.aggregate()).or_insert_with(|| Work::new(envelope.aggregate()));
                work.deliveries.push(Delivery { index, receives: message.receives, envelope });
            }
            Body::Ticket(ticket) => {
                if is_on("38 a redriven ticket is put back") {
                    let _kept_or_not = ports.dead_letters.keep(message, "redriven").await;
                }
                if let Err(error) = worker.redrive(&ticket).await
                    && !is_on("39 acknowledged though it was not sent")
                {
                    failed.insert(index);
                    counts.failures.push(failure_of(Some(ticket.aggregate.clone()), error.into(), Then::Again));
                }
            }
            Body::Unreadable(_) if is_on("10 unreadable ones acknowledged and not kept") => {}
            Body::Unreadable(reason) => match ports.dead_letters.keep(message, &reason).await {
                Ok(()) => {
                    counts.dead_lettered += 1;
                    let failure = Failure::reject("unreadable", reason);
                    counts.failures.push(failure_of(None, failure, Then::Kept));
                }
                Err(error) => {
                    failed.insert(index);
                    counts.failures.push(failure_of(None, error.into(), Then::Again));
                }
            },
        }
    }
    let mut works: Vec<Work> = works.into_values().collect();
    match worker.look_around(&mut works).await {
        Ok(held) => {
            let each = by_tenant(works).into_iter().map(async |(tenant, works)| {
                Worker { held: held.contains(&tenant), ..worker }.tenant(works, messages).await
            });
            for (done, counted) in join_all(each).await {
                failed.extend(done.iter().flat_map(Work::unsettled));
                counts.add(counted);
            }
        }
        Err(error) => {
            failed.extend(works.iter().flat_map(Work::unsettled));
            counts.failures.push(failure_of(None, error.into(), Then::Again));
        }
    }
    BatchReport { failed: with_later_ones(messages, &failed), counts }
}

/// Reads one body by itself: one bad message says nothing about the others.
fn read(message: &Message, consumer: &Consumer) -> Body {
    let tenant = message.group.split_once('#').map(|(tenant, _lane)| tenant);
    let (body, owner) = match (Envelope::parse(&message.body), Ticket::parse(&message.body)) {
        (Ok(envelope), _) => {
            let owner = envelope.tenant_id.clone();
            (Body::Event(Rc::new(envelope)), owner)
        }
        (Err(_), Some(ticket)) if ticket.consumer != *consumer.name() => {
            return Body::Unreadable(format!("the ticket is of the consumer {}", ticket.consumer));
        }
        (Err(_), Some(ticket)) => {
            let owner = ticket.aggregate.tenant.clone();
            (Body::Ticket(Box::new(ticket)), owner)
        }
        (Err(error), None) => return Body::Unreadable(error.to_string()),
    };
    if tenant == Some(owner.as_str()) || is_on("52 tenant taken from the body") {
        return body;
    }
    Body::Unreadable("the message's group is of another tenant than its body".to_owned())
}

fn by_tenant(works: Vec<Work>) -> BTreeMap<TenantId, Vec<Work>> {
    let mut tenants: BTreeMap<TenantId, Vec<Work>> = BTreeMap::new();
    for work in works {
        tenants.entry(work.aggregate.tenant.clone()).or_default().push(work);
    }
    for works in tenants.values_mut() {
        works.iter_mut().for_each(Work::sort);
        works.sort_by_key(|work| work.deliveries.iter().map(|delivery| delivery.index).min());
    }
    tenants
}

/// A FIFO queue goes on with a group only behind its failures: the failed set of a group is its end.
fn with_later_ones(messages: &[Message], failed: &BTreeSet<usize>) -> Vec<String> {
    if is_on("acknowledged before the commit") {
        return Vec::new();
    }
    let mut stopped = BTreeSet::new();
    let mut ids = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if failed.contains(&index) {
            let first = stopped.insert(&message.group);
            if !first && is_on("27 later ones not reported") {
                continue;
            }
        }
        if stopped.contains(&message.group) || !failed.is_empty() && is_on("29 one group fails all groups") {
            ids.push(message.id.clone());
        }
    }
    ids
}

fn seen(works: &mut [Work], positions: Vec<Option<Position>>, latest: bool) {
    for (work, position) in works.iter_mut().zip(positions) {
        (work.position, work.latest) = (position, latest);
    }
}

pub(crate) fn failure_of(aggregate: Option<AggregateKey>, failure: Failure, then: Then) -> Failed {
    Failed { aggregate, envelope: None, failure, then }
}

impl Worker<'_> {
    /// One read of all cursors and of which tenants are stopped; neither need be the latest.
    async fn look_around(&self, works: &mut [Work]) -> Result<BTreeSet<TenantId>, Unavailable> {
        let keys = self.keys(works);
        if keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let store = self.ports.store;
        let (positions, holds) = store.look_around(self.consumer.name(), self.consumer.home(), &keys).await?;
        seen(works, positions, false);
        let tenants: BTreeSet<&TenantId> = works.iter().map(|work| &work.aggregate.tenant).collect();
        self.held_of(&holds, &tenants.into_iter().collect::<Vec<_>>()).await
    }

    /// One read of the cursors of all works, as they are now.
    pub(crate) async fn look(&self, works: &mut [Work]) -> Result<(), Unavailable> {
        let keys = self.keys(works);
        if keys.is_empty() {
            return Ok(());
        }
        let positions = self.ports.store.positions(self.consumer.home(), &keys, Consistency::Strong).await?;
        seen(works, positions, true);
        Ok(())
    }

    fn keys(&self, works: &[Work]) -> Vec<CursorKey> {
        works.iter().map(|work| self.key(work.aggregate.clone())).collect()
    }

    /// A ticket that came back says only that somebody wants its row tried again. Its body is never run.
    async fn redrive(&self, ticket: &Ticket) -> Result<(), Unavailable> {
        if is_on("ticket acknowledged because parked") {
            return Ok(());
        }
        let order = Instruction::by_ticket(ticket.rev);
        let wake = Wake { aggregate: ticket.aggregate.clone(), verb: Verb::Retry(order) };
        self.ports.wakes.wake(self.consumer.name(), &wake).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// FIFO goes on behind what failed: what is reported of a group is all of it from its first failure on.
        #[test]
        fn the_failed_messages_of_a_group_are_its_end_and_those_of_other_groups_are_done(
            groups in vec(0_u8..4, 0..30), failed in btree_set(0_usize..30, 0..6),
        ) {
            let message = |(id, group): (usize, &u8)| {
                Message { id: id.to_string(), group: format!("t{group}#0"), receives: 1, body: String::new() }
            };
            let messages: Vec<Message> = groups.iter().enumerate().map(message).collect();
            let failed: BTreeSet<usize> = failed.into_iter().filter(|index| *index < groups.len()).collect();
            let reported = with_later_ones(&messages, &failed);
            for (index, group) in groups.iter().enumerate() {
                let behind = failed.iter().any(|at| *at <= index && groups[*at] == *group);
                prop_assert_eq!(reported.contains(&index.to_string()), behind, "message {}", index);
            }
            prop_assert_eq!(reported.iter().collect::<BTreeSet<_>>().len(), reported.len());
        }
    }
}
