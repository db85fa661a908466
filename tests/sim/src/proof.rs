//! What the proof asks of the simulator: sweeps that break every call, then seeds, as many as `TOWPATH_PAIRS` and
//! `TOWPATH_SEEDS` say.
//! Must not know: how a run goes, what a scenario does.

use std::time::Instant;

use asked::Asked;
use towpath_sim::{Fault, Seeds, Swept, quietly};

use crate::begin::{DOUBLED, GAP, IN_ORDER};
use crate::number;
use crate::plan::plan;
use crate::scenarios::{ALL, Depth, deliver, sweep};

const PAIRS: u64 = 40_000;
const SEEDS: u64 = 20_000;
/// Fewer would mean that scenarios have shrunk.
const LEAST_CALLS: usize = 350;
/// Seconds of processor time that so many may take: six minutes of two cores. The clock on the wall would count what else
/// the machine does.
const PATIENCE: u64 = 2 * 6 * 60;

fn told(all: Vec<(&'static str, Swept)>) -> Vec<Swept> {
    let tell = |(name, swept): (&str, Swept)| {
        println!("{name}: {} calls, {} broken runs", swept.calls, swept.runs);
        swept
    };
    all.into_iter().map(tell).collect()
}

/// Each call of each scenario, in each way.
pub fn each_call() -> Vec<Asked> {
    quietly();
    let all = told(sweep(Depth::Single));
    let (calls, runs) = all.iter().fold((0, 0), |(calls, runs), swept| (calls + swept.calls, runs + swept.runs));
    let (ways, whole) = (Fault::ALL.len(), all.iter().all(|swept| swept.calls >= 2));
    let reached = format!("{runs} runs: {calls} calls of {} scenarios", all.len());
    vec![Asked::new(
        "crash sweep",
        format!("each call, in each of {ways} ways"),
        reached,
        whole && calls >= LEAST_CALLS && runs == calls * ways,
    )]
}

/// The messages of each real consumer, in any order, delivered again.
pub fn each_order() -> Vec<Asked> {
    quietly();
    let runs = |consumer: fn() -> towpath::Consumer, pick| -> usize {
        [0, 1].map(|receives| deliver(Depth::Single, consumer, pick, receives).runs).iter().sum()
    };
    let consumers = [inventory::consumer, order_summary::consumer, crm_timeline::consumer, integration_bus::consumer];
    let each = consumers.map(|consumer| [IN_ORDER, GAP, DOUBLED].into_iter().map(|pick| runs(consumer, pick)).sum());
    let (least, all): (usize, usize) = (*each.iter().min().unwrap_or(&0), each.iter().sum());
    let reached = format!("{all} runs of {} consumers", each.len());
    vec![Asked::new("message orders", "600 runs of each real consumer", reached, least >= 600)]
}

/// Two calls of each scenario.
pub fn pairs() -> Vec<Asked> {
    quietly();
    let pairs = number("TOWPATH_PAIRS").unwrap_or(PAIRS);
    let all = told(sweep(Depth::Pairs(usize::try_from(pairs).unwrap_or(usize::MAX) / ALL.len())));
    let runs: u64 = all.iter().map(|swept| swept.runs as u64).sum();
    let least = (pairs / 2).min(if pairs > PAIRS { 200_000 } else { 20_000 });
    let reached = format!("{runs} runs of {} scenarios", all.len());
    vec![Asked::new("pairs of faults", format!("{least} runs"), reached, runs >= least && all.len() >= 12)]
}

/// Runs in which everything goes wrong.
///
/// # Panics
/// If a promise is broken, with the command that tells how.
pub fn seeds() -> Vec<Asked> {
    quietly();
    let count = number("TOWPATH_SEEDS").unwrap_or(SEEDS);
    let (began, processor) = (Instant::now(), processor_seconds());
    let all = Seeds::run(0..count, plan)
        .unwrap_or_else(|failing| panic!("{}\nrepeat it: make proof SEED={}", failing.why, failing.seed));
    lines(count, (began.elapsed().as_secs(), processor_seconds() - processor), all)
}

fn lines(count: u64, (seconds, processor): (u64, u64), all: Seeds) -> Vec<Asked> {
    let (distinct, mishaps, missing) = (all.hashes.len() as u64, all.seen.mishaps(), all.seen.missing());
    let (written, applied) = (all.events, all.seen.applied());
    let (tenants, consumers, kinds) = (median(all.tenants), median(all.consumers), median(all.kinds));
    let scaled = |of: u64| of * count / SEEDS;
    // Too few to ask for more than the promises.
    let few = count < SEEDS;
    let asked = |of: String| if few { format!("not asked of fewer than {SEEDS} seeds") } else { of };
    let patience = scaled(PATIENCE).max(1);
    let reached = if missing.is_empty() { "nothing".to_owned() } else { format!("{missing:?}") };
    vec![
        Asked::new(
            "seeds",
            if few { format!("{count}, at any speed") } else { format!("{count} in {patience} s of processor time") },
            format!("{} in {processor} s, {seconds} s by the clock", all.runs),
            all.runs == count && (processor <= patience || few),
        ),
        Asked::new(
            "events",
            asked(format!("{} written or applied", scaled(2_000_000))),
            format!("{written} written, {applied} applied"),
            written + applied >= scaled(2_000_000) || few,
        ),
        Asked::new(
            "mishaps",
            asked(scaled(200_000).to_string()),
            mishaps.to_string(),
            mishaps >= scaled(200_000) || few,
        ),
        Asked::new("distinct traces", "95 %", format!("{distinct} of {count}"), distinct * 100 >= count * 95),
        Asked::new(
            "the median run",
            "3 tenants, 2 consumers, 5 kinds of mishap",
            format!("{tenants}, {consumers}, {kinds}"),
            tenants >= 3 && consumers >= 2 && kinds >= 5,
        ),
        Asked::new("never reached", format!("nothing, from {SEEDS} seeds on"), reached, missing.is_empty() || few),
    ]
}

/// What this process has used.
fn processor_seconds() -> u64 {
    let used = procfs::process::Process::myself().and_then(|own| own.stat());
    let used = used.expect("a process can read its own /proc/self/stat");
    (used.utime + used.stime) / procfs::ticks_per_second()
}

fn median(mut of: Vec<usize>) -> usize {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}
