//! P11: a tenant that asks for too much is told when to come back, and nothing of it is written. And what tenants used is what
//! the journal says, row by row.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::{Value, json};
use towpath::audit::{AuditOptions, AuditPorts, tick};
use towpath::ports::{
    Answer, AuditState, CommitError, CursorHome, CursorKey, DueTimer, Host, IndexRow, Ledger, Registered, Store, Wakes,
};
use towpath::{
    AllHolds, CLOSED_AFTER, ConsumerName, Holds, Hour, Kind, Metered, Meters, Rev, Seq, TenantId, Timestamp, Usage,
    Wake,
};
use towpath_aws::{AwsStore, LambdaHost};

use crate::Test;
use crate::hands::host;
use crate::p1_public_events_leave::watch;
use crate::p7_commands::towpath;
use crate::stack::{Stack, order_of, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p11_above_its_limit_a_tenant_gets_429_and_nothing_is_written", throttled),
    ("usage_of_an_hour_is_what_the_journal_says_row_by_row", used),
];

fn throttled(stack: &Stack) -> Result<()> {
    wait(async {
        let tenant = "p11-limit";
        let queue = watch(stack, "towpath.tenant.throttled.v1").await?;
        let order = ["tenants", "limit", tenant, "--rate", "0.1", "--burst", "1", "--who", "ann", "--why", "a loop"];
        let (_, shown) = towpath(stack, &order)?;
        ensure!(shown["done"] == false && stack.store()?.own_limit(&tenant.parse()?).await?.0.is_none(), "{shown}");
        let (code, done) = towpath(stack, &[&order[..], &["--yes"]].concat())?;
        ensure!(code == 0 && done["done"] == true && done["after"]["burst"] == 1, "{done}");
        let orders = stack.store()?.orders(&tenant.parse()?, Timestamp::default()).await?;
        ensure!(orders.len() == 1 && orders[0].who == "ann", "{orders:?}");

        let first = stack.ask("POST", "/orders", tenant, "k-1", &order_of("tea"))?;
        ensure!(first.status == 201, "{first:?}");
        let refused = stack.ask("POST", "/orders", tenant, "k-2", &order_of("tea"))?;
        ensure!(refused.status == 429 && refused.field("error")? == "too_many_requests", "{refused:?}");
        ensure!(refused.retry_after.is_some_and(|seconds| (1..=10).contains(&seconds)), "{refused:?}");
        ensure!(stack.store()?.kept_answer(&tenant.parse()?, &"k-2".parse()?).await?.is_none(), "it was written");
        let replay = stack.ask("POST", "/orders", tenant, "k-1", &order_of("tea"))?;
        ensure!(replay.replayed && replay.text == first.text, "{replay:?}");
        let fact = until("the bus has told of the throttled tenant", async || {
            let sqs = aws_sdk_sqs::Client::new(&stack.sdk());
            let got = sqs.receive_message().queue_url(&queue).max_number_of_messages(10).send().await?;
            let mut bodies = got.messages.unwrap_or_default().into_iter().filter_map(|message| message.body);
            Ok(bodies.next().map(|body| serde_json::from_str::<Value>(&body)).transpose()?)
        })
        .await?;
        ensure!(
            fact["detail"]["tenantid"] == tenant && fact["detail"]["data"] == json!({"function": "orders-api"}),
            "{fact}"
        );
        until("the function has counted it", async || Ok((!stack.logged("Throttled")?.is_empty()).then_some(())))
            .await?;

        // The limit is taken away; the same key works then.
        let back = ["tenants", "limit", tenant, "--default", "--who", "ann", "--why", "mended", "--yes"];
        ensure!(towpath(stack, &back)?.1["after"].is_null());
        until("the same key works later", async || {
            let again = stack.ask("POST", "/orders", tenant, "k-2", &order_of("tea"))?;
            ensure!([201, 429].contains(&again.status) && !again.replayed, "{again:?}");
            Ok((again.status == 201).then_some(()))
        })
        .await
    })
}

/// A clock by which this hour is closed.
struct Later(LambdaHost);

impl Host for Later {
    fn now(&self) -> Timestamp {
        self.0.now().plus(Duration::from_secs(3_600) + CLOSED_AFTER)
    }
    fn random(&self) -> u128 {
        self.0.random()
    }
    fn remaining(&self) -> Duration {
        self.0.remaining()
    }
    fn sleep(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        self.0.sleep(time)
    }
}

/// The journal, for an auditor who keeps for himself how far he is, and wakes nobody: the stack's own one goes on.
struct Apart<'a> {
    store: &'a AwsStore,
    state: RefCell<AuditState>,
}

