//! A proof of somebody's own consumer, in a few lines of a test: their handlers, their example events, every fault.
//! Must not know: any one domain.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use towpath::{Consumer, Context, Event, EventType, Failure, TenantId, Tx};

use crate::example::{deciding, writing};
use crate::upset::Upset;
use crate::{Ask, Clock, Command, Dice, Plan, Seeds, Subject, Tables, permuted, quietly, rebuilt, simulate};

/// Names the seed to repeat.
const SEED: &str = "TOWPATH_SEED";
/// Runs of a proof that does not say how many.
const SEEDS: u64 = 1_000;
const MINUTE: u64 = 60_000;

/// Begins the proof of a consumer. `consumer` is the function that your Lambda calls, too; each run makes one of its own.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use towpath::{Aggregate, AggregateId, Consumer, Event, Failure, Projection, Received, Storage, Summary};
/// # struct Meter;
/// # impl Aggregate for Meter { const TYPE: &'static str = "meter"; const STORAGE: Storage = Storage::Events; }
/// # #[derive(Serialize, Deserialize)] struct MeterRead { meter: AggregateId, units: u64 }
/// # impl Event for MeterRead {
/// #     type Of = Meter; const TYPE: &'static str = "meter.read"; const VERSION: u32 = 1;
/// #     fn aggregate_id(&self) -> AggregateId { self.meter.clone() }
/// # }
/// # #[derive(Default, Serialize, Deserialize)] struct Total { units: u64 }
/// # impl Summary for Total { type Of = Meter; }
/// # fn consumer() -> Consumer {
/// #     Projection::new("totals").fold(|row: Option<Total>, read: &Received<MeterRead>| -> Result<Total, Failure> {
/// #         Ok(Total { units: row.unwrap_or_default().units + read.units })
/// #     }).into()
/// # }
/// towpath_sim::prove(consumer)
///     .event(|dice| MeterRead {
///         meter: format!("meter-{}", dice.between(1, 5)).parse().expect("it is an id"),
///         units: dice.between(1, 100),
///     })
///     .seeds(20)
///     .check();
/// ```
///
/// # What is proved
///
/// Your handlers run between the real machines and a model of AWS, in virtual time, with several tenants, while calls
/// fail, answers are lost, processes die, messages come twice, late or never, queues are emptied, clocks are wrong, and
/// your handlers themselves fail, panic or reject. Then all is calm, a mended version is deployed, and:
///
/// - every event was applied (P1), once (P2), in the order of its aggregate (P3), whatever happened;
/// - an event that fails held up its own aggregate only (P6);
/// - the rows of a projection, or of a consumer declared replayable, are those that the same events give when nothing
///   goes wrong (P8): a handler that looks at a clock, or at another event's leavings, is found by this.
///
/// # How to read a failure
///
/// The panic names the promise, the aggregate and the seed; then come the rates of the faults that this seed drew, the
/// timeline of that aggregate (when, who, which call, what was written), the last lines of the whole run, and one command
/// that repeats exactly this run. Read the timeline from the bottom: the last commit of the aggregate is the one that broke
/// the promise; above it stand the fault and the process that it hit.
pub fn prove(consumer: impl Fn() -> Consumer + Send + Sync + 'static) -> Proof {
    Proof { consumer: Arc::new(consumer), sources: Vec::new(), seeds: SEEDS }
}

/// A proof that is being written down. It runs with [`Proof::check`].
#[must_use]
pub struct Proof {
    consumer: Arc<dyn Fn() -> Consumer + Send + Sync>,
    sources: Vec<Box<Source>>,
    seeds: u64,
}

/// Makes one thing that a client asks for.
type Source = dyn Fn(&mut Dice, TenantId, String) -> Rc<Ask> + Sync;

impl Proof {
    /// An example of an event, made by dice. Its aggregate's id should be one of a few, so that events follow each other;
    /// the handler must accept it. It is written into the journal as it is, without an entity.
    pub fn event<E: Event>(mut self, example: impl Fn(&mut Dice) -> E + Sync + 'static) -> Self {
        self.sources.push(Box::new(move |dice, tenant, key| writing(tenant, key, example(dice))));
        self
    }

