//! `towpath hold` and `towpath resume`: stop one tenant at one consumer, and let it go on. The order is one row, changed under
//! its rev: so two operators are one, and whoever is cut off begins again. And what `status` says of it.
//! Must not know: how a consumer keeps events back, how the auditor wakes them.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use towpath::audit::AuditOptions;
use towpath::ports::{CommitError, Consistency, Ledger, Registered, Store};
use towpath::{ConsumerName, Hold, Holds, TenantId, Timestamp};
use towpath_aws::operate::{Deed, Order};
use towpath_aws::{AwsStore, HOLDS_AGE};

use crate::orders::Sign;
use crate::output::{Age, CONFLICT, exit, now, plain, say, short, table};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// Times that somebody else may order something in between.
const TRIES: u32 = 5;
/// The most rows of one tenant at one consumer that are counted.
const MOST: usize = 10_000;
/// Longest reason in a line, in characters.
const REASON: usize = 60;

/// Whom to stop, or to let go on, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The consumer.
    #[arg(value_name = "CONSUMER")]
    consumer: ConsumerName,
    /// The tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    sign: Sign,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Hold,
    Resume,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    WouldHold,
    WouldResume,
    Held,
    Resumed,
    /// Somebody else, or the same one, had ordered it before.
    HeldAlready,
    /// It goes on already, or was never stopped.
    NotHeld,
    /// Others ordered something each time.
    Conflict,
}

#[derive(Debug, Serialize)]
struct Report {
    stack: String,
    outcome: Outcome,
    #[serde(flatten)]
    line: Line,
}

/// A tenant at a consumer, as it is held or was until lately.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    consumer: ConsumerName,
    tenant: TenantId,
    since: Option<Timestamp>,
    /// When it was ordered to go on: its rows are being woken.
    resumed: Option<Timestamp>,
    who: Option<String>,
    why: Option<String>,
    /// Aggregates that are marked as held, up to [`MOST`].
    aggregates: usize,
}

impl Line {
    async fn read(store: &AwsStore, consumer: &Registered, tenant: &TenantId, holds: &Holds) -> Result<Self> {
        let rows = store.held(consumer.home, &consumer.name, tenant, MOST).await;
        let aggregates = rows.context("the held rows cannot be counted")?.len();
        let hold = holds.tenants.get(tenant).cloned();
        let (who, why) = (hold.as_ref().map(|hold| hold.who.clone()), hold.as_ref().map(|hold| hold.why.clone()));
        Ok(Self {
            consumer: consumer.name.clone(),
            tenant: tenant.clone(),
            since: hold.as_ref().map(|hold| hold.since),
            resumed: hold.and_then(|hold| hold.resumed),
            who,
            why,
            aggregates,
        })
    }

    fn aggregates(&self) -> String {
        if self.aggregates >= MOST { format!("{MOST} or more") } else { self.aggregates.to_string() }
    }
}

/// Shows what would be done, or does it. Exit code 4 when others were faster each time.
pub(crate) async fn run(target: &Target, options: &Options, what: What) -> Result<ExitCode> {
    let pipeline = Pipeline::open(target).await?;
    let consumer = &pipeline.consumer(&options.consumer)?.consumer;
    let outcome = order(&pipeline.store, options, what).await?;
    let holds = read(&pipeline.store, &options.consumer).await?;
    let line = Line::read(&pipeline.store, consumer, &options.tenant, &holds).await?;
    let report = Report { stack: pipeline.name.clone(), outcome, line };
    say(options.json, &report, || render(&pipeline, &report))?;
    Ok(if outcome == Outcome::Conflict { exit(CONFLICT) } else { ExitCode::SUCCESS })
}

async fn read(store: &AwsStore, consumer: &ConsumerName) -> Result<Holds> {
    let holds = Store::holds(store, consumer, Consistency::Strong).await;
    holds.context("it cannot be read whom this consumer holds")
}

