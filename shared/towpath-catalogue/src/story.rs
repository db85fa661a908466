//! A story: producers are given commands, consumers handle what was recorded, in a world in memory. Time and ids are the
//! same in every telling, so that what is recorded can be compared with samples of years ago.
//! Must not know: any one event, files.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::Value;
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::command::CommandPorts;
use towpath::ports::{CursorKey, Host, JournalRow};
use towpath::wake::handle_wake;
use towpath::{
    AggregateKey, Consumer, Data, Envelope, Era, Failed, Failure, Instruction, Kind, Older, Producer, Rev, Seq,
    Timestamp, Verb, Visibility, Wake,
};
use towpath_sim::World;

use crate::entry::Story;

/// When every story begins: 2026-01-01T00:00:00Z.
const BEGIN: u64 = 1_767_225_600_000;
/// Rounds of handling after which consumers are taken to wake each other for ever.
const ROUNDS: usize = 100;

/// The world of one story, with all consumers.
pub struct Stage {
    story: String,
    world: World,
    consumers: Vec<Consumer>,
    instead: Option<Instead>,
    step: Cell<u64>,
    draws: Cell<u64>,
    seen: RefCell<BTreeSet<(AggregateKey, Seq)>>,
    told: RefCell<Told>,
    /// Types of commands that their consumers refuse, and that an operator then passes over.
    refused: Rc<RefCell<BTreeSet<String>>>,
    /// Types of commands of which the next one reaches its consumer only when its sender has waited long enough.
    late: RefCell<BTreeSet<String>>,
    /// How long senders have waited, in milliseconds.
    waited: Cell<u64>,
}

/// What a story came to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Every event and command, in order.
    pub(crate) events: Vec<Happened>,
    /// A sentence for each thing that a consumer could not handle.
    pub(crate) failures: Vec<String>,
}

/// An event or a command that was recorded in a story.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) id: String,
    /// What was handled when it was recorded.
    pub(crate) cause: String,
    /// The sample's name: `orders-api.served`, `orders-api.served.2`.
    pub(crate) sample: String,
    pub(crate) producer: String,
    pub(crate) event_type: String,
    pub(crate) version: u32,
    pub(crate) data: Value,
    pub(crate) kind: Kind,
    /// Is it an event that nobody but its aggregate sees?
    pub(crate) is_private: bool,
    /// The consumers that took it.
    pub(crate) taken: Vec<String>,
    /// Was it passed over by an operator?
    pub(crate) is_passed_over: bool,
}

/// What the consumers get instead of one event: a sample of some version.
pub(crate) struct Instead {
    pub(crate) event_type: String,
    pub(crate) sample: String,
    pub(crate) version: u32,
    pub(crate) data: Value,
}

/// Tells a story from its beginning to its end.
pub(crate) fn tell(story: &Story, consumers: Vec<Consumer>, instead: Option<Instead>) -> Told {
    let refused: Rc<RefCell<BTreeSet<String>>> = Rc::default();
    let refusing = |consumer: Consumer| {
        let refused = Rc::clone(&refused);
        consumer.before(move |envelope| match refused.borrow().contains(envelope.event_type.as_str()) {
            true => Err(Failure::reject("refused", "the story wants it so")),
            false => Ok(()),
        })
    };
    let consumers = consumers.into_iter().map(refusing).collect();
    let stage = Stage {
        story: story.name.clone(),
        world: World::default(),
        consumers,
        refused,
        instead,
        step: Cell::default(),
        draws: Cell::default(),
        seen: RefCell::default(),
        told: RefCell::default(),
        late: RefCell::default(),
        waited: Cell::default(),
    };
    let whole = async {
        (story.tell)(&stage).await;
        stage.rest().await;
    };
    whole
        .now_or_never()
        .unwrap_or_else(|| stage.failed(format!("the story {} waits for something outside", story.name)));
    stage.told.into_inner()
}

