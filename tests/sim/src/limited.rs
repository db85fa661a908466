//! A tenant that asks for too much, of several warm processes whose clocks are wrong, while calls break: what comes in is
//! bounded, what is refused is not written, and nobody waits for ever (P11).
//! Must not know: how tokens are leased.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use commerce::order::Order;
use futures_util::future::LocalBoxFuture;
use towpath::command::{CommandError, CommandPorts, Reply, Verdict, execute};
use towpath::limiter::{Buckets, Leases, Limiter};
use towpath::ports::{Answer, CommitError, Host};
use towpath::{Bucket, Context, Limit, Rev, TenantId, Timestamp, Tx};
use towpath_sim::{Clock, Dice, Instance, Plan, Subject, Tables};

use crate::plan::command;
use crate::shop::{id, lines, request};

const TENANT: &str = "tenant-1";
/// Clocks are up to so many milliseconds ahead or behind.
const SKEW: u64 = 300_000;
/// A store's clock has whole seconds.
const RESOLUTION: u64 = 1_000;

/// A process that stays warm from request to request: what it has leased, and how wrong its clock is.
struct Warm {
    leases: Leases,
    skew: u64,
}

/// One request in a warm process: its clock, and whether its limiter could be reached.
struct Meets<'a> {
    instance: &'a Instance,
    clock: &'a Clock,
    skew: u64,
    is_open: Cell<bool>,
}

impl Host for Meets<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis() + self.skew - SKEW)
    }
    fn random(&self) -> u128 {
        self.instance.random()
    }
    fn remaining(&self) -> Duration {
        self.instance.remaining()
    }
    fn sleep(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        self.instance.sleep(time)
    }
}

impl Buckets for Meets<'_> {
    fn bucket<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)> {
        Box::pin(async move {
            let got = self.instance.bucket(tenant).await;
            self.is_open.set(self.is_open.get() || got.is_err());
            got
        })
    }

    fn keep_bucket<'a>(&'a self, tenant: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError> {
        Box::pin(async move {
            let kept = self.instance.keep_bucket(tenant, bucket, expect).await;
            let away = matches!(kept, Err(CommitError::Unavailable(_) | CommitError::Invalid(_)));
            self.is_open.set(self.is_open.get() || away);
            kept
        })
    }
}

/// What happened at the door.
#[derive(Default)]
struct Door {
    /// When a command came in that was charged, and not done before.
    came: RefCell<Vec<u64>>,
    /// How many attempts of an order were let in.
    tried: RefCell<BTreeMap<String, u32>>,
    /// Orders whose clients gave up when they were told to wait.
    gave_up: RefCell<BTreeSet<String>>,
}

impl Door {
    /// `Ok` when the client has an answer.
    async fn ask(&self, instance: &Instance, clock: &Clock, warm: &Warm, every: Limit, order: &str) -> bool {
        let meets = Meets { instance, clock, skew: warm.skew, is_open: Cell::new(false) };
        let limiter = Limiter { buckets: &meets, leases: &warm.leases, every };
        let ports = CommandPorts { host: &meets, limiter: Some(limiter), ..instance.command_ports() };
        let came: Cell<Option<u64>> = Cell::new(None);
        let decide = async |_: &Context<'_>| {
            if came.get().is_none() {
                came.set(Some(u64::try_from(clock.elapsed().as_millis()).unwrap()));
                *self.tried.borrow_mut().entry(order.to_owned()).or_default() += 1;
            }
            let (order, placed) = Order::place(id(order), id("c-1"), lines(&[("tea", 1)]));
            Ok(Verdict::Accept(Tx::new().create(order).record(placed), Reply::new(201, &1)))
        };
        let done = execute(ports, &request(TENANT, &format!("place-{order}")), decide).await;
        let was_done = matches!(&done, Ok(reply) if reply.repeated);
        match done {
            Err(CommandError::Throttled(_)) => {
                if came.get().is_some() {
                    *self.tried.borrow_mut().entry(order.to_owned()).or_default() -= 1;
                }
                let gives_up = order.ends_with('7');
                if gives_up {
                    self.gave_up.borrow_mut().insert(order.to_owned());
                }
                gives_up
            }
            other => {
                if let Some(at) = came.get().filter(|_| !meets.is_open.get() && !was_done) {
                    self.came.borrow_mut().push(at);
                }
                other.is_ok()
            }
        }
    }

    fn check(&self, tables: &Tables, every: Limit, processes: u64) -> Result<(), String> {
        let rate: f64 = every.rate.to_string().parse().unwrap();
        let mut came = self.came.borrow().clone();
        came.sort_unstable();
        let leased = processes * u64::from(every.chunk());
        for (first, from) in came.iter().enumerate() {
            for (last, until) in came.iter().enumerate().skip(first) {
                let millis = until - from + RESOLUTION;
                #[allow(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small"
                )]
                let most = u64::from(every.burst) + leased + (rate * millis as f64 / 1_000.0).ceil() as u64;
                let found = (last - first + 1) as u64;
                if found > most {
                    return Err(format!("P11: {found} commands came in within {millis} ms, and {most} may"));
                }
            }
        }
        let (gave_up, tried) = (self.gave_up.borrow(), self.tried.borrow());
        let never =
            gave_up.iter().find(|order| tried.get(*order).copied().unwrap_or(0) == 0 && is_there(tables, order));
        never.map_or(Ok(()), |order| Err(format!("P11: {order} was told to wait, and is written all the same")))
    }
}

fn is_there(tables: &Tables, order: &str) -> bool {
    tables.outbox.keys().any(|(aggregate, _)| aggregate.id.as_str() == order)
}

/// What one seed asks for.
pub fn plan(dice: &mut Dice, clock: &Clock) -> Plan {
    let every = Limit {
        rate: (*dice.pick(&["0.5", "1", "3"])).parse().unwrap(),
        burst: u32::try_from(dice.between(2, 30)).unwrap(),
    };
    let warm: Vec<Rc<Warm>> = (0..dice.between(1, 5))
        .map(|_| Rc::new(Warm { leases: Leases::default(), skew: dice.between(0, 2 * SKEW) }))
        .collect();
    let (door, processes) = (Rc::new(Door::default()), warm.len() as u64);
    let bursts: Vec<u64> = (0..dice.between(1, 6)).map(|_| dice.between(0, 800_000)).collect();
    let make = |number: u64| {
        let at = Duration::from_millis(*dice.pick(&bursts) + dice.between(0, 20_000));
        let (order, warm) = (format!("o-{number}"), Rc::clone(dice.pick(&warm)));
        let (door, clock) = (Rc::clone(&door), clock.clone());
        command(at, format!("place {order}"), async move |world: Rc<Instance>| {
            door.ask(&world, &clock, &warm, every, &order).await
        })
    };
    let commands = (0..150).map(make).collect();
    let consumer = order_summary::consumer();
    let subject = Subject { consumer, is_poison: Box::new(|_| false), older: None, was_done: None };
    let at_rest = move |tables: &Tables, _: &_| door.check(tables, every, processes);
    Plan { subjects: vec![subject], commands, at_rest: Box::new(at_rest), repaired: Rc::default() }
}
