//! A consumer's state machine under any sequence of inputs: events delivered in any order and any number of times, wakes,
//! orders, lost time, broken calls, crashes. After each input: the cursor never goes back, and what was applied is every
//! handled event up to it, once and in order. At the end, in calm: all of it. Must not know: how the machine decides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use sim::diary::{Behaviour, Diary, Folded, Poison, Temper, folding, of_orders, page_of};
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::ports::{CursorHome, CursorKey, Host, JournalRow, Position};
use towpath::wake::{Outcome, handle_wake};
use towpath::{
    AggregateKey, Consumer, Data, Envelope, Era, EventId, FORMAT, Instruction, Kind, Prior, Producer, Seq, Status,
    Ticket, Timestamp, Verb, Visibility, Wake,
};
use towpath_sim::{Fault, Tables, World};

use crate::bytes::Bytes;

const NAME: &str = "diarist";
const BEGIN: u64 = 1_795_255_200_000;
/// Inputs of one sequence.
const INPUTS: usize = 64;
/// Rounds of calm until everything must be applied.
const ROUNDS: usize = 40;
/// The types of a journal's rows; the consumer handles the first two.
const TYPES: [&str; 3] = ["order.placed", "order.cancelled", "order.noted"];

/// Time as the sequence decides.
struct Time {
    now: Cell<u64>,
    random: Cell<u64>,
    /// Looks at the time left until the invocation is nearly over.
    looks: Cell<usize>,
}

impl Host for Time {
    fn now(&self) -> Timestamp {
        self.now.set(self.now.get() + 1);
        Timestamp::from_millis(self.now.get())
    }

