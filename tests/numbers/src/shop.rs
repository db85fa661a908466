//! Messages as the queue would bring them, and consumers that the sample shop does not have.
//! Must not know: stacks, requests.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use commerce::order::{Line, Order, OrderPlaced};
use serde::{Deserialize, Serialize};
use towpath::batch::{ConsumerPorts, Message};
use towpath::ports::{Answer, DeadLetters, NoBus, Store, Unavailable, Wakes};
use towpath::{
    Aggregate, AggregateId, CausationId, Consumer, ConsumerName, Context, Data, Envelope, Era, Event, EventId, Failure,
    Prior, Producer, Projection, Received, Seq, Storage, Summary, TenantId, Ticket, Timestamp, Tx, Wake,
};
use towpath_aws::LambdaHost;

/// Events made so far.
static EVENTS: AtomicU64 = AtomicU64::new(1);

/// The queues: wakes are kept for whoever asks, and nothing may be dead-lettered here.
#[derive(Default)]
pub(crate) struct Queues(pub(crate) RefCell<Vec<Wake>>);

impl Wakes for Queues {
    fn wake<'a>(&'a self, _: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()> {
        self.0.borrow_mut().push(wake.clone());
        Box::pin(std::future::ready(Ok(())))
    }

    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Answer<'a, u64> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

fn refused<'a>(what: &str) -> Answer<'a, ()> {
    let why = format!("a measurement has no dead letters, yet {what} came");
    Box::pin(std::future::ready(Err(Unavailable { call: "a dead letter", why })))
}

impl DeadLetters for Queues {
    fn keep<'a>(&'a self, message: &'a Message, _: &'a str) -> Answer<'a, ()> {
        refused(&message.id)
    }

    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Answer<'a, ()> {
        refused(&ticket.message)
    }
}

pub(crate) fn ports<'a>(
    store: &'a dyn Store,
    host: &'a LambdaHost,
    queues: &'a Queues,
    producer: &'a Producer,
) -> ConsumerPorts<'a> {
    ConsumerPorts { store, host, dead_letters: queues, wakes: queues, bus: &NoBus, producer, era: Era::FIRST }
}

/// An order of one line, as the first event of its aggregate.
pub(crate) fn placed(tenant: &str, order: &str) -> anyhow::Result<Envelope> {
    let line = Line { sku: "tea".parse()?, quantity: 2_u64.try_into()?, unit_price_cents: 450_u64.try_into()? };
    let (_, placed) = Order::place(order.parse()?, "c-1".parse()?, vec![line].try_into()?);
    envelope::<OrderPlaced>(tenant, &placed, 1, Prior::default())
}

/// Event number `seq` of its aggregate.
pub(crate) fn envelope<E: Event>(tenant: &str, event: &E, seq: u64, prior: Prior) -> anyhow::Result<Envelope> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let occurred_at = Timestamp::from_millis(u64::try_from(now)?);
    // The topic drops what has an id that it knows, and a UUID's version and variant lie in the lower bytes.
    let random = u128::from(EVENTS.fetch_add(1, Ordering::Relaxed)) << 32;
    Ok(Envelope {
        format: towpath::FORMAT,
        event_id: EventId::new(occurred_at, random),
        event_type: E::TYPE.parse()?,
        event_version: E::VERSION,
        tenant_id: TenantId::parse(tenant)?,
        aggregate_type: E::Of::TYPE.parse()?,
        aggregate_id: event.aggregate_id(),
        seq: Seq(seq),
        prior,
        era: Era::FIRST,
        occurred_at,
        correlation_id: "numbers".parse()?,
        causation_id: CausationId::parse("numbers")?,
        producer: "numbers@1".parse()?,
        traceparent: None,
        hops: 0,
        data: Data::parse(serde_json::to_string(event)?)?,
        older: towpath::Older::default(),
    })
}

pub(crate) fn message(envelope: &Envelope) -> Message {
    let id = format!("{}-{}", envelope.aggregate(), envelope.seq);
    Message { id, group: format!("{}#0", envelope.tenant_id), receives: 1, body: envelope.to_body() }
}

/// A machine that says something five times over.
pub(crate) struct Machine;

impl Aggregate for Machine {
    const TYPE: &'static str = "machine";
    const STORAGE: Storage = Storage::Events;
}

/// One thing that it says; `KIND` 0 to 4.
#[derive(Serialize, Deserialize)]
pub(crate) struct Said<const KIND: u8>;

impl<const KIND: u8> Event for Said<KIND> {
    type Of = Machine;
    const TYPE: &'static str =
        ["machine.started", "machine.warmed", "machine.counted", "machine.cooled", "machine.stopped"][KIND as usize];
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        AggregateId::parse("m-1").expect("a good id")
    }
}

/// Handles two of the five types.
pub(crate) fn two_of_five() -> Consumer {
    async fn started(_: &Context<'_>, _: Received<Said<0>>) -> Result<Tx, Failure> {
        Ok(Tx::new())
    }
    async fn counted(_: &Context<'_>, _: Received<Said<2>>) -> Result<Tx, Failure> {
        Ok(Tx::new())
    }
    Consumer::new("two-of-five").on(started).on(counted)
}

/// How often a machine counted: a row with its cursor in it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counts(u64);

impl Summary for Counts {
    type Of = commerce::order::Order;
}

/// A projection that saves requests.
pub(crate) fn grouped() -> Consumer {
    let count = |row: Option<Counts>, _: &Received<OrderPlaced>| Ok(Counts(row.map_or(0, |Counts(n)| n) + 1));
    Projection::<Counts>::new("grouped-counts").fold(count).grouped().into()
}
