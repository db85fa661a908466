//! P1 to P4, P6, P7, P9, P10, P13, P16: the real machines and handlers in a world where everything goes wrong, as many
//! seeds as `TOWPATH_SEEDS` says. `TOWPATH_SEED` repeats one and shows its timeline.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it does, and stops at what cannot be")]

use std::time::Instant;

use sim::number;
use sim::plan::plan;
use towpath_sim::{Seeds, quietly, simulate};

/// From this many on, everything must be reached at least once.
const ENOUGH: u64 = 20_000;
const SEEDS: u64 = 20_000;

#[test]
fn every_promise_is_kept_whatever_goes_wrong() {
    quietly();
    if let Some(seed) = number("TOWPATH_SEED") {
        let run = simulate(seed, true, plan);
        println!("{}", run.seen);
        assert!(run.broken.is_none(), "seed {seed}: {}", run.broken.unwrap_or_default());
        return;
    }
    let (count, began) = (number("TOWPATH_SEEDS").unwrap_or(SEEDS), Instant::now());
    let all = Seeds::run(0..count, plan).unwrap_or_else(|failing| {
        let repeat = format!("TOWPATH_SEED={} cargo test --release -p sim --test seeds", failing.seed);
        panic!("seed {} of {count}: {}\nrepeat it: {repeat}", failing.seed, failing.why)
    });
    let (seconds, distinct) = (began.elapsed().as_secs_f64(), all.hashes.len());
    println!(
        "{count} seeds in {seconds:.1} s, {} events, {} mishaps, {distinct} traces",
        all.events,
        all.seen.mishaps()
    );
    println!("{}", all.seen);
    assert!(distinct as u64 * 100 >= count * 95, "only {distinct} different traces");
    let (tenants, consumers, kinds) = (median(all.tenants), median(all.consumers), median(all.kinds));
    println!("the median run: {tenants} tenants, {consumers} consumers, {kinds} kinds of mishap");
    assert!(tenants >= 3 && consumers >= 2 && kinds >= 5, "the median run is too tame");
    if count >= ENOUGH {
        assert_eq!(all.seen.missing(), [], "never reached");
    }
}

fn median(mut of: Vec<usize>) -> usize {
    of.sort_unstable();
    of[of.len() / 2]
}
