//! Checks at every step: each commit, each acknowledgement. A broken promise shows where it breaks, not at the end.
//! Must not know: how the machines decide; it sees only what they write and delete.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use towpath::ports::{CommitError, CursorKey, JournalRow, Position, Write};
use towpath::trouble::DEATHS;
use towpath::{
    AggregateKey, CausationId, Envelope, IfUnknown, Rev, Seq, Status, Ticket, Verb, Visibility, Wake, decide,
};

use crate::cloud::{Cloud, ProcessId};
use crate::lambda::Author;
use crate::mishap::Mishap;
use crate::model::fifo::Queued;
use crate::plan::{Applied, SECOND};
use crate::seen::{Sight, decision, status};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What each consumer has passed, by applying it (`true`) or by skipping it on record.
    passed: BTreeMap<(usize, AggregateKey), BTreeMap<Seq, bool>>,
    /// Events whose effects were recorded.
    effects: BTreeSet<(usize, CausationId)>,
    /// Messages that were deleted.
    acknowledged: BTreeMap<(usize, AggregateKey), BTreeSet<Seq>>,
    /// Skips that an operator ordered: of which row of which consumer, as it was then.
    orders: BTreeSet<(usize, AggregateKey, Rev)>,
    /// Messages that were kept whole, because nobody can read them.
    kept: BTreeSet<(usize, String)>,
    /// Wakes that were killed, or that could not reach the store to say how an attempt ended.
    ended: BTreeMap<(usize, AggregateKey), u32>,
    /// Who has begun an attempt, by its mark on the row.
    pub(crate) attempts: BTreeMap<u64, ProcessId>,
}

impl Watch {
    pub(crate) fn ordered(&mut self, consumer: usize, aggregate: &AggregateKey, rev: Rev) {
        self.orders.insert((consumer, aggregate.clone(), rev));
    }

    pub(crate) fn kept(&mut self, consumer: usize, message: &str) {
        self.kept.insert((consumer, message.to_owned()));
    }

    pub(crate) fn ended(&mut self, consumer: usize, aggregate: &AggregateKey) {
        *self.ended.entry((consumer, aggregate.clone())).or_insert(0) += 1;
    }

    pub(crate) fn has_passed(&self, consumer: usize, aggregate: &AggregateKey, seq: Seq) -> bool {
        self.passed.get(&(consumer, aggregate.clone())).is_some_and(|passed| passed.contains_key(&seq))
    }

    /// Was an event of this aggregate passed over? What comes after it may not make sense to its handlers any more.
    pub(crate) fn has_skipped(&self, consumer: usize, aggregate: &AggregateKey) -> bool {
        self.passed.get(&(consumer, aggregate.clone())).is_some_and(|passed| passed.values().any(|run| !run))
    }

    /// What was applied, for the checks at rest.
    pub(crate) fn applied(&self, names: &[towpath::ConsumerName]) -> Applied {
        let seqs = |passed: &BTreeMap<Seq, bool>| passed.iter().filter(|(_, run)| **run).map(|(seq, _)| *seq).collect();
        let all = self.passed.iter();
        Applied(all.map(|((of, key), passed)| ((names[*of].clone(), key.clone()), seqs(passed))).collect())
    }
}

impl Cloud {
    /// A commit, with all that must be true of it.
    pub(crate) fn commit(&mut self, (by, author): (ProcessId, Author), writes: &[Write]) -> Result<(), CommitError> {
        let before: Vec<Option<Position>> = writes.iter().map(|write| self.cursor_before(write)).collect();
        let heads: Vec<Option<Seq>> = writes.iter().map(|write| self.head_before(write)).collect();
        let sagas = self.sagas_before(writes);
        let lag = if self.strikes(Mishap::IndexLag) { self.dice.between(0, 20 * SECOND) } else { 10 };
        let now = self.now();
        self.db.commit(writes, now, lag)?;
        self.check_tenants(writes);
        let mut appended: BTreeMap<AggregateKey, Seq> = BTreeMap::new();
        let mut passed = BTreeSet::new();
        for ((write, before), head) in writes.iter().zip(before).zip(heads) {
            match write {
                Write::Append(row) => {
                    let key = row.envelope.aggregate();
                    let last = appended.get(&key).copied().or(head).unwrap_or(Seq::ZERO);
                    if row.envelope.seq != last.next() {
                        self.broken("P10", Some(&key), format!("row {} was added after row {last}", row.envelope.seq));
                    }
                    appended.insert(key, row.envelope.seq);
                    self.stream(row);
                }
                Write::Cursor { key, position, .. } => {
                    self.check_attempt(by, key, before.as_ref(), position);
                    self.check_builds(key, before.as_ref(), position);
                    passed.extend(self.check_cursor(author, key, before.as_ref(), position, writes));
                }
                _ => {}
            }
        }
        if let Author::Consumer(consumer) = author {
            let also = self.check_timers(&sagas, writes);
            self.check_effects(consumer, writes, &passed, &also);
        }
        Ok(())
    }

