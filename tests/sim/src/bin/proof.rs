//! `proof seed 17` tells what happened in one run of the simulator: when, who, what, in the words of the documentation.
//! Must not know: how a run goes.

#![allow(clippy::print_stdout, reason = "a story is what it is for")]

use std::process::ExitCode;

use sim::plan::plan;
use towpath_sim::{quietly, simulate};

fn main() -> ExitCode {
    quietly();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seed = if let ["seed", seed] = words[..] { seed.parse().ok() } else { None };
    let Some(seed) = seed else {
        println!("usage: proof seed NUMBER");
        return ExitCode::FAILURE;
    };
    let run = simulate(seed, true, plan);
    run.timeline.iter().for_each(|line| println!("{line}"));
    println!("{} events of {} tenants, {} consumers; reached:\n{}", run.events, run.tenants, run.consumers, run.seen);
    println!("seed {seed}: {}", run.broken.as_deref().unwrap_or("every promise is kept"));
    if run.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
