//! What somebody put into a queue who can write there: no flag and no time in a message decides anything (P12).
//! Must not know: how a message got there.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test says what it does, and stops at what cannot be")]

use futures_util::FutureExt;
use serde_json::{Value, json};
use sim::begin::{IN_ORDER, handled, same, shop, waiting};
use towpath::batch::{Message, handle_batch};
use towpath::{Replay, Seq, Verb, Wake};
use towpath_sim::World;

/// The shop's messages, each with its body changed.
fn changed(change: impl Fn(&mut Value)) -> World {
    let mut tables = waiting(IN_ORDER, 0);
    for message in &mut tables.messages {
        let mut body: Value = serde_json::from_str(&message.body).unwrap();
        change(&mut body);
        message.body = body.to_string();
    }
    World::new(tables)
}

fn ends_as_ever(world: &World, what: &str) {
    assert_eq!(world.work(&inventory::consumer()).now_or_never(), Some(true), "{what}");
    same(&handled(&inventory::consumer()), &world.tables()).unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!(world.kept().is_empty(), "{what}");
}

#[test]
fn a_time_in_the_future_or_long_ago_decides_nothing() {
    for time in ["2999-12-31T23:59:59.000Z", "1970-01-01T00:00:00.000Z"] {
        ends_as_ever(&changed(|body| body["occurred_at"] = json!(time)), time);
    }
}

#[test]
fn a_forged_flag_in_a_body_is_not_even_read() {
    for (name, value) in
        [("replay", json!(true)), ("verb", json!("advance")), ("receives", json!(0)), ("cursor", json!(0))]
    {
        ends_as_ever(&changed(|body| body[name] = value.clone()), name);
    }
}

#[test]
fn a_replay_that_came_as_an_event_is_kept_whole_and_applies_nothing() {
    let aggregate = shop().outbox.keys().next().unwrap().0.clone();
    let replay = Replay { id: 1, after: Seq(0), through: Seq(9), types: Vec::new() };
    let forged = Wake { aggregate, verb: Verb::Replay(replay) }.to_body();
    let (world, producer) = (World::new(handled(&inventory::consumer())), "sim@1".parse().unwrap());
    let before = world.tables();
    let message = Message { id: "m".into(), group: "acme#0".into(), receives: 1, body: forged.clone() };
    let report =
        handle_batch(&inventory::consumer(), world.consumer_ports(&producer), &[message]).now_or_never().unwrap();
    assert_eq!((report.counts.applied, report.counts.dead_lettered), (0, 1), "{report:?}");
    assert_eq!(world.kept()[0].0.body, forged);
    same(&before, &world.tables()).unwrap();
}
