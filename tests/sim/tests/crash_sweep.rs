//! P0 to P3 and P9 with the real handlers: whatever call breaks, in whatever way, delivering again makes it as if
//! nothing had happened.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it does, and stops at what cannot be")]

use commerce::order::{Line, Lines, Order};
use commerce::stock::Stock;
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::command::{CommandPorts, Reply, Request, Verdict, execute};
use towpath::{AggregateId, Consumer, Envelope, Era, Producer, Seq, Tx};
use towpath_sim::{Swept, Tables, World, crash_sweep};

fn producer() -> Producer {
    "sim@1".parse().unwrap()
}

fn id(text: &str) -> AggregateId {
    text.parse().unwrap()
}

fn lines(of: &[(&str, u64)]) -> Lines {
    let line = |(sku, quantity): &(&str, u64)| Line {
        sku: id(sku),
        quantity: (*quantity).try_into().unwrap(),
        unit_price_cents: 100.try_into().unwrap(),
    };
    of.iter().map(line).collect::<Vec<_>>().try_into().unwrap()
}

fn request(key: &str) -> Request {
    Request {
        tenant: "acme".parse().unwrap(),
        key: Some(key.parse().unwrap()),
        hash: key.to_owned(),
        correlation_id: "c-1".parse().unwrap(),
        traceparent: None,
    }
}

fn ports<'a>(world: &'a World, producer: &'a Producer) -> CommandPorts<'a> {
    CommandPorts { store: world, host: world, producer, era: Era::FIRST }
}

async fn receive(world: &World, sku: &str, quantity: u64) -> bool {
    let decide = async |cx: &towpath::Context<'_>| {
        let known = cx.get::<Stock>(&id(sku)).await?;
        let is_new = known.is_none();
        let (stock, received) = known.unwrap_or_else(|| Stock::new(id(sku))).receive(quantity.try_into()?);
        let tx = if is_new { Tx::new().create(stock) } else { Tx::new().replace(stock) };
        Ok(Verdict::Accept(tx.record(received), Reply::new(201, &sku)))
    };
    execute(ports(world, &producer()), &request(&format!("receive-{sku}")), decide).await.is_ok()
}

async fn place(world: &World, order: &str, of: &[(&str, u64)]) -> bool {
    let decide = async |_: &towpath::Context<'_>| {
        let (order, placed) = Order::place(id(order), id("c-1"), lines(of));
        Ok(Verdict::Accept(Tx::new().create(order).record(placed), Reply::new(201, &1)))
    };
    execute(ports(world, &producer()), &request(&format!("place-{order}")), decide).await.is_ok()
}

async fn cancel(world: &World, order: &str) -> bool {
    let decide = async |cx: &towpath::Context<'_>| {
        let Some(order) = cx.get::<Order>(&id(order)).await? else {
            return Ok(Verdict::Refuse(Reply::new(404, &0)));
        };
        Ok(match order.cancel(None) {
            Ok((order, cancelled)) => Verdict::Accept(Tx::new().replace(order).record(cancelled), Reply::new(200, &1)),
            Err(_) => Verdict::Refuse(Reply::new(409, &0)),
        })
    };
    let reply = execute(ports(world, &producer()), &request(&format!("cancel-{order}")), decide).await;
    reply.is_ok_and(|reply| reply.code == 200)
}

/// A shop: 10 pieces of tea, 1 cup; an order that is cancelled, one that is served, one that is rejected.
fn shop() -> Tables {
    use futures_util::FutureExt;
    let world = World::default();
    let steps = async {
        receive(&world, "tea", 10).await
            && receive(&world, "cup", 1).await
            && place(&world, "o-1", &[("tea", 2), ("cup", 1)]).await
            && place(&world, "o-2", &[("tea", 3)]).await
            && place(&world, "o-3", &[("tea", 1), ("pot", 1)]).await
            && cancel(&world, "o-1").await
    };
    assert_eq!(steps.now_or_never(), Some(true));
    world.tables()
}

/// The orders' rows as messages, in the order of `pick`.
fn messages(of: &Tables, pick: &[(&str, u64)]) -> Vec<Message> {
    let message = |(index, (order, seq)): (usize, &(&str, u64))| {
        let key = (format!("acme#order#{order}").parse().unwrap(), Seq(*seq));
        let body = of.outbox[&key].envelope.to_body();
        Message { id: index.to_string(), group: "acme#0".into(), receives: 1, body }
    };
    pick.iter().enumerate().map(message).collect()
}

