//! Plays a real machine up to its next call: every call that was answered before gets the same answer again, the first
//! one that was not is what the machine does next. So the order of its steps is that of the code, and cannot drift.
//! Must not know: the state of the world, what may go wrong.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, pending, ready};
use futures_util::{FutureExt, task::noop_waker_ref};
use towpath::audit::{AuditOptions, AuditPorts, tick};
use towpath::batch::{self, ConsumerPorts, handle_batch};
use towpath::commit::Commit;
use towpath::ports::{JournalRow, NoBus, Unavailable, Write};
use towpath::wake::{Outcome, handle_wake};
use towpath::{Consumer, Era, Instruction, Rev, Ticket, Wake};

use crate::call::{Answer, Body, Call, Change, End, Invocation, Job, Said, Verb};
use crate::journal::{self, Code, Type, consumer, key, now, producer};
use crate::row::{Row, small};
use crate::state::Hold;

mod ports;

/// Time of an invocation that has some.
const PLENTY: Duration = Duration::from_secs(60);

/// What a machine does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It asks.
    Asks(Call),
    /// It has ended.
    Ends(End),
}

thread_local! {
    static CONSUMERS: [Consumer; 2] = [consumer(Code::Old), consumer(Code::New)];
}

/// What `invocation` does after these answers. In a world with holds, its copy of them always says that the tenant may be
/// stopped: one that says no is what a strong read would have said before.
pub fn play((types, holds): (&[Type], bool), invocation: &Invocation, answers: &[Answer]) -> Next {
    let player = Player { holds, ..Player::new(types, answers) };
    let producer = producer();
    let ports = ConsumerPorts {
        store: &player,
        host: &player,
        dead_letters: &player,
        wakes: &player,
        bus: &NoBus,
        producer: &producer,
        era: Era::FIRST,
    };
    let end = CONSUMERS.with(|[old, new]| {
        let consumer = if invocation.code == Code::Old { old } else { new };
        match &invocation.job {
            Job::Wake(message) => {
                let wake = Wake { aggregate: key().clone(), verb: real_verb(message.body) };
                let report = now_or_never(handle_wake(consumer, ports, &wake, receives(message.again)))?;
                Some(End::Wake { again: report.outcome != Outcome::Done })
            }
            Job::Batch(messages) => {
                let group = format!("{}#0", key().tenant);
                let message = |(index, message): (usize, &crate::call::Message<Body>)| batch::Message {
                    id: index.to_string(),
                    group: group.clone(),
                    receives: receives(message.again),
                    body: player.body(message.body),
                };
                let messages: Vec<_> = messages.iter().enumerate().map(message).collect();
                let report = now_or_never(handle_batch(consumer, ports, &messages))?;
                Some(End::Batch(messages.iter().map(|message| report.failed.contains(&message.id)).collect()))
            }
        }
    });
    let asked = player.asks.take();
    match (end, asked) {
        (Some(end), _) => Next::Ends(end),
        (None, Some(call)) => Next::Asks(call),
        (None, None) => unreachable!("a machine waits for its calls only"),
    }
}

/// Would the auditor's tick wake the consumer, if this is the row and the journal has so many rows?
pub fn tick_wakes(types: &[Type], row: Option<Row>, head: u8, hold: Hold) -> bool {
    let player = Player { world: Some((row, head)), hold, ..Player::new(types, &[]) };
    let ports = AuditPorts { ledger: &player, store: &player, wakes: &player, host: &player, meters: None };
    let report = now_or_never(tick(ports, AuditOptions::default())).expect("the auditor is answered at once");
    report.expect("every call is answered").consumers.values().any(|found| found.woken + found.resumed > 0)
}

fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(noop_waker_ref());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

fn receives(again: bool) -> u32 {
    if again { 2 } else { 1 }
}

