//! What must work whatever call breaks: one scenario for each thing that the machines do, with the real handlers.
//! Must not know: which calls break.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use commerce::checkout::Decision;
use futures_util::FutureExt;
use towpath::ports::{CursorKey, Position, Wakes};
use towpath::{
    Builds, Consumer, Failure, Hold, Holds, Instruction, Rebuild, Replay, Seq, Status, Step, Timestamp, Verb, Wake,
};
use towpath_sim::{Clock, Swept, Tables, World, crash_sweep, pair_sweep};

use crate::begin::{DOUBLED, GAP, IN_ORDER, PLACED, cancel, handled, place, receive, same, shop, spend, waiting};
use crate::diary::{self, Behaviour, Poison, Temper};
use crate::effects;
use crate::points;
use crate::returns;
use crate::steps::{self, Course};

/// How much is broken at once.
#[derive(Debug, Clone, Copy)]
pub enum Depth {
    /// Each call, in each way.
    Single,
    /// Each call, and each later one, about so many pairs of each scenario.
    Pairs(usize),
}

/// A scenario: runs itself, broken as deep as asked for.
pub type Scenario = fn(Depth) -> Swept;

/// All of them.
pub const ALL: [(&str, Scenario); 35] = [
    ("a handler with events, in order", |depth| deliver(depth, inventory::consumer, IN_ORDER, 0)),
    ("a handler with events, a gap", |depth| deliver(depth, inventory::consumer, GAP, 0)),
    ("a handler with events, doubled", |depth| deliver(depth, inventory::consumer, DOUBLED, 0)),
    ("a handler with events, delivered again", |depth| deliver(depth, inventory::consumer, IN_ORDER, 1)),
    ("a projection, row by row", |depth| deliver(depth, order_summary::consumer, DOUBLED, 0)),
    ("a projection, a gap", |depth| deliver(depth, order_summary::consumer, GAP, 0)),
    ("a projection, grouped", |depth| deliver(depth, grouped, IN_ORDER, 0)),
    ("a read model of many aggregates", |depth| deliver(depth, crm_timeline::consumer, DOUBLED, 0)),
    ("events that leave, doubled", |depth| deliver(depth, integration_bus::consumer, DOUBLED, 0)),
    ("events that leave, a gap", |depth| deliver(depth, integration_bus::consumer, GAP, 0)),
    ("an event that fails and then works", retried),
    ("parked, then retried by an operator", |depth| mended(depth, Mending::Retry)),
    ("parked, then redriven by its ticket", |depth| mended(depth, Mending::Redrive)),
    ("parked, then passed over", |depth| mended(depth, Mending::Skip)),
    ("replayed", replayed),
    ("a projection, rebuilt while an event comes", rebuilt),
    ("held, then resumed", |depth| held(depth, inventory::consumer, waiting(IN_ORDER, 0))),
    ("held, then resumed, a projection", |depth| held(depth, order_summary::consumer, waiting(GAP, 0))),
    ("held while its messages are lost, then resumed", |depth| held(depth, inventory::consumer, shop())),
    ("relayed", relayed),
    ("found by the auditor", audited),
    ("commands with keys", commanded),
    ("a saga, all goes well", |depth| fulfilled(depth, Course::Well)),
    ("a saga, undone from the last step on", |depth| fulfilled(depth, Course::CaptureDeclined)),
    ("a saga, each step asked about", |depth| fulfilled(depth, Course::Asked)),
    ("a saga, a command passed over", |depth| fulfilled(depth, Course::PassedOver)),
    ("a saga, approved by a person", |depth| fulfilled(depth, Course::Decided(Decision::Approve))),
    ("a saga, refused by a person", |depth| fulfilled(depth, Course::Decided(Decision::Refuse))),
    ("a saga, nobody decides in time", |depth| fulfilled(depth, Course::NobodyDecides)),
    ("a return: refunded, restocked, closed", returns::followed),
    ("a return, each message doubled", returns::doubled),
    ("a mail with a key", effects::keyed),
    ("an effect that nobody may have twice", effects::held),
    ("an aggregate that is its events, loaded by a handler", |depth| deliver(depth, points::consumer, PLACED, 0)),
    ("an aggregate that is its events, with two kinds of writers", spent),
];

