//! What a consumer would have written if nothing had ever gone wrong, compared with what it wrote (P2, P8).
//! Must not know: faults, how the run went.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use towpath::ports::{CursorHome, CursorKey, Position};
use towpath::{AggregateKey, Builds, Consumer, Rebuild, Seq, Step, Verb, Wake};

use crate::{Tables, World};

/// How often queues are worked off before a rebuild counts as stuck.
const ROUNDS: usize = 100;

/// Handles the journal once more, without faults, and compares the rows: those of a projection, and those of a consumer
/// that is declared replayable. What other consumers do depends on the order in which aggregates come.
pub(crate) fn compare(tables: &Tables, consumer: &Consumer) -> Result<(), String> {
    let home = consumer.home();
    refilled(tables, consumer)?;
    if home == CursorHome::Progress && !consumer.is_replayable() || !tables.skipped.is_empty() {
        return Ok(());
    }
    let again = rebuild(tables, consumer)?;
    let at = |tables: &Tables, key: &CursorKey| tables.home(home).get(key).map_or(Seq::ZERO, |found| found.cursor.seq);
    let keys: Vec<&CursorKey> = again.home(home).keys().collect();
    for key in keys.iter().filter(|key| at(tables, key) == at(&again, key)) {
        let (found, wanted) = (&tables.home(home)[key].state, &again.home(home)[key].state);
        if found != wanted {
            return Err(format!("P8: the row of {} is {found:?}; handled once more it is {wanted:?}", key.aggregate));
        }
    }
    let parked = keys.iter().any(|key| at(tables, key) != at(&again, key));
    if home == CursorHome::Progress && !parked && tables.views != again.views {
        let differs = again.views.iter().find(|(place, row)| tables.views.get(place) != Some(row));
        let why = "the rows of the read model are not those that the same events write when handled once more";
        return Err(format!("P8: {why}: {differs:?}"));
    }
    Ok(())
}

/// Fills another build of a projection, without faults, and compares it with the live one: parked rows and what was passed
/// over on record included.
pub(crate) fn refilled(tables: &Tables, consumer: &Consumer) -> Result<(), String> {
    if consumer.home() != CursorHome::Views {
        return Ok(());
    }
    let (name, builds) = (consumer.name(), Builds::default().begun().unwrap_or_default());
    let own = tables.summaries.iter().filter(|(key, _)| key.consumer == *name);
    let alone = |(key, row): (&CursorKey, &Position)| (key.clone(), Position { beside: None, ..row.clone() });
    let summaries: BTreeMap<CursorKey, Position> = own.map(alone).collect();
    let verb = Verb::Rebuild(Rebuild { build: builds.last, step: Step::Fill });
    let wake = |key: &CursorKey| (name.clone(), Wake { aggregate: key.aggregate.clone(), verb: verb.clone() }, 0);
    let world = World::new(Tables {
        wakes: summaries.keys().map(wake).collect(),
        outbox: tables.outbox.clone(),
        skipped: tables.skipped.clone(),
        builds: [(name.clone(), builds)].into(),
        summaries,
        ..Tables::default()
    });
    let through = (0..ROUNDS).any(|_| world.work(consumer).now_or_never() == Some(true));
    if !through {
        return Err("P8: built once more, without any fault, the rows are not through".to_owned());
    }
    for (key, row) in &world.tables().summaries {
        let filled = row.beside.as_ref().map_or(&row.state, |beside| &beside.state);
        if !row.has(builds.last) || row.state != *filled {
            let (of, live) = (&key.aggregate, &row.state);
            return Err(format!("P8: the row of {of} is {live:?}; built once more it is {:?}", row.beside));
        }
    }
    Ok(())
}

fn rebuild(tables: &Tables, consumer: &Consumer) -> Result<Tables, String> {
    let aggregates: std::collections::BTreeSet<&AggregateKey> = tables.outbox.keys().map(|(key, _)| key).collect();
    let wake = |key: &AggregateKey| (consumer.name().clone(), Wake::advance(key.clone()), 0);
    let wanted = aggregates
        .into_iter()
        .filter(|key| tables.journal(key, Seq::ZERO, Seq(u64::MAX)).any(|row| consumer.wants(row)));
    let world = World::new(Tables {
        outbox: tables.outbox.clone(),
        entities: tables.entities.clone(),
        wakes: wanted.map(wake).collect(),
        ..Tables::default()
    });
    for _ in 0..ROUNDS {
        if world.work(consumer).now_or_never() == Some(true) {
            return Ok(world.tables());
        }
    }
    Err("handled once more, without any fault, the journal is not through".to_owned())
}
