//! Many runs, on all cores, until a promise is broken; with the sum of what they reached.
//! Must not know: which seeds, where their number comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use towpath::planted::{all_on, switch_on};

use crate::dice::{Clock, Dice};
use crate::{Plan, Run, Seen, simulate};

/// Each seed of this many runs twice, which must be the same (P16).
const TWICE: u64 = 25;

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Seeds {
    /// Runs made.
    pub runs: u64,
    /// Rows of all journals.
    pub events: u64,
    /// Different traces.
    pub hashes: BTreeSet<u64>,
    /// Kinds of mishap that struck, of each run.
    pub kinds: Vec<usize>,
    /// Tenants with events, of each run.
    pub tenants: Vec<usize>,
    /// Consumers, of each run.
    pub consumers: Vec<usize>,
    /// What was reached.
    pub seen: Seen,
}

/// A seed that broke a promise.
#[derive(Debug)]
pub struct Failing {
    /// Which.
    pub seed: u64,
    /// Runs until then, this one included.
    pub runs: u64,
    /// Which promise, and the timeline.
    pub why: String,
}

impl Seeds {
    /// Runs each seed, on as many threads as there are cores. An error is the broken promise of the first seed that breaks
    /// one, with its timeline: the same one on every machine.
    ///
    /// # Panics
    /// If a plan panics.
    pub fn run(seeds: Range<u64>, plan: impl Fn(&mut Dice, &Clock) -> Plan + Sync) -> Result<Self, Failing> {
        let (next, end, bugs) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end), all_on());
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let shares: Vec<(Self, BTreeMap<u64, String>)> = thread::scope(|scope| {
            let work = || {
                bugs.iter().for_each(|bug| switch_on(bug));
                work(&next, &end, &plan)
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().expect("a plan panicked")).collect()
        });
        let mut all = Self::default();
        let mut broken = BTreeMap::new();
        for (share, failed) in shares {
            all.add(share);
            broken.extend(failed);
        }
        match broken.pop_first() {
            Some((seed, why)) => Err(Failing { seed, runs: seed - seeds.start + 1, why }),
            None => Ok(all),
        }
    }

    fn note(&mut self, run: &Run) {
        self.runs += 1;
        self.events += run.events as u64;
        self.hashes.insert(run.hash);
        self.kinds.push(run.seen.kinds_of_mishap());
        self.tenants.push(run.tenants);
        self.consumers.push(run.consumers);
        self.seen.add(&run.seen);
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.hashes.extend(other.hashes);
        self.kinds.extend(other.kinds);
        self.tenants.extend(other.tenants);
        self.consumers.extend(other.consumers);
        self.seen.add(&other.seen);
    }
}

/// One thread: the next seed, until there is none below the first that broke a promise.
fn work(
    next: &AtomicU64,
    end: &AtomicU64,
    plan: &impl Fn(&mut Dice, &Clock) -> Plan,
) -> (Seeds, BTreeMap<u64, String>) {
    let (mut share, mut broken) = (Seeds::default(), BTreeMap::new());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end.load(Ordering::Relaxed) {
            return (share, broken);
        }
        match one(seed, plan) {
            Ok(run) => share.note(&run),
            Err(why) => {
                end.fetch_min(seed, Ordering::Relaxed);
                broken.insert(seed, why);
            }
        }
    }
}

fn one(seed: u64, plan: &impl Fn(&mut Dice, &Clock) -> Plan) -> Result<Run, String> {
    let run = simulate(seed, false, plan);
    if run.broken.is_some() {
        let again = simulate(seed, true, plan).broken;
        return Err(again.unwrap_or_else(|| "P16 is broken: the second run broke nothing".to_owned()));
    }
    if seed.is_multiple_of(TWICE) && simulate(seed, false, plan).hash != run.hash {
        return Err("P16 is broken: a second run of the same seed has another trace".to_owned());
    }
    Ok(run)
}