    fn cursor_before(&self, write: &Write) -> Option<Position> {
        let Write::Cursor { home, key, .. } = write else { return None };
        self.db.tables.home(*home).get(key).cloned()
    }

    fn head_before(&self, write: &Write) -> Option<Seq> {
        let Write::Append(row) = write else { return None };
        self.db.tables.head(&row.envelope.aggregate()).map(|head| head.seq)
    }

    /// P4: one commit, one tenant.
    fn check_tenants(&mut self, writes: &[Write]) {
        let tenants: BTreeSet<String> = writes.iter().map(tenant_of).collect();
        if tenants.len() > 1 {
            self.broken("P4", None, format!("one commit wrote rows of {tenants:?}"));
        }
    }

    /// P2 and P3: a cursor only moves forward, past rows that it handles, each once; a skip was ordered.
    fn check_cursor(
        &mut self,
        author: Author,
        key: &CursorKey,
        before: Option<&Position>,
        after: &Position,
        writes: &[Write],
    ) -> Vec<CausationId> {
        let of = &key.aggregate;
        let consumer = match author {
            Author::Consumer(consumer) if *self.consumers[consumer].subject.consumer.name() == key.consumer => consumer,
            Author::Consumer(consumer) if self.is_replay_of(consumer, &key.consumer) => {
                self.check_replay(consumer, key, before, after, writes);
                return Vec::new();
            }
            _ => {
                self.broken("P2", Some(of), format!("somebody else moved the cursor of {}", key.consumer));
                return Vec::new();
            }
        };
        let (from, rev) = before.map_or((Seq::ZERO, None), |position| (position.cursor.seq, Some(position.cursor.rev)));
        let cursor = &after.cursor;
        if cursor.seq < from || rev.is_some_and(|rev| cursor.rev <= rev) {
            let why = format!("the cursor went from {from} at rev {rev:?} to {} at rev {}", cursor.seq, cursor.rev);
            self.broken("P2", Some(of), why);
        }
        self.check_status(consumer, key, before, after);
        let (was, is) = (before.map(|at| at.cursor.status), cursor.status);
        match (was == Some(Status::Held), is == Status::Held) {
            (false, true) => self.seen.count(Sight::Happened("held")),
            (true, false) => self.seen.count(Sight::Happened("resumed")),
            _ => {}
        }
        let subject = Rc::clone(&self.consumers[consumer].subject);
        let rows: Vec<Rc<Envelope>> = self
            .db
            .tables
            .journal(of, from, cursor.seq)
            .filter(|row| subject.consumer.wants(row))
            .map(|row| Rc::new(row.envelope.clone()))
            .collect();
        if cursor.seq > from && rows.last().map(|row| row.seq) != Some(cursor.seq) {
            self.broken(
                "P3",
                Some(of),
                format!("the cursor moved to {}, which the consumer does not handle", cursor.seq),
            );
        }
        let mut applied = Vec::new();
        for row in rows {
            let skipped = writes
                .iter()
                .any(|write| matches!(write, Write::Skip { key: of, skipped } if of == key && skipped.seq == row.seq));
            if skipped && !self.watch.orders.contains(&(consumer, of.clone(), rev.unwrap_or_default())) {
                self.broken("P3", Some(of), format!("row {} was skipped, and nobody ordered it of this row", row.seq));
            }
            self.seen.count(Sight::Happened(if skipped { "skipped" } else { "applied" }));
            let passed = self.watch.passed.entry((consumer, of.clone())).or_default();
            if passed.insert(row.seq, !skipped).is_some() {
                self.broken("P2", Some(of), format!("{} passed row {} twice", key.consumer, row.seq));
            }
            if !skipped {
                applied.push(CausationId::from(row.event_id));
            }
        }
        if !applied.is_empty() {
            self.check_hold(key);
        }
        if applied.len() > 1 {
            self.seen.count(Sight::Happened("applied several at once"));
        }
        applied
    }

