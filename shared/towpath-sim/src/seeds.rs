//! Many runs: one after the other until a promise is broken, with the sum of what they reached.
//! Must not know: which seeds, where their number comes from.

use std::collections::BTreeSet;

use crate::dice::{Clock, Dice};
use crate::{Plan, Seen, simulate};

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
    /// What was reached.
    pub seen: Seen,
}

impl Seeds {
    /// Runs each seed. An error is the first broken promise, with its timeline.
    pub fn run(
        seeds: impl IntoIterator<Item = u64>,
        plan: impl Fn(&mut Dice, &Clock) -> Plan,
    ) -> Result<Self, Failing> {
        let mut all = Self::default();
        for seed in seeds {
            let run = simulate(seed, false, &plan);
            if run.broken.is_some() {
                let again = simulate(seed, true, &plan);
                let why = again.broken.unwrap_or_else(|| "P16 is broken: the second run broke nothing".to_owned());
                return Err(Failing { seed, runs: all.runs + 1, why });
            }
            if seed % TWICE == 0 && simulate(seed, false, &plan).hash != run.hash {
                let why = "P16 is broken: a second run of the same seed has another trace".to_owned();
                return Err(Failing { seed, runs: all.runs + 1, why });
            }
            all.runs += 1;
            all.events += run.events as u64;
            all.hashes.insert(run.hash);
            all.kinds.push(run.seen.kinds_of_mishap());
            all.seen.add(&run.seen);
        }
        Ok(all)
    }
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
