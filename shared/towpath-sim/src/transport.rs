//! How a row of the journal becomes a message: stream, relay, topic, queue; and what is sent to the other queues.
//! Must not know: what a consumer does with it.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::FutureExt;
use towpath::batch::Message;
use towpath::planted::is_on;
use towpath::ports::{JournalRow, Publication, Unavailable};
use towpath::relay::{RelayReport, relay};
use towpath::{AggregateKey, ConsumerName, Envelope, EventId, Rev, TenantId, Ticket, Verb, Visibility, Wake};

use crate::cloud::{Cloud, ProcessId};
use crate::dice::Millis;
use crate::lambda::{Author, Done, Role, Source};
use crate::mishap::{Mishap, Part};
use crate::model::fifo::Queued;
use crate::model::topic::fits;
use crate::plan::{MINUTE, SECOND};
use crate::seen::Sight;

/// The relay's time.
const RELAY_TIMEOUT: Millis = 30 * SECOND;

impl Cloud {
    /// A new row of the journal gets into the stream, near others and in no order with them (2).
    pub(crate) fn stream(&mut self, row: &JournalRow) {
        if row.visibility != Visibility::Private && self.strikes(Mishap::Unpublishable) {
            self.unpublishable.insert(row.envelope.event_id);
        }
        let late = self.strikes(Mishap::RecordLate);
        let wait = if late { self.dice.between(0, 30 * SECOND) } else { self.dice.between(1, 50) };
        let (row, shards) = (row.clone(), self.shards.len());
        self.after(wait, move |cloud| {
            let shard = shard_of(&row.envelope.aggregate(), shards);
            let now = cloud.now();
            cloud.shards[shard].offer(row, now);
            cloud.poll_relay(shard);
        });
    }

    fn poll_relay(&mut self, shard: usize) {
        if self.shards[shard].busy {
            return;
        }
        if self.is_away(Part::Relay) {
            return self.after(10 * SECOND, move |cloud| cloud.poll_relay(shard));
        }
        let forever = is_on("4 a shard waits for its worst record");
        let lost = self.shards[shard].give_up(if forever { u32::MAX } else { self.settings.relay_tries });
        if lost > 0 {
            self.seen.count(Sight::Happened("given up by the relay"));
            self.note("given up", shard as u64, || (format!("shard {shard}"), format!("{lost} records are given up")));
        }
        let now = self.now();
        let rows = self.shards[shard].batch(now);
        if rows.is_empty() {
            return;
        }
        self.shards[shard].busy = true;
        let lanes = self.settings.lanes.clone();
        let held = rows.iter().filter(|row| row.visibility != Visibility::Private);
        let held =
            held.map(|row| (row.kind, row.envelope.aggregate(), row.envelope.seq, row.envelope.event_id)).collect();
        self.start(Role::Relay { shard, size: rows.len(), held }, RELAY_TIMEOUT, move |instance| {
            async move { Done::Relay(relay(&instance, &instance, &lanes, rows).await) }.boxed_local()
        });
    }

    /// Ends an invocation of the relay; without a report it has died.
    pub(crate) fn relayed(&mut self, shard: usize, size: usize, report: Option<RelayReport>) {
        let of = &mut self.shards[shard];
        of.busy = false;
        let offered = if of.was_tried() { "offered again" } else { "offered first" };
        let done = match &report {
            None => "died",
            Some(report) if !report.failed.is_empty() => "stopped",
            Some(report) if report.refusals > 0 => "refused and published",
            Some(_) => "published",
        };
        self.seen.count(Sight::Relayed(offered, done));
        let through = match report {
            None => {
                of.died(size);
                Vec::new()
            }
            Some(report) => match report.failed.first() {
                Some(first) => of.checkpoint(*first, true),
                None => of.checkpoint(size, false),
            },
        };
        self.check_published(&through);
        let wait = self.dice.between(1, SECOND);
        self.after(wait, move |cloud| cloud.poll_relay(shard));
    }

    /// PublishBatch: 200 can carry failed entries (9).
    pub(crate) fn publish(
        &mut self,
        by: ProcessId,
        batch: &[Publication],
    ) -> Result<Vec<Result<(), String>>, Unavailable> {
        fits(batch)?;
        self.check_order(by, batch);
        Ok(batch.iter().map(|message| self.publish_one(message)).collect())
    }

