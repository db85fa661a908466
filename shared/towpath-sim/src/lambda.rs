//! Lambda's mappings: what is in a queue starts an invocation, how that ends decides what stays in the queue.
//! Must not know: what the machines do in between.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use futures_util::FutureExt;
use towpath::audit::AuditReport;
use towpath::batch::{BatchReport, Message, handle_batch};
use towpath::ports::Unavailable;
use towpath::relay::RelayReport;
use towpath::wake::{Outcome, WakeReport, handle_wake};
use towpath::{AggregateKey, Consumer, EventId, Failed, Kind, Seq, Wake};

use crate::cloud::Cloud;
use crate::dice::{Millis, millis};
use crate::mishap::{Mishap, Part};
use crate::model::fifo::{Fifo, Queued};
use crate::model::standard::{Standard, Waiting};
use crate::plan::{SECOND, Subject};
use crate::say;
use crate::seen::Sight;

/// Deliveries of a wake before it goes to a queue of its own.
const WAKE_RECEIVES: u32 = 1_000;

/// A consumer with its queues.
pub(crate) struct Deployed {
    pub(crate) subject: Rc<Subject>,
    pub(crate) fifo: Fifo,
    pub(crate) dead_letters: Fifo,
    pub(crate) wakes: Standard<Wake>,
    busy: [usize; 2],
    next_poll: [Option<Millis>; 2],
}

/// One of the two queues that invoke a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Fifo = 0,
    Wakes = 1,
}

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Consumer(usize),
    Other,
}

/// What a process is there for.
pub(crate) enum Role {
    Batch { consumer: usize, messages: Vec<Queued> },
    Wake { consumer: usize, message: Waiting<Wake> },
    Relay { shard: usize, size: usize, held: Vec<(Kind, AggregateKey, Seq, EventId)> },
    Audit,
    Client(usize),
    Operator,
}

/// What it came to.
pub(crate) enum Done {
    Batch(BatchReport),
    Wake(WakeReport),
    Relay(RelayReport),
    Audit(Result<AuditReport, Unavailable>),
    Client { answered: bool },
    Operator,
}

impl Subject {
    /// The code of one invocation.
    fn running(&self, older: bool) -> &Consumer {
        self.older.as_ref().filter(|_| older).map_or(&self.consumer, |older| &older.consumer)
    }
}

impl Deployed {
    pub(crate) fn new(subject: Subject) -> Self {
        Self {
            subject: Rc::new(subject),
            fifo: Fifo::default(),
            dead_letters: Fifo::default(),
            wakes: Standard::default(),
            busy: [0, 0],
            next_poll: [None, None],
        }
    }
}

impl Cloud {
    /// Something may be received from this queue: a poller looks soon.
    pub(crate) fn poke(&mut self, consumer: usize, source: Source) {
        let at = self.now() + self.dice.between(1, 40);
        self.poll_at(consumer, source, at);
    }

    fn poll_at(&mut self, consumer: usize, source: Source, at: Millis) {
        let next = &mut self.consumers[consumer].next_poll[source as usize];
        if next.is_some_and(|planned| planned <= at) {
            return;
        }
        *next = Some(at);
        let wait = at.saturating_sub(self.now());
        self.after(wait, move |cloud| {
            if cloud.consumers[consumer].next_poll[source as usize] == Some(at) {
                cloud.consumers[consumer].next_poll[source as usize] = None;
                cloud.poll(consumer, source);
            }
        });
    }

    fn poll(&mut self, consumer: usize, source: Source) {
        if self.is_away(Part::Consumers) {
            let at = self.now() + 10 * SECOND;
            return self.poll_at(consumer, source, at);
        }
        while self.consumers[consumer].busy[source as usize] < self.settings.concurrency {
            let started = match source {
                Source::Fifo => self.start_batch(consumer),
                Source::Wakes => self.start_wake(consumer),
            };
            if !started {
                break;
            }
            self.consumers[consumer].busy[source as usize] += 1;
        }
        let (of, now) = (&self.consumers[consumer], self.now());
        let next = match source {
            Source::Fifo => of.fifo.next_visible(now),
            Source::Wakes => of.wakes.next_visible(now),
        };
        if let Some(at) = next.filter(|_| of.busy[source as usize] < self.settings.concurrency) {
            self.poll_at(consumer, source, at.max(now + 50));
        }
    }

