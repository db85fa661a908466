//! P15: what goes wrong is seen: one metric and one log line. What goes well says nothing but numbers.
//! Must not know: alarms; tests/local/rehearse.py has those.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::Test;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p15_an_event_that_is_applied_leaves_no_line_in_the_log", quiet),
    ("p15_a_parked_event_is_one_line_with_its_ids_and_the_auditor_counts_it", loud),
];

const CONSUMERS: [&str; 3] = ["inventory", "order-summary", "crm-timeline"];

/// Lines about a tenant that hold no metrics. Those that do are one for each invocation, however many events it had.
fn words(stack: &Stack, tenant: &str) -> Result<Vec<String>> {
    let lines = stack.logged(tenant)?;
    Ok(lines.into_iter().filter(|line| !line.contains("CloudWatchMetrics")).collect())
}

fn quiet(stack: &Stack) -> Result<()> {
    wait(async {
        let tenant = "p15-quiet";
        stack.stock_up(tenant, "tea", 100)?;
        let mut orders = Vec::new();
        for number in 0..10 {
            orders.push(stack.place(tenant, &format!("k-{number}"), "tea")?);
        }
        for order in &orders {
            for consumer in CONSUMERS {
                stack.applied(consumer, order, 1).await?;
            }
        }
        let requests = stack.logged(tenant)?;
        ensure!(requests.len() >= 11, "the API's metric lines name the tenant, or this test looks at nothing");
        let said = words(stack, tenant)?;
        ensure!(
            said.is_empty(),
            "10 orders were applied by {} consumers, and this was said: {said:?}",
            CONSUMERS.len()
        );
        Ok(())
    })
}

fn loud(stack: &Stack) -> Result<()> {
    wait(async {
        let tenant = "p15-loud";
        let poison = stack.poison(tenant).await?;
        stack.parked("inventory", &poison.order).await?;
        let order = poison.order.to_string();
        let line = until("the failure is in the log", async || {
            Ok(words(stack, tenant)?.into_iter().find(|line| line.contains("it waits for an operator")))
        })
        .await?;
        let line: Value = serde_json::from_str(&line)?;
        for (field, value) in [("consumer", "inventory"), ("tenant_id", tenant), ("aggregate", order.as_str())] {
            ensure!(line[field] == value, "{field}: {line}");
        }
        let counted = async || {
            let lines = stack.logged("ParkedRows")?;
            let of_it = |line: &Value| line["consumer"] == "inventory" && line["ParkedRows"].as_f64() > Some(0.0);
            Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).any(|line| of_it(&line)).then_some(()))
        };
        until("the auditor counts the parked row", async || {
            stack.invoke("auditor")?;
            counted().await
        })
        .await
    })
}
