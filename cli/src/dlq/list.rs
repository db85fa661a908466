//! `towpath dlq list`: one line for each kind of failure, and how to go on.
//! Must not know: how rows are read.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use towpath::Timestamp;

use crate::blocked::{self, Filters, Kind, Line, Row, Wanted};
use crate::output::{Age, count, now, say, short, short_class, table};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// Longest error in a table, in characters.
const MESSAGE: usize = 120;

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
    let Some(first) = kinds.first() else {
        let like = if options.filters.is_everything() { "" } else { " and is like that" };
        return format!("{}: no row is {state}{like}", pipeline.name);
    };
    let rows = count(rows.len() as u64, "row is", "rows are");
    let of = count(kinds.len() as u64, "kind", "kinds");
    let go_on = how_to_go_on(pipeline, first);
    format!(
        "{}: {rows} {state}, {of} of failure. Their events wait in the journal.\n{}\n{go_on}",
        pipeline.name,
        table_of(&kinds, now())
    )
}

/// The kinds of failure as a table.
pub(super) fn table_of(kinds: &[Kind<'_>], now: Timestamp) -> String {
    let line = |kind: &Kind<'_>| {
        let Row { key, trouble, .. } = kind.oldest;
        [
            kind.fingerprint.to_string(),
            kind.count.to_string(),
            key.consumer.to_string(),
            trouble.event_type.to_string(),
            Age::between(trouble.since, now).to_string(),
            key.aggregate.to_string(),
            format!("{}: {}", short_class(&trouble.class), short(&trouble.message, MESSAGE)),
        ]
    };
    let header = ["fingerprint", "rows", "consumer", "event", "oldest", "for example", "error"];
    table(header, &[1], kinds.iter().map(line))
}

fn how_to_go_on(pipeline: &Pipeline, kind: &Kind<'_>) -> String {
    let key = &kind.oldest.key;
    let show = pipeline.command(&format!("dlq show --consumer {} --aggregate '{}'", key.consumer, key.aggregate));
    let retry = pipeline.command(&format!("dlq retry --fingerprint {}", kind.fingerprint));
    format!("look at one:        {show}\ntry a kind again:   {retry}")
}