/// Runs each scenario, on two threads; in the order of [`ALL`].
///
/// # Panics
/// With the scenario's name, if one of them is not as if nothing had happened.
pub fn sweep(depth: Depth) -> Vec<(&'static str, Swept)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((name, scenario)) = ALL.get(at) else { return done };
            let says = Named(name);
            done.push((at, *name, scenario(depth)));
            drop(says);
        }
    };
    let mut all = std::thread::scope(|scope| {
        let workers = ["left", "right"].map(|_| scope.spawn(work));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(_, name, swept)| (name, swept)).collect()
}

/// Says on the terminal in which scenario a thread panics.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this was in the scenario «{}»", self.0);
        }
    }
}

fn swept(depth: Depth, begin: &Tables, scenario: impl AsyncFn(&World) -> bool) -> Swept {
    match depth {
        Depth::Single => crash_sweep(begin, scenario, same),
        Depth::Pairs(most) => pair_sweep(begin, scenario, same, most),
    }
}

/// Delivers messages and wakes until nothing is left.
pub fn deliver(depth: Depth, consumer: fn() -> Consumer, pick: &[(&str, u64)], receives: u32) -> Swept {
    swept(depth, &waiting(pick, receives), async |world| world.work(&consumer()).await)
}

fn grouped() -> Consumer {
    diary::folding(&Rc::new(behaviour("folding", Temper::Even, 0, &Rc::default())), true)
}

fn behaviour(name: &'static str, temper: Temper, salt: u64, repaired: &Rc<Cell<bool>>) -> Behaviour {
    let (clock, repaired) = (Clock::default(), Rc::clone(repaired));
    Behaviour { name, temper, salt, clock, repaired, failures: RefCell::new(BTreeMap::new()) }
}

/// Handling every order fails until something was tried twice.
fn retried(depth: Depth) -> Swept {
    swept(depth, &waiting(IN_ORDER, 0), async |world| {
        let tables = world.tables();
        let tries = tables.progress.values().map(|position| position.cursor.attempt).max().unwrap_or(0);
        if tries < 2 && positions(&tables, Status::Ready).is_empty() {
            world.work(&crm_timeline::consumer().before(|_| Err(Failure::retry("away", "a service is away")))).await;
        }
        world.work(&crm_timeline::consumer()).await
    })
}

/// What an operator does about a parked row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mending {
    Retry,
    Redrive,
    Skip,
}

/// A consumer that rejects an order until it is mended; then somebody sees to what is parked.
fn mended(depth: Depth, how: Mending) -> Swept {
    let salt = salt();
    let mends = how != Mending::Skip;
    swept(depth, &waiting(IN_ORDER, 0), async |world| {
        let repaired = Rc::new(Cell::new(false));
        let consumer =
            diary::of_orders(&Rc::new(behaviour("failing", Temper::Poison(Poison::Reject), salt, &repaired)));
        // Once mended it stays so, whatever happens to the process.
        repaired.set(mends && !positions(&world.tables(), Status::Parked).is_empty());
        let mut through = world.work(&consumer).await;
        for (key, position) in positions(&world.tables(), Status::Parked) {
            repaired.set(mends);
            let order = Instruction { rev: position.cursor.rev, who: "ann".into(), why: "mended".into() };
            let verb = match how {
                Mending::Retry => Verb::Retry(order),
                Mending::Skip => Verb::Skip(order),
                Mending::Redrive if !world.tables().tickets.is_empty() => {
                    world.redrive();
                    continue;
                }
                // Its ticket could not be sent: the auditor has it sent again.
                Mending::Redrive => {
                    through &= world.audit(&consumer).await;
                    continue;
                }
            };
            let wake = Wake { aggregate: key.aggregate.clone(), verb };
            through &= world.wake(&key.consumer, &wake).await.is_ok();
        }
        through && world.work(&consumer).await && positions(&world.tables(), Status::Parked).is_empty()
    })
}

/// With this salt only the first order is poison, and its cancellation has to wait behind it.
fn salt() -> u64 {
    let orders = shop();
    let poison = |behaviour: Behaviour| {
        let rows = orders.outbox.values().map(|row| &row.envelope).filter(|row| row.aggregate_type.as_str() == "order");
        rows.filter(|row| behaviour.is_poison(row))
            .map(|row| (row.aggregate_id.to_string(), row.seq))
            .collect::<Vec<_>>()
    };
    let wanted = vec![("o-1".to_owned(), Seq(1))];
    let rejecting = |salt| behaviour("failing", Temper::Poison(Poison::Reject), salt, &Rc::default());
    (0..).find(|salt| poison(rejecting(*salt)) == wanted).unwrap()
}

fn positions(of: &Tables, status: Status) -> Vec<(CursorKey, Position)> {
    let found = of.progress.iter().filter(|(_, position)| position.cursor.status == status);
    found.map(|(key, position)| (key.clone(), position.clone())).collect()
}

