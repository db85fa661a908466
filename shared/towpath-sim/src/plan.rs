//! What one run is made of: consumers, commands and checks from the user, settings from the seed.
//! Must not know: how a run goes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use towpath::{AggregateKey, Consumer, ConsumerName, Envelope, EventId, Lanes, Seq};

use crate::dice::{Dice, Millis};
use crate::{Instance, Tables};

pub(crate) const SECOND: Millis = 1_000;
pub(crate) const MINUTE: Millis = 60 * SECOND;
pub(crate) const HOUR: Millis = 60 * MINUTE;

/// A product under test.
pub struct Plan {
    /// Its consumers.
    pub subjects: Vec<Subject>,
    /// What its clients ask for.
    pub commands: Vec<Command>,
    /// What must hold at rest, besides Towpath's own promises.
    pub at_rest: Box<AtRest>,
    /// Becomes true when the people in charge have deployed a mended version.
    pub repaired: Rc<Cell<bool>>,
}

/// Looks at the tables at rest; the error says which promise is broken and how.
pub type AtRest = dyn Fn(&Tables, &Applied) -> Result<(), String>;

/// A consumer under test.
pub struct Subject {
    /// The consumer, with the handlers that are deployed.
    pub consumer: Consumer,
    /// Whether handling this event fails until the repair. Only such an event may be parked, and only its aggregate may
    /// wait for it.
    pub is_poison: Box<dyn Fn(&Envelope) -> bool>,
    /// Code that runs beside it, as while a deploy is under way.
    pub older: Option<Older>,
    /// For a consumer that holds what it does not know: what the provider tells an operator who asks whether it has carried out
    /// the effect of this event, when nothing of it is under way any more.
    pub was_done: Option<Box<WasDone>>,
}

/// Has a provider carried out the effect of this event?
pub type WasDone = dyn Fn(EventId) -> bool;

/// The generation before.
pub struct Older {
    /// With fewer types, and the generation before.
    pub consumer: Consumer,
    /// The new code takes over from then on. The starts of types that are new lie later, by more than clocks differ.
    pub until: Duration,
}

/// What a client asks for, with a key of its own; it asks again until it is answered.
pub struct Command {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// For the timeline.
    pub name: String,
    /// Asks once; `true` when there was an answer.
    pub ask: Rc<Ask>,
}

/// One request of a client.
pub type Ask = dyn Fn(Rc<Instance>) -> LocalBoxFuture<'static, bool>;

/// Which rows each consumer has applied, in the order in which it did; what was passed over on record is not in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied(pub(crate) BTreeMap<(ConsumerName, AggregateKey), Vec<Seq>>);

impl Applied {
    /// What one consumer has applied of one aggregate.
    pub fn of(&self, consumer: &ConsumerName, aggregate: &AggregateKey) -> &[Seq] {
        self.0.get(&(consumer.clone(), aggregate.clone())).map_or(&[], Vec::as_slice)
    }

    /// Every aggregate that the consumer has applied something of.
    pub fn by<'a>(&'a self, consumer: &'a ConsumerName) -> impl Iterator<Item = (&'a AggregateKey, &'a [Seq])> {
        let own = self.0.iter().filter(move |((name, _), _)| name == consumer);
        own.map(|((_, aggregate), seqs)| (aggregate, seqs.as_slice()))
    }
}

/// What the people in charge do about parked rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crew {
    /// They use the command line.
    CommandLine,
    /// They only use the console's redrive.
    Console,
    /// Both, and at once.
    Both,
    /// They leave alone what is parked.
    Absent,
}

/// How the stack of one run is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) shards: usize,
    pub(crate) lanes: Lanes,
    /// Somebody changes them: of all tenants, or of one.
    pub(crate) lanes_at: Vec<Millis>,
    /// Instances of one function on one queue.
    pub(crate) concurrency: usize,
    pub(crate) batch: usize,
    /// Rows in a page of an index.
    pub(crate) page: usize,
    pub(crate) max_receives: u32,
    pub(crate) relay_tries: u32,
    pub(crate) function_timeout: Millis,
    pub(crate) crew: Crew,
    pub(crate) skips: bool,
    /// Somebody orders a replay.
    pub(crate) replay_at: Option<Millis>,
    /// Somebody rebuilds a projection.
    pub(crate) rebuild_at: Option<Millis>,
    /// Somebody stops a tenant at a consumer, at these times.
    pub(crate) holds_at: Vec<Millis>,
    /// Commands come until then.
    pub(crate) busy_until: Millis,
    /// Nothing goes wrong from then on.
    pub(crate) calm_at: Millis,
    /// Handlers that fail are mended, in some runs while everything goes wrong.
    pub(crate) mended_at: Millis,
    /// Nobody fails any more: all that is left is brought to rest.
    pub(crate) repair_at: Millis,
    /// All must be at rest.
    pub(crate) end_at: Millis,
}

