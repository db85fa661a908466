//! P1 and P3 for a tenant that an operator has stopped: its events wait, those of others do not; when it goes on, all of them
//! are applied, in order, also those of aggregates that began meanwhile.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use towpath::ports::{CommitError, Consistency, CursorHome, CursorKey, Host, Ledger, Store};
use towpath::{AggregateKey, ConsumerName, Hold, Holds, Status, TenantId};
use towpath_aws::HOLDS_AGE;

use crate::Test;
use crate::hands::host;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[("p1_what_is_held_back_of_a_tenant_is_applied_when_it_goes_on", held)];

fn held(stack: &Stack) -> Result<()> {
    wait(async {
        let (inventory, tenant): (ConsumerName, TenantId) = ("inventory".parse()?, "p1-held".parse()?);
        stack.stock_up(tenant.as_str(), "tea", 100)?;
        let known = stack.place(tenant.as_str(), "k-known", "tea")?;
        stack.applied("inventory", &known, 1).await?;
        let hold = Hold { since: host().now(), who: "ann".into(), why: "a test".into(), resumed: None };
        change(stack, &inventory, |holds| Ok(holds.with(&tenant, hold.clone())?)).await?;
        let ordered = Instant::now();
        let key = [CursorKey { aggregate: known.clone(), consumer: inventory.clone() }];
        for (home, there) in [(CursorHome::Progress, true), (CursorHome::Views, false)] {
            let (positions, holds) = stack.store()?.look_around(&inventory, home, &key).await?;
            ensure!(positions.len() == 1 && positions[0].is_some() == there, "{home:?} {positions:?}");
            ensure!(holds.has(&tenant), "the order comes with the cursors: {home:?} {holds:?}");
        }
        // Until an instance has heard of it, an order may still get through.
        let orders = std::cell::Cell::new(0);
        let began = until("an order is held", async || {
            orders.set(orders.get() + 1);
            let order = stack.place(tenant.as_str(), &format!("k-{}", orders.get()), "tea")?;
            let status = until("it has a row", async || stack.position("inventory", &order).await).await?.cursor.status;
            Ok((status == Status::Held).then_some(order))
        })
        .await?;
        until("every instance has heard of it", async || Ok((ordered.elapsed() > HOLDS_AGE).then_some(()))).await?;
        cancel(stack, &known)?;
        let marked = stack.blocked("inventory", &known, Status::Held).await?;
        ensure!(marked.seq.0 == 1, "{marked:?}");
        cancel(stack, &began)?;
        stack.applied("order-summary", &began, 2).await?;
        stack.stock_up("p1-not-held", "tea", 1)?;
        let other = stack.place("p1-not-held", "k-1", "tea")?;
        stack.applied("inventory", &other, 1).await?;
        stack.holds("InventoryQueueUrl", tenant.as_str(), 0).await?;
        // Behind a backlog, which other tests may cause, the auditor is patient.
        until("the auditor accounts for what is held", async || {
            Ok((stack.audit().await?.consumers[&inventory].held >= 3).then_some(()))
        })
        .await?;
        ensure!(stack.blocked("inventory", &began, Status::Held).await?.seq.0 == 0, "nothing of it was applied");
        change(stack, &inventory, |holds| Ok(holds.resumed(&tenant, host().now()))).await?;
        for order in [&known, &began] {
            // The deployed auditor may have woken them already, but nobody else does.
            until("what was held is applied", async || {
                stack.audit().await?;
                Ok(stack.position("inventory", order).await?.filter(|position| position.cursor.seq.0 >= 2))
            })
            .await?;
            stack.blocked("inventory", order, Status::Ready).await?;
            stack.story_is(order, &["stock.reserved", "stock.released"]).await?;
        }
        Ok(())
    })
}

fn cancel(stack: &Stack, order: &AggregateKey) -> Result<()> {
    let (path, key) = (format!("/orders/{}/cancel", order.id), format!("cancel-{}", order.id));
    stack.ask("POST", &path, order.tenant.as_str(), &key, "{}").map(|_| ())
}

/// As the command line does: again, if somebody else was faster.
async fn change(stack: &Stack, of: &ConsumerName, to: impl Fn(&Holds) -> Result<Option<Holds>>) -> Result<()> {
    let store = stack.store()?;
    until("the order is given", async || {
        let there = Store::holds(&store, of, Consistency::Strong).await?;
        let next = to(&there)?.context("it is so already")?;
        match store.keep_holds(of, &next, there.rev).await {
            Ok(()) => Ok(Some(())),
            Err(CommitError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