    fn start_batch(&mut self, consumer: usize) -> bool {
        let (visibility, now) = (self.settings.visibility(), self.now());
        let (most, receives) = (self.settings.batch, self.settings.max_receives);
        let of = &mut self.consumers[consumer];
        let (batch, worn) = of.fifo.receive(most, visibility, receives, now, &mut self.dice);
        for message in worn {
            self.seen.count(Sight::Happened("moved to the dead-letter queue"));
            self.consumers[consumer].dead_letters.move_here(message, true);
        }
        if batch.is_empty() {
            return false;
        }
        if self.strikes(Mishap::VisibilityLost) {
            let at = now + self.dice.between(5, 3 * SECOND);
            batch.iter().for_each(|message| self.consumers[consumer].fifo.show(message.id, message.receives, at));
        }
        self.sight_batch(consumer, &batch);
        let messages: Vec<Message> = batch.iter().map(as_message).collect();
        let subject = Rc::clone(&self.consumers[consumer].subject);
        let (timeout, older) = (self.settings.function_timeout, self.is_older(&subject));
        self.start(Role::Batch { consumer, messages: batch }, timeout, move |instance| {
            async move { Done::Batch(handle_batch(subject.running(older), instance.consumer_ports(), &messages).await) }
                .boxed_local()
        });
        true
    }

    fn start_wake(&mut self, consumer: usize) -> bool {
        let (visibility, now) = (self.settings.visibility(), self.now());
        let Some(message) = self.consumers[consumer].wakes.receive(visibility, now, &mut self.dice) else {
            return false;
        };
        if message.receives > WAKE_RECEIVES {
            self.broken("P13", Some(&message.body.aggregate), "a wake was delivered a thousand times".to_owned());
        }
        if self.strikes(Mishap::VisibilityLost) {
            let at = now + self.dice.between(5, 3 * SECOND);
            self.consumers[consumer].wakes.show(message.id, message.receives, at, now);
        }
        self.sight_wake(consumer, &message.body);
        let subject = Rc::clone(&self.consumers[consumer].subject);
        let (timeout, older) = (self.settings.function_timeout, self.is_older(&subject));
        self.start(Role::Wake { consumer, message: message.clone() }, timeout, move |instance| {
            async move {
                let ports = instance.consumer_ports();
                Done::Wake(handle_wake(subject.running(older), ports, &message.body, message.receives).await)
            }
            .boxed_local()
        });
        true
    }

    /// Is this invocation one of the code that is being replaced?
    fn is_older(&mut self, subject: &Subject) -> bool {
        let replaced = subject.older.as_ref().is_some_and(|older| self.now() < millis(older.until));
        let older = replaced && self.dice.chance(5_000);
        if older {
            self.seen.count(Sight::Happened("older code ran"));
        }
        older
    }

    fn sight_failures(&mut self, failures: &[Failed]) {
        for failed in failures {
            match failed.failure.reason().class.as_str() {
                "older generation" => self.seen.count(Sight::Happened("older code stood aside")),
                "unknown event type" => self.seen.count(Sight::Happened("older code met a new type")),
                _ => {}
            }
        }
    }

    /// A process is through.
    pub(crate) fn finished(&mut self, role: Role, done: Done) {
        match (role, done) {
            (Role::Batch { consumer, messages }, Done::Batch(report)) => self.batch_done(consumer, &messages, &report),
            (Role::Wake { consumer, message }, Done::Wake(report)) => self.wake_done(consumer, &message, &report),
            (Role::Relay { shard, size, .. }, Done::Relay(report)) => self.relayed(shard, size, Some(report)),
            (Role::Client(client), Done::Client { answered }) => self.client_done(client, answered),
            _ => {}
        }
    }

    /// A process is gone without a word: its messages come back when their visibility ends.
    pub(crate) fn died(&mut self, role: Role) {
        match role {
            Role::Batch { consumer, .. } => self.free(consumer, Source::Fifo),
            Role::Wake { consumer, message } => {
                self.watch.ended(consumer, &message.body.aggregate);
                self.free(consumer, Source::Wakes);
            }
            Role::Relay { shard, size, .. } => self.relayed(shard, size, None),
            Role::Client(client) => self.client_done(client, false),
            Role::Audit | Role::Operator => {}
        }
    }

