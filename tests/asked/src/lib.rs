//! Tests that end with lines of one table: what was asked, and what was reached. `make proof` puts the lines of all of them
//! together.
//! Must not know: what is tested.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial, run};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Asked {
    what: String,
    asked: String,
    reached: String,
    is_met: bool,
}

impl Asked {
    /// `what` was measured, `asked` is the least that is good enough, `reached` is what came of it.
    pub fn new(what: &str, asked: impl Into<String>, reached: impl Into<String>, is_met: bool) -> Self {
        Self { what: what.to_owned(), asked: asked.into(), reached: reached.into(), is_met }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, asked, reached, is_met } = self;
        write!(f, "{}  {what:<16} {asked:<42} {reached}", if *is_met { '✓' } else { '✗' })
    }
}

/// A test: its name, and what it does. It fails if it panics, or if what it reached is not enough.
pub type Test = (&'static str, fn() -> Vec<Asked>);

/// Runs tests, `at_once` of them at a time, as `cargo test` does. If none was left out, `in_all` adds what all of them
/// together came to.
pub fn run_all(tests: &[Test], at_once: usize, in_all: impl FnOnce() -> Vec<Asked>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once);
    let table = Arc::new(Mutex::new(Vec::new()));
    let trial = |(name, test): &Test| {
        let (test, table) = (*test, Arc::clone(&table));
        Trial::test(*name, move || {
            let reached = test();
            let missed = reached.iter().find(|line| !line.is_met).map(|line| Failed::from(line.to_string()));
            table.lock().unwrap_or_else(PoisonError::into_inner).extend(reached);
            missed.map_or(Ok(()), Err)
        })
    };
    let done = run(&arguments, tests.iter().map(trial).collect());
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if done.num_filtered_out == 0 && !done.has_failed() {
        table.extend(in_all());
    }
    table.iter().for_each(|line| println!("{line}"));
    if done.has_failed() || table.iter().any(|line| !line.is_met) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