    fn random(&self) -> u128 {
        self.random.set(self.random.get() + 1);
        u128::from(self.random.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn remaining(&self) -> Duration {
        let left = self.looks.get();
        self.looks.set(left.saturating_sub(1));
        Duration::from_secs(if left > 0 { 30 } else { 1 })
    }

    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

/// A consumer of one of three kinds, which fails or not as `temper` says.
pub fn consumer(kind: usize, temper: usize) -> Consumer {
    build(kind, &Rc::new(behaviour(temper, 0)))
}

fn build(kind: usize, behaviour: &Rc<Behaviour>) -> Consumer {
    if kind == 0 { of_orders(behaviour) } else { folding(behaviour, kind == 1) }
}

fn behaviour(temper: usize, salt: u64) -> Behaviour {
    let temper = match temper {
        0 => Temper::Even,
        1 => Temper::Flaky,
        2 => Temper::Poison(Poison::Error),
        _ => Temper::Poison(Poison::Reject),
    };
    let (clock, repaired, failures) = Default::default();
    Behaviour { name: NAME, temper, salt, clock, repaired, failures: RefCell::new(failures) }
}

struct Play {
    behaviour: Rc<Behaviour>,
    consumer: Consumer,
    producer: Producer,
    time: Time,
    tables: Tables,
    journals: Vec<(AggregateKey, Vec<JournalRow>)>,
    fault: Option<(usize, Fault)>,
    before: BTreeMap<CursorKey, Position>,
}

/// The first bytes choose the consumer and its journals, each further one an input.
pub fn machine(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (kind, temper) = (bytes.below(3), bytes.below(4));
    let behaviour = Rc::new(behaviour(temper, bytes.below(256) as u64));
    let mut play = Play {
        consumer: build(kind, &behaviour),
        behaviour,
        producer: "fuzz@1".parse().unwrap(),
        time: Time { now: Cell::new(BEGIN), random: Cell::new(0), looks: Cell::new(usize::MAX) },
        tables: Tables::default(),
        journals: ["acme#order#o-1", "acme#order#o-2"].map(|key| (key.parse().unwrap(), Vec::new())).into(),
        fault: None,
        before: BTreeMap::new(),
    };
    for _ in 0..=bytes.below(12) {
        let (of, kind) = (bytes.below(2), bytes.below(3));
        play.append(of, kind);
    }
    for _ in 0..INPUTS {
        let Some(input) = bytes.byte() else { break };
        play.input(input, &mut bytes);
        play.check();
    }
    play.calm();
}

impl Play {
    fn append(&mut self, of: usize, kind: usize) {
        let at = Timestamp::from_millis(BEGIN);
        let (key, journal) = &mut self.journals[of];
        let mut prior = Prior::default();
        journal.iter().for_each(|row| prior.note(row.envelope.event_type.clone(), row.envelope.seq));
        let seq = Seq(journal.len() as u64 + 1);
        let data = r#"{"order_id":"o","customer_id":"c","lines":[{"sku":"tea","quantity":1,"unit_price_cents":1}],"total_cents":1}"#;
        let envelope = Envelope {
            format: FORMAT,
            event_id: EventId::new(at, u128::from(seq.0) << 8 | of as u128),
            event_type: TYPES[kind].parse().unwrap(),
            event_version: 1,
            tenant_id: key.tenant.clone(),
            aggregate_type: key.kind.clone(),
            aggregate_id: key.id.clone(),
            seq,
            prior,
            era: Era::FIRST,
            occurred_at: at,
            correlation_id: "c-1".parse().unwrap(),
            causation_id: "c-1".parse().unwrap(),
            producer: self.producer.clone(),
            traceparent: None,
            hops: 0,
            data: Data::parse(data.to_owned()).unwrap(),
            older: towpath::Older::default(),
        };
        let row = JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Internal, to: None };
        self.tables.outbox.insert((key.clone(), seq), row.clone());
        journal.push(row);
    }

    fn input(&mut self, input: u8, bytes: &mut Bytes<'_>) {
        let of = usize::from(input >> 4) % 2;
        match input % 16 {
            0..=4 => {
                let batch = (0..=usize::from(input % 16) % 3).map(|_| bytes.byte().unwrap_or(0));
                let batch: Vec<Message> =
                    batch.collect::<Vec<u8>>().into_iter().filter_map(|b| self.event(b)).collect();
                self.deliver(&batch);
            }
            5 | 6 => self.wake(bytes.below(8)),
            7 => self.time.now.set(self.time.now.get() + [1_000, 200_000, 4_000_000, 90_000_000][bytes.below(4)]),
            8 => self.send(of, Verb::Advance),
            9 | 10 => {
                let cursor = self.tables_position(of).map(|position| position.cursor.rev).unwrap_or_default();
                let rev = towpath::Rev(cursor.0.saturating_sub(bytes.below(2) as u64));
                let order = Instruction { rev, who: "ann".into(), why: "asked".into() };
                self.send(of, if input % 16 == 9 { Verb::Retry(order) } else { Verb::Skip(order) });
            }
            11 => self.fault = Some((bytes.below(16), Fault::ALL[bytes.below(Fault::ALL.len())])),
            12 => self.behaviour.repaired.set(!self.behaviour.repaired.get()),
            13 if self.journals[of].1.len() < 20 => self.append(of, bytes.below(3)),
            14 => {
                let tickets = &self.tables.tickets;
                let ticket = tickets.get(bytes.below(tickets.len())).map(Ticket::to_body);
                ticket.into_iter().for_each(|body| self.deliver(&[message(body, 1)]));
            }
            _ => self.time.looks.set(bytes.below(8)),
        }
    }

    /// A delivery of an event, chosen by a byte: of which aggregate, which one, and how often it came before.
    fn event(&self, byte: u8) -> Option<Message> {
        let journal = &self.journals[usize::from(byte) % 2].1;
        let handled: Vec<&JournalRow> = journal.iter().filter(|row| self.handles(row)).collect();
        let row = handled.get(usize::from(byte >> 1) % handled.len().max(1) % 32)?;
        Some(message(row.envelope.to_body(), 1 + u32::from(byte >> 6)))
    }

    fn handles(&self, row: &JournalRow) -> bool {
        self.consumer.handles(&row.envelope.event_type)
    }

    fn send(&mut self, of: usize, verb: Verb) {
        let wake = Wake { aggregate: self.journals[of].0.clone(), verb };
        self.tables.wakes.push((self.consumer.name().clone(), wake, 0));
    }

    /// One invocation, in a world that may break one call. `None`: it crashed.
    fn invoke<T>(&mut self, act: impl AsyncFn(&Consumer, ConsumerPorts<'_>) -> T) -> Option<T> {
        let world = World::new(std::mem::take(&mut self.tables));
        if let Some((call, fault)) = self.fault.take() {
            world.break_calls(&[(call, fault)]);
        }
        let ports = ConsumerPorts { host: &self.time, ..world.consumer_ports(&self.producer) };
        let done = act(&self.consumer, ports).now_or_never();
        assert!(world.kept().is_empty(), "a sound message was set aside: {:?}", world.kept());
        self.tables = world.tables();
        self.time.looks.set(usize::MAX);
        done
    }

    fn deliver(&mut self, batch: &[Message]) {
        let batch: Vec<Message> =
            batch.iter().enumerate().map(|(id, message)| Message { id: id.to_string(), ..message.clone() }).collect();
        self.invoke(async |consumer, ports| handle_batch(consumer, ports, &batch).await);
    }

    /// Delivers the wake at this place of the queue; how long it wants to wait before it comes back.
    fn wake(&mut self, at: usize) {
        if self.tables.wakes.is_empty() {
            return;
        }
        let at = at % self.tables.wakes.len();
        self.tables.wakes[at].2 += 1;
        let delivered = self.tables.wakes[at].clone();
        let done = self.invoke(async |consumer, ports| handle_wake(consumer, ports, &delivered.1, delivered.2).await);
        match done.map(|report| report.outcome) {
            Some(Outcome::Done) => {
                let here = self.tables.wakes.iter().position(|wake| *wake == delivered);
                here.map(|here| self.tables.wakes.remove(here));
            }
            Some(Outcome::Again(wait)) => assert!(wait <= Duration::from_secs(25 * 3_600), "{wait:?}"),
            None => {}
        }
    }

    fn key(&self, of: usize) -> CursorKey {
        CursorKey { aggregate: self.journals[of].0.clone(), consumer: self.consumer.name().clone() }
    }

    fn tables_position(&self, of: usize) -> Option<&Position> {
        let home = match self.consumer.home() {
            CursorHome::Progress => &self.tables.progress,
            CursorHome::Views => &self.tables.summaries,
        };
        home.get(&self.key(of))
    }

    /// The rows that have had their effect, as the effects themselves show it.
    fn applied(&self, of: usize) -> Vec<Seq> {
        let state = match self.consumer.home() {
            CursorHome::Progress => {
                let page = page_of(NAME, &self.journals[of].0);
                let key = AggregateKey {
                    tenant: self.journals[of].0.tenant.clone(),
                    kind: "diary".parse().unwrap(),
                    id: page,
                };
                self.tables.entities.get(&key).and_then(|stored| stored.state.clone())
            }
            CursorHome::Views => self.tables_position(of).and_then(|position| position.state.clone()),
        };
        let Some(state) = state else { return Vec::new() };
        let diary = serde_json::from_str::<Diary>(&state).map(|diary| diary.seqs);
        diary.or_else(|_| serde_json::from_str::<Folded>(&state).map(|folded| folded.seqs)).unwrap()
    }

    fn check(&mut self) {
        for of in 0..self.journals.len() {
            let key = self.key(of);
            let (now, before) = (self.tables_position(of).cloned(), self.before.get(&key).cloned());
            let at = now.as_ref().map_or(Seq::ZERO, |position| position.cursor.seq);
            if let Some(before) = &before {
                let now = now.as_ref().expect("a cursor vanished");
                assert!(now.cursor.seq >= before.cursor.seq, "the cursor went back: {before:?} {now:?}");
                assert!(
                    now == before || now.cursor.rev > before.cursor.rev,
                    "rewritten at its rev: {before:?} {now:?}"
                );
            }
            let rows = self.journals[of].1.iter().filter(|row| self.handles(row)).map(|row| row.envelope.seq);
            let due = rows.filter(|seq| *seq <= at && !self.tables.skipped.contains_key(&(key.clone(), *seq)));
            assert_eq!(self.applied(of), due.collect::<Vec<_>>(), "what was applied is not what the cursor says");
            if let Some(position) = now {
                let free = position.cursor.status == Status::Ready;
                assert_eq!(free, position.cursor.trouble.is_none(), "{position:?}");
                self.before.insert(key, position);
            }
        }
    }

    /// Nothing breaks any more, what failed is mended and ordered to be tried, and hints come: then everything is applied.
    fn calm(&mut self) {
        self.behaviour.repaired.set(true);
        (self.fault, self.time.looks) = (None, Cell::new(usize::MAX));
        for _ in 0..ROUNDS {
            for of in 0..self.journals.len() {
                let parked = self.tables_position(of).filter(|position| position.cursor.status == Status::Parked);
                let order =
                    parked.map(|at| Instruction { rev: at.cursor.rev, who: "ann".into(), why: "mended".into() });
                self.send(of, order.map_or(Verb::Advance, Verb::Retry));
            }
            for _ in 0..self.tables.wakes.len() {
                self.wake(0);
                self.check();
                if let Some(first) = (!self.tables.wakes.is_empty()).then(|| self.tables.wakes.remove(0)) {
                    self.tables.wakes.push(first);
                }
            }
            self.time.now.set(self.time.now.get() + 1_000_000);
            if self.is_through() {
                return;
            }
        }
        panic!("not through after {ROUNDS} rounds of calm: {:#?}", self.before);
    }

    fn is_through(&self) -> bool {
        (0..self.journals.len()).all(|of| {
            let last =
                self.journals[of].1.iter().rfind(|row| self.handles(row)).map_or(Seq::ZERO, |row| row.envelope.seq);
            let at = self.tables_position(of).map(|position| &position.cursor);
            at.map_or(Seq::ZERO, |cursor| cursor.seq) == last && at.is_none_or(|cursor| cursor.status == Status::Ready)
        })
    }
}

fn message(body: String, receives: u32) -> Message {
    Message { id: "0".to_owned(), group: "acme#0".to_owned(), receives, body }
}
