//! `towpath replay`: lets a consumer apply events again that it has applied before, beside its live cursors.
//! Must not know: how events are applied; the consumer does that, and only if it is declared replayable.

mod carry;
mod plan;
mod rebuild;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use towpath::ports::CursorHome;
use towpath::{AggregateKey, ConsumerName, EventType, Replay, Seq, TenantId, Timestamp};
use towpath_aws::registry::Registration;

use crate::orders::Sign;
use crate::output::{Age, PARTLY, Usage, count, exit, now, print, say, table};
use crate::pipeline::Pipeline;
use crate::stack::Target;
use crate::when::{Span, When};
use carry::Carried;
use plan::Plan;

/// How far back a replay reaches, unless it is told.
const A_DAY: Duration = Duration::from_secs(24 * 3_600);
/// Aggregates that are named when they did not get to their end.
const NAMED: usize = 10;

/// What `replay` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Who applies the events again. It must be declared replayable.
    #[arg(long, value_name = "NAME", required_unless_present = "of_builds")]
    consumer: Option<ConsumerName>,
    #[command(flatten)]
    builds: rebuild::OfBuilds,
    /// Only events of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<TenantId>,
    /// Only events of this type; may be given more than once.
    #[arg(long = "type", value_name = "order.placed")]
    pub(crate) types: Vec<EventType>,
    /// Only events of this aggregate.
    #[arg(long, value_name = "TENANT#TYPE#ID")]
    pub(crate) aggregate: Option<AggregateKey>,
    /// Only events that were committed at this time or later: 2026-11-21T10:00:00Z, or 2h ago. [default: 24h]
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only events that were committed at this time or earlier. [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Most aggregates in a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rate: u32,
    /// Goes on with the replay of this id, where it was cut off.
    #[arg(long)]
    id: Option<u64>,
    #[command(flatten)]
    sign: Sign,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    stack: &'a str,
    consumer: &'a ConsumerName,
    dry_run: bool,
    id: u64,
    since: Timestamp,
    until: Timestamp,
    aggregates: usize,
    events: &'a std::collections::BTreeMap<EventType, u64>,
    not_yet_applied: u64,
    #[serde(flatten)]
    carried: Option<Carried>,
}

impl Options {
    /// Who applies the events again.
    fn consumer(&self) -> &ConsumerName {
        self.consumer.as_ref().expect("the command line asks for it unless it is about builds")
    }
}

/// Shows what would be applied again, or applies it. Exit code 3 when not all of it is through.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    if let Some(job) = options.builds.job()? {
        return rebuild::run(target, options, job).await;
    }
    let span = Span::new(options.since, options.until, now().minus(A_DAY), now())?;
    let pipeline = Pipeline::open(target).await?;
    let consumer = allowed(&pipeline, options)?;
    let id = options.id.unwrap_or(now().as_millis() / 1_000);
    let replay = Replay { id, after: Seq::ZERO, through: Seq::ZERO, types: options.types.clone() };
    if let Err(why) = replay.cursors_of(options.consumer()) {
        return Err(Usage(format!("{} cannot be replayed: {why}", options.consumer())).into());
    }
    let plan = plan::gather(&pipeline, &consumer.consumer, options, span).await?;
    let report = |carried: Option<Carried>| Report {
        stack: &pipeline.name,
        consumer: options.consumer(),
        dry_run: carried.is_none(),
        id,
        since: span.since,
        until: span.until,
        aggregates: plan.aggregates.len(),
        events: &plan.types,
        not_yet_applied: plan.not_yet_applied,
        carried,
    };
    let (Some(who), Some(why), true) = (&options.sign.who, &options.sign.why, options.sign.yes) else {
        say(options.json, &report(None), || would_do(options, &plan, span))?;
        return Ok(ExitCode::SUCCESS);
    };
    if plan.aggregates.is_empty() {
        say(options.json, &report(None), || would_do(options, &plan, span))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !options.json {
        let go_on = again(&pipeline, options, span, id);
        print(&format!("replay {id} begins. Cut off, it goes on with:\n  {go_on} --why \"…\" --yes"))?;
    }
    let course = carry::Course { replay, who, why, rate: options.rate };
    let carried = carry::carry(&pipeline, options.consumer(), &plan, &course).await?;
    let done = carried.not_through.is_empty();
    let text = if options.json { String::new() } else { came_to(&pipeline, &carried) };
    say(options.json, &report(Some(carried)), || text)?;
    Ok(if done { ExitCode::SUCCESS } else { exit(PARTLY) })
}

