//! `towpath replay --rebuild`: folds a projection once more from the journal, beside the live rows and while their events
//! go on, compares, and lets readers see the new build. `--swap` goes there or back, `--drop` removes a build for good.
//! Must not know: how rows are folded; the consumer does that, woken once for each row.

mod rows;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use towpath::ports::{CommitError, Consistency, CursorHome, Ledger, Position, Registered, Store};
use towpath::{AggregateKey, Builds, ConsumerName, Rebuild, Step, Timestamp};
use towpath_aws::operate::{Deed, Order};

use super::Options;
use crate::output::{Age, Interrupt, PARTLY, Usage, bar, count, exit, now, say};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// Rows that are named.
const NAMED: usize = 10;

/// What may be done about the builds of a projection.
#[derive(Debug, Args)]
#[group(id = "of_builds", multiple = true, conflicts_with_all = ["consumer", "tenant", "types", "aggregate", "since", "until", "id"])]
pub(crate) struct OfBuilds {
    /// Folds this projection once more from the journal, then lets readers see the new build. Cut off, it goes on.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["swap", "drop"])]
    rebuild: Option<ConsumerName>,
    /// With --rebuild: readers stay where they are if any row differs from the live one.
    #[arg(long, requires = "rebuild")]
    expect_equal: bool,
    /// With --rebuild: readers stay where they are.
    #[arg(long, requires = "rebuild")]
    no_swap: bool,
    /// Lets readers see the other build of this projection: the new one, or the old one again.
    #[arg(long, value_name = "NAME", conflicts_with = "drop")]
    swap: Option<ConsumerName>,
    /// Removes the build that readers do not see.
    #[arg(long, value_name = "NAME@BUILD")]
    drop: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Rebuild(ConsumerName),
    Swap(ConsumerName),
    Drop(ConsumerName, u32),
}

impl OfBuilds {
    /// What is asked for, if it is about builds.
    pub(super) fn job(&self) -> Result<Option<Job>> {
        if let Some(drop) = &self.drop {
            let parts = drop.split_once('@').and_then(|(name, build)| Some((name.parse().ok()?, build.parse().ok()?)));
            let (name, build) =
                parts.ok_or_else(|| Usage(format!("--drop {drop}: give NAME@BUILD, as order-summary@1")))?;
            return Ok(Some(Job::Drop(name, build)));
        }
        let job = self.rebuild.clone().map(Job::Rebuild);
        Ok(job.or_else(|| self.swap.clone().map(Job::Swap)))
    }
}

#[derive(Debug, Default, Serialize)]
struct Report {
    stack: String,
    consumer: String,
    dry_run: bool,
    /// The build that this is about.
    build: u32,
    /// What readers see at the end.
    live: u32,
    rows: usize,
    equal: usize,
    different: Vec<String>,
    not_through: Vec<String>,
    interrupted: bool,
    #[serde(skip)]
    text: String,
}

/// A projection, its rows, and who wants something of it.
struct Work<'a> {
    pipeline: &'a Pipeline,
    consumer: &'a Registered,
    options: &'a Options,
    /// Every aggregate of which it handles something that was committed before the end, which is fixed: what begins later
    /// is folded by the code of today anyway.
    aggregates: BTreeSet<AggregateKey>,
}

/// Shows what would be done, or does it. Exit code 3 when it did not come to its end.
pub(super) async fn run(target: &Target, options: &Options, job: Job) -> Result<ExitCode> {
    let pipeline = Pipeline::open(target).await?;
    let (Job::Rebuild(name) | Job::Swap(name) | Job::Drop(name, _)) = &job;
    let consumer = &pipeline.consumer(name)?.consumer;
    if consumer.home != CursorHome::Views {
        bail!(
            "{name} is no Projection: its rows may be fed by several aggregates, so they cannot be folded again one by one. \
             Replay it, if it is replayable, or begin a consumer of a new name"
        );
    }
    pipeline.can_be_woken(name)?;
    let builds = pipeline.store.builds(name, Consistency::Strong).await.context("its builds cannot be read")?;
    let begun = allowed(&pipeline, name, &builds, &job)?;
    let work = Work { aggregates: gather(&pipeline, consumer, now()).await?, pipeline: &pipeline, consumer, options };
    let report = match &job {
        Job::Rebuild(_) => work.rebuild(builds, begun).await?,
        Job::Swap(_) => work.swap(builds, begun).await?,
        Job::Drop(_, build) => work.drop(builds, begun, *build).await?,
    };
    let partly = !report.not_through.is_empty() || options.builds.expect_equal && !report.different.is_empty();
    say(options.json, &report, || report.text.clone())?;
    Ok(if partly { exit(PARTLY) } else { ExitCode::SUCCESS })
}

