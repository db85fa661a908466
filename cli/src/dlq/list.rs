//! `towpath dlq list`: one line for each kind of failure, and how to go on.
//! Must not know: how rows are read.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use towpath::{Status, Timestamp};

use crate::blocked::{self, Filters, Kind, Line, Row, Wanted, status_name};
use crate::output::{Age, count, now, say, short, short_class};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// Longest error in a list, in characters.
const MESSAGE: usize = 240;
/// As wide as a fingerprint and the space after it.
const INDENT: &str = "          ";

/// What `dlq list` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    filters: Filters,
    /// In which state the rows are.
    #[arg(long, value_enum, default_value_t)]
    status: Wanted,
    /// Print every row as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    stack: String,
    at: Timestamp,
    count: usize,
    rows: Vec<Line>,
}

/// Prints the table. Exit code 0 whether there are rows or not.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let pipeline = Pipeline::open(target).await?;
    let rows = blocked::read(&pipeline, &options.filters, options.status).await?;
    let report = Report {
        stack: pipeline.name.clone(),
        at: now(),
        count: rows.len(),
        rows: rows.iter().map(Row::line).collect(),
    };
    say(options.json, &report, || render(&pipeline, options, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn render(pipeline: &Pipeline, options: &Options, rows: &[Row]) -> String {
    let state = match options.status {
        Wanted::Parked => "parked",
        Wanted::Retrying => "being tried again",
        Wanted::Held => "held",
        Wanted::All => "waiting",
    };
    let kinds = blocked::kinds(rows);
    if kinds.is_empty() {
        let like = if options.filters.is_everything() { "" } else { " as you asked for" };
        return format!("{}: no row is {state}{like}", pipeline.name);
    }
    let rows = count(rows.len() as u64, "row is", "rows are");
    let of = count(kinds.len() as u64, "kind", "kinds");
    let go_on = how_to_go_on(pipeline, &kinds);
    format!(
        "{}: {rows} {state}, with {of} of failure. Their events wait in the journal.\n{}\n{go_on}",
        pipeline.name,
        lines_of(&kinds, now())
    )
}

/// The kinds of failure, three lines each: nothing is cut or wrapped that a person copies.
pub(super) fn lines_of(kinds: &[Kind<'_>], now: Timestamp) -> String {
    let lines = |kind: &Kind<'_>| {
        let Row { key, trouble, .. } = kind.oldest;
        let counts: Vec<String> = kind.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let age = Age::between(trouble.since, now);
        let class = short_class(&trouble.class);
        format!(
            "\n{}  {}: {} at {}, since {} ({age} ago)\n{INDENT}{class}: {}\n{INDENT}such as {}\n",
            kind.fingerprint,
            counts.join(", "),
            key.consumer,
            trouble.event_type,
            trouble.since,
            short(&trouble.message, MESSAGE),
            key.aggregate,
        )
    };
    kinds.iter().map(lines).collect()
}

fn how_to_go_on(pipeline: &Pipeline, kinds: &[Kind<'_>]) -> String {
    let Some(first) = kinds.first() else { return String::new() };
    let key = &first.oldest.key;
    let show = pipeline.command(&format!("dlq show --consumer {} --aggregate '{}'", key.consumer, key.aggregate));
    let show = format!("look at one:        {show}");
    match kinds.iter().find(|kind| kind.counts.contains_key(status_name(Status::Parked))) {
        Some(kind) => {
            let retry = pipeline.command(&format!("dlq retry --fingerprint {}", kind.fingerprint));
            format!("{show}\ntry a kind again:   {retry}")
        }
        None => show,
    }
}
