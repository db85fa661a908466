//! Points that customers earn with orders and spend, and two pots of which one stays full: aggregates that live in their
//! events, written by a consumer and by clients at once, with a snapshot about every second row.
//! Must not know: worlds, faults.

use std::collections::BTreeMap;

use commerce::order::OrderPlaced;
use serde::{Deserialize, Serialize};
use towpath::command::{CommandPorts, Reply, Verdict, execute};
use towpath::ports::JournalRow;
use towpath::{
    Aggregate, AggregateId, AggregateKey, Consumer, ConsumerName, Context, Event, EventSourced, Failure, Folds,
    Received, Storage, Tx,
};
use towpath_sim::{Applied, Tables};

use crate::shop::{code, id, request};

/// Points for an order, and the reward that each third order brings besides.
const EARNED: u64 = 10;
const REWARD: u64 = 5;
/// What clients spend at a time.
pub const SPENT: u64 = 15;
pub const POTS: [&str; 2] = ["left", "right"];

/// What one customer has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Points {
    balance: u64,
    orders: u64,
}

impl Aggregate for Points {
    const TYPE: &'static str = "points";
    const STORAGE: Storage = Storage::Events;
}

impl EventSourced for Points {
    const SHAPE: u32 = 1;
    const SNAPSHOT_EVERY: u64 = 2;
    fn folds() -> Folds<Self> {
        Folds::new().fold(earned).fold(rewarded).fold(spent)
    }
}

fn earned(points: Option<Points>, _: &Received<Earned>) -> Result<Points, Failure> {
    let points = points.unwrap_or_default();
    Ok(Points { balance: points.balance + EARNED, orders: points.orders + 1 })
}

fn rewarded(points: Option<Points>, _: &Received<Rewarded>) -> Result<Points, Failure> {
    let points = points.unwrap_or_default();
    Ok(Points { balance: points.balance + REWARD, ..points })
}

fn spent(points: Option<Points>, _: &Received<Spent>) -> Result<Points, Failure> {
    let points = points.unwrap_or_default();
    Ok(Points { balance: points.balance.saturating_sub(SPENT), ..points })
}

/// A pot that can be emptied once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pot;

impl Aggregate for Pot {
    const TYPE: &'static str = "pot";
    const STORAGE: Storage = Storage::Events;
}

impl EventSourced for Pot {
    const SHAPE: u32 = 1;
    const SNAPSHOT_EVERY: u64 = 0;
    fn folds() -> Folds<Self> {
        Folds::new().fold(|_, _: &Received<Emptied>| Ok(Self))
    }
}

macro_rules! event {
    ($name:ident, $of:ident, $event_type:literal) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name {
            id: AggregateId,
            #[serde(default)]
            order: Option<AggregateId>,
        }

        impl Event for $name {
            type Of = $of;
            const TYPE: &'static str = $event_type;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                self.id.clone()
            }
        }
    };
}

event!(Earned, Points, "points.earned");
event!(Rewarded, Points, "points.rewarded");
event!(Spent, Points, "points.spent");
event!(Emptied, Pot, "pot.emptied");

/// Gives points for every order.
pub fn consumer() -> Consumer {
    Consumer::new("points").on(earn)
}

async fn earn(cx: &Context<'_>, order: Received<OrderPlaced>) -> Result<Tx, Failure> {
    let id = order.customer_id.reveal();
    let points = cx.load::<Points>(id).await?.unwrap_or_default();
    let tx = Tx::new().record(Earned { id: id.clone(), order: Some(order.order_id.clone()) });
    let third = (points.orders + 1).is_multiple_of(3);
    Ok(if third { tx.record(Rewarded { id: id.clone(), order: None }) } else { tx })
}

