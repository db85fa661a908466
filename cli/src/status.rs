//! `towpath status`: one line per consumer, from the journal, the cursors and the metric lines.
//! Must not know: how rows are stored.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use towpath::Timestamp;
use towpath::audit::AuditOptions;
use towpath_aws::AwsStore;
use towpath_aws::audit::Window;

use crate::audit;
use crate::hold;
use crate::metrics;
use crate::output::{now, print};
use crate::pipeline::Pipeline;
use crate::sagas;
use crate::stack::{Stack, Target};

/// The budget: so soon after its commit shall an event be applied, and seen in a read model. The column names it.
const FRESH: Duration = Duration::from_secs(2);

/// What `status` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Hours to look back.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
    /// Seconds after its commit from which an event that was not applied is unaccounted for, and not merely waiting.
    #[arg(long, default_value_t = AuditOptions::default().grace.as_secs())]
    grace: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print again every 2 seconds until interrupted.
    #[arg(long, conflicts_with = "audit")]
    watch: bool,
    /// Compare the journal with all cursors as the auditor does, and show whom it would wake.
    #[arg(long)]
    audit: bool,
    /// With --audit: wake them.
    #[arg(long, requires = "audit")]
    yes: bool,
}

/// One consumer's line.
#[derive(Debug, Serialize)]
struct Line {
    consumer: String,
    committed: u64,
    applied: u64,
    waiting: u64,
    parked: u64,
    held: u64,
    duplicates: u64,
    gaps: u64,
    lag_p50_ms: Option<f64>,
    lag_p99_ms: Option<f64>,
    /// Percent of the events that were applied within [`FRESH`].
    fresh: Option<f64>,
    unaccounted: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    stack: String,
    at: Timestamp,
    hours: u64,
    consumers: Vec<Line>,
    unaccounted: u64,
    holds: Vec<hold::Line>,
    sagas: Vec<sagas::Waiting>,
    /// Of some shard only the first sagas are counted: there may be more.
    more_sagas: bool,
}

/// Prints the table. Exit code 1 when events are unaccounted for.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let stack = Stack::find(target).await?;
    if options.audit {
        let (grace, back) = (Duration::from_secs(options.grace), Duration::from_secs(options.hours * 3_600));
        let course = audit::Course { grace, back, yes: options.yes, json: options.json };
        return audit::run(&Pipeline::of(&stack, target).await?, course).await;
    }
    loop {
        let report = look(&stack, options).await?;
        let text = if options.json { serde_json::to_string(&report)? } else { render(&report, target) };
        print(&text)?;
        if !options.watch {
            return Ok(if report.unaccounted == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn look(stack: &Stack, options: &Options) -> Result<Report> {
    let now = now();
    let at = |back_seconds: u64| now.minus(Duration::from_secs(back_seconds));
    let store = AwsStore::new(stack.dynamodb(), stack.tables()?, 0);
    let since = at(options.hours * 3_600);
    let window = Window { since, until: at(0), settled_before: at(options.grace) };
    let accounts = store.audit(window).await.context("the journal could not be compared with the cursors")?;
    let logs = stack.logs();
    let counted = metrics::read(&logs, &stack.output("LogGroup")?, since).await?;
    let line = |(name, account): (towpath::ConsumerName, towpath_aws::audit::Account)| {
        let counted = counted.get(name.as_str()).cloned().unwrap_or_default();
        Line {
            consumer: name.to_string(),
            committed: account.committed,
            applied: account.applied,
            waiting: account.waiting,
            parked: account.parked,
            held: account.held,
            duplicates: counted.duplicates,
            gaps: counted.gaps,
            lag_p50_ms: counted.lag(50),
            lag_p99_ms: counted.lag(99),
            fresh: counted.fresh(FRESH),
            unaccounted: account.unaccounted,
        }
    };
    let consumers: Vec<Line> = accounts.into_iter().map(line).collect();
    let unaccounted = consumers.iter().map(|line| line.unaccounted).sum();
    let (sagas, more_sagas) = sagas::read(&store, now).await?;
    let (stack, holds) = (stack.name.clone(), hold::lines(&store).await?);
    Ok(Report { stack, at: at(0), hours: options.hours, consumers, unaccounted, holds, sagas, more_sagas })
}

fn render(report: &Report, target: &Target) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "consumer",
        "committed",
        "applied",
        "waiting",
        "parked",
        "held",
        "duplicates",
        "gaps",
        "lag p50",
        "lag p99",
        "in 2 s",
        "unaccounted",
    ]);
    let lag = |millis: Option<f64>| millis.map_or_else(|| "–".to_owned(), |millis| format!("{millis:.0} ms"));
    for line in &report.consumers {
        let counts = [line.committed, line.applied, line.waiting, line.parked, line.held, line.duplicates, line.gaps];
        let mut cells = vec![line.consumer.clone()];
        cells.extend(counts.iter().map(u64::to_string));
        let fresh = line.fresh.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1} %"));
        cells.extend([lag(line.lag_p50_ms), lag(line.lag_p99_ms), fresh, line.unaccounted.to_string()]);
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if report.consumers.is_empty() {
        return format!(
            "{} at {}: no consumer has been woken yet, so there is nothing to account for",
            report.stack, report.at
        );
    }
    let hours = if report.hours == 1 { "hour".to_owned() } else { format!("{} hours", report.hours) };
    let mut next = String::new();
    if report.consumers.iter().any(|line| line.parked > 0) {
        next = format!("\nwhat is parked, and why:   {}", target.command("dlq list"));
    }
    if report.unaccounted > 0 {
        next = format!("{next}\nwhat is missing, at once:  {}", target.command("status --audit"));
    }
    let sagas = hold::table_of(&report.holds) + &sagas::render(&report.sagas, report.more_sagas);
    format!(
        "{} at {}, events of the last {hours}\n{table}{sagas}\nunaccounted events: {}{next}",
        report.stack, report.at, report.unaccounted
    )
}
