//! The promises, end to end: one emulator of its own, the template as it is deployed, one file per promise.
//! `cargo test --test promises [WORD]`; the emulator's log stays in .local/promises-<pid>/ when a test fails.

mod cost;
mod journal;
mod p12_schema;
mod p14_hostile_input;
mod p1_nothing_lost;
mod p2_exactly_once;
mod p4_tenants_apart;
mod p9_commands;
mod stack;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Trial};

use crate::stack::Stack;

/// A test: its name and what it does with the stack.
type Test = (&'static str, fn(&Stack) -> anyhow::Result<()>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests = [
        p1_nothing_lost::TESTS,
        p2_exactly_once::TESTS,
        p4_tenants_apart::TESTS,
        p9_commands::TESTS,
        journal::TESTS,
        p12_schema::TESTS,
        p14_hostile_input::TESTS,
        start::TESTS,
        cost::TESTS,
    ];
    if arguments.list {
        return run(&arguments, &tests.concat(), None).exit_code();
    }
    let stack = match Stack::up() {
        Ok(stack) => Arc::new(stack),
        Err(error) => {
            eprintln!("the stack did not come up: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = run(&arguments, &tests.concat(), Some(&stack));
    let ended = stack.down().and_then(|()| if conclusion.has_failed() { Ok(()) } else { stack.forget() });
    if let Err(error) = ended {
        eprintln!("the stack did not go down: {error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn run(arguments: &Arguments, tests: &[Test], stack: Option<&Arc<Stack>>) -> Conclusion {
    let trial = |(name, test): &Test| {
        let (test, stack) = (*test, stack.cloned());
        Trial::test(*name, move || {
            let stack = stack.ok_or("a listing runs nothing")?;
            test(&stack).map_err(|error| format!("{error:#}").into())
        })
    };
    libtest_mimic::run(arguments, tests.iter().map(trial).collect())
}
