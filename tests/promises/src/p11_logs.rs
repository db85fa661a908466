//! P11: the logs tell each step of those who are watched, without a deploy, and nothing of anybody else; what is personal
//! is in none of them.

use std::cell::Cell;

use anyhow::{Result, ensure};
use serde_json::Value;
use towpath::AggregateKey;

use crate::Test;
use crate::p7_commands::towpath;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] =
    &[("p11_one_tenant_is_watched_without_a_deploy_and_the_logs_are_silent_about_others", watched)];

/// A customer whose name must be in no log.
const CANARY: &str = "canary-customer-4711";

fn watched(stack: &Stack) -> Result<()> {
    wait(async {
        let place = |tenant: &str, key: &str| {
            let body = format!(
                r#"{{"customer_id":"{CANARY}","lines":[{{"sku":"tea","quantity":1,"unit_price_cents":100}}]}}"#
            );
            let answer = stack.ask("POST", "/orders", tenant, key, &body)?;
            ensure!(answer.status == 201, "{answer:?}");
            Ok(format!("{tenant}#order#{}", answer.field("order_id")?).parse()?)
        };
        let before: AggregateKey = place("p11-watched", "k-0")?;
        stack.applied("crm-timeline", &before, 1).await?;
        let order = ["watch", "--tenant", "p11-watched", "--for", "10m", "--who", "ann", "--why", "#42"];
        let (code, shown) = towpath(stack, &order)?;
        ensure!(code == 0 && shown["dry_run"] == true && stack.store()?.watches().await?.is_empty(), "{shown}");
        let (code, set) = towpath(stack, &[&order[..], &["--yes"]].concat())?;
        ensure!(code == 0 && set["watch"]["tenant"] == "p11-watched", "{set}");

        let tries = Cell::new(0);
        let lines = until("a step of the watched tenant is logged", async || {
            tries.set(tries.get() + 1);
            let order: AggregateKey = place("p11-watched", &format!("k-{}", tries.get()))?;
            stack.applied("crm-timeline", &order, 1).await?;
            let lines = stack.logged(order.id.as_str())?;
            Ok(lines.iter().any(|line| line.contains(r#""by":"crm-timeline""#)).then_some(lines))
        })
        .await?;
        for line in &lines {
            let line: Value = serde_json::from_str(line)?;
            ensure!(line["watched"] == true && line["tenant_id"] == "p11-watched", "{line}");
            ensure!(line["correlation_id"].is_string() && line["causation_id"].is_string(), "{line}");
        }
        let quiet: AggregateKey = place("p11-quiet", "k-1")?;
        stack.applied("crm-timeline", &quiet, 1).await?;
        for silent in [before.id.as_str(), quiet.id.as_str(), CANARY] {
            let lines = stack.logged(silent)?;
            ensure!(lines.is_empty(), "the logs name {silent}: {lines:?}");
        }
        let (code, ended) =
            towpath(stack, &["watch", "--tenant", "p11-watched", "--end", "--who", "ann", "--why", "done", "--yes"])?;
        ensure!(code == 0 && stack.store()?.watches().await?.is_empty(), "{ended}");
        Ok(())
    })
}
