//! The proof can fail: each known bug, put back into the core, is found by a promise that it breaks. A survivor fails.

#![cfg(feature = "planted")]

use sim::traps::{BUGS, SEEDS, hunt};
use towpath_sim::quietly;

#[test]
fn every_planted_bug_is_found() {
    quietly();
    let survivors = hunt(&std::env::var("TOWPATH_PLANTED").unwrap_or_default());
    assert!(survivors.is_empty(), "not found in {SEEDS} seeds: {survivors:?}");
    assert!(BUGS.len() >= 50, "{} bugs", BUGS.len());
}