/// The builds as they will be, or why not.
fn allowed(pipeline: &Pipeline, name: &ConsumerName, builds: &Builds, job: &Job) -> Result<Builds> {
    match job {
        Job::Rebuild(_) => match builds.other {
            Some(old) if old < builds.live => {
                let drop = pipeline.command(&format!("replay --drop {name}@{old} --why \"…\" --yes"));
                bail!("{name}@{old} is still kept beside {name}@{}: drop it first\n  {drop}", builds.live)
            }
            Some(_) => Ok(*builds),
            None => builds.begun().context("one more build can be begun"),
        },
        Job::Swap(_) => builds
            .swapped()
            .ok_or_else(|| Usage(format!("{name} has one build, {name}@{}: rebuild it first", builds.live)).into()),
        Job::Drop(_, build) if *build == builds.live => {
            Err(Usage(format!("{name}@{build} is what readers see: swap first")).into())
        }
        Job::Drop(_, build) if *build == 0 || *build > builds.last => {
            Err(Usage(format!("there never was a {name}@{build}")).into())
        }
        // One that was dropped before: what that left behind is removed now.
        Job::Drop(_, build) => Ok(builds.without(*build).unwrap_or(*builds)),
    }
}

/// Walks through the whole journal once.
async fn gather(pipeline: &Pipeline, consumer: &Registered, end: Timestamp) -> Result<BTreeSet<AggregateKey>> {
    let (mut aggregates, mut place) = (BTreeSet::new(), None);
    let bar = bar(0, "reading the journal");
    loop {
        let page = pipeline.store.sweep(place.as_deref()).await;
        let (rows, next) = page.context("the journal's time index cannot be read")?;
        let meant = rows
            .into_iter()
            .filter(|row| row.event_id.at() <= end && consumer.handles(&row.event_type, row.event_id.at()));
        aggregates.extend(meant.map(|row| row.aggregate));
        bar.set_position(aggregates.len() as u64);
        place = next;
        if place.is_none() {
            bar.finish_and_clear();
            return Ok(aggregates);
        }
    }
}