/// Spends some, if there are enough.
pub async fn spend(ports: CommandPorts<'_>, tenant: &str, key: &str) -> Option<u16> {
    let customer = id("c-1");
    let decide = async |cx: &Context<'_>| {
        let points = cx.load::<Points>(&customer).await?.unwrap_or_default();
        if points.balance < SPENT {
            return Ok(Verdict::Refuse(Reply::new(409, &0)));
        }
        let tx = Tx::new().record(Spent { id: customer.clone(), order: None });
        Ok(Verdict::Accept(tx, Reply::new(200, &SPENT)))
    };
    code(execute(ports, &request(tenant, key), decide).await)
}

/// Empties one pot, unless one is empty.
pub async fn empty(ports: CommandPorts<'_>, tenant: &str, pot: &str) -> Option<u16> {
    let decide = async |cx: &Context<'_>| {
        for pot in POTS {
            if cx.load::<Pot>(&id(pot)).await?.is_some() {
                return Ok(Verdict::Refuse(Reply::new(409, &0)));
            }
        }
        Ok(Verdict::Accept(Tx::new().record(Emptied { id: id(pot), order: None }), Reply::new(200, &1)))
    };
    code(execute(ports, &request(tenant, &format!("empty-{pot}")), decide).await)
}

type Checked = Result<(), String>;

/// What was decided was decided on all that was there: the third order brought the reward, nobody spent what he had not,
/// no tenant has two empty pots. And each snapshot says what its row says.
pub fn were_decided_on_what_was_there(tables: &Tables) -> Checked {
    let mut emptied: BTreeMap<String, AggregateKey> = BTreeMap::new();
    let mut states: BTreeMap<&AggregateKey, Points> = BTreeMap::new();
    for ((key, seq), row) in &tables.outbox {
        match key.kind.as_str() {
            Pot::TYPE => {
                if let Some(other) = emptied.insert(key.tenant.to_string(), key.clone()) {
                    return Err(format!(
                        "{key} and {other} are empty, though each is emptied only while the other is full"
                    ));
                }
            }
            Points::TYPE => {
                let points = states.entry(key).or_default();
                follow(points, row).map_err(|why| format!("{key} row {seq}: {why}"))?;
                let kept = tables.snapshots.get(key).into_iter().flatten().find(|kept| kept.seq == *seq);
                let state = kept.map(|kept| serde_json::from_str::<Points>(&kept.state).map_err(|e| e.to_string()));
                if state.transpose()?.is_some_and(|state| state != *points) {
                    return Err(format!("P8: the snapshot of {key} at {seq} is not {points:?}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The rules once more, by hand.
fn follow(points: &mut Points, row: &JournalRow) -> Checked {
    let owed = points.orders > 0 && points.orders.is_multiple_of(3);
    match row.envelope.event_type.as_str() {
        Earned::TYPE => *points = Points { balance: points.balance + EARNED, orders: points.orders + 1 },
        Rewarded::TYPE if owed => points.balance += REWARD,
        Rewarded::TYPE => return Err(format!("a reward after {} orders", points.orders)),
        _ => points.balance = points.balance.checked_sub(SPENT).ok_or("more was spent than there was")?,
    }
    Ok(())
}

/// P2: each applied order has earned points once, and each third one its reward.
pub fn were_earned_once(tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Checked {
    let of = |kind: &str| tables.outbox.values().filter(|row| row.envelope.event_type.as_str() == kind).count();
    let (earned, wanted) = (of(Earned::TYPE), applied.by(consumer).map(|(_, seqs)| seqs.len()).sum::<usize>());
    if earned != wanted {
        return Err(format!("{wanted} orders were applied, and {earned} have earned points"));
    }
    let mut orders: BTreeMap<&AggregateKey, usize> = BTreeMap::new();
    for ((key, _), _) in tables.outbox.iter().filter(|(_, row)| row.envelope.event_type.as_str() == Earned::TYPE) {
        *orders.entry(key).or_default() += 1;
    }
    let thirds: usize = orders.values().map(|orders| orders / 3).sum();
    if of(Rewarded::TYPE) == thirds {
        Ok(())
    } else {
        Err(format!("{} rewards for {thirds} thirds", of(Rewarded::TYPE)))
    }
}
