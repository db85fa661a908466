//! One aggregate's journal, and its consumer in two versions: what an author would write, and the only place here that
//! has events in it.
//! Must not know: workers, queues, what may go wrong.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use towpath::ports::{Head, JournalRow, Stored};
use towpath::{
    Aggregate, AggregateId, AggregateKey, Consumer, Context, Data, Entity, Envelope, Era, Event, EventId, EventType,
    FORMAT, Failure, Kind, Prior, Producer, Received, Seq, Storage, Timestamp, Tx, View, Visibility,
};

/// The time of all that happens. What time does is said by the row's `due` and `old`.
pub fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

const LONG_AGO: u64 = 1_799_000_000_000;

/// What a row of the journal is to the two versions of the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Both handle it.
    Added,
    /// Nobody does.
    Noted,
    /// The old code knows an earlier version of it.
    Changed,
    /// The old code does not know it.
    Moved,
}

/// Which version of the consumer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Generation 1.
    Old,
    /// Generation 2.
    New,
}

/// What a handler comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mood {
    /// Its effect.
    Works,
    /// A failure that may pass.
    Fails,
    /// A failure that will not.
    Rejects,
}

const TYPES: [(Type, &str); 4] = [
    (Type::Added, "thing.added"),
    (Type::Noted, "thing.noted"),
    (Type::Changed, "thing.changed"),
    (Type::Moved, "thing.moved"),
];

static NAMES: LazyLock<Vec<EventType>> =
    LazyLock::new(|| TYPES.iter().map(|(_, name)| name.parse().expect("it is aggregate.past_tense")).collect());
static KEY: LazyLock<AggregateKey> = LazyLock::new(|| "acme#thing#t-1".parse().expect("it is tenant#type#id"));
static PRODUCER: LazyLock<Producer> = LazyLock::new(|| "model@1".parse().expect("it is name@version"));

/// The one aggregate.
pub(crate) fn key() -> &'static AggregateKey {
    &KEY
}

/// Who writes.
pub(crate) fn producer() -> Producer {
    PRODUCER.clone()
}

pub(crate) fn event_type(index: usize) -> EventType {
    NAMES[index].clone()
}

/// The event in this place.
pub(crate) fn event_id(seq: u8) -> EventId {
    EventId::new(Timestamp::from_millis(LONG_AGO + u64::from(seq)), seq.into())
}

impl Type {
    /// Does the new code handle it? Then its message comes to the queue, and its effect is due.
    pub fn is_wanted(self) -> bool {
        self != Self::Noted
    }
}

/// The row in place `seq` of a journal with these types.
pub(crate) fn row(types: &[Type], seq: u8) -> JournalRow {
    let place = usize::from(seq) - 1;
    let named = |kind: Type| TYPES.iter().position(|(known, _)| *known == kind).map(event_type);
    let mut prior = Prior::default();
    for (index, earlier) in types[..place].iter().enumerate() {
        prior.note(named(*earlier).expect("every type has a name"), Seq(index as u64 + 1));
    }
    let envelope = Envelope {
        format: FORMAT,
        event_id: event_id(seq),
        event_type: named(types[place]).expect("every type has a name"),
        event_version: if types[place] == Type::Changed { 2 } else { 1 },
        tenant_id: KEY.tenant.clone(),
        aggregate_type: KEY.kind.clone(),
        aggregate_id: KEY.id.clone(),
        seq: Seq(seq.into()),
        prior,
        era: Era::FIRST,
        occurred_at: Timestamp::from_millis(LONG_AGO + u64::from(seq)),
        correlation_id: "c-1".parse().expect("it is an id"),
        causation_id: "c-1".parse().expect("it is an id"),
        producer: producer(),
        traceparent: None,
        hops: 0,
        data: Data::parse("{}".to_owned()).expect("it is JSON"),
        older: towpath::Older::default(),
    };
    JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Internal, to: None }
}

/// The consumer as it was and as it is.
pub(crate) fn consumer(code: Code) -> Consumer {
    let thing = Consumer::new("things").on(handle::<Added>);
    match code {
        Code::Old => thing.on(handle::<ChangedBefore>),
        Code::New => thing.on(handle::<Changed>).generation(2).on(handle::<Moved>),
    }
}

/// Asks how it will end, and leaves an effect that shows which row it belongs to.
async fn handle<E: Event>(cx: &Context<'_>, event: Received<E>) -> Result<Tx, Failure> {
    let seq = event.envelope().seq;
    match cx.peek::<Ending>(&AggregateId::parse(seq.to_string())?).await?.map(|ending| ending.mood) {
        Some(Mood::Works) => Ok(Tx::new().put(Effect { seq })),
        Some(Mood::Rejects) => Err(Failure::reject("rejected", "it will never work")),
        Some(Mood::Fails) | None => Err(Failure::retry("failed", "it did not work")),
    }
}

#[derive(Serialize, Deserialize)]
struct Ending {
    mood: Mood,
}

impl Aggregate for Ending {
    const TYPE: &'static str = "ending";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Ending {
    fn id(&self) -> AggregateId {
        AggregateId::parse("1").expect("it is an id")
    }
}

/// What a handler reads when it shall come to this.
pub(crate) fn ending(mood: Mood) -> Stored {
    let state = serde_json::to_string(&Ending { mood }).expect("it has string keys only");
    let head = Head { seq: Seq(1), prior: Prior::default(), era: Era::FIRST, occurred_at: now() };
    Stored { head, state: Some(state), saga: None }
}

#[derive(Serialize, Deserialize)]
struct Effect {
    seq: Seq,
}

impl View for Effect {
    const NAME: &'static str = "effects";
    fn partition(&self) -> String {
        "all".to_owned()
    }
    fn sort(&self) -> String {
        self.seq.to_string()
    }
}

struct Thing;

impl Aggregate for Thing {
    const TYPE: &'static str = "thing";
    const STORAGE: Storage = Storage::Events;
}

macro_rules! events {
    ($($name:ident, $kind:literal, $version:literal;)*) => {$(
        #[derive(Serialize, Deserialize)]
        struct $name {}

        impl Event for $name {
            type Of = Thing;
            const TYPE: &'static str = $kind;
            const VERSION: u32 = $version;
            fn aggregate_id(&self) -> AggregateId {
                KEY.id.clone()
            }
        }
    )*};
}

events! {
    Added, "thing.added", 1;
    ChangedBefore, "thing.changed", 1;
    Changed, "thing.changed", 2;
    Moved, "thing.moved", 1;
}