    /// A command, made by dice: it reads, decides and returns a `Tx`, like a handler. For events whose entity the consumer
    /// reads. A rejection is an answer: nothing is written.
    pub fn command<D>(mut self, example: impl Fn(&mut Dice) -> D + Sync + 'static) -> Self
    where
        D: AsyncFn(&Context<'_>) -> Result<Tx, Failure> + 'static,
    {
        self.sources.push(Box::new(move |dice, tenant, key| deciding(tenant, key, example(dice))));
        self
    }

    /// How many runs, each with faults of its own kind: 1,000 if nothing is said.
    pub fn seeds(self, seeds: u64) -> Self {
        Self { seeds, ..self }
    }

    /// Runs it, or the one seed that the environment variable `TOWPATH_SEED` names.
    ///
    /// # Panics
    /// If a promise is broken, with its timeline and the command that repeats it; if the consumer handles a type of which no
    /// run had an event.
    pub fn check(self) {
        quietly();
        assert!(!self.sources.is_empty(), "a proof needs examples: add .event(…) or .command(…)");
        let written = Arc::new(Mutex::new(BTreeSet::new()));
        let plan = |dice: &mut Dice, clock: &Clock| self.plan(dice, clock, &written);
        if let Ok(seed) = std::env::var(SEED) {
            let seed = seed.parse().unwrap_or_else(|_| panic!("{SEED} must be a number, not {seed:?}"));
            let broken = simulate(seed, true, plan).broken;
            assert!(broken.is_none(), "seed {seed}: {}", broken.unwrap_or_default());
            return;
        }
        if let Err(failing) = Seeds::run(0..self.seeds, plan) {
            panic!("seed {}: {}\nrepeat it: {}", failing.seed, failing.why, repeat(failing.seed));
        }
        let written = written.lock().unwrap_or_else(PoisonError::into_inner);
        let consumer = (self.consumer)();
        let missing: Vec<&EventType> = consumer.event_types().filter(|of| !written.contains(*of)).collect();
        assert!(missing.is_empty(), "nothing is proved of {missing:?}: add examples with .event(…) or .command(…)");
    }

    fn plan(&self, dice: &mut Dice, _: &Clock, written: &Arc<Mutex<BTreeSet<EventType>>>) -> Plan {
        let repaired = Rc::new(Cell::new(false));
        let upset = Rc::new(Upset::draw(dice, &repaired));
        let meets = Rc::clone(&upset);
        let consumer = (self.consumer)().before(move |of| meets.meet(of));
        let subject =
            Subject { consumer, is_poison: Box::new(move |of| upset.is_poison(of)), older: None, was_done: None };
        let (consumer, written) = (Arc::clone(&self.consumer), Arc::clone(written));
        let at_rest = move |tables: &Tables, _: &_| {
            let types = tables.outbox.values().map(|row| row.envelope.event_type.clone());
            written.lock().unwrap_or_else(PoisonError::into_inner).extend(types);
            rebuilt::compare(tables, &consumer())?;
            permuted::compare(tables, &consumer())
        };
        Plan { subjects: vec![subject], commands: self.commands(dice), at_rest: Box::new(at_rest), repaired }
    }

    /// 20 to 60 of them, of 3 to 5 tenants, in bursts.
    fn commands(&self, dice: &mut Dice) -> Vec<Command> {
        let tenants = dice.between(3, 5);
        let bursts: Vec<u64> = (0..dice.between(2, 12)).map(|_| dice.between(0, 14 * MINUTE)).collect();
        let count = dice.between(20, 60);
        let make = |number| {
            let tenant = format!("tenant-{}", dice.between(1, tenants));
            let at = Duration::from_millis(*dice.pick(&bursts) + dice.between(0, 2_000));
            let name = format!("example-{number} of {tenant}");
            let source = &self.sources[dice.index(self.sources.len())];
            let tenant = tenant.parse().expect("a name and a number");
            Command { at, name, ask: source(dice, tenant, format!("example-{number}")) }
        };
        (0..count).map(make).collect()
    }
}

/// The command that repeats a seed: of the crate and the test that run now.
fn repeat(seed: u64) -> String {
    let of = std::env::var("CARGO_PKG_NAME").map_or(String::new(), |name| format!(" -p {name}"));
    let test =
        std::thread::current().name().filter(|name| *name != "main").map_or(String::new(), |name| format!(" {name}"));
    format!("{SEED}={seed} cargo test --release{of}{test}")
}
