//! Usage is what the journal says, row by row: whatever call of the auditor breaks, and however late a row comes.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test says what it does, and stops at what cannot be")]

use futures_util::FutureExt;
use sim::begin::{handled, shop};
use towpath::{Hour, Usage};
use towpath_sim::{Tables, World, crash_sweep};

/// Ticks until the hour of the last row is folded, an hour each.
async fn fold(world: &World) -> bool {
    let last = |tables: &Tables| tables.outbox.values().map(|row| Hour::of(row.envelope.event_id.at())).max();
    for _ in 0..4 {
        world.audit(&inventory::consumer()).await;
        let tables = world.tables();
        if tables.audit.metered.is_some_and(|metered| Some(metered.next) > last(&tables)) {
            return true;
        }
    }
    false
}

fn usage(tables: &Tables) -> Vec<Usage> {
    tables.usage.values().map(|(usage, _)| usage.clone()).collect()
}

#[test]
fn whatever_call_breaks_each_row_is_counted_once() {
    let begin = handled(&inventory::consumer());
    let swept = crash_sweep(&begin, fold, |wanted: &Tables, found: &Tables| {
        found.check_usage(Hour(u64::MAX))?;
        if usage(wanted) == usage(found) { Ok(()) } else { Err(format!("{:?}", usage(found))) }
    });
    assert!(swept.calls > 10, "{swept:?}");
}

#[test]
fn usage_is_events_bytes_and_what_each_consumer_handled() {
    let world = World::new(handled(&inventory::consumer()));
    assert_eq!(fold(&world).now_or_never(), Some(true));
    let tables = world.tables();
    let sum: u64 = usage(&tables).iter().map(|usage| usage.events + usage.commands).sum();
    let bytes: u64 = usage(&tables).iter().map(|usage| usage.bytes).sum();
    assert_eq!(sum, tables.outbox.len() as u64);
    assert_eq!(bytes, tables.outbox.values().map(|row| row.envelope.to_body().len() as u64).sum::<u64>());
    let consumer = inventory::consumer();
    let handles = tables.outbox.values().filter(|row| consumer.handles(&row.envelope.event_type)).count() as u64;
    let runs: u64 = usage(&tables).iter().map(|usage| usage.runs.get(consumer.name()).copied().unwrap_or(0)).sum();
    assert_eq!(runs, handles);
}

#[test]
fn a_row_that_comes_late_is_counted_in_its_own_hour() {
    let all = shop();
    let (late_key, late) = all.outbox.last_key_value().map(|(key, row)| (key.clone(), row.clone())).unwrap();
    let mut early = all.clone();
    early.outbox.remove(&late_key);
    let world = World::new(early);
    assert_eq!(fold(&world).now_or_never(), Some(true));
    let mut tables = world.tables();
    let (hour, before) = (Hour::of(late.envelope.event_id.at()), usage(&tables));
    tables.outbox.insert(late_key, late);
    let world = World::new(tables);
    // Its clock went back to the beginning: nothing rests on it.
    for _ in 0..8 {
        assert_eq!(world.audit(&inventory::consumer()).now_or_never(), Some(true));
    }
    let tables = world.tables();
    assert_ne!(usage(&tables), before);
    tables.check_usage(hour.next()).unwrap();
}

#[test]
fn what_the_journal_has_forgotten_stays_billed() {
    let world = World::new(shop());
    assert_eq!(fold(&world).now_or_never(), Some(true));
    let mut tables = world.tables();
    let before = usage(&tables);
    let first = tables.outbox.first_key_value().unwrap().0.clone();
    tables.outbox.remove(&first);
    let world = World::new(tables);
    for _ in 0..8 {
        world.audit(&inventory::consumer()).now_or_never();
    }
    assert_eq!(usage(&world.tables()), before);
}

/// The proof can fail.
#[cfg(feature = "planted")]
#[test]
#[should_panic(expected = "and kept is")]
fn usage_that_is_added_up_is_found() {
    towpath::planted::switch_on("usage is added to what is there");
    whatever_call_breaks_each_row_is_counted_once();
}