    /// P6: only an event that cannot be handled is parked, or one whose attempts ended the process often enough; and an
    /// attempt counts as one that ended the process only if it did. (A clock that is minutes ahead takes a running attempt for
    /// an expired one: nothing is lost by it, but what is counted is wrong.)
    fn check_status(&mut self, consumer: usize, key: &CursorKey, before: Option<&Position>, after: &Position) {
        let of = &key.aggregate;
        let Some(trouble) = after.cursor.trouble.as_ref() else { return };
        let skewed = self.seen.times(Sight::Mishap(Mishap::ClockSkew)) > 0;
        let ended = self.watch.ended.get(&(consumer, of.clone())).copied().unwrap_or(0);
        let ended = if skewed { u32::MAX } else { ended };
        if trouble.deaths > ended {
            let why = format!("{} attempts are said to have ended the process, and {ended} did", trouble.deaths);
            self.broken("P6", Some(of), why);
        }
        if after.cursor.status == Status::Held {
            return;
        }
        if after.cursor.status != Status::Parked {
            return self.seen.count(Sight::Happened("retrying"));
        }
        let again = before.is_some_and(|before| before.cursor.status == Status::Parked);
        self.seen.count(Sight::Happened(if again { "parked again" } else { "parked" }));
        let row = self.db.tables.outbox.get(&(of.clone(), trouble.seq));
        let poison = row.is_some_and(|row| (self.consumers[consumer].subject.is_poison)(&row.envelope));
        let fatal = ended >= DEATHS && trouble.class == "process ended";
        let held = self.consumers[consumer].subject.consumer.effect_policy() == Some(IfUnknown::Hold);
        let unknown = trouble.is_unknown() && held;
        if unknown {
            self.seen.count(Sight::Happened("an outcome unknown"));
        }
        if !again && !poison && !fatal && !unknown && !self.watch.has_skipped(consumer, of) {
            let why = format!("parked though nothing is wrong with the event: {trouble:?}");
            self.broken("P6", Some(of), why);
        }
    }

    /// P2: what a commit records was caused by an event that the same commit passes, and by none twice; or by `also`.
    fn check_effects(
        &mut self,
        consumer: usize,
        writes: &[Write],
        passed: &BTreeSet<CausationId>,
        also: &BTreeSet<CausationId>,
    ) {
        for write in writes {
            let Write::Append(JournalRow { envelope, .. }) = write else { continue };
            if !passed.contains(&envelope.causation_id) && !also.contains(&envelope.causation_id) {
                let why = format!("{} was recorded without its cause being passed", envelope.event_type);
                self.broken("P2", Some(&envelope.aggregate()), why);
            }
        }
        for cause in passed {
            if !self.watch.effects.insert((consumer, cause.clone())) {
                self.broken("P2", None, format!("the event {cause} was applied twice"));
            }
        }
    }

    /// P1: what the stream's position has passed was published, unless nobody else may see it.
    pub(crate) fn check_published(&mut self, rows: &[JournalRow]) {
        let missing = |row: &&JournalRow| {
            row.visibility != Visibility::Private && !self.published.contains(&row.envelope.event_id)
        };
        if let Some(JournalRow { envelope, .. }) = rows.iter().find(missing) {
            let why = format!("the relay left row {} behind and did not publish it", envelope.seq);
            self.broken("P1", Some(&envelope.aggregate()), why);
        }
    }

    /// P1: what was deleted from the queue is applied, or waits behind a row that somebody will look at.
    pub(crate) fn acknowledged(&mut self, consumer: usize, messages: &[&Queued]) {
        let read = |message: &&Queued| Envelope::parse(&message.body).ok().filter(|of| is_of(&message.group, of));
        let name = self.consumers[consumer].subject.consumer.name().clone();
        let readable = |message: &Queued| Ticket::parse(&message.body).is_some_and(|ticket| ticket.consumer == name);
        for message in messages.iter().filter(|message| read(message).is_none() && !readable(message)) {
            if !self.watch.kept.contains(&(consumer, message.id.to_string())) {
                let why = format!("{} was neither refused nor kept", crate::say::message(message));
                self.broken("P4", None, why);
            }
        }
        let envelopes: Vec<Envelope> = messages.iter().filter_map(read).collect();
        for envelope in &envelopes {
            let key = (consumer, envelope.aggregate());
            self.watch.acknowledged.entry(key).or_default().insert(envelope.seq);
        }
        let aggregates: BTreeSet<AggregateKey> = envelopes.iter().map(Envelope::aggregate).collect();
        aggregates.iter().for_each(|aggregate| self.still_hinted(consumer, aggregate));
    }

