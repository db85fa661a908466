//! An event that kills its process among a thousand neighbours of its tenant: how long are they held up, in virtual time?
//! Must not know: how the event is got rid of.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use commerce::order::OrderPlaced;
use futures_util::FutureExt;
use towpath::{AggregateId, Consumer, Context, Failure, Received, Tx};
use towpath_sim::{Clock, Command, Plan, Subject, die, hang, in_calm};

use crate::Row;

const NEIGHBOURS: u64 = 1_000;
/// The deadly one is in the middle of them.
const DEADLY: &str = "o-500";
/// The queue's visibility timeout, and what the wakes and the rest of the queue take after it.
const BOUND: Duration = Duration::from_secs(180 + 5);

#[derive(Clone, Copy)]
enum Death {
    Loop,
    Memory,
}

/// When each order was placed, and when it was handled last.
type Times = Rc<RefCell<BTreeMap<AggregateId, (Duration, Option<Duration>)>>>;

pub(crate) fn measure() -> Result<Vec<Row>> {
    let bound = format!("≤ {} s, once (the queue's visibility + 5 s)", BOUND.as_secs());
    let row = |(name, death)| {
        let p99 = held_up(death)?;
        let what = format!("poison ({name}) among {NEIGHBOURS} neighbours: their delay, p99, virtual time");
        Ok(Row::new(what, bound.clone(), format!("{:.1} s", p99.as_secs_f64()), p99 <= BOUND))
    };
    [("endless loop", Death::Loop), ("out of memory", Death::Memory)].into_iter().map(row).collect()
}

fn held_up(death: Death) -> Result<Duration> {
    let times = Times::default();
    let run = in_calm(1, |_, clock| plan(death, &times, clock));
    ensure!(run.broken.is_none(), "{}", run.broken.unwrap_or_default());
    let neighbours = times.take().into_iter().filter(|(order, _)| order.as_str() != DEADLY);
    let mut delays: Vec<Duration> = neighbours.filter_map(|(_, (placed, done))| Some(done? - placed)).collect();
    ensure!(delays.len() as u64 == NEIGHBOURS, "only {} neighbours were handled", delays.len());
    delays.sort();
    Ok(delays[(delays.len() * 99).div_ceil(100) - 1])
}

fn plan(death: Death, times: &Times, clock: &Clock) -> Plan {
    let repaired = Rc::new(Cell::new(false));
    let consumer = consumer(death, Rc::clone(times), clock.clone(), Rc::clone(&repaired));
    let is_deadly = |envelope: &towpath::Envelope| envelope.aggregate_id.as_str() == DEADLY;
    let place = |number| {
        let (order, times, clock) = (format!("o-{number}"), Rc::clone(times), clock.clone());
        let ask = move |world: Rc<towpath_sim::Instance>| {
            let (order, times, clock) = (order.clone(), Rc::clone(&times), clock.clone());
            async move {
                let id = sim::shop::id(&order);
                times.borrow_mut().entry(id).or_insert((clock.elapsed(), None));
                sim::shop::place(world.command_ports(), "acme", &order, &[("tea", 1)]).await.is_some()
            }
            .boxed_local()
        };
        Command { at: Duration::from_millis(number), name: format!("place o-{number}"), ask: Rc::new(ask) }
    };
    Plan {
        subjects: vec![Subject { consumer, is_poison: Box::new(is_deadly), older: None, was_done: None }],
        commands: (0..=NEIGHBOURS).map(place).collect(),
        at_rest: Box::new(|_, _| Ok(())),
        repaired,
    }
}

fn consumer(death: Death, times: Times, clock: Clock, repaired: Rc<Cell<bool>>) -> Consumer {
    let handle = async move |_: &Context<'_>, order: Received<OrderPlaced>| -> Result<Tx, Failure> {
        if order.order_id.as_str() == DEADLY && !repaired.get() {
            match death {
                Death::Loop => hang().await,
                Death::Memory => die().await,
            }
        }
        if let Some((_, done)) = times.borrow_mut().get_mut(&order.order_id) {
            *done = Some(clock.elapsed());
        }
        Ok(Tx::new())
    };
    Consumer::new("deadly").on(handle)
}
