//! Sagas under way: how many of each kind in which stage, and whether their timers are late. Those that have ended are in the
//! journal, not here: their rows say nothing to the index, so counting them would be reading them one by one.
//! Must not know: how rows are stored.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use towpath::Timestamp;
use towpath::trouble::OVERDUE;
use towpath_aws::AwsStore;

use crate::output::table;

/// The most of each of the index's shards that are counted.
const MOST: usize = 10_000;
/// Longer than any timer is set for.
const EVER: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// Sagas of one kind in one stage.
#[derive(Debug, Serialize)]
pub(crate) struct Waiting {
    saga: String,
    stage: String,
    sagas: u64,
    /// Of these, so many have a timer whose time has passed: it should have fired.
    overdue: u64,
    /// When the next of their timers comes.
    next: Timestamp,
}

/// All that wait; at most [`MOST`] of each shard are looked at, and `true` says that there may be more.
pub(crate) async fn read(store: &AwsStore, now: Timestamp) -> Result<(Vec<Waiting>, bool)> {
    let (found, cut) = store.sagas_due(now.plus(EVER), MOST).await.context("the sagas could not be counted")?;
    let mut stages: BTreeMap<(String, String), Waiting> = BTreeMap::new();
    for (key, row) in found {
        let Some(next) = row.due() else { continue };
        let (saga, stage) = (key.kind.to_string(), row.stage);
        let line = stages.entry((saga.clone(), stage.clone()));
        let line = line.or_insert(Waiting { saga, stage, sagas: 0, overdue: 0, next });
        line.sagas += 1;
        line.overdue += u64::from(next < now.minus(OVERDUE));
        line.next = line.next.min(next);
    }
    Ok((stages.into_values().collect(), cut))
}

/// As a table; nothing if nothing waits.
pub(crate) fn render(waiting: &[Waiting], cut: bool) -> String {
    if waiting.is_empty() {
        return String::new();
    }
    let line = |of: &Waiting| {
        [of.saga.clone(), of.stage.clone(), of.sagas.to_string(), of.overdue.to_string(), of.next.to_string()]
    };
    let table = table(["saga", "stage", "sagas", "overdue", "next timer"], &[2, 3], waiting.iter().map(line));
    let more =
        if cut { format!("\nthere may be more: of each shard the first {MOST} are counted") } else { String::new() };
    format!("\nsagas that wait\n{table}{more}")
}