impl Settings {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let busy_until = dice.between(MINUTE, 15 * MINUTE);
        let calm_at = busy_until + dice.between(MINUTE, 15 * MINUTE);
        let late = dice.chance(1_500);
        let repair_at = calm_at + if late { 26 * HOUR } else { HOUR };
        let mended_at = if dice.chance(3_000) { dice.between(0, calm_at) } else { repair_at };
        Self {
            shards: *dice.pick(&[1, 2, 3]),
            lanes: Lanes::all(*dice.pick(&[1, 1, 2, 4])),
            lanes_at: (0..*dice.pick(&[0, 0, 0, 1, 3])).map(|_| dice.between(0, calm_at)).collect(),
            concurrency: *dice.pick(&[1, 2, 5]),
            batch: *dice.pick(&[1, 3, 10, 10]),
            page: *dice.pick(&[7, 25, 1_000]),
            max_receives: *dice.pick(&[5, 20, 1_000]),
            relay_tries: *dice.pick(&[2, 10, 1_000]),
            function_timeout: *dice.pick(&[5, 30, 30]) * SECOND,
            crew: *dice.pick(&[Crew::CommandLine, Crew::Console, Crew::Both, Crew::Both, Crew::Absent]),
            skips: dice.chance(3_000),
            replay_at: dice.chance(1_000).then(|| dice.between(0, repair_at)),
            rebuild_at: dice.chance(3_000).then(|| dice.between(0, calm_at)),
            holds_at: (0..*dice.pick(&[0, 0, 0, 0, 0, 0, 1, 1, 2, 3])).map(|_| dice.between(0, calm_at)).collect(),
            busy_until,
            calm_at,
            mended_at,
            repair_at,
            end_at: repair_at + 3 * HOUR,
        }
    }

    /// As the template says; people leave alone what is parked.
    pub(crate) fn usual() -> Self {
        let busy_until = 15 * MINUTE;
        let repair_at = busy_until + 26 * HOUR;
        Self {
            shards: 1,
            lanes: Lanes::all(1),
            lanes_at: Vec::new(),
            concurrency: 10,
            batch: 10,
            page: 1_000,
            max_receives: 1_000,
            relay_tries: 1_000,
            function_timeout: 30 * SECOND,
            crew: Crew::Absent,
            skips: false,
            replay_at: None,
            rebuild_at: None,
            holds_at: Vec::new(),
            busy_until,
            calm_at: busy_until,
            mended_at: repair_at,
            repair_at,
            end_at: repair_at + 3 * HOUR,
        }
    }

    /// Six times the function's timeout (17).
    pub(crate) fn visibility(&self) -> Millis {
        6 * self.function_timeout
    }

    /// Nothing new goes wrong, and nothing is repaired yet.
    pub(crate) fn is_waiting(&self, now: Millis) -> bool {
        (self.calm_at + 20 * MINUTE..self.repair_at).contains(&now)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (busy, calm, repair) = (self.busy_until / SECOND, self.calm_at / SECOND, self.repair_at / SECOND);
        let mended = self.mended_at / SECOND;
        writeln!(f, "  commands until {busy} s, mended at {mended} s, calm from {calm} s, repaired at {repair} s")?;
        let Self { shards, lanes, concurrency, batch, page, max_receives, relay_tries, crew, skips, .. } = self;
        writeln!(
            f,
            "  {shards} shards, {} lanes, {concurrency} instances a queue, batches of {batch}, pages of {page}",
            lanes.each
        )?;
        let timeout = self.function_timeout / SECOND;
        writeln!(f, "  timeout {timeout} s, at most {max_receives} receives and {relay_tries} tries of the relay")?;
        writeln!(f, "  operators: {crew:?}{}", if *skips { ", who sometimes skip" } else { "" })?;
        let holds = self.holds_at.iter().map(|at| format!(" {} s", at / SECOND)).collect::<String>();
        if holds.is_empty() { Ok(()) } else { writeln!(f, "  a tenant is held at{holds}") }
    }
}