/// What must be the same: everything but ids and times, which differ from try to try.
fn same(wanted: &Tables, found: &Tables) -> Result<(), String> {
    let rows = |tables: &Tables| -> Vec<String> {
        let row = |e: &Envelope| format!("{} {} {} {}", e.aggregate(), e.seq, e.event_type, e.data.as_str());
        tables.outbox.values().map(|row_of| row(&row_of.envelope)).collect()
    };
    let cursors = |tables: &Tables| -> Vec<String> {
        let all = tables.progress.iter().chain(&tables.summaries);
        all.map(|(key, at)| format!("{} {} {} {:?}", key.consumer, key.aggregate, at.cursor.seq, at.state)).collect()
    };
    let states = |tables: &Tables| -> Vec<String> {
        tables.entities.iter().map(|(key, stored)| format!("{key} {} {:?}", stored.head.seq, stored.state)).collect()
    };
    for (wanted, found) in
        [(rows(wanted), rows(found)), (cursors(wanted), cursors(found)), (states(wanted), states(found))]
    {
        if wanted != found {
            return Err(format!("expected {wanted:#?}, found {found:#?}"));
        }
    }
    (wanted.views.keys().eq(found.views.keys())).then_some(()).ok_or_else(|| "the views differ".to_owned())
}

/// Delivers what is not acknowledged yet, as the queue does, one batch per call.
fn deliver(begin: &Tables, consumer: fn() -> Consumer, pick: &[(&str, u64)]) -> Swept {
    let messages = messages(begin, pick);
    let swept = crash_sweep(
        begin,
        async |world| {
            let (consumer, producer) = (consumer(), producer());
            let ports = ConsumerPorts {
                store: world,
                host: world,
                dead_letters: world,
                wakes: world,
                producer: &producer,
                era: Era::FIRST,
            };
            handle_batch(&consumer, ports, &messages).await.failed.is_empty()
        },
        same,
    );
    println!("{} × {} messages: {} calls, {} broken runs", consumer().name(), pick.len(), swept.calls, swept.runs);
    swept
}

const IN_ORDER: &[(&str, u64)] = &[("o-1", 1), ("o-2", 1), ("o-3", 1), ("o-1", 2)];
const GAP: &[(&str, u64)] = &[("o-1", 2), ("o-2", 1), ("o-3", 1), ("o-1", 1)];
const DOUBLED: &[(&str, u64)] = &[("o-1", 1), ("o-1", 1), ("o-2", 1), ("o-1", 2), ("o-2", 1), ("o-3", 1)];

#[test]
fn p1_p2_p3_inventory_reserves_once_and_in_order_whatever_call_breaks() {
    for pick in [IN_ORDER, GAP, DOUBLED] {
        assert!(deliver(&shop(), inventory::consumer, pick).runs > 50);
    }
}

#[test]
fn p1_p2_p3_a_projection_folds_once_and_in_order_whatever_call_breaks() {
    for pick in [IN_ORDER, GAP, DOUBLED] {
        assert!(deliver(&shop(), order_summary::consumer, pick).runs > 20);
    }
}

#[test]
fn p1_p2_p3_a_timeline_has_every_entry_once_whatever_call_breaks() {
    for pick in [IN_ORDER, GAP, DOUBLED] {
        assert!(deliver(&shop(), crm_timeline::consumer, pick).runs > 20);
    }
}

#[test]
fn p0_p9_a_command_is_executed_once_whatever_call_breaks() {
    let swept = crash_sweep(
        &shop(),
        async |world| {
            place(world, "o-9", &[("tea", 1)]).await && cancel(world, "o-2").await && receive(world, "pot", 5).await
        },
        same,
    );
    assert!(swept.runs >= 30, "{swept:?}");
}

/// The sweep can fail: without the cursor rule, a second delivery reserves again.
#[cfg(feature = "planted")]
#[test]
#[should_panic = "expected"]
fn the_sweep_sees_a_consumer_without_the_cursor_rule() {
    towpath::planted::switch_on("cursor-rule-removed");
    deliver(&shop(), inventory::consumer, IN_ORDER);
}