    /// P3: a relay does not publish a row before an earlier one of its aggregate that it has, too; events and commands go to
    /// topics of their own, which have no order between them.
    fn check_order(&mut self, by: ProcessId, batch: &[Publication]) {
        let Some(Role::Relay { held, .. }) = self.role(by) else { return };
        for (at, message) in batch.iter().enumerate() {
            let (aggregate, seq) = &message.place;
            let comes_before =
                |id: &EventId| self.published.contains(id) || batch[..at].iter().any(|before| before.event_id == *id);
            let earlier =
                held.iter().filter(|(kind, key, place, _)| *kind == message.topic && key == aggregate && place < seq);
            if let Some((_, _, missing, _)) = earlier.into_iter().find(|(_, _, _, id)| !comes_before(id)) {
                let (why, aggregate) = (format!("the relay put row {seq} before row {missing}"), aggregate.clone());
                return self.broken("P3", Some(&aggregate), why);
            }
        }
    }

    /// The relay is deployed with another number of lanes: for everybody, or for one tenant. What it is about to publish, and
    /// what lies in the queues, is in the lanes of before.
    pub(crate) fn change_lanes(&mut self) {
        let count = *self.dice.pick(&[1, 2, 3, 4, 8]);
        let tenants: BTreeSet<&TenantId> = self.db.tables.outbox.keys().map(|(key, _)| &key.tenant).collect();
        let tenants: Vec<&TenantId> = tenants.into_iter().collect();
        if tenants.is_empty() || self.dice.chance(5_000) {
            self.settings.lanes.each = count;
        } else {
            let tenant = self.dice.pick(&tenants);
            self.settings.lanes.hot = format!("{tenant}={count}").parse().expect("it is such a list");
        }
        let lanes = format!("{:?}", self.settings.lanes);
        self.note("lanes", u64::from(count), || ("the world".to_owned(), lanes));
    }

    /// Does the queue hold a message of the same aggregate in another lane?
    fn sight_lanes(&mut self, consumer: usize, message: &Publication) {
        if self.settings.lanes_at.is_empty() {
            return;
        }
        let elsewhere = |waiting: &Queued| {
            waiting.group != message.group
                && Envelope::parse(&waiting.body).is_ok_and(|of| of.aggregate() == message.place.0)
        };
        if self.consumers[consumer].fifo.messages().iter().any(elsewhere) {
            self.seen.count(Sight::Happened("an aggregate in two lanes"));
        }
    }

    fn publish_one(&mut self, message: &Publication) -> Result<(), String> {
        if self.strikes(Mishap::EntryRefused) {
            return Err("InternalError".to_owned());
        }
        if self.unpublishable.contains(&message.event_id) {
            return Err("InvalidParameter".to_owned());
        }
        let now = self.now();
        self.published.insert(message.event_id);
        if !self.topic.accept(message, now) {
            return Ok(());
        }
        for consumer in 0..self.consumers.len() {
            let subject = &self.consumers[consumer].subject.consumer;
            let addressed = message.to.as_ref().is_none_or(|to| to == subject.name());
            let wide = is_on("65 filter wider than the code") || is_on("what is not public leaves");
            if (subject.handles(&message.event_type) || wide) && addressed {
                self.deliver(consumer, message);
            }
        }
        Ok(())
    }

    /// To one subscription, in the order of the group; or not at all (15).
    fn deliver(&mut self, consumer: usize, message: &Publication) {
        if self.strikes(Mishap::DeliveryLost) {
            return;
        }
        self.sight_lanes(consumer, message);
        let wait = self.dice.between(1, 80);
        let now = self.now();
        let wait = self.topic.arrival(consumer, &message.group, now, wait) - now;
        self.enqueue_later(consumer, message, wait, message.event_id.to_string());
        if self.strikes(Mishap::DeliveryDoubled) {
            let wait = wait + self.dice.between(1, 10 * MINUTE);
            self.enqueue_later(consumer, message, wait, format!("{}-again", message.event_id));
        }
        if self.strikes(Mishap::HostileMessage) {
            self.send_hostile(consumer, message, wait);
        }
    }

    fn enqueue_later(&mut self, consumer: usize, message: &Publication, wait: Millis, deduplication: String) {
        let (group, body) = (message.group.clone(), message.body.clone());
        self.after(wait, move |cloud| {
            let now = cloud.now();
            cloud.consumers[consumer].fifo.send(&group, &deduplication, body, now);
            cloud.poke(consumer, Source::Fifo);
        });
    }

