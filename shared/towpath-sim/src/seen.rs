//! What a run has reached: which mishaps struck, what the machines met. A proof that never met a case proves nothing of it.
//! Must not know: how often is enough for one run.

use std::collections::BTreeMap;
use std::fmt;

use towpath::{Cursor, Decision, Status};

use crate::Mishap;

/// Something that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// It struck.
    Mishap(Mishap),
    /// A message was to be decided like this.
    Decided(&'static str),
    /// A row in this status met this input.
    Met(&'static str, &'static str),
    /// The relay was offered records like this, and this became of them.
    Relayed(&'static str, &'static str),
    /// It happened.
    Happened(&'static str),
}

/// How often each thing was reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen(BTreeMap<Sight, u64>);

/// The rows and columns of the consumer's machine, as ARCHITECTURE.md shows it.
const STATUSES: [&str; 6] = ["absent", "ready", "backing off", "running", "parked", "held"];
const INPUTS: [&str; 6] = ["message", "redelivered message", "wake", "retry", "skip", "tick"];
/// Beside the machine's table: what a wake finds that catches up, what a redriven ticket finds.
const OTHERS: [(&str, &str); 4] =
    [("catching up", "message"), ("catching up", "wake"), ("parked", "ticket"), ("ready", "ticket")];
const OFFERED: [&str; 2] = ["offered first", "offered again"];
const RELAYED: [&str; 4] = ["published", "refused and published", "stopped", "died"];
const DECISIONS: [&str; 4] = ["run", "duplicate", "gap", "wait"];
const EVENTS: [&str; 31] = [
    "an aggregate in two lanes",
    "held",
    "resumed",
    "a timer fired",
    "older code ran",
    "older code stood aside",
    "older code met a new type",
    "timed out",
    "hung",
    "died",
    "applied",
    "applied several at once",
    "retrying",
    "parked",
    "parked again",
    "an outcome unknown",
    "skipped",
    "kept whole",
    "ticket sent",
    "wake sent",
    "wake put off",
    "moved to the dead-letter queue",
    "given up by the relay",
    "left",
    "left again",
    "replayed",
    "replay refused",
    "two builds level",
    "builds swapped",
    "console redrive",
    "console redrive by its default button",
];

impl Seen {
    pub(crate) fn count(&mut self, sight: Sight) {
        *self.0.entry(sight).or_insert(0) += 1;
    }

    /// How often this was reached.
    pub fn times(&self, sight: Sight) -> u64 {
        self.0.get(&sight).copied().unwrap_or(0)
    }

    /// Mishaps that struck, without the calls that met an outage.
    pub fn mishaps(&self) -> u64 {
        self.0
            .iter()
            .filter(|(sight, _)| matches!(sight, Sight::Mishap(mishap) if !matches!(mishap, Mishap::Outage(_))))
            .map(|(_, times)| times)
            .sum()
    }

    /// Events that were applied.
    pub fn applied(&self) -> u64 {
        self.times(Sight::Happened("applied"))
    }

    /// Kinds of mishap that struck.
    pub fn kinds_of_mishap(&self) -> usize {
        self.0.keys().filter(|sight| matches!(sight, Sight::Mishap(_))).count()
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Self) {
        for (sight, times) in &other.0 {
            *self.0.entry(*sight).or_insert(0) += times;
        }
    }

    /// What must be reached by many runs and was not.
    pub fn missing(&self) -> Vec<Sight> {
        let pairs = STATUSES.iter().flat_map(|status| INPUTS.iter().map(|input| Sight::Met(status, input)));
        let pairs = pairs.chain(OTHERS.iter().map(|(status, input)| Sight::Met(status, input)));
        let pairs =
            pairs.chain(OFFERED.iter().flat_map(|offered| RELAYED.iter().map(|done| Sight::Relayed(offered, done))));
        let all = Mishap::ALL.into_iter().map(Sight::Mishap);
        let all = all.chain(DECISIONS.into_iter().map(Sight::Decided)).chain(EVENTS.into_iter().map(Sight::Happened));
        // An order is about a row that was parked, so it never meets an absent one, and a held one by chance.
        let possible = |sight: &Sight| !matches!(sight, Sight::Met("absent" | "held", "retry" | "skip"));
        all.chain(pairs).filter(possible).filter(|sight| self.times(*sight) == 0).collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sight, times) in &self.0 {
            writeln!(f, "{times:>10} × {sight:?}")?;
        }
        Ok(())
    }
}

pub(crate) fn status(of: Option<&Cursor>) -> &'static str {
    let Some(cursor) = of else { return "absent" };
    match (cursor.status, &cursor.trouble) {
        (Status::Ready, _) => "ready",
        (Status::Retrying, Some(trouble)) if trouble.is_backlog() => "catching up",
        (Status::Retrying, Some(trouble)) if trouble.running.is_some() => "running",
        (Status::Retrying, _) => "backing off",
        (Status::Parked, _) => "parked",
        (Status::Held, _) => "held",
    }
}

pub(crate) fn decision(of: Decision) -> &'static str {
    match of {
        Decision::Duplicate => "duplicate",
        Decision::Run => "run",
        Decision::Gap { .. } => "gap",
        Decision::Wait(_) => "wait",
        Decision::Foreign(_) => "foreign",
    }
}