/// A read model whose rows were lost is written again, beside the cursors.
fn replayed(depth: Depth) -> Swept {
    let all = handled(&crm_timeline::consumer());
    let begin = Tables { views: BTreeMap::new(), ..all };
    swept(depth, &begin, async |world| {
        let consumer = crm_timeline::consumer();
        for key in ["acme#order#o-1", "acme#order#o-2", "acme#order#o-3"] {
            let replay = Replay { id: 1, after: Seq::ZERO, through: Seq(9), types: Vec::new() };
            let wake = Wake { aggregate: key.parse().unwrap(), verb: Verb::Replay(replay) };
            if world.wake(consumer.name(), &wake).await.is_err() {
                return false;
            }
        }
        world.work(&consumer).await
    })
}

/// Somebody has stopped the tenant before the first message came, so there is no row yet; then it goes on.
fn held(depth: Depth, consumer: fn() -> Consumer, begin: Tables) -> Swept {
    let (name, acme) = (consumer().name().clone(), "acme".parse().unwrap());
    let order = Hold { since: Timestamp::default(), who: "ann".into(), why: "a migration".into(), resumed: None };
    let holds = Holds::default().with(&acme, order).unwrap().unwrap();
    let begin = Tables { holds: [(name.clone(), holds)].into(), ..begin };
    let lost = begin.messages.is_empty();
    swept(depth, &begin, async |world| {
        let resumed = world.tables().holds[&name].resumed(&acme, Timestamp::default());
        if let Some(resumed) = resumed {
            let before = world.tables();
            let nothing = |tables: &Tables| (tables.outbox.clone(), tables.entities.clone(), tables.views.clone());
            // What did not come is found by the auditor, and marked as well.
            let marked = (!lost || world.audit(&consumer()).await) && world.work(&consumer()).await;
            assert_eq!(nothing(&world.tables()), nothing(&before), "something was applied");
            if !marked || world.keep(&name, resumed).await.is_err() {
                return false;
            }
        }
        world.audit(&consumer()).await && world.work(&consumer()).await
    })
}

/// A new build is filled while the last event is still in the queue.
fn rebuilt(depth: Depth) -> Swept {
    let (consumer, last) = (order_summary::consumer, waiting(&IN_ORDER[3..], 0).messages);
    let world = World::new(waiting(&IN_ORDER[..3], 0));
    assert_eq!(world.work(&consumer()).now_or_never(), Some(true));
    let builds = Builds::default().begun().unwrap();
    let rebuild = Rebuild { build: builds.last, step: Step::Fill };
    let begin = Tables { builds: [(consumer().name().clone(), builds)].into(), messages: last, ..world.tables() };
    swept(depth, &begin, async |world| {
        for key in ["acme#order#o-1", "acme#order#o-2", "acme#order#o-3"] {
            let wake = Wake { aggregate: key.parse().unwrap(), verb: Verb::Rebuild(rebuild) };
            if world.wake(consumer().name(), &wake).await.is_err() {
                return false;
            }
        }
        world.work(&consumer()).await && world.tables().summaries.values().all(|row| row.has(rebuild.build))
    })
}

fn relayed(depth: Depth) -> Swept {
    swept(depth, &shop(), async |world| {
        let consumer = inventory::consumer();
        world.relay(&consumer).await && world.work(&consumer).await
    })
}

fn audited(depth: Depth) -> Swept {
    swept(depth, &shop(), async |world| {
        let consumer = order_summary::consumer();
        world.audit(&consumer).await && world.work(&consumer).await
    })
}

/// A checkout is fulfilled, or comes to nothing.
fn fulfilled(depth: Depth, course: Course) -> Swept {
    let (begin, scenario) = (steps::begin(course), async |world: &World| steps::fulfil(world, course).await);
    match depth {
        Depth::Single => crash_sweep(&begin, scenario, steps::same_end),
        Depth::Pairs(most) => pair_sweep(&begin, scenario, steps::same_end, most),
    }
}

fn spent(depth: Depth) -> Swept {
    swept(depth, &waiting(PLACED, 0), async |world| {
        world.work(&points::consumer()).await && spend(world, "s-1").await && spend(world, "s-2").await
    })
}

fn commanded(depth: Depth) -> Swept {
    swept(depth, &shop(), async |world| {
        place(world, "o-9", &[("tea", 1)]).await && cancel(world, "o-2").await && receive(world, "pot", 5).await
    })
}
