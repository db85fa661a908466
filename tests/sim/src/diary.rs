//! Consumers that write down what they apply, and fail on purpose: an error for a while, a rejection, a panic, an endless
//! loop, a process that dies.
//! Must not know: the simulator's clockwork.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use commerce::order::{Order, OrderCancelled, OrderPlaced};
use commerce::stock::{StockReceived, StockRejected, StockReleased, StockReserved};
use serde::{Deserialize, Serialize};
use towpath::{
    Aggregate, AggregateId, AggregateKey, Consumer, Context, Entity, Envelope, Event, EventId, Failure, Projection,
    Received, Seq, Storage, Summary, Tx, Visibility,
};
use towpath_sim::{Clock, ON_PURPOSE, call_outside, die, hang};

/// One page per aggregate and consumer: the rows that were applied, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diary {
    id: AggregateId,
    pub seqs: Vec<Seq>,
}

impl Aggregate for Diary {
    const TYPE: &'static str = "diary";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Diary {
    fn id(&self) -> AggregateId {
        self.id.clone()
    }
}

/// Says that something was written down.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    id: AggregateId,
    seq: Seq,
}

impl Event for Noted {
    type Of = Diary;
    const TYPE: &'static str = "diary.noted";
    const VERSION: u32 = 1;
    const VISIBILITY: Visibility = Visibility::Private;
    fn aggregate_id(&self) -> AggregateId {
        self.id.clone()
    }
}

/// Where the diary of a consumer about an aggregate is.
pub fn page_of(consumer: &str, aggregate: &AggregateKey) -> AggregateId {
    format!("{consumer}.{}.{}", aggregate.kind, aggregate.id).parse().unwrap()
}

/// A projection's row: the same, with the cursor in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Folded {
    pub seqs: Vec<Seq>,
}

impl Summary for Folded {
    type Of = Order;
}

/// How handling an event can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Not at all.
    Even,
    /// Some events fail a few times, then work.
    Flaky,
    /// A service that it needs is away for a while.
    Away { from: Duration, until: Duration },
    /// Some events never work, until a mended version is deployed.
    Poison(Poison),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    Error,
    Reject,
    Panic,
    Hang,
    Die,
}

impl Poison {
    pub const ALL: [Self; 5] = [Self::Error, Self::Reject, Self::Panic, Self::Hang, Self::Die];
}

/// One consumer's behaviour in one run.
pub struct Behaviour {
    pub name: &'static str,
    pub temper: Temper,
    /// Decides which events are hit.
    pub salt: u64,
    pub clock: Clock,
    pub repaired: Rc<Cell<bool>>,
    pub failures: RefCell<BTreeMap<EventId, u32>>,
}

#[derive(Debug, thiserror::Error)]
#[error("a service is away")]
struct ServiceAway;

impl Behaviour {
    /// A number of this event in this run, by which some are hit.
    fn hash(&self, of: &Envelope) -> u64 {
        let place = format!("{}/{}/{}", self.salt, of.aggregate(), of.seq);
        place.bytes().fold(self.salt, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) >> 20
    }

    /// Does this event fail until the repair?
    pub fn is_poison(&self, of: &Envelope) -> bool {
        matches!(self.temper, Temper::Poison(_)) && self.hash(of).is_multiple_of(6)
    }

    /// Goes wrong, if it is this event's turn.
    pub async fn meet(&self, of: &Envelope) -> Result<(), Failure> {
        self.meet_at_once(of)?;
        match self.temper {
            Temper::Poison(Poison::Hang) if self.strikes(of) => hang().await,
            Temper::Poison(Poison::Die) if self.strikes(of) => die().await,
            _ => {}
        }
        Ok(())
    }

    fn strikes(&self, of: &Envelope) -> bool {
        self.is_poison(of) && !self.repaired.get()
    }