    /// No envelope at all, or one in the group of another tenant, or a ticket of another consumer.
    fn send_hostile(&mut self, consumer: usize, message: &Publication, wait: Millis) {
        let (group, body) = match self.dice.between(0, 3) {
            0 => (message.group.clone(), message.body[1..].to_owned()),
            1 => (message.group.clone(), ticket_of_another(message)),
            _ => ("somebody-else#0".to_owned(), message.body.clone()),
        };
        let hostile = Publication { group, body, ..message.clone() };
        self.enqueue_later(consumer, &hostile, wait, format!("{}-hostile", message.event_id));
    }

    /// A message that nobody can read is kept in the dead-letter queue.
    pub(crate) fn keep(&mut self, author: Author, message: &Message) -> Result<(), Unavailable> {
        let Author::Consumer(consumer) = author else { return Err(no_such_queue()) };
        self.seen.count(Sight::Happened("kept whole"));
        self.watch.kept(consumer, &message.id);
        let now = self.now();
        self.consumers[consumer].dead_letters.send(&message.group, &message.id, message.body.clone(), now);
        Ok(())
    }

    pub(crate) fn keep_ticket(&mut self, ticket: &Ticket) -> Result<(), Unavailable> {
        let consumer = self.consumer_named(&ticket.consumer).ok_or_else(no_such_queue)?;
        self.seen.count(Sight::Happened("ticket sent"));
        let now = self.now();
        let queue = &mut self.consumers[consumer].dead_letters;
        queue.send(&ticket.group(), &ticket.deduplication_id(), ticket.to_body(), now);
        Ok(())
    }

    pub(crate) fn send_wake(&mut self, by: ProcessId, to: &ConsumerName, wake: &Wake) -> Result<(), Unavailable> {
        let consumer = self.consumer_named(to).ok_or_else(no_such_queue)?;
        if matches!(self.role(by), Some(Role::Audit)) {
            let met = self.status_at(consumer, &wake.aggregate);
            self.seen.count(Sight::Met(met, "tick"));
        }
        self.seen.count(Sight::Happened("wake sent"));
        if let Verb::Skip(order) = &wake.verb {
            self.watch.ordered(consumer, &wake.aggregate, order.rev);
        }
        self.consumers[consumer].wakes.send(wake.clone());
        self.poke(consumer, Source::Wakes);
        Ok(())
    }

    pub(crate) fn consumer_named(&self, name: &ConsumerName) -> Option<usize> {
        self.consumers.iter().position(|deployed| deployed.subject.consumer.name() == name)
    }

    /// A queue is emptied by mistake.
    pub(crate) fn purge(&mut self) {
        let consumer = self.dice.index(self.consumers.len());
        self.seen.count(Sight::Mishap(Mishap::QueuePurged));
        let which = if self.dice.chance(5_000) { Source::Fifo } else { Source::Wakes };
        let of = &mut self.consumers[consumer];
        match which {
            Source::Fifo => drop(of.fifo.take_all()),
            Source::Wakes => of.wakes.clear(),
        }
        let name = Rc::clone(&of.subject);
        self.note("purged", consumer as u64, || {
            (name.consumer.name().to_string(), format!("its {which:?} queue is emptied"))
        });
    }
}

/// As it comes back to the wrong queue, when somebody redrives with the wrong destination.
fn ticket_of_another(message: &Publication) -> String {
    let envelope = Envelope::parse(&message.body).expect("it was made from an envelope");
    let ticket = Ticket {
        consumer: "somebody-else".parse().expect("it is a name"),
        aggregate: envelope.aggregate(),
        rev: Rev(1),
        event_id: envelope.event_id,
        event_type: envelope.event_type,
        seq: envelope.seq,
        class: "rejected".to_owned(),
        message: "of another consumer".to_owned(),
        attempts: 1,
        since: envelope.occurred_at,
        parked_at: envelope.occurred_at,
        producer: envelope.producer,
    };
    ticket.to_body()
}

fn no_such_queue() -> Unavailable {
    Unavailable { call: "SendMessage", why: "there is no such queue".to_owned() }
}

fn shard_of(aggregate: &AggregateKey, shards: usize) -> usize {
    aggregate.to_string().bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)))
        % shards
}