fn real_verb(verb: Verb) -> towpath::Verb {
    let order = |rev: u8| Instruction { rev: Rev(rev.into()), who: "ann".to_owned(), why: "a model".to_owned() };
    match verb {
        Verb::Advance => towpath::Verb::Advance,
        Verb::Retry(rev) => towpath::Verb::Retry(order(rev)),
        Verb::Skip(rev) => towpath::Verb::Skip(order(rev)),
    }
}

fn verb_of(wake: &Wake) -> Verb {
    match &wake.verb {
        towpath::Verb::Advance => Verb::Advance,
        towpath::Verb::Retry(order) => Verb::Retry(small(order.rev.0)),
        towpath::Verb::Skip(order) => Verb::Skip(small(order.rev.0)),
        towpath::Verb::Replay(_) | towpath::Verb::Rebuild(_) | towpath::Verb::Timer(_) => {
            unreachable!("nothing is replayed or rebuilt here, and no saga waits")
        }
    }
}

struct Player<'a> {
    types: &'a [Type],
    answers: &'a [Answer],
    at: Cell<usize>,
    late: Cell<bool>,
    asks: RefCell<Option<Call>>,
    /// For the auditor, which is answered at once: the row and the length of the journal.
    world: Option<(Option<Row>, u8)>,
    /// For the auditor: is the tenant stopped?
    hold: Hold,
    /// May it be?
    holds: bool,
}

impl<'a> Player<'a> {
    fn new(types: &'a [Type], answers: &'a [Answer]) -> Self {
        let (at, late, asks) = (Cell::new(0), Cell::new(false), RefCell::new(None));
        Self { types, answers, at, late, asks, world: None, hold: Hold::No, holds: false }
    }

    fn body(&self, body: Body) -> String {
        match body {
            Body::Event(seq) => journal::row(self.types, seq).envelope.to_body(),
            Body::Ticket(rev) => {
                let event = journal::row(self.types, 1).envelope;
                let ticket = Ticket {
                    consumer: consumer(Code::New).name().clone(),
                    aggregate: key().clone(),
                    rev: Rev(rev.into()),
                    event_id: event.event_id,
                    event_type: event.event_type,
                    seq: event.seq,
                    class: String::new(),
                    message: String::new(),
                    attempts: 1,
                    since: now(),
                    parked_at: now(),
                    producer: producer(),
                };
                ticket.to_body()
            }
        }
    }

    /// Answered as before, or never.
    fn ask<'f, T: 'f>(&self, call: Call, hear: impl FnOnce(Said) -> T) -> LocalBoxFuture<'f, T> {
        if let Some((row, head)) = self.world {
            let said = match call {
                Call::Look { .. } => Said::Row(row),
                Call::Journal => Said::Rows(head),
                _ => Said::Done,
            };
            return ready(hear(said)).boxed_local();
        }
        let Some(answer) = self.answers.get(self.at.get()) else {
            *self.asks.borrow_mut() = Some(call);
            return pending().boxed_local();
        };
        self.at.set(self.at.get() + 1);
        self.late.set(self.late.get() || answer.late);
        ready(hear(answer.said)).boxed_local()
    }

    fn rows(&self, head: u8) -> impl Iterator<Item = JournalRow> {
        (1..=head).map(|seq| journal::row(self.types, seq))
    }
}

fn away(call: &'static str) -> Unavailable {
    Unavailable { call, why: "no answer".to_owned() }
}

fn done(said: Said) -> Result<(), Unavailable> {
    if said == Said::Done { Ok(()) } else { Err(away("sending")) }
}

fn change_of(commit: &Commit) -> Change {
    let mut change = Change { to: None, expect: None, effects: Vec::new(), skip: None };
    for write in commit.writes() {
        match write {
            Write::Cursor { position, expect, .. } => {
                change.to = Some(Row::of_real(position));
                change.expect = expect.map(|rev| small(rev.0));
            }
            Write::Put { place, .. } => change.effects.push(place.sort.parse().expect("an effect's key is a seq")),
            Write::Skip { skipped, .. } => change.skip = Some(small(skipped.seq.0)),
            other => unreachable!("no handler here writes {other:?}"),
        }
    }
    change
}
