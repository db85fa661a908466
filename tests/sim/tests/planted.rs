//! The proof can fail: each known bug, put back into the core, is found by a promise that it breaks. A survivor fails.

use std::process::ExitCode;

use asked::Asked;
use sim::scenarios::{ALL, Depth};
use sim::traps::{BUGS, hunt};
use towpath_sim::quietly;

fn every_planted_bug_is_found() -> Vec<Asked> {
    quietly();
    let only = std::env::var("TOWPATH_PLANTED").unwrap_or_default();
    let meant = BUGS.iter().filter(|bug| bug.starts_with(&only)).count();
    let survivors = hunt(&only);
    assert!(meant > 0, "no known bug begins with {only:?}");
    let reached = format!("{} of {meant} by the simulator", meant - survivors.len());
    let asked = if meant == BUGS.len() { "each is found by a promise" } else { "these are found by a promise" };
    vec![Asked::new("known bugs", asked, reached, survivors.is_empty() && BUGS.len() >= 50)]
}

/// Without the cursor rule, a second delivery reserves again.
fn the_sweep_sees_a_consumer_without_the_cursor_rule() -> Vec<Asked> {
    quietly();
    towpath::planted::switch_on("cursor-rule-removed");
    let swept = std::panic::catch_unwind(|| (ALL[0].1)(Depth::Single));
    towpath::planted::switch_off();
    assert!(swept.is_err(), "it did not see it");
    Vec::new()
}

fn main() -> ExitCode {
    let tests: [asked::Test; 2] = [
        ("the_sweep_sees_a_consumer_without_the_cursor_rule", the_sweep_sees_a_consumer_without_the_cursor_rule),
        ("every_planted_bug_is_found", every_planted_bug_is_found),
    ];
    asked::run_all(&tests, 1, Vec::new)
}
