//! How functions start, and how stages live side by side.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, root, script, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a_function_with_a_wrong_environment_does_not_start_and_names_all_that_is_wrong", environment),
    ("two_stages_live_in_one_account_and_region", two_stages),
];

fn environment(_: &Stack) -> Result<()> {
    let bootstrap = root().join(".aws-sam/build/RelayFunction/bootstrap");
    let run = Command::new(bootstrap)
        .env_clear()
        .env("TOWPATH_LANES", "many")
        .env("TOWPATH_LOG_LEVEL", "info")
        .env("TOWPATH_STAGE", "test")
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.code() == Some(1), "{run:?}");
    ensure!(said.trim().lines().count() == 1, "not one message: {said}");
    for problem in [
        "TOWPATH_OUTBOX_TABLE is missing",
        "TOWPATH_ENTITIES_TABLE is missing",
        "TOWPATH_VIEWS_TABLE is missing",
        "TOWPATH_PROGRESS_TABLE is missing",
        "TOWPATH_OUTBOX_RETENTION_DAYS is missing",
        "TOWPATH_EVENTS_TOPIC_ARN is missing",
        "TOWPATH_COMMANDS_TOPIC_ARN is missing",
        "TOWPATH_RELAY_FAILURES_QUEUE_URL is missing",
        "TOWPATH_LANES must be a number from 1 to 1000",
    ] {
        ensure!(said.contains(problem), "{problem} is not said: {said}");
    }
    Ok(())
}

/// The second stage is deployed beside the first, in the same emulator: the same account and Region.
fn two_stages(stack: &Stack) -> Result<()> {
    let name = format!("promises-second-{}", std::process::id());
    script(&["deploy", "--name", &name, "--stage", "second", "--endpoint", &stack.endpoint])?;
    let second = Stack::read(&name, stack.collector.clone())?;
    wait(async {
        let there = second.place("stages", "k-1", "tea")?;
        second.applied("order-summary", &there, 1).await?;
        let here = stack.place("stages", "k-1", "tea")?;
        stack.applied("order-summary", &here, 1).await?;
        ensure!(here.id != there.id, "the stages share idempotency keys");
        ensure!(stack.journal(&there).await?.is_empty() && second.journal(&here).await?.is_empty());
        ensure!(stack.position("inventory", &there).await?.is_none());
        second.down()?; // its issuer; the emulator goes on
        second.forget()
    })
}
