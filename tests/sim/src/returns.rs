//! Returns in the simulator: goods of a fulfilled checkout come back; nobody directs what follows. What clients ask for, what
//! must hold of money and goods when all is over, and the same with each call broken.
//! Must not know: who hears whose events, which calls break.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use commerce::checkout::Checkout;
use commerce::fulfilment::Fulfilment;
use commerce::payment::Payment;
use commerce::returns::{PaymentRefunded, Return, ReturnClosed, ReturnReceived};
use commerce::stock::{Stock, StockReleased};
use futures_util::FutureExt;
use serde_json::Value;
use towpath::batch::Message;
use towpath::command::{CommandPorts, Reply, Verdict, execute};
use towpath::ports::Wakes;
use towpath::{Aggregate, AggregateKey, Consumer, Context, EffectKey, Envelope, Event, Seq, Tx, Wake};
use towpath_sim::{Applied, Command, Swept, Tables, World, crash_sweep, pair_sweep};

use crate::begin::{same, with};
use crate::checkouts::Bank;
use crate::plan::command;
use crate::scenarios::Depth;
use crate::shop::{Told, code, id, request};
use crate::steps::{self, Course, Provider, behind};

/// When customers bring back what they checked out: two of them, of whom one may come too late.
const AFTER: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(200)];
/// How often each comes again, as long as it was not sent.
const VISITS: u32 = 15;

/// Takes back what was checked out: 404 as long as it was not sent, 409 if it has come back.
async fn take_back(ports: CommandPorts<'_>, tenant: &str, checkout: &str, key: &str) -> Option<u16> {
    let refused = |code| Ok(Verdict::Refuse(Reply::new(code, &0)));
    let decide = async |cx: &Context<'_>| {
        let Some(known) = cx.peek::<Checkout>(&id(checkout)).await? else { return refused(404) };
        if !cx.peek::<Fulfilment>(&id(checkout)).await?.is_some_and(|saga| saga.is_completed()) {
            return refused(404);
        }
        if cx.get::<Return>(&id(checkout)).await?.is_some() {
            return refused(409);
        }
        let (returned, received) = known.take_back();
        Ok(Verdict::Accept(Tx::new().create(returned).record(received), Reply::new(202, &1)))
    };
    code(execute(ports, &request(tenant, key), decide).await)
}

/// Half of the checkouts come back. Nothing is drawn for that: the name decides.
pub fn commands(tenant: &str, checkout: &str, at: Duration, told: &Rc<Told>) -> Vec<Command> {
    let mut hasher = DefaultHasher::new();
    ("comes back", checkout).hash(&mut hasher);
    if !hasher.finish().is_multiple_of(2) {
        return Vec::new();
    }
    let take_back = |(number, after): (usize, Duration)| {
        let (tenant, checkout, told, visits) = (tenant.to_owned(), checkout.to_owned(), Rc::clone(told), Cell::new(0));
        let key = format!("return-{checkout}-{number}");
        command(at + after, format!("take {checkout} back from {tenant}"), async move |world| {
            let code = take_back(world.command_ports(), &tenant, &checkout, &key).await;
            visits.set(visits.get() + 1);
            let comes_again = code == Some(404) && visits.get() < VISITS;
            !comes_again && told.note(&tenant, &key, code)
        })
    };
    AFTER.into_iter().enumerate().map(take_back).collect()
}

/// What the journal has of one return.
struct Trail<'a> {
    received: Vec<&'a Envelope>,
    refunded: Vec<&'a Envelope>,
    closed: Vec<&'a Envelope>,
    restocked: usize,
}