impl Stage {
    /// What a producer needs for its next command. Each command happens a second after the one before.
    pub fn ports<'a>(&'a self, producer: &'a Producer) -> CommandPorts<'a> {
        self.next();
        CommandPorts { store: &self.world, host: self, producer, era: Era::FIRST, limiter: None }
    }

    /// From now on the consumer of this type of command refuses it, and an operator passes it over.
    pub fn pass_over(&self, command: &str) {
        self.refused.borrow_mut().insert(command.to_owned());
    }

    /// The next command of this type reaches its consumer only when the time of a timer of its sender has come, and that has
    /// said what it says then.
    pub fn late(&self, command: &str) {
        self.late.borrow_mut().insert(command.to_owned());
    }

    fn next(&self) {
        self.step.set(self.step.get() + 1);
        self.draws.set(0);
    }

    fn failed(&self, why: String) {
        self.told.borrow_mut().failures.push(why);
    }

    /// Every consumer handles what it has not seen, until nothing new is recorded. A story ends so; one that goes on with what
    /// consumers have made of it does so in between, too.
    pub async fn rest(&self) {
        let story = self.story.as_str();
        let mut late = Vec::new();
        for _ in 0..ROUNDS {
            let new = self.unseen();
            if new.is_empty() && late.is_empty() {
                return;
            }
            if new.is_empty() {
                self.time_is_over().await;
                for (row, place) in std::mem::take(&mut late) {
                    self.hand_out(&row, place).await;
                }
            }
            for row in new {
                let happened = self.happened(story, &row);
                let place = self.told.borrow().events.len();
                self.told.borrow_mut().events.push(happened);
                if self.late.borrow_mut().remove(row.envelope.event_type.as_str()) {
                    late.push((row, place));
                } else {
                    self.hand_out(&row, place).await;
                }
            }
        }
        self.failed(format!("in the story {story}, consumers still record events after {ROUNDS} rounds"));
    }

    fn unseen(&self) -> Vec<JournalRow> {
        let tables = self.world.tables();
        let mut seen = self.seen.borrow_mut();
        let mut new: Vec<JournalRow> =
            tables.outbox.into_iter().filter(|(key, _)| seen.insert(key.clone())).map(|(_, row)| row).collect();
        new.sort_by_key(|row| row.envelope.occurred_at);
        new
    }

    fn happened(&self, story: &str, row: &JournalRow) -> Happened {
        let envelope = &row.envelope;
        let producer = envelope.producer.as_str().split('@').next().unwrap_or_default().to_owned();
        let event_type = envelope.event_type.to_string();
        let told = self.told.borrow();
        let before = told.events.iter().filter(|other| other.event_type == event_type && other.producer == producer);
        let sample = match before.count() {
            0 => format!("{producer}.{story}"),
            earlier => format!("{producer}.{story}.{}", earlier + 1),
        };
        let data = serde_json::from_str(envelope.data.as_str()).unwrap_or_default(); // data is JSON: `Data` says so
        let is_private = row.kind == Kind::Event && row.visibility == Visibility::Private;
        let version = envelope.event_version;
        let (id, cause) = (envelope.event_id.to_string(), envelope.causation_id.to_string());
        let (kind, taken) = (row.kind, Vec::new());
        let is_passed_over = false;
        Happened { id, cause, sample, producer, event_type, version, data, kind, is_private, taken, is_passed_over }
    }

    /// Time passes until the first timer of a saga is due, and it fires.
    async fn time_is_over(&self) {
        let tables = self.world.tables();
        let due = tables.entities.values().filter_map(|stored| stored.saga.as_ref()?.due()).min();
        let Some(due) = due else {
            return self.failed(format!("in the story {}, a command is late and no timer waits for it", self.story));
        };
        self.waited.set(self.waited.get() + due.millis_since(self.now()));
        for (to, wake, _) in tables.wakes.iter().filter(|(_, wake, _)| matches!(wake.verb, Verb::Timer(_))) {
            for consumer in self.consumers.iter().filter(|consumer| consumer.name() == to) {
                self.next();
                let report = handle_wake(consumer, self.consumer_ports(&producer_of(consumer)), wake, 1).await;
                let says = |failed: &Failed| format!("{to}, when its time is over: {}", failed.failure);
                self.told.borrow_mut().failures.extend(report.counts.failures.iter().map(says));
            }
        }
    }