impl Work<'_> {
    fn name(&self) -> &ConsumerName {
        &self.consumer.name
    }

    fn report(&self, builds: &Builds, build: u32, text: String) -> Report {
        Report {
            stack: self.pipeline.name.clone(),
            consumer: self.name().to_string(),
            dry_run: !self.options.sign.yes,
            build,
            live: builds.live,
            rows: self.aggregates.len(),
            text,
            ..Report::default()
        }
    }

    async fn rebuild(&self, builds: Builds, begun: Builds) -> Result<Report> {
        let (name, build, live) = (self.name(), begun.last, builds.live);
        let rows = count(self.aggregates.len() as u64, "row", "rows");
        if !self.options.sign.yes {
            let seconds = (self.aggregates.len() as u64).div_ceil(self.options.rate.into());
            let text = format!(
                "{name}@{build} would be filled beside {name}@{live}: {rows}, each folded once more from its journal and \
                 written once.\nWhile there are two builds each row holds both, so it is about twice as big. At {} a second \
                 this takes {} or more.\nNothing was done. To do it, add --why \"…\" --yes.",
                self.options.rate,
                Age(seconds * 1_000)
            );
            return Ok(self.report(&builds, build, text));
        }
        self.sign(Deed::Rebuild(build)).await?;
        let interrupt = Interrupt::watch();
        if begun != builds {
            self.keep(&begun, &builds).await?;
        }
        let fill = Rebuild { build, step: Step::Fill };
        let mut report = self.report(&begun, build, String::new());
        loop {
            report.not_through = self.drive(fill, |row| row.has(build), &interrupt).await?;
            if !report.not_through.is_empty() {
                report.interrupted = interrupt.came();
                report.text = self.not_through(&report);
                return Ok(report);
            }
            let compared = self.compare(build).await?;
            (report.equal, report.different) = (compared.equal, compared.different);
            // Rows that were not there when the others were filled; there are no more of them than aggregates.
            if compared.behind == 0 {
                break;
            }
        }
        let stays = self.options.builds.no_swap || self.options.builds.expect_equal && !report.different.is_empty();
        if !stays {
            self.sign(Deed::Swap(build)).await?;
            let swapped = begun.swapped().context("there are two builds")?;
            self.keep(&swapped, &begun).await?;
            report.live = swapped.live;
            // A row that lost the build since it was compared shows its old state: it gets it back.
            report.not_through = self.drive(fill, |row| row.has(build), &interrupt).await?;
        }
        report.text = self.came_to(&report, live);
        Ok(report)
    }

    async fn swap(&self, builds: Builds, swapped: Builds) -> Result<Report> {
        let (name, live) = (self.name(), swapped.live);
        if !self.options.sign.yes {
            let text = format!(
                "readers of {name} would see {name}@{live} instead of {name}@{}.\nNothing was done. To do it, add \
                 --why \"…\" --yes.",
                builds.live
            );
            return Ok(self.report(&builds, live, text));
        }
        // The lower build is the row's own state, so it is always there; the higher one may not be filled everywhere.
        if live == builds.last {
            let interrupt = Interrupt::watch();
            let fill = Rebuild { build: live, step: Step::Fill };
            let not_through = self.drive(fill, |row| row.has(live), &interrupt).await?;
            if !not_through.is_empty() {
                let mut report = self.report(&builds, live, String::new());
                (report.not_through, report.interrupted) = (not_through, interrupt.came());
                report.text = self.not_through(&report);
                return Ok(report);
            }
        }
        self.sign(Deed::Swap(live)).await?;
        self.keep(&swapped, &builds).await?;
        Ok(self.report(&swapped, live, format!("readers of {name} see {name}@{live} now, each within a second")))
    }

    async fn drop(&self, builds: Builds, left: Builds, build: u32) -> Result<Report> {
        let (name, live) = (self.name(), builds.live);
        if !self.options.sign.yes {
            let text = format!(
                "{name}@{build} would be removed from {}; {name}@{live} stays. There is no way back but a rebuild.\nNothing \
                 was done. To do it, add --why \"…\" --yes.",
                count(self.aggregates.len() as u64, "row", "rows")
            );
            return Ok(self.report(&builds, build, text));
        }
        self.sign(Deed::Drop(build)).await?;
        if left != builds {
            self.keep(&left, &builds).await?;
        }
        // A row's own state is that of the lower build: it is replaced, or what is beside it is removed.
        let (beside, step) = if build < live { (live, Step::Keep) } else { (build, Step::Discard) };
        let gone = move |row: &Position| row.beside.as_ref().is_none_or(|there| there.build != beside);
        let interrupt = Interrupt::watch();
        let not_through = self.drive(Rebuild { build: beside, step }, gone, &interrupt).await?;
        let mut report = self.report(&left, build, format!("{name}@{build} is gone"));
        if !not_through.is_empty() {
            (report.not_through, report.interrupted) = (not_through, interrupt.came());
            report.text = self.not_through(&report);
        }
        Ok(report)
    }

    /// One order on record for each tenant, before anything is done.
    async fn sign(&self, deed: Deed) -> Result<()> {
        let (Some(who), Some(why)) = (&self.options.sign.who, &self.options.sign.why) else { return Ok(()) };
        let tenants: BTreeSet<_> = self.aggregates.iter().map(|aggregate| &aggregate.tenant).collect();
        for tenant in tenants {
            let (consumer, deed) = (self.name().clone(), deed.clone());
            let order = Order { at: now(), who: who.clone(), why: why.clone(), consumer, deed };
            let kept = self.pipeline.store.keep_order(tenant, &order).await;
            kept.with_context(|| format!("the order about {tenant} could not be kept on record; nothing was done"))?;
        }
        Ok(())
    }

    async fn keep(&self, to: &Builds, from: &Builds) -> Result<()> {
        match self.pipeline.store.keep_builds(self.name(), to, from.rev).await {
            Ok(()) => Ok(()),
            // Ours, if its answer was lost and it was sent again; otherwise somebody else's.
            Err(CommitError::Refused(_)) => {
                let there = self.pipeline.store.builds(self.name(), Consistency::Strong).await;
                let there = there.context("its builds cannot be read")?;
                if there == *to {
                    return Ok(());
                }
                bail!("somebody else has changed the builds of {} meanwhile: look again", self.name())
            }
            Err(error) => Err(error).context("its builds could not be changed; what was filled stays"),
        }
    }

    fn came_to(&self, report: &Report, old: u32) -> String {
        let (name, build) = (self.name(), report.build);
        let equal = count(report.equal as u64, "row is", "rows are");
        let mut text =
            format!("{name}@{build} is filled: {equal} equal to {name}@{old}, {} not", report.different.len());
        text.extend(report.different.iter().take(NAMED).map(|one| format!("\n  {one}")));
        let more = report.different.len().saturating_sub(NAMED);
        if more > 0 {
            text = format!("{text}\n  and {more} more");
        }
        let sign = "--why \"…\" --yes";
        let swap = self.pipeline.command(&format!("replay --swap {name} {sign}"));
        let drop = |build| self.pipeline.command(&format!("replay --drop {name}@{build} {sign}"));
        if report.live == build {
            format!(
                "{text}\nReaders see {name}@{build} now, each within a second. Back:  {swap}\nFor good:  {}",
                drop(old)
            )
        } else {
            format!("{text}\nReaders still see {name}@{old}. Swap:  {swap}\nGive up:  {}", drop(build))
        }
    }

    fn not_through(&self, report: &Report) -> String {
        let left = &report.not_through;
        let named: String = left.iter().take(NAMED).map(|one| format!("\n  {one}")).collect();
        let why = if report.interrupted { "It was interrupted." } else { "Nothing moved for a minute." };
        let look = format!(
            "What the consumer says of them: look in the log group {} for \"of it ends here\"",
            self.pipeline.log_group
        );
        let rows = count(left.len() as u64, "row is", "rows are");
        format!("{rows} not done. {why} Nothing that readers see has changed; the same command goes on.{named}\n{look}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rebuild: Option<&str>, swap: Option<&str>, drop: Option<&str>) -> Result<Option<Job>> {
        let name = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let drop = drop.map(str::to_owned);
        OfBuilds { rebuild: name(rebuild), swap: name(swap), drop, expect_equal: false, no_swap: false }.job()
    }

    #[test]
    fn what_is_asked_for_is_one_thing_and_a_build_to_drop_is_named_with_its_number() {
        let name: ConsumerName = "order-summary".parse().unwrap();
        assert_eq!(of(None, None, None).unwrap(), None);
        assert_eq!(of(Some("order-summary"), None, None).unwrap(), Some(Job::Rebuild(name.clone())));
        assert_eq!(of(None, Some("order-summary"), None).unwrap(), Some(Job::Swap(name.clone())));
        assert_eq!(of(None, None, Some("order-summary@1")).unwrap(), Some(Job::Drop(name, 1)));
        for wrong in ["order-summary", "order-summary@", "order-summary@one", "@1"] {
            assert!(of(None, None, Some(wrong)).is_err(), "{wrong}");
        }
    }
}