impl<'a> Trail<'a> {
    /// Of this checkout.
    fn of(tables: &'a Tables, checkout: &AggregateKey) -> Self {
        let rows = |kind: &str, event_type: &str| -> Vec<&'a Envelope> {
            let key = beside(checkout, kind);
            let own = tables.outbox.range((key.clone(), Seq::ZERO)..=(key, Seq(u64::MAX)));
            own.map(|(_, row)| &row.envelope).filter(|row| row.event_type.as_str() == event_type).collect()
        };
        let refunded = rows(Payment::TYPE, PaymentRefunded::TYPE);
        let caused = |row: &&Envelope| {
            let cause = row.causation_id.to_string();
            row.event_type.as_str() == StockReleased::TYPE
                && refunded.iter().any(|refund| refund.event_id.to_string() == cause)
        };
        let of_stock = tables.outbox.values().map(|row| &row.envelope);
        let of_stock = of_stock.filter(|row| row.aggregate_type.as_str() == Stock::TYPE);
        Self {
            received: rows(Return::TYPE, ReturnReceived::TYPE),
            closed: rows(Return::TYPE, ReturnClosed::TYPE),
            restocked: of_stock.filter(caused).count(),
            refunded,
        }
    }
}

fn beside(checkout: &AggregateKey, kind: &str) -> AggregateKey {
    AggregateKey { kind: kind.parse().unwrap(), ..checkout.clone() }
}

/// Of all checkouts: those that did not come back, those whose return waits or was passed over, those whose return is closed.
pub fn kinds(tables: &Tables) -> [u32; 3] {
    let mut kinds = [0; 3];
    for key in tables.entities.keys().filter(|key| key.kind.as_str() == Fulfilment::TYPE) {
        let trail = Trail::of(tables, key);
        let kind = if trail.received.is_empty() { 0 } else { 1 + trail.closed.len().min(1) };
        kinds[kind] += 1;
    }
    kinds
}

/// P5 of what nobody directs: what came back is paid back once, and for sale again once; what did not come back is neither.
/// What an operator passed over, or left parked, was not done.
pub fn check(tables: &Tables, applied: &Applied, bank: &Bank) -> Result<(), String> {
    for key in tables.entities.keys().filter(|key| key.kind.as_str() == Fulfilment::TYPE) {
        let trail = Trail::of(tables, key);
        let was_applied = |consumer: &str, row: Option<&&Envelope>| {
            let consumer = consumer.parse().unwrap();
            row.is_some_and(|row| applied.of(&consumer, &row.aggregate()).contains(&row.seq))
        };
        let refund = usize::from(was_applied("payments", trail.received.first()));
        let restock = usize::from(was_applied("inventory", trail.refunded.first()));
        let at_most = trail.received.len();
        let moved = bank.refunds(&key.id);
        let found = [trail.refunded.len(), trail.closed.len(), trail.restocked];
        if at_most > 1 || found != [refund, restock, restock] || !(refund..=at_most).contains(&moved) {
            return Err(format!(
                "P5: {key} came back {at_most} times; the bank paid {moved} times back, our books say {}, its goods were put \
                 back {} times, the return was closed {} times",
                trail.refunded.len(),
                trail.restocked,
                trail.closed.len()
            ));
        }
    }
    Ok(())
}

/// A checkout that is fulfilled.
pub fn fulfilled() -> Tables {
    let world = World::new(steps::begin(Course::Well));
    assert_eq!(steps::fulfil(&world, Course::Well).now_or_never(), Some(true));
    world.tables()
}

/// Whose turn it is: who refunds, who restocks, who tells the CRM.
pub fn consumers(provider: &Provider) -> [Consumer; 3] {
    [payments::consumer(provider.clone()), inventory::consumer(), crm_timeline::consumer()]
}

/// The goods of that checkout come back.
pub async fn received(world: &World) -> bool {
    with(world, async |ports| take_back(ports, "acme", "k-1", "return-k-1").await).await
}

