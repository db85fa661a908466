//! Worlds in which scenarios begin, and what must be the same at their end.
//! Must not know: which calls break.

use commerce::order::Order;
use futures_util::FutureExt;
use towpath::batch::Message;
use towpath::command::CommandPorts;
use towpath::ports::{CursorKey, Position};
use towpath::{Aggregate, Consumer, Envelope, Era, Seq};
use towpath_sim::{Tables, World};

use crate::{points, shop};

pub async fn receive(world: &World, sku: &str, quantity: u64) -> bool {
    with(world, async |ports| shop::receive(ports, "acme", &format!("receive-{sku}"), sku, quantity).await).await
}

pub async fn place(world: &World, order: &str, of: &[(&str, u64)]) -> bool {
    with(world, async |ports| shop::place(ports, "acme", order, of).await).await
}

pub async fn cancel(world: &World, order: &str) -> bool {
    with(world, async |ports| shop::cancel(ports, "acme", order).await).await
}

pub async fn spend(world: &World, key: &str) -> bool {
    with(world, async |ports| points::spend(ports, "acme", key).await).await
}

pub(crate) async fn with(world: &World, ask: impl AsyncFn(CommandPorts<'_>) -> Option<u16>) -> bool {
    let producer = "sim@1".parse().unwrap();
    let ports = CommandPorts { store: world, host: world, producer: &producer, era: Era::FIRST, limiter: None };
    ask(ports).await.is_some_and(|code| code < 300)
}

/// A shop: 10 pieces of tea, 1 cup; an order that is cancelled, one that is served, one that is rejected.
pub fn shop() -> Tables {
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

/// The shop with the orders' rows in the queue, in the order of `pick`, each delivered `receives` times before.
pub fn waiting(pick: &[(&str, u64)], receives: u32) -> Tables {
    let of = shop();
    let message = |(index, (order, seq)): (usize, &(&str, u64))| {
        let key = (format!("acme#{}#{order}", Order::TYPE).parse().unwrap(), Seq(*seq));
        let body = of.outbox[&key].envelope.to_body();
        Message { id: index.to_string(), group: "acme#0".into(), receives, body }
    };
    let messages = pick.iter().enumerate().map(message).collect();
    Tables { messages, ..of }
}

/// The shop after `consumer` has handled all of it.
pub fn handled(consumer: &Consumer) -> Tables {
    let world = World::new(waiting(IN_ORDER, 0));
    assert_eq!(world.work(consumer).now_or_never(), Some(true));
    world.tables()
}

pub const IN_ORDER: &[(&str, u64)] = &[("o-1", 1), ("o-2", 1), ("o-3", 1), ("o-1", 2)];
pub const GAP: &[(&str, u64)] = &[("o-1", 2), ("o-2", 1), ("o-3", 1), ("o-1", 1)];
pub const DOUBLED: &[(&str, u64)] = &[("o-1", 1), ("o-1", 1), ("o-2", 1), ("o-1", 2), ("o-2", 1), ("o-3", 1)];
/// Only what a consumer of placed orders is sent.
pub const PLACED: &[(&str, u64)] = &[("o-1", 1), ("o-2", 1), ("o-2", 1), ("o-3", 1)];

/// What must be the same: everything but ids and times, which differ from try to try, and the order in which orders come to
/// the same stock, which no promise is about.
pub fn same(wanted: &Tables, found: &Tables) -> Result<(), String> {
    let rows = |tables: &Tables| -> Vec<String> {
        let row = |e: &Envelope| format!("{} {} {}", e.aggregate(), e.event_type, e.data.as_str());
        let mut rows: Vec<String> = tables.outbox.values().map(|row_of| row(&row_of.envelope)).collect();
        rows.sort();
        rows
    };
    let cursors = |tables: &Tables| -> Vec<String> {
        let all = tables.progress.iter().chain(&tables.summaries);
        let text = |(key, at): (&CursorKey, &Position)| {
            format!("{} {} {} {:?} {:?}", key.consumer, key.aggregate, at.cursor.seq, at.state, at.beside)
        };
        all.map(text).collect()
    };
    let states = |tables: &Tables| -> Vec<String> {
        tables.entities.iter().map(|(key, stored)| format!("{key} {} {:?}", stored.head.seq, stored.state)).collect()
    };
    let skips = |tables: &Tables| -> Vec<String> {
        tables.skipped.keys().map(|(key, seq)| format!("{} {} {seq}", key.consumer, key.aggregate)).collect()
    };
    for (wanted, found) in [
        (rows(wanted), rows(found)),
        (cursors(wanted), cursors(found)),
        (states(wanted), states(found)),
        (skips(wanted), skips(found)),
    ] {
        if wanted != found {
            return Err(format!("expected {wanted:#?}, found {found:#?}"));
        }
    }
    (wanted.views == found.views && wanted.answers == found.answers && wanted.left == found.left)
        .then_some(())
        .ok_or_else(|| "read models, kept answers or what has left differ".to_owned())
}
