//! Carrying out a replay: an order on record for each tenant, one wake for each aggregate, then waiting for the replay's
//! own cursors, which are removed at the end. Twice is once: a wake goes on where that cursor is.
//! Must not know: which events, how they are applied.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;
use towpath::ports::{CursorKey, Store, Wakes};
use towpath::{AggregateKey, ConsumerName, Replay, Seq, TenantId, Verb, Wake};
use towpath_aws::operate::{Deed, Order};

use super::plan::{Plan, cursors};
use crate::orders::ticks;
use crate::output::{Interrupt, bar, now};
use crate::pipeline::Pipeline;

/// Time between two looks at the cursors.
const LOOK: Duration = Duration::from_secs(1);
/// A replay of which nothing moved for so long is not waited for any more.
const QUIET: Duration = Duration::from_secs(60);

/// How to go about it.
pub(super) struct Course<'a> {
    /// Its id and types; the places are those of each aggregate.
    pub(super) replay: Replay,
    pub(super) who: &'a str,
    pub(super) why: &'a str,
    /// Most aggregates in a second.
    pub(super) rate: u32,
}

/// What it came to.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Carried {
    /// Aggregates of which all was applied again.
    pub(super) through: usize,
    /// The others.
    pub(super) not_through: Vec<Left>,
    /// Was it cut off?
    pub(super) interrupted: bool,
}

/// An aggregate that did not get to its end.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Left {
    pub(super) aggregate: String,
    /// Where its replay is; `None` if it has not begun.
    pub(super) at: Option<Seq>,
    /// Where it should be.
    pub(super) through: Seq,
}

struct Carry<'a> {
    pipeline: &'a Pipeline,
    consumer: &'a ConsumerName,
    /// The name of the replay's own cursors.
    own: ConsumerName,
    course: &'a Course<'a>,
    interrupt: Interrupt,
}

/// Applies the plan's events again.
pub(super) async fn carry(
    pipeline: &Pipeline,
    consumer: &ConsumerName,
    plan: &Plan,
    course: &Course<'_>,
) -> Result<Carried> {
    let own = course.replay.cursors_of(consumer)?;
    let carry = Carry { pipeline, consumer, own, course, interrupt: Interrupt::watch() };
    carry.sign(plan).await?;
    let mut open = carry.stretches(plan).await?;
    let total = open.len();
    carry.send(&open).await?;
    let interrupted = !carry.wait(&mut open).await?;
    let at = carry.cursors(open.keys().cloned()).await?;
    let left = |(aggregate, replay): (&AggregateKey, &Replay)| Left {
        aggregate: aggregate.to_string(),
        at: at.get(aggregate).copied(),
        through: replay.through,
    };
    let not_through: Vec<Left> = open.iter().map(left).collect();
    if not_through.is_empty() {
        carry.forget(plan).await?;
    }
    Ok(Carried { through: total - not_through.len(), not_through, interrupted })
}

impl Carry<'_> {
    /// One order on record for each tenant, before anything is sent.
    async fn sign(&self, plan: &Plan) -> Result<()> {
        let mut tenants: Vec<&TenantId> = plan.aggregates.keys().map(|aggregate| &aggregate.tenant).collect();
        tenants.dedup(); // they are in order
        for tenant in tenants {
            let (who, why) = (self.course.who.to_owned(), self.course.why.to_owned());
            let deed = Deed::Replay(self.course.replay.id);
            let order = Order { at: now(), who, why, consumer: self.consumer.clone(), deed };
            let kept = self.pipeline.store.keep_order(tenant, &order).await;
            kept.with_context(|| {
                format!("the order about {tenant} could not be kept on record; nothing was replayed")
            })?;
        }
        Ok(())
    }

    /// From where to where each aggregate is replayed, without the events that were passed over: no cursor comes to them.
    async fn stretches(&self, plan: &Plan) -> Result<BTreeMap<AggregateKey, Replay>> {
        let mut stretches = BTreeMap::new();
        let bar = bar(plan.aggregates.len(), "reading");
        for (aggregate, seqs) in &plan.aggregates {
            let live = CursorKey { aggregate: aggregate.clone(), consumer: self.consumer.clone() };
            let skipped = self.pipeline.store.skipped(&live).await.context("the skips on record cannot be read")?;
            let kept = seqs.iter().filter(|seq| !skipped.iter().any(|skipped| skipped.seq == **seq));
            let kept: Vec<Seq> = kept.copied().collect();
            if let (Some(first), Some(last)) = (kept.first(), kept.last()) {
                let after = Seq(first.0.saturating_sub(1));
                let replay = Replay { after, through: *last, ..self.course.replay.clone() };
                stretches.insert(aggregate.clone(), replay);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(stretches)
    }

    /// Wakes the consumer for each aggregate that is not through yet.
    async fn send(&self, open: &BTreeMap<AggregateKey, Replay>) -> Result<()> {
        let at = self.cursors(open.keys().cloned()).await?;
        let (wakes, mut ticks, bar) = (self.pipeline.wakes(), ticks(self.course.rate), bar(open.len(), "waking"));
        for (aggregate, replay) in open {
            bar.inc(1);
            if at.get(aggregate).is_some_and(|at| *at >= replay.through) {
                continue;
            }
            ticks.tick().await;
            if self.interrupt.came() {
                break;
            }
            let wake = Wake { aggregate: aggregate.clone(), verb: Verb::Replay(replay.clone()) };
            let sent = wakes.wake(self.consumer, &wake).await;
            sent.with_context(|| format!("{} could not be woken: the same --id goes on", self.consumer))?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Takes out what is through, until nothing is left or nothing moves. `false`: it was interrupted.
    async fn wait(&self, open: &mut BTreeMap<AggregateKey, Replay>) -> Result<bool> {
        let (mut last, mut moved) = (BTreeMap::new(), Instant::now());
        let bar = bar(open.len(), "replaying");
        while !open.is_empty() && moved.elapsed() < QUIET {
            let at = self.cursors(open.keys().cloned()).await?;
            open.retain(|aggregate, replay| at.get(aggregate).is_none_or(|at| *at < replay.through));
            bar.set_position(bar.length().unwrap_or_default().saturating_sub(open.len() as u64));
            if at != last {
                (last, moved) = (at, Instant::now());
            }
            if self.interrupt.came() {
                bar.finish_and_clear();
                return Ok(open.is_empty());
            }
            if !open.is_empty() {
                sleep(LOOK).await;
            }
        }
        bar.finish_and_clear();
        Ok(true)
    }

    async fn cursors(&self, of: impl IntoIterator<Item = AggregateKey>) -> Result<BTreeMap<AggregateKey, Seq>> {
        let consumer = &self.pipeline.consumer(self.consumer)?.consumer;
        cursors(self.pipeline, consumer, &self.own, of).await
    }

    async fn forget(&self, plan: &Plan) -> Result<()> {
        let bar = bar(plan.aggregates.len(), "clearing");
        for aggregate in plan.aggregates.keys() {
            let forgotten = self.pipeline.store.forget_replay(self.consumer, &self.course.replay, aggregate).await;
            forgotten.context("all is applied again, but not all of the replay's cursors could be removed")?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }
}
