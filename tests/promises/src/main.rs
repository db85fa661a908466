//! The promises, end to end: one emulator of its own, the template as it is deployed, one file per promise. What would
//! disturb other tests (`ALONE`: queues purged, mappings switched off, processes killed) runs after them, one by one.
//! `cargo test --test promises [WORD]`; the emulator's log stays in .local/promises-<pid>/ when a test fails.

mod collector;
mod cost;
mod event_sourcing;
mod hands;
mod journal;
mod operator;
mod p11_limits;
mod p11_logs;
mod p12_schema;
mod p14_hostile_input;
mod p15_by_hand;
mod p15_doctor;
mod p15_traces;
mod p15_visible;
mod p16_model;
mod p18_versions;
mod p1_audited;
mod p1_held;
mod p1_nothing_lost;
mod p1_public_events_leave;
mod p2_exactly_once;
mod p3_order;
mod p4_tenants_apart;
mod p4_tokens;
mod p5_sagas;
mod p6_poison;
mod p7_commands;
mod p7_redrive;
mod p7_replay;
mod p8_rebuild;
mod p9_commands;
mod processes;
mod stack;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Conclusion, Trial};

use crate::stack::Stack;

/// A test: its name and what it does with the stack.
type Test = (&'static str, fn(&Stack) -> anyhow::Result<()>);

/// Tests that run at the same time: they wait for the emulator most of the time, and each has tenants of its own.
const TOGETHER: usize = 6;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The slow ones first: they wait for a ladder, and the others run meanwhile.
    let together = [
        p5_sagas::TESTS,
        p6_poison::TESTS,
        p16_model::TESTS,
        p11_logs::TESTS,
        p12_schema::TESTS,
        p11_limits::TESTS,
        p18_versions::TESTS,
        p3_order::TESTS,
        p7_commands::TESTS,
        p7_redrive::TESTS,
        p7_replay::TESTS,
        p1_nothing_lost::TESTS,
        p1_held::TESTS,
        p1_public_events_leave::TESTS,
        p2_exactly_once::TESTS,
        p4_tenants_apart::TESTS,
        p4_tokens::TESTS,
        p8_rebuild::TESTS,
        p9_commands::TESTS,
        journal::TESTS,
        event_sourcing::TESTS,
        p14_hostile_input::TESTS,
        p15_traces::TESTS,
        p15_visible::TESTS,
        start::TESTS,
        cost::TESTS,
    ]
    .concat();
    let alone = [
        p15_doctor::ALONE,
        p15_by_hand::ALONE,
        p3_order::ALONE,
        p2_exactly_once::ALONE,
        p6_poison::ALONE,
        p7_redrive::ALONE,
        p8_rebuild::ALONE,
        p1_audited::ALONE,
    ]
    .concat();
    let (together, alone) = (picked(together), picked(alone));
    if arguments.list {
        return run(&arguments, &[together, alone].concat(), None).exit_code();
    }
    let stack = match Stack::up() {
        Ok(stack) => Arc::new(stack),
        Err(error) => {
            eprintln!("the stack did not come up: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    arguments.test_threads.get_or_insert(TOGETHER);
    let first = run(&arguments, &together, Some(&stack));
    arguments.test_threads = Some(1);
    let second = run(&arguments, &alone, Some(&stack));
    let failed = first.has_failed() || second.has_failed();
    let ended = stack.down().and_then(|()| if failed { Ok(()) } else { stack.forget() });
    if let Err(error) = ended {
        eprintln!("the stack did not go down: {error:#}");
        return ExitCode::FAILURE;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Those that TOWPATH_PROMISES names, all if it is not there: `make rules PROMISES=1` asks for some that share no word.
fn picked(tests: Vec<Test>) -> Vec<Test> {
    match std::env::var("TOWPATH_PROMISES") {
        Ok(names) => tests.into_iter().filter(|(name, _)| names.split_whitespace().any(|one| one == *name)).collect(),
        Err(_) => tests,
    }
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