/// Goods come back, and everybody hears what the one before has said.
pub fn followed(depth: Depth) -> Swept {
    let provider = Provider::of(Course::Well);
    let scenario = async |world: &World| {
        if world.calls() == 0 {
            provider.refunds.borrow_mut().clear();
        }
        if !received(world).await {
            return false;
        }
        for consumer in consumers(&provider) {
            for (aggregate, _) in behind(&world.tables(), &consumer) {
                if world.wake(consumer.name(), &Wake::advance(aggregate)).await.is_err() {
                    return false;
                }
            }
            if !world.work(&consumer).await {
                return false;
            }
        }
        is_closed(&world.tables())
    };
    swept(depth, &fulfilled(), scenario, |wanted, found| {
        paid_back_once(&provider.refunds)?;
        same_but_when(wanted, found)
    })
}

/// Each of the three gets its message twice, and then once more.
pub fn doubled(depth: Depth) -> Swept {
    let provider = Provider::of(Course::Well);
    let world = World::new(fulfilled());
    assert_eq!(received(&world).now_or_never(), Some(true));
    let mut all = Swept::default();
    for (consumer, event_type) in
        consumers(&provider).iter().zip([ReturnReceived::TYPE, PaymentRefunded::TYPE, ReturnClosed::TYPE])
    {
        let of = world.tables();
        let row = of.outbox.values().find(|row| row.envelope.event_type.as_str() == event_type).unwrap();
        let message = |number: u32| Message {
            id: number.to_string(),
            group: "acme#0".into(),
            receives: number / 2,
            body: row.envelope.to_body(),
        };
        let begin = Tables { messages: (0..3).map(message).collect(), ..of.clone() };
        let third = match depth {
            Depth::Pairs(most) => Depth::Pairs(most / 3),
            Depth::Single => depth,
        };
        let scenario = async |world: &World| {
            if world.calls() == 0 {
                provider.refunds.borrow_mut().clear();
            }
            world.work(consumer).await
        };
        let swept = swept(third, &begin, scenario, |wanted, found| {
            if event_type == ReturnReceived::TYPE {
                paid_back_once(&provider.refunds)?
            }
            same(wanted, found)
        });
        all = Swept { calls: all.calls + swept.calls, runs: all.runs + swept.runs };
        for (aggregate, _) in behind(&of, consumer) {
            assert!(matches!(world.wake(consumer.name(), &Wake::advance(aggregate)).now_or_never(), Some(Ok(()))));
        }
        assert_eq!(world.work(consumer).now_or_never(), Some(true));
    }
    assert!(is_closed(&world.tables()), "it was gone through");
    all
}

fn swept(
    depth: Depth,
    begin: &Tables,
    scenario: impl AsyncFn(&World) -> bool,
    same: impl Fn(&Tables, &Tables) -> Result<(), String>,
) -> Swept {
    match depth {
        Depth::Single => crash_sweep(begin, scenario, same),
        Depth::Pairs(most) => pair_sweep(begin, scenario, same, most),
    }
}

/// Whatever broke, the provider was asked under one key: it moves money once.
fn paid_back_once(refunds: &RefCell<BTreeSet<EffectKey>>) -> Result<(), String> {
    let refunds = refunds.borrow();
    if refunds.len() == 1 { Ok(()) } else { Err(format!("a refund was asked for under the keys {refunds:?}")) }
}

fn is_closed(tables: &Tables) -> bool {
    let of: Option<Value> = tables
        .entities
        .get(&"acme#return#k-1".parse().unwrap())
        .and_then(|stored| serde_json::from_str(stored.state.as_deref()?).ok());
    of.is_some_and(|of| of["closed"] == true) && tables.views.len() == 1
}

/// The same, but for times and ids in the CRM, as what it tells of is recorded anew in each run.
fn same_but_when(wanted: &Tables, found: &Tables) -> Result<(), String> {
    let told = |tables: &Tables| -> Vec<(Value, Value)> {
        let entries = tables.views.values().map(|entry| serde_json::from_str::<Value>(entry).unwrap());
        entries.map(|entry| (entry["order_id"].clone(), entry["event_type"].clone())).collect()
    };
    if told(wanted) != told(found) {
        return Err(format!("the CRM tells {:?}, expected {:?}", told(found), told(wanted)));
    }
    same(wanted, &Tables { views: wanted.views.clone(), ..found.clone() })
}