    fn free(&mut self, consumer: usize, source: Source) {
        self.consumers[consumer].busy[source as usize] -= 1;
        self.poke(consumer, source);
    }

    /// What is not reported is deleted, run or not; an id that is not in the batch fails all of it (19).
    fn batch_done(&mut self, consumer: usize, messages: &[Queued], report: &BatchReport) {
        self.sight_failures(&report.counts.failures);
        let ids: BTreeSet<String> = messages.iter().map(|message| message.id.to_string()).collect();
        let failed: BTreeSet<String> = report.failed.iter().cloned().collect();
        if !failed.is_subset(&ids) {
            self.broken("P1", None, "a message was reported that is not in the batch".to_owned());
        }
        self.check_counted(messages.len(), &report.counts);
        self.check_blamed(messages, &failed, &report.counts.failures);
        let mut acknowledged = Vec::new();
        for message in messages {
            if failed.contains(&message.id.to_string()) {
                let at = self.now() + self.dice.between(0, self.settings.visibility());
                self.consumers[consumer].fifo.show(message.id, message.receives, at);
            } else if !self.strikes(Mishap::AckLost) {
                let now = self.now();
                if self.consumers[consumer].fifo.delete(message.id, message.receives, now) {
                    acknowledged.push(message);
                }
            }
        }
        self.acknowledged(consumer, &acknowledged);
        self.free(consumer, Source::Fifo);
    }

    fn wake_done(&mut self, consumer: usize, message: &Waiting<Wake>, report: &WakeReport) {
        self.sight_failures(&report.counts.failures);
        self.check_counted(1, &report.counts);
        self.sight_refusals(&message.body, &report.counts.failures);
        let unreachable = |failed: &Failed| failed.failure.reason().class.ends_with("Unavailable");
        if report.counts.failures.iter().any(unreachable) {
            self.watch.ended(consumer, &message.body.aggregate);
        }
        match report.outcome {
            Outcome::Again(wait) => {
                self.seen.count(Sight::Happened("wake put off"));
                let now = self.now();
                let at = now + millis(wait);
                // ChangeMessageVisibility may not work either: then the message comes back when its visibility ends.
                if !self.strikes(Mishap::AckLost) {
                    self.consumers[consumer].wakes.show(message.id, message.receives, at, now);
                }
            }
            Outcome::Done if self.strikes(Mishap::AckLost) => {}
            Outcome::Done => {
                self.consumers[consumer].wakes.delete(message.id, message.receives);
                self.still_hinted(consumer, &message.body.aggregate);
            }
        }
        self.free(consumer, Source::Wakes);
    }
}

fn as_message(of: &Queued) -> Message {
    Message { id: of.id.to_string(), group: of.group.clone(), receives: of.receives, body: of.body.clone() }
}

impl Role {
    pub(crate) fn author(&self) -> Author {
        match self {
            Self::Batch { consumer, .. } | Self::Wake { consumer, .. } => Author::Consumer(*consumer),
            _ => Author::Other,
        }
    }

    /// What it is about, for the timeline.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Batch { messages, .. } => {
                messages.iter().map(|message| format!("; {}", say::message(message))).collect()
            }
            Self::Wake { message, .. } => format!("; {}, delivery {}", say::wake(&message.body), message.receives),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { consumer, messages } => write!(f, "consumer {consumer}, batch of {}", messages.len()),
            Self::Wake { consumer, .. } => write!(f, "consumer {consumer}, wake"),
            Self::Relay { shard, .. } => write!(f, "relay of shard {shard}"),
            Self::Audit => f.write_str("auditor"),
            Self::Client(number) => write!(f, "client {number}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(report) => {
                write!(f, "{} messages again, applied {}", report.failed.len(), report.counts.applied)
            }
            Self::Wake(report) => write!(f, "{:?}, applied {}", report.outcome, report.counts.applied),
            Self::Relay(report) => write!(f, "published {}, failed {:?}", report.published, report.failed),
            Self::Audit(Ok(report)) => write!(f, "{report:?}"),
            Self::Audit(Err(why)) => write!(f, "failed: {why}"),
            Self::Client { answered } => f.write_str(if *answered { "answered" } else { "no answer" }),
            Self::Operator => f.write_str("done"),
        }
    }
}