    /// The same, for handlers that cannot wait.
    fn meet_at_once(&self, of: &Envelope) -> Result<(), Failure> {
        match self.temper {
            Temper::Flaky if self.hash(of).is_multiple_of(4) => {
                let mut failures = self.failures.borrow_mut();
                let failed = failures.entry(of.event_id).or_insert(0);
                *failed += 1;
                if u64::from(*failed) <= self.hash(of) % 3 + 1 { Err(ServiceAway.into()) } else { Ok(()) }
            }
            Temper::Away { from, until } if (from..until).contains(&self.clock.elapsed()) => Err(ServiceAway.into()),
            Temper::Poison(Poison::Error) if self.strikes(of) => Err(ServiceAway.into()),
            Temper::Poison(Poison::Reject) if self.strikes(of) => Err(Failure::reject("poison", ON_PURPOSE)),
            Temper::Poison(Poison::Panic) if self.strikes(of) => panic!("{ON_PURPOSE}"),
            _ => Ok(()),
        }
    }
}

/// A consumer that notes orders, in entities of its own.
pub fn of_orders(behaviour: &Rc<Behaviour>) -> Consumer {
    let consumer = noting::<OrderPlaced>(Consumer::new(behaviour.name), behaviour);
    noting::<OrderCancelled>(consumer, behaviour)
}

/// The same in two generations: one that notes only that orders are placed; one that notes what is cancelled, too, from a
/// time on.
pub fn of_orders_in_two_generations(behaviour: &Rc<Behaviour>, since: &str) -> (Consumer, Consumer) {
    let older = || noting::<OrderPlaced>(Consumer::new(behaviour.name), behaviour);
    (older(), noting::<OrderCancelled>(older().generation(2), behaviour).since::<OrderCancelled>(since))
}

/// A consumer that notes some of what happens to stock, and not goods that come in.
pub fn of_stock(behaviour: &Rc<Behaviour>) -> Consumer {
    let consumer = noting::<StockReserved>(Consumer::new(behaviour.name), behaviour);
    noting::<StockReleased>(noting::<StockRejected>(consumer, behaviour), behaviour)
}

/// A consumer that notes goods that come in, only from a time on.
pub fn of_receipts(behaviour: &Rc<Behaviour>, since: &str) -> Consumer {
    noting::<StockReceived>(Consumer::new(behaviour.name), behaviour).since::<StockReceived>(since)
}

/// A projection of orders.
pub fn folding(behaviour: &Rc<Behaviour>, grouped: bool) -> Consumer {
    let (of_placed, of_cancelled) = (Rc::clone(behaviour), Rc::clone(behaviour));
    let projection = Projection::<Folded>::new(behaviour.name)
        .fold(move |row, event: &Received<OrderPlaced>| fold(&of_placed, row, event.envelope()))
        .fold(move |row, event: &Received<OrderCancelled>| fold(&of_cancelled, row, event.envelope()));
    if grouped { projection.grouped().into() } else { projection.into() }
}

fn fold(behaviour: &Behaviour, row: Option<Folded>, of: &Envelope) -> Result<Folded, Failure> {
    behaviour.meet_at_once(of)?;
    let mut row = row.unwrap_or_default();
    row.seqs.push(of.seq);
    Ok(row)
}

fn noting<E: Event>(consumer: Consumer, behaviour: &Rc<Behaviour>) -> Consumer {
    let behaviour = Rc::clone(behaviour);
    consumer.on(async move |cx: &Context<'_>, event: Received<E>| note(cx, &behaviour, event.envelope()).await)
}

async fn note(cx: &Context<'_>, behaviour: &Behaviour, of: &Envelope) -> Result<Tx, Failure> {
    behaviour.meet(of).await?;
    call_outside();
    write_down(cx, behaviour, of).await
}

/// One more line on the page of the event's aggregate.
pub async fn write_down(cx: &Context<'_>, behaviour: &Behaviour, of: &Envelope) -> Result<Tx, Failure> {
    let id = page_of(behaviour.name, &of.aggregate());
    let noted = Noted { id: id.clone(), seq: of.seq };
    Ok(match cx.get::<Diary>(&id).await? {
        None => Tx::new().create(Diary { id, seqs: vec![of.seq] }).record(noted),
        Some(mut diary) => {
            diary.seqs.push(of.seq);
            Tx::new().replace(diary).record(noted)
        }
    })
}