    /// P1: an event whose message is gone is applied, or its row is parked, or a wake is there. A message that became
    /// visible while it was handled may undo this if its process dies as well: that double fault is the auditor's.
    pub(crate) fn still_hinted(&mut self, consumer: usize, aggregate: &AggregateKey) {
        let of = &self.consumers[consumer];
        let (name, home) = (of.subject.consumer.name(), of.subject.consumer.home());
        let key = CursorKey { aggregate: aggregate.clone(), consumer: name.clone() };
        let cursor = self.db.tables.home(home).get(&key).map(|position| &position.cursor);
        let parked = cursor.is_some_and(|cursor| matches!(cursor.status, Status::Parked | Status::Held));
        let advances =
            |wake: &Wake| wake.aggregate == *aggregate && !matches!(wake.verb, Verb::Replay(_) | Verb::Rebuild(_));
        let hinted = of.wakes.messages().iter().any(|waiting| advances(&waiting.body));
        let doubtful = self.seen.times(Sight::Mishap(Mishap::VisibilityLost)) > 0
            || self.seen.times(Sight::Mishap(Mishap::QueuePurged)) > 0;
        if parked || hinted || doubtful {
            return;
        }
        let gone = self.watch.acknowledged.get(&(consumer, aggregate.clone())).cloned().unwrap_or_default();
        let wanted = |seq: &&Seq| {
            let row = self.db.tables.outbox.get(&(aggregate.clone(), **seq));
            row.is_some_and(|row| of.subject.consumer.wants(row))
        };
        let lost = gone.iter().filter(wanted).find(|seq| !self.watch.has_passed(consumer, aggregate, **seq)).copied();
        if let Some(seq) = lost {
            let why =
                format!("the message of row {seq} was deleted; {name} has not applied it, and nothing will make it");
            self.broken("P1", Some(aggregate), why);
        }
    }

    /// What a batch is about to meet.
    pub(crate) fn sight_batch(&mut self, consumer: usize, batch: &[Queued]) {
        for message in batch {
            let Ok(envelope) = Envelope::parse(&message.body) else {
                if let Some(ticket) = Ticket::parse(&message.body) {
                    let met = self.status_at(consumer, &ticket.aggregate);
                    self.seen.count(Sight::Met(met, "ticket"));
                }
                continue;
            };
            let input = if message.receives > 1 { "redelivered message" } else { "message" };
            let met = self.status_at(consumer, &envelope.aggregate());
            self.seen.count(Sight::Met(met, input));
            let of = &self.consumers[consumer].subject.consumer;
            let key = CursorKey { aggregate: envelope.aggregate(), consumer: of.name().clone() };
            let cursor = self.db.tables.home(of.home()).get(&key).map(|position| &position.cursor);
            let decided = decision(decide(cursor, &envelope, |kind| of.handles(kind)));
            self.seen.count(Sight::Decided(decided));
        }
    }

    /// What a wake is about to meet.
    pub(crate) fn sight_wake(&mut self, consumer: usize, wake: &Wake) {
        let input = match wake.verb {
            Verb::Advance => "wake",
            Verb::Retry(_) => "retry",
            Verb::Skip(_) => "skip",
            Verb::Replay(_) => "replay",
            Verb::Timer(_) => "timer",
            Verb::Rebuild(_) => "rebuild",
        };
        let met = self.status_at(consumer, &wake.aggregate);
        self.seen.count(Sight::Met(met, input));
    }

    pub(crate) fn status_at(&self, consumer: usize, aggregate: &AggregateKey) -> &'static str {
        let of = &self.consumers[consumer].subject.consumer;
        let key = CursorKey { aggregate: aggregate.clone(), consumer: of.name().clone() };
        status(self.db.tables.home(of.home()).get(&key).map(|position| &position.cursor))
    }
}

/// Is it no message that was put into another tenant's group?
fn is_of(group: &str, envelope: &Envelope) -> bool {
    group.split('#').next() == Some(envelope.tenant_id.as_str())
}

fn tenant_of(write: &Write) -> String {
    let tenant = match write {
        Write::Entity { key, .. } | Write::CheckEntity { key, .. } | Write::CheckVacant { key, .. } => &key.tenant,
        Write::Append(row) => &row.envelope.tenant_id,
        Write::Cursor { key, .. } | Write::Skip { key, .. } => &key.aggregate.tenant,
        Write::Put { tenant, .. } | Write::Remove { tenant, .. } | Write::Answer { tenant, .. } => tenant,
    };
    tenant.to_string()
}
