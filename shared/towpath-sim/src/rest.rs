//! Checks at rest: when nothing moves any more, every promise about the whole must hold.
//! Must not know: how the run went.

use std::collections::BTreeMap;
use std::rc::Rc;

use towpath::ports::{CursorHome, CursorKey};
use towpath::trouble::Trouble;
use towpath::{AggregateKey, ConsumerName, Seq, Status, Ticket, Timer, Verb, Wake};

use crate::cloud::Cloud;
use crate::lambda::Role;
use crate::plan::{Applied, AtRest, Crew};
use crate::rebuilt::refilled;

/// Something that still moves, and of which aggregate.
pub(crate) type Unrest = (String, Option<AggregateKey>);

impl Cloud {
    /// Is everything done that will be done? Parked rows are left if the operators leave them.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.unrest().is_none()
    }

    /// What still moves, and of which aggregate.
    pub(crate) fn unrest(&self) -> Option<Unrest> {
        if let Some(role) = self.roles().find(|role| !matches!(role, Role::Audit)) {
            return Some((format!("a process runs: {role}"), None));
        }
        if let Some(client) = self.clients.iter().find(|client| !client.content) {
            return Some((format!("a client is not answered: {}", client.command.name), None));
        }
        if self.shards.iter().any(|shard| !shard.is_empty()) {
            return Some(("the stream has records that were not published".to_owned(), None));
        }
        for (consumer, of) in self.consumers.iter().enumerate() {
            let name = of.subject.consumer.name();
            if !of.fifo.messages().is_empty() {
                return Some((format!("the queue of {name} has {} messages", of.fifo.messages().len()), None));
            }
            if let Some(waiting) = of.wakes.messages().iter().find(|wake| !self.is_of_a_stuck_saga(&wake.body)) {
                let wake = crate::say::wake(&waiting.body);
                let what = format!("the wake queue of {name} has a wake, received {} times: {wake}", waiting.receives);
                return Some((what, Some(waiting.body.aggregate.clone())));
            }
            if let Some(restless) = self.restless_row(consumer) {
                return Some(restless);
            }
        }
        let sagas = self.db.tables.entities.iter().filter_map(|(key, stored)| Some((key, stored.saga.as_ref()?)));
        let (key, waits) = sagas.filter(|(_, saga)| !saga.ended).find(|(key, _)| !self.is_stuck(key))?;
        Some((format!("the saga {key} is not over: it {}", waits.stage), Some(key.clone())))
    }

    /// Is a command of this saga parked, or the answer that it waits for, and nobody sees to it? Then it waits, in sight.
    fn is_stuck(&self, key: &AggregateKey) -> bool {
        let Some(saga) = self.db.tables.entities.get(key).and_then(|stored| stored.saga.as_ref()) else { return false };
        let is_answer = |at: &CursorKey, trouble: &Trouble| {
            let row = self.db.tables.outbox.get(&(at.aggregate.clone(), trouble.seq));
            let follows = |timer: &Timer| row.is_some_and(|row| row.envelope.correlation_id == timer.correlation_id);
            at.consumer == saga.consumer && at.aggregate.tenant == key.tenant && saga.timers.values().any(follows)
        };
        let rows = [CursorHome::Progress, CursorHome::Views].into_iter().flat_map(|home| self.db.tables.home(home));
        let mut parked = rows.filter(|(_, position)| position.cursor.status == Status::Parked);
        self.settings.crew == Crew::Absent
            && parked.any(|(at, position)| {
                let trouble = position.cursor.trouble.as_ref();
                at.aggregate == *key || trouble.is_some_and(|trouble| is_answer(at, trouble))
            })
    }

    /// Its timers come back again and again.
    fn is_of_a_stuck_saga(&self, wake: &Wake) -> bool {
        matches!(wake.verb, Verb::Timer(_)) && self.is_stuck(&wake.aggregate)
    }

    fn restless_row(&self, consumer: usize) -> Option<Unrest> {
        let of = &self.consumers[consumer].subject.consumer;
        for (key, position) in self.db.tables.home(of.home()).iter().filter(|(key, _)| key.consumer == *of.name()) {
            let status = position.cursor.status;
            let left = status == Status::Parked && self.settings.crew == Crew::Absent;
            if status != Status::Ready && !left {
                let what = format!("{} is {status:?} at {}: {:?}", key.aggregate, of.name(), position.cursor.trouble);
                return Some((what, Some(key.aggregate.clone())));
            }
        }
        let late = self.late_rows(consumer, |_| true).into_iter().next();
        late.map(|(key, seq)| (format!("{} has not applied {key} row {seq}", of.name()), Some(key)))
    }

    /// First rows that the consumer handles and has not passed, though nothing in their aggregate is parked.
    fn late_rows(&self, consumer: usize, counts: impl Fn(&AggregateKey) -> bool) -> BTreeMap<AggregateKey, Seq> {
        let of = &self.consumers[consumer].subject.consumer;
        let mut late = BTreeMap::new();
        for ((key, seq), _) in self.db.tables.outbox.iter().filter(|(_, row)| of.wants(row)) {
            let parked = || self.status_of(consumer, key) == Some(Status::Parked);
            if !self.watch.has_passed(consumer, key, *seq) && counts(key) && !parked() {
                late.entry(key.clone()).or_insert(*seq);
            }
        }
        late
    }

    fn status_of(&self, consumer: usize, aggregate: &AggregateKey) -> Option<Status> {
        let of = &self.consumers[consumer].subject.consumer;
        let key = CursorKey { aggregate: aggregate.clone(), consumer: of.name().clone() };
        self.db.tables.home(of.home()).get(&key).map(|position| position.cursor.status)
    }

    /// P6: while poison still fails, everything else was applied, and every attempt at the poison was counted.
    pub(crate) fn check_contained(&mut self) {
        for consumer in 0..self.consumers.len() {
            let subject = Rc::clone(&self.consumers[consumer].subject);
            let rows = self.db.tables.home(subject.consumer.home()).iter();
            let mut own = rows.filter(|(key, _)| key.consumer == *subject.consumer.name());
            let uncounted =
                own.find(|(_, position)| position.cursor.status == Status::Retrying && position.cursor.attempt == 0);
            if let Some(key) = uncounted.map(|(key, _)| key.aggregate.clone()) {
                self.broken("P6", Some(&key), "it was retried for an hour, and no attempt was counted".to_owned());
            }
            let poisoned = |key: &AggregateKey| {
                let own = self.db.tables.journal(key, Seq::ZERO, Seq(u64::MAX));
                own.into_iter().any(|row| subject.consumer.wants(row) && (subject.is_poison)(&row.envelope))
            };
            if let Some((key, seq)) = self.late_rows(consumer, |key| !poisoned(key)).into_iter().next() {
                let name = subject.consumer.name();
                let why = format!("an hour after the last fault {name} has not applied row {seq}, which is not poison");
                self.broken("P6", Some(&key), why);
            }
        }
    }

    /// P1, P2, P3 for every consumer, and what the user asks for.
    pub(crate) fn check_rest(&mut self, at_rest: &AtRest) {
        let applied = self.applied();
        for consumer in 0..self.consumers.len() {
            let tickets: Vec<Ticket> = {
                let messages = self.consumers[consumer].dead_letters.messages();
                let name = self.consumers[consumer].subject.consumer.name();
                let read = messages.iter().filter_map(|message| Ticket::parse(&message.body));
                read.filter(|ticket| ticket.consumer == *name).collect()
            };
            let attended = self.settings.crew != Crew::Absent;
            if let Some(ticket) = tickets.first().filter(|_| attended) {
                let why = format!("a redriven ticket of row {} came back, and nothing is parked there", ticket.seq);
                self.broken("P7", Some(&ticket.aggregate), why);
            }
            let of = Rc::clone(&self.consumers[consumer].subject);
            let rows = self.db.tables.home(of.consumer.home()).iter();
            let parked = rows.filter(|(key, position)| {
                key.consumer == *of.consumer.name() && position.cursor.status == Status::Parked
            });
            let stands = |key: &CursorKey| tickets.iter().any(|ticket| ticket.aggregate == key.aggregate);
            let missing = parked.map(|(key, _)| key.clone()).find(|key| !stands(key));
            if let Some(key) = missing {
                self.broken("P1", Some(&key.aggregate), format!("parked at {}, and no ticket says so", key.consumer));
            }
        }
        self.check_left(&applied);
        self.check_usage();
        let built = self.consumers.iter().try_for_each(|of| refilled(&self.db.tables, &of.subject.consumer));
        if let Err(why) = built.and_then(|()| at_rest(&self.db.tables, &applied)) {
            // What the user asks for is what handlers came to, unless it says which promise it is about.
            let said = |promise| Some((promise, why.strip_prefix(promise)?.strip_prefix(": ")?.to_owned()));
            let (promise, why) =
                ["P0", "P3", "P5", "P8", "P9", "P11"].into_iter().find_map(said).unwrap_or(("P2", why.clone()));
            self.broken(promise, None, why);
        }
    }

    fn applied(&self) -> Applied {
        let names: Vec<ConsumerName> = self.consumers.iter().map(|of| of.subject.consumer.name().clone()).collect();
        self.watch.applied(&names)
    }
}