/// The consumer, if it may be replayed.
fn allowed<'a>(pipeline: &'a Pipeline, options: &Options) -> Result<&'a Registration> {
    let known = pipeline.consumer(options.consumer())?;
    let name = options.consumer();
    if known.consumer.home == CursorHome::Views {
        bail!(
            "{name} keeps its cursor in the row that it folds, so that row already holds every event: rebuild it instead, with \
             `towpath replay --rebuild {name}`"
        );
    }
    if !known.replayable {
        bail!(
            "{name} is not declared replayable, because handling an event again may do harm. If it only writes the same \
             rows again, say .replayable() in its code, and deploy it"
        );
    }
    let handled = |kind: &&EventType| !known.consumer.handles.iter().any(|handled| handled.event_type == **kind);
    if let Some(kind) = options.types.iter().find(handled) {
        let handles: Vec<&str> = known.consumer.handles.iter().map(|handled| handled.event_type.as_str()).collect();
        return Err(Usage(format!("{name} does not handle {kind}, only {}", handles.join(", "))).into());
    }
    let other = |aggregate: &&AggregateKey| options.tenant.as_ref().is_some_and(|tenant| *tenant != aggregate.tenant);
    if let Some(aggregate) = options.aggregate.as_ref().filter(other) {
        return Err(Usage(format!("{aggregate} is not of that tenant: leave --tenant out")).into());
    }
    pipeline.can_be_woken(name)?;
    Ok(known)
}

fn again(pipeline: &Pipeline, options: &Options, span: Span, id: u64) -> String {
    let mut command = format!("replay --consumer {} --since {} --until {}", options.consumer(), span.since, span.until);
    for kind in &options.types {
        command = format!("{command} --type {kind}");
    }
    if let Some(tenant) = &options.tenant {
        command = format!("{command} --tenant {tenant}");
    }
    if let Some(aggregate) = &options.aggregate {
        command = format!("{command} --aggregate '{aggregate}'");
    }
    pipeline.command(&format!("{command} --rate {} --id {id}", options.rate))
}

fn would_do(options: &Options, plan: &Plan, span: Span) -> String {
    let name = options.consumer();
    let window = format!("committed from {} until {}", span.since, span.until);
    if plan.aggregates.is_empty() {
        return format!("{name} has applied no event like that, {window}: there is nothing to apply again");
    }
    let events = count(plan.types.values().sum(), "event", "events");
    let aggregates = plan.aggregates.len() as u64;
    let lines = plan.types.iter().map(|(kind, number)| [kind.to_string(), number.to_string()]);
    let table = table(["event", "to apply again"], &[1], lines);
    let later = match plan.not_yet_applied {
        0 => String::new(),
        more => format!("\n{} not applied yet: left to the live cursors.", count(more, "more is", "more are")),
    };
    let seconds = aggregates.div_ceil(u64::from(options.rate));
    format!(
        "{name} would apply {events} of {} again, {window}:\n{table}{later}\nEvents that were passed over on record stay \
         passed over. At {} a second this takes {} or more.\nNothing was done. To do it, add --why \"…\" --yes.",
        count(aggregates, "aggregate", "aggregates"),
        options.rate,
        Age(seconds * 1_000)
    )
}

fn came_to(pipeline: &Pipeline, carried: &Carried) -> String {
    let through = count(carried.through as u64, "aggregate is", "aggregates are");
    if carried.not_through.is_empty() {
        return format!("{through} through; the replay's own cursors are removed");
    }
    let left = carried.not_through.len();
    let named = carried.not_through.iter().take(NAMED).map(|left| {
        let at = left.at.map_or("has not begun".to_owned(), |seq| format!("is at #{seq} of #{}", left.through));
        format!("\n  {} {at}", left.aggregate)
    });
    let more = left.saturating_sub(NAMED);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let why = if carried.interrupted { "It was interrupted." } else { "Nothing moved for a minute." };
    let look = format!("look in the log group {} for \"of it ends here\"", pipeline.log_group);
    let look = if carried.interrupted { String::new() } else { format!("\nWhat the consumer says of them: {look}") };
    format!(
        "{through} through, {left} not. {why} Run the command above to go on.{}{more}{look}",
        named.collect::<String>(),
    )
}