    fn consumer_ports<'a>(&'a self, producer: &'a Producer) -> ConsumerPorts<'a> {
        ConsumerPorts {
            store: &self.world,
            host: self,
            dead_letters: &self.world,
            wakes: &self.world,
            bus: &self.world,
            producer,
            era: Era::FIRST,
        }
    }

    /// Gives it to who wants it; `place` is where it was told.
    async fn hand_out(&self, row: &JournalRow, place: usize) {
        let envelope = self.replaced(&row.envelope, place);
        for consumer in self.consumers.iter().filter(|consumer| consumer.wants(row)) {
            self.next();
            let producer = producer_of(consumer);
            let ports = self.consumer_ports(&producer);
            if self.refused.borrow().contains(envelope.event_type.as_str()) {
                let is_passed_over = self.pass(consumer, ports, &envelope).await;
                self.told.borrow_mut().events[place].is_passed_over = is_passed_over;
                continue;
            }
            let group = format!("{}#0", envelope.tenant_id);
            let message = Message { id: "1".to_owned(), group, receives: 1, body: envelope.to_body() };
            let report = handle_batch(consumer, ports, &[message]).await;
            let (name, of) = (consumer.name(), format!("{} v{}", envelope.event_type, envelope.event_version));
            let mut told = self.told.borrow_mut();
            told.failures.extend(
                report.counts.failures.iter().map(|failed| format!("{name} cannot take {of}: {}", failed.failure)),
            );
            if report.counts.applied == 1 && report.counts.failures.is_empty() {
                told.events[place].taken.push(name.to_string());
            }
        }
    }

    /// It is parked, as the consumer refuses it, and then an operator passes it over. Did that happen?
    async fn pass(&self, consumer: &Consumer, ports: ConsumerPorts<'_>, envelope: &Envelope) -> bool {
        let aggregate = envelope.aggregate();
        handle_wake(consumer, ports, &Wake::advance(aggregate.clone()), 1).await;
        let key = CursorKey { aggregate: aggregate.clone(), consumer: consumer.name().clone() };
        let rev = self.world.tables().progress.get(&key).map_or(Rev::ZERO, |row| row.cursor.rev);
        let order = Instruction { rev, who: "ann".to_owned(), why: "settled by hand".to_owned() };
        handle_wake(consumer, ports, &Wake { aggregate, verb: Verb::Skip(order) }, 1).await;
        self.world.tables().skipped.contains_key(&(key, envelope.seq))
    }

    /// The envelope, or the one with the sample that is to be tried.
    fn replaced(&self, envelope: &Envelope, place: usize) -> Envelope {
        let told = self.told.borrow();
        let now = &told.events[place];
        match &self.instead {
            Some(instead) if instead.event_type == now.event_type && instead.sample == now.sample => Envelope {
                event_version: instead.version,
                data: Data::parse(instead.data.to_string()).expect("a JSON value is JSON"),
                older: Older::default(),
                ..envelope.clone()
            },
            _ => envelope.clone(),
        }
    }
}

fn producer_of(consumer: &Consumer) -> Producer {
    format!("{}@0", consumer.name()).parse().expect("a consumer's name may stand before an @")
}

impl Host for Stage {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + self.waited.get() + self.step.get() * 1_000)
    }

    /// The same for the same draw of the same step, whatever was drawn before.
    fn random(&self) -> u128 {
        self.draws.set(self.draws.get() + 1);
        let number = u128::from(self.step.get()) << 32 | u128::from(self.draws.get());
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn remaining(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}
