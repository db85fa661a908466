//! `towpath trace … --at TIME`: what the journal said of an aggregate at a time.
//! Must not know: what the events add up to. That is for the code that folds them, behind the product's API.

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use towpath::ports::JournalRow;
use towpath::{AggregateKey, Data, Seq, Timestamp};

use super::tree::Event;
use crate::journal;
use crate::output::{FAILED, count, exit, plain, say};
use crate::pipeline::Pipeline;

/// Most rows that are shown, the last ones before the time.
const ROWS: usize = 1_000;

#[derive(Serialize)]
struct Report<'a> {
    stack: &'a str,
    aggregate: String,
    at: Timestamp,
    /// The last row up to then: the version that the aggregate had.
    version: Seq,
    events: Vec<Row>,
    /// Are there later ones?
    later: bool,
    /// Were there earlier ones than are shown?
    cut: bool,
}

/// A row, with what it says if that is asked for.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    event: Event,
    event_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// Prints the rows up to a time. Exit code 1 when there were none.
pub(super) async fn run(
    pipeline: &Pipeline,
    aggregate: &AggregateKey,
    at: Timestamp,
    (json, data): (bool, bool),
) -> Result<ExitCode> {
    let (mut rows, mut later, mut cut, mut from) = (VecDeque::new(), false, false, Seq::ZERO);
    while !later {
        let page = journal::page(&pipeline.store, aggregate, from).await?;
        let Some(last) = page.last() else { break };
        from = last.envelope.seq;
        for row in page {
            later |= row.envelope.occurred_at > at;
            if !later {
                rows.push_back(Row::new(row, data));
            }
        }
        while rows.len() > ROWS {
            cut = rows.pop_front().is_some();
        }
    }
    let version = rows.back().map_or(Seq::ZERO, |row| row.event.seq);
    let (stack, events) = (pipeline.name.as_str(), Vec::from(rows));
    let report = Report { stack, aggregate: aggregate.to_string(), at, version, events, later, cut };
    say(json, &report, || text(&report))?;
    Ok(if report.events.is_empty() { exit(FAILED) } else { ExitCode::SUCCESS })
}

impl Row {
    fn new(row: JournalRow, data: bool) -> Self {
        let (event, event_version) = (Event::from(&row), row.envelope.event_version);
        Self { event, event_version, data: data.then_some(row.envelope.data) }
    }
}

fn text(report: &Report<'_>) -> String {
    let Report { aggregate, at, later, .. } = report;
    let after = if *later { "there are later ones" } else { "there are no later ones" };
    if report.events.is_empty() {
        return format!("{aggregate} had no event at {at}; {after}. Is the key right?");
    }
    let mut lines = vec![format!("{aggregate} at {at}: version {}", report.version)];
    if report.cut {
        lines.push(format!("… the last {ROWS} of them:"));
    }
    for Row { event, event_version, data } in &report.events {
        let Event { seq, occurred_at, event_type, producer, correlation_id, .. } = event;
        lines.push(format!(
            "#{seq}  {occurred_at}  {event_type} v{event_version}  {producer}  correlation {correlation_id}"
        ));
        lines.extend(data.as_ref().map(|data| format!("    {}", plain(data.as_str()))));
    }
    let shown = count(report.events.len() as u64, "event", "events");
    lines.push(format!(
        "{shown} up to then; {after}. What they add up to is told by the API that folds them, asked for {at}"
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tree::tests::told;

    fn report(events: Vec<Row>, later: bool) -> Report<'static> {
        let version = events.last().map_or(Seq::ZERO, |row| row.event.seq);
        let at = Timestamp::from_millis(5_000);
        Report { stack: "shop", aggregate: "acme#order#o-1".into(), at, version, events, later, cut: false }
    }

    #[test]
    fn the_past_is_shown_row_by_row_with_data_only_if_asked_for() {
        let row = |data: Option<&str>| Row {
            event: told(1, 0, "orders-api", &[]).event,
            event_version: 2,
            data: data.map(|data| Data::parse(data.to_owned()).unwrap()),
        };
        let shown = text(&report(vec![row(Some("{\"name\":\"a\nb\"}".replace('\n', "\\n").as_str()))], true));
        assert_eq!(
            shown,
            "acme#order#o-1 at 1970-01-01T00:00:05.000Z: version 1\n\
             #1  1970-01-01T00:00:00.100Z  order.placed v2  orders-api@1.0.0  correlation c-1\n\
             \u{20}   {\"name\":\"a\\nb\"}\n\
             1 event up to then; there are later ones. What they add up to is told by the API that folds them, asked for \
             1970-01-01T00:00:05.000Z"
        );
        assert!(!text(&report(vec![row(None)], false)).contains('{'));
        assert!(text(&report(Vec::new(), true)).starts_with("acme#order#o-1 had no event at 1970-"));
    }
}
