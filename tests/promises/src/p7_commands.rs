//! P7 by the operators' commands: what `towpath` shows, orders and keeps on record, with the real binary.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use towpath::{Seq, Timestamp, Verb};
use towpath_aws::operate::Deed;

use crate::Test;
use crate::operator::instruction;
use crate::stack::{Stack, root, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p7_the_command_retries_a_parked_row_and_keeps_who_and_why_on_record", retry),
    ("p7_the_command_passes_over_one_event_and_refuses_what_is_not_parked", skip),
    ("p7_the_command_replays_a_tenant_and_leaves_no_cursor_of_its_own", replay),
];

/// Runs `towpath` as an operator does, and answers with its exit code and its JSON.
pub(crate) fn towpath(stack: &Stack, arguments: &[&str]) -> Result<(i32, Value)> {
    let deps = std::env::current_exe()?;
    let binary = deps.parent().and_then(|deps| deps.parent()).context("a test lies in deps")?.join("towpath");
    ensure!(binary.exists(), "there is no {}: run `make crates` first", binary.display());
    let file = root().join(".local").join(&stack.name).join("stack.json");
    let run = Command::new(binary).args(arguments).args(["--json", "--stack-file"]).arg(file).output()?;
    let code = run.status.code().context("it was not killed")?;
    let said = String::from_utf8_lossy(&run.stdout);
    let json = serde_json::from_str(&said).unwrap_or(Value::Null);
    ensure!(code < 2 || !json.is_null(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&run.stderr));
    Ok((code, json))
}

fn retry(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-command").await?;
        let parked = stack.parked("inventory", &poison.order).await?;
        let (code, listed) = towpath(stack, &["dlq", "list", "--tenant", "p7-command"])?;
        ensure!(code == 0 && listed.to_string().contains("the cancelled order does not exist"), "{listed}");
        stack.cure(&poison).await?;
        let order = ["dlq", "retry", "--tenant", "p7-command", "--who", "ann", "--why", "the order is back"];
        let (code, shown) = towpath(stack, &order)?;
        ensure!(code == 0 && shown["dry_run"] == true && shown["count"] == 1, "{shown}");
        ensure!(stack.parked("inventory", &poison.order).await? == parked, "a dry run has touched the row");
        let (code, done) = towpath(stack, &[&order[..], &["--yes"]].concat())?;
        ensure!(code == 0 && done["dry_run"] == false && done["count"] == 1, "{done}");
        let position = stack.position("inventory", &poison.order).await?;
        ensure!(position.is_some_and(|it| it.cursor.seq == Seq(2)), "it says that it is done, and is not: {done}");
        stack.story_is(&poison.order, &["stock.reserved", "stock.released"]).await?;
        let orders = stack.store()?.orders(&poison.order.tenant, Timestamp::default()).await?;
        ensure!(orders.len() == 1, "{orders:?}");
        ensure!((orders[0].who.as_str(), orders[0].why.as_str()) == ("ann", "the order is back"), "{orders:?}");
        ensure!(matches!(&orders[0].deed, Deed::Retry(row) if row.rev == parked.rev), "{orders:?}");
        Ok(())
    })
}

fn skip(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p7-pass").await?;
        let parked = stack.parked("inventory", &poison.order).await?;
        let aggregate = poison.order.to_string();
        let order =
            ["dlq", "skip", "--consumer", "inventory", "--aggregate", &aggregate, "--who", "ann", "--why", "no"];
        let order = [&order[..], &["--yes"]].concat();
        let (code, done) = towpath(stack, &order)?;
        ensure!(code == 0, "{done}");
        stack.applied("inventory", &poison.order, 2).await?;
        ensure!(stack.story(&poison.order, "tea").await? == ["stock.reserved"]);
        // The same again, as if it had been in somebody's shell history, and an order about the row as it was.
        let again = towpath(stack, &order);
        ensure!(again.as_ref().is_ok_and(|(code, _)| *code != 0) || again.is_err(), "{again:?}");
        stack.wake("inventory", &poison.order, Verb::Skip(instruction(parked.rev, "bob"))).await?;
        stack.holds("InventoryWakeQueueUrl", &aggregate, 0).await?;
        ensure!(stack.applied("inventory", &poison.order, 2).await?.cursor.seq == Seq(2));
        Ok(())
    })
}

fn replay(stack: &Stack) -> Result<()> {
    wait(async {
        let mut orders = Vec::new();
        for n in 0..5 {
            orders.push(stack.place("p7-again", &format!("k-{n}"), "tea")?);
        }
        for order in &orders {
            stack.applied("crm-timeline", order, 1).await?;
        }
        let timeline = stack.timeline("p7-again", "c-1")?;
        for order in &orders {
            stack.lose_entry(&stack.journal(order).await?[0].envelope, "c-1").await?;
        }
        let order = ["replay", "--consumer", "crm-timeline", "--tenant", "p7-again", "--id", "9"];
        let (code, shown) = towpath(stack, &order)?;
        ensure!(code == 0 && shown["dry_run"] == true && shown["aggregates"] == 5, "{shown}");
        ensure!(stack.timeline("p7-again", "c-1")?.is_empty(), "a dry run has written");
        let order = [&order[..], &["--who", "ann", "--why", "lost entries", "--yes"]].concat();
        for _ in 0..2 {
            let (code, done) = towpath(stack, &order)?;
            ensure!(code == 0 && done["dry_run"] == false, "{done}");
            ensure!(stack.timeline("p7-again", "c-1")? == timeline, "{done}");
        }
        for order in &orders {
            ensure!(stack.position("crm-timeline@9", order).await?.is_none(), "a cursor of the replay is left");
        }
        Ok(())
    })
}