/// First on record, then in the one row by which consumers and the auditor go.
async fn order(store: &AwsStore, options: &Options, what: What) -> Result<Outcome> {
    let (who, why) = (options.sign.who.clone().unwrap_or_default(), options.sign.why.clone().unwrap_or_default());
    let mut recorded = false;
    for _ in 0..TRIES {
        let holds = read(store, &options.consumer).await?;
        let hold = Hold { since: now(), who: who.clone(), why: why.clone(), resumed: None };
        let (next, nothing, would, done) = match what {
            What::Hold => (holds.with(&options.tenant, hold)?, Outcome::HeldAlready, Outcome::WouldHold, Outcome::Held),
            What::Resume => {
                (holds.resumed(&options.tenant, now()), Outcome::NotHeld, Outcome::WouldResume, Outcome::Resumed)
            }
        };
        let Some(next) = next else {
            // Our own order, if its answer was lost, is in the row already.
            return Ok(if recorded { done } else { nothing });
        };
        if !options.sign.yes {
            return Ok(would);
        }
        if !recorded {
            let deed = if what == What::Hold { Deed::Hold } else { Deed::Resume };
            let order =
                Order { at: now(), who: who.clone(), why: why.clone(), consumer: options.consumer.clone(), deed };
            let kept = store.keep_order(&options.tenant, &order).await;
            kept.context("the order could not be kept on record, so it was not given")?;
            recorded = true;
        }
        match store.keep_holds(&options.consumer, &next, holds.rev).await {
            Ok(()) => return Ok(done),
            Err(CommitError::Refused(_)) => {}
            Err(error) => bail!("nobody knows whether the order was given, so give it again: {error}"),
        }
    }
    Ok(Outcome::Conflict)
}

fn render(pipeline: &Pipeline, report: &Report) -> String {
    let Report { outcome, line, .. } = report;
    let Line { consumer, tenant, .. } = line;
    let what = format!("{tenant} at {consumer}");
    let (seconds, resumes) = (HOLDS_AGE.as_secs(), AuditOptions::default().resumes);
    let since = |at: Option<Timestamp>| {
        at.map_or_else(String::new, |at| format!(" since {at} ({} ago)", Age::between(at, now())))
    };
    let by = || {
        format!(
            "{}: {}",
            plain(line.who.as_deref().unwrap_or_default()),
            plain(line.why.as_deref().unwrap_or_default())
        )
    };
    let command = |verb: &str| pipeline.command(&format!("{verb} {consumer} --tenant {tenant} --why … --yes"));
    match outcome {
        Outcome::WouldHold => format!(
            "would hold {what}: its events are acknowledged and wait in the journal, those of other tenants go on\n\
             nothing was done; to do it:   {}",
            command("hold")
        ),
        Outcome::WouldResume => format!(
            "would resume {what}, held{} by {}\n{} aggregates are marked and are woken, up to {resumes} a minute\n\
             nothing was done; to do it:   {}",
            since(line.since),
            by(),
            line.aggregates(),
            command("resume")
        ),
        Outcome::Held => format!(
            "{what} is held: within {seconds} s no event of it is begun with; what is under way comes to its end\n\
             let it go on:   {}",
            command("resume")
        ),
        Outcome::HeldAlready => {
            format!("{what} is held already{} by {}\nlet it go on:   {}", since(line.since), by(), command("resume"))
        }
        Outcome::Resumed => format!(
            "{what} goes on: from its next minute on the auditor wakes {} aggregates, up to {resumes} a minute\n\
             what is left:   {}",
            line.aggregates(),
            pipeline.command("status")
        ),
        Outcome::NotHeld => format!("{what} is not held; nothing was done"),
        Outcome::Conflict => {
            format!("others gave orders about {consumer} at the same time: look at `status`, then again")
        }
    }
}

/// Whom each consumer holds, or wakes, by name.
pub(crate) async fn lines(store: &AwsStore) -> Result<Vec<Line>> {
    let holds = store.all_holds().await.context("it cannot be read who is held")?;
    let mut lines = Vec::new();
    for consumer in store.consumers().await.context("the consumers cannot be read")? {
        let Some(of) = holds.get(&consumer.name) else { continue };
        for tenant in of.tenants.keys() {
            lines.push(Line::read(store, &consumer, tenant, of).await?);
        }
    }
    Ok(lines)
}

/// As a table; nothing if nobody is held.
pub(crate) fn table_of(lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let row = |line: &Line| {
        let since = line.since.map_or_else(String::new, |at| at.to_string());
        let state = if line.resumed.is_some() { "being woken" } else { "held" };
        let text = |of: &Option<String>| short(of.as_deref().unwrap_or_default(), REASON);
        let (consumer, tenant) = (line.consumer.to_string(), line.tenant.to_string());
        [consumer, tenant, state.to_owned(), line.aggregates(), since, text(&line.who), text(&line.why)]
    };
    let header = ["consumer", "tenant", "is", "aggregates", "since", "by", "because"];
    format!("\ntenants that are held\n{}", table(header, &[3], lines.iter().map(row)))
}