impl Ledger for Apart<'_> {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        self.store.consumers()
    }
    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.store.committed(since, until, after)
    }
    fn sweep<'a>(&'a self, _: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        Box::pin(ready(Ok((Vec::new(), None))))
    }
    fn due(&self, _: CursorHome, _: Timestamp, _: usize) -> Answer<'_, Vec<CursorKey>> {
        Box::pin(ready(Ok(Vec::new())))
    }
    fn timers(&self, _: Timestamp, _: usize) -> Answer<'_, Vec<DueTimer>> {
        Box::pin(ready(Ok(Vec::new())))
    }
    fn all_holds(&self) -> Answer<'_, AllHolds> {
        self.store.all_holds()
    }
    fn keep_holds<'a>(&'a self, _: &'a ConsumerName, _: &'a Holds, _: Rev) -> Answer<'a, (), CommitError> {
        Box::pin(ready(Ok(())))
    }
    fn held<'a>(&'a self, _: CursorHome, _: &'a ConsumerName, _: &'a TenantId, _: usize) -> Answer<'a, Vec<CursorKey>> {
        Box::pin(ready(Ok(Vec::new())))
    }
    fn audit_state(&self) -> Answer<'_, AuditState> {
        Box::pin(ready(Ok(self.state.borrow().clone())))
    }
    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, _: Rev) -> Answer<'a, (), CommitError> {
        self.state.replace(state.clone());
        Box::pin(ready(Ok(())))
    }
}

impl Wakes for Apart<'_> {
    fn wake<'a>(&'a self, _: &'a ConsumerName, _: &'a Wake) -> Answer<'a, ()> {
        Box::pin(ready(Ok(())))
    }
    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Answer<'a, u64> {
        Box::pin(ready(Ok(0)))
    }
}

/// Counts a tenant's rows of an hour one by one, from the journal itself.
async fn counted(store: &AwsStore, tenant: &str, hour: Hour) -> Result<Usage> {
    let (mut usage, mut after) = (Usage::default(), None);
    loop {
        let (rows, more) = store.committed(hour.start(), hour.next().start(), after.as_deref()).await?;
        for row in rows.iter().filter(|row| row.aggregate.tenant.as_str() == tenant) {
            let found = store.journal(&row.aggregate, Seq(row.seq.0 - 1), row.seq, 1).await?;
            let found = found.first().context("the index shows a row that is not there")?;
            ensure!(row.weight.is_some(), "the index does not show what the row weighs");
            if Hour::of(found.envelope.event_id.at()) != hour {
                continue;
            }
            *if found.kind == Kind::Event { &mut usage.events } else { &mut usage.commands } += 1;
            usage.bytes += found.envelope.to_body().len() as u64;
        }
        after = more;
        if after.is_none() {
            return Ok(usage);
        }
    }
}

fn used(stack: &Stack) -> Result<()> {
    wait(async {
        let (store, tenant) = (stack.store()?, "usage-1");
        stack.stock_up(tenant, "tea", 100)?;
        for number in 0..5 {
            let order = stack.place(tenant, &format!("k-{number}"), "tea")?;
            stack.applied("inventory", &order, 1).await?;
            stack.applied("order-summary", &order, 1).await?;
        }
        // A run that goes over an hour's end has rows in two.
        let first = Hour::of(host().now().minus(Duration::from_secs(300)));
        let later = Later(host());
        let metered = Some(Metered { first, next: first, again: None });
        let apart = Apart { store: &store, state: RefCell::new(AuditState { metered, ..AuditState::default() }) };
        let options = AuditOptions { sweep_pages: 0, ..AuditOptions::default() };
        let mut runs: BTreeMap<ConsumerName, u64> = BTreeMap::new();
        let mut events = 0;
        for _ in 0..3 {
            let ports = AuditPorts { ledger: &apart, store: &store, wakes: &apart, host: &later, meters: Some(&store) };
            let report = tick(ports, options).await?;
            ensure!(report.unmetered.is_none(), "{report:?}");
        }
        let next = apart.state.borrow().metered.context("it has folded")?.next;
        ensure!(next > first, "no hour was folded");
        for hour in (first.0..next.0).map(Hour) {
            let kept = store.usage(hour).await?.remove(&tenant.parse()?).map(|(usage, _)| usage).unwrap_or_default();
            let counted = counted(&store, tenant, hour).await?;
            ensure!(
                (kept.events, kept.commands, kept.bytes) == (counted.events, counted.commands, counted.bytes),
                "{kept:?} {counted:?}"
            );
            events += kept.events;
            kept.runs.into_iter().for_each(|(name, count)| *runs.entry(name).or_default() += count);
        }
        ensure!(events >= 11, "a receipt, five orders, five reservations: {events}");
        ensure!(
            runs.get(&"inventory".parse()?) == Some(&5) && runs.get(&"order-summary".parse()?) == Some(&5),
            "{runs:?}"
        );
        let (code, shown) = towpath(stack, &["tenants", "usage", tenant])?;
        let lines = shown["usage"].as_array().context("it prints usage")?;
        let sum: u64 = lines.iter().filter_map(|line| line["events"].as_u64()).sum();
        ensure!(code == 0 && sum == events && lines.iter().all(|line| line["tenant"] == tenant), "{shown}");
        Ok(())
    })
}
