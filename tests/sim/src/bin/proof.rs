//! The proof as a table: what is asked of it, and what it reached. And one seed, told.
//! Must not know: how a run goes, what a scenario does.
//!
//! `proof` runs sweeps and seeds, as many as `TOWPATH_PAIRS` and `TOWPATH_SEEDS` say. `proof seed 17` tells what happened in
//! one run: when, who, what, in the words of the documentation.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sim::number;
use sim::plan::plan;
use sim::scenarios::{ALL, Depth, sweep};
use towpath_sim::{Seeds, Swept, quietly, simulate};

const PAIRS: u64 = 40_000;
const SEEDS: u64 = 20_000;
/// What seeds of that number may take on two cores.
const PATIENCE: Duration = Duration::from_secs(6 * 60);

/// One line of the table.
struct Row {
    what: &'static str,
    asked: String,
    reached: String,
    is_met: bool,
}

fn main() -> ExitCode {
    quietly();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let kept = match words[..] {
        [] => proof(),
        ["seed", seed] if seed.parse::<u64>().is_ok() => tell(seed.parse().unwrap_or_default()),
        _ => {
            println!("usage: proof [seed NUMBER]");
            false
        }
    };
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn proof() -> bool {
    let mut rows = sweeps();
    let count = number("TOWPATH_SEEDS").unwrap_or(SEEDS);
    let began = Instant::now();
    match Seeds::run(0..count, plan) {
        Ok(all) => rows.extend(seeds(count, began.elapsed(), all)),
        Err(failing) => {
            println!("seed {}: {}\nrepeat it: proof seed {}", failing.seed, failing.why, failing.seed);
            let reached = format!("seed {} broke a promise", failing.seed);
            rows.push(Row {
                what: "seeds",
                asked: format!("{count} without a broken promise"),
                reached,
                is_met: false,
            });
        }
    }
    show(&rows)
}

fn sweeps() -> Vec<Row> {
    let pairs = number("TOWPATH_PAIRS").unwrap_or(PAIRS);
    let single = sweep(Depth::Single);
    let calls: usize = single.iter().map(|(_, swept)| swept.calls).sum();
    let runs = |of: &[(&str, Swept)]| -> usize { of.iter().map(|(_, swept)| swept.runs).sum() };
    let (every, broken) = (calls * towpath_sim::Fault::ALL.len(), runs(&single));
    let most = usize::try_from(pairs).unwrap_or(usize::MAX) / ALL.len();
    let paired = runs(&sweep(Depth::Pairs(most)));
    let least = if pairs > PAIRS { 200_000 } else { 20_000 };
    vec![
        Row {
            what: "crash sweep",
            asked: "each call, in each of 6 ways".to_owned(),
            reached: format!("{broken} of {every}, {calls} calls of {} scenarios", single.len()),
            is_met: broken == every,
        },
        Row {
            what: "pairs of faults",
            asked: format!("{least} runs"),
            reached: format!("{paired} runs of {} scenarios", ALL.len()),
            is_met: paired >= least,
        },
    ]
}

fn seeds(count: u64, took: Duration, all: Seeds) -> Vec<Row> {
    let (distinct, mishaps, missing) = (all.hashes.len(), all.seen.mishaps(), all.seen.missing());
    let median = |mut of: Vec<usize>| {
        of.sort_unstable();
        of.get(of.len() / 2).copied().unwrap_or_default()
    };
    let events = all.events + all.seen.applied();
    let (tenants, consumers, kinds) = (median(all.tenants), median(all.consumers), median(all.kinds));
    let scaled = |of: u64| of * count / SEEDS;
    let patience = PATIENCE.as_secs() * count / SEEDS;
    vec![
        Row {
            what: "seeds",
            asked: format!("{count} in {patience} s"),
            reached: format!("{} in {} s", all.runs, took.as_secs()),
            is_met: all.runs == count && took.as_secs() <= patience.max(1),
        },
        Row {
            what: "events",
            asked: format!("{} written or applied", scaled(2_000_000)),
            reached: format!("{} written, {} applied", all.events, all.seen.applied()),
            is_met: events >= scaled(2_000_000),
        },
        Row {
            what: "mishaps",
            asked: scaled(200_000).to_string(),
            reached: mishaps.to_string(),
            is_met: mishaps >= scaled(200_000),
        },
        Row {
            what: "distinct traces",
            asked: "95 %".to_owned(),
            reached: format!("{distinct} of {count}"),
            is_met: distinct as u64 * 100 >= count * 95,
        },
        Row {
            what: "the median run",
            asked: "3 tenants, 2 consumers, 5 kinds of mishap".to_owned(),
            reached: format!("{tenants}, {consumers}, {kinds}"),
            is_met: tenants >= 3 && consumers >= 2 && kinds >= 5,
        },
        Row {
            what: "never reached",
            asked: "nothing, from 20000 seeds on".to_owned(),
            reached: if missing.is_empty() { "nothing".to_owned() } else { format!("{missing:?}") },
            is_met: missing.is_empty() || count < SEEDS,
        },
    ]
}

fn show(rows: &[Row]) -> bool {
    println!("   {:<16} {:<42} reached", "", "asked");
    for Row { what, asked, reached, is_met } in rows {
        println!("{}  {what:<16} {asked:<42} {reached}", if *is_met { '✓' } else { '✗' });
    }
    rows.iter().all(|row| row.is_met)
}

/// What happened in one run.
fn tell(seed: u64) -> bool {
    let run = simulate(seed, true, plan);
    run.timeline.iter().for_each(|line| println!("{line}"));
    println!("{} events of {} tenants, {} consumers; reached:\n{}", run.events, run.tenants, run.consumers, run.seen);
    println!("seed {seed}: {}", run.broken.as_deref().unwrap_or("every promise is kept"));
    run.broken.is_none()
}
