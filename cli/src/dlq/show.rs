//! `towpath dlq show`: all that a person needs to decide about one row.
//! Must not know: how rows are read. Event data is shown only when asked for.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use towpath::ports::{Consistency, CursorKey, JournalRow, Store};
use towpath::trouble::{TicketState, Trouble};
use towpath::{AggregateKey, ConsumerName, Cursor, Seq, Skipped, Status, Timestamp};
use towpath_aws::operate::{Deed, Order};

use crate::blocked::{Line, Row, status_name};
use crate::journal::{self, Behind};
use crate::output::{Age, count, now, plain, say};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// What `dlq show` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The consumer that does not advance.
    #[arg(long, value_name = "NAME")]
    consumer: ConsumerName,
    /// What it does not advance.
    #[arg(long, value_name = "TENANT#TYPE#ID")]
    aggregate: AggregateKey,
    /// Show the event's data too, which may be personal.
    #[arg(long)]
    data: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found.
struct Found {
    key: CursorKey,
    cursor: Option<Cursor>,
    row: Option<Row>,
    /// The event that the row waits for, unless it is gone from the journal.
    event: Option<JournalRow>,
    behind: Behind,
    skipped: Vec<Skipped>,
    orders: Vec<Order>,
}

/// The same for programs.
#[derive(Serialize)]
struct Report {
    stack: String,
    status: &'static str,
    cursor: Seq,
    row: Option<Line>,
    event: Option<Header>,
    data: Option<Box<RawValue>>,
    waiting_behind: u64,
    more_wait: bool,
    skipped: Vec<Skipped>,
    orders: Vec<super::log::Line>,
}

#[derive(Serialize)]
struct Header {
    event_id: String,
    event_type: String,
    event_version: u32,
    seq: Seq,
    occurred_at: Timestamp,
    correlation_id: String,
    causation_id: String,
    producer: String,
    hops: u8,
}

/// Prints what is known. Exit code 0, also when the row is not blocked.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let pipeline = Pipeline::open(target).await?;
    let found = find(&pipeline, options).await?;
    let report = report(&pipeline, &found, options.data);
    say(options.json, &report, || render(&pipeline, &found, options.data, now()))?;
    Ok(ExitCode::SUCCESS)
}

async fn find(pipeline: &Pipeline, options: &Options) -> Result<Found> {
    let consumer = &pipeline.consumer(&options.consumer)?.consumer;
    let store = &pipeline.store;
    let key = CursorKey { aggregate: options.aggregate.clone(), consumer: options.consumer.clone() };
    let keys = [key.clone()];
    let position = store.positions(consumer.home, &keys, Consistency::Strong).await;
    let cursor = position.context("the row cannot be read")?.pop().flatten().map(|position| position.cursor);
    if cursor.is_none() && store.head(&key.aggregate).await.context("the journal cannot be read")?.is_none() {
        bail!("there is no aggregate {}: its key is written tenant#type#id", key.aggregate);
    }
    let trouble = cursor.as_ref().and_then(|cursor| cursor.trouble.clone());
    let row = cursor.clone().zip(trouble);
    let row = row.map(|(cursor, trouble)| Row { key: key.clone(), home: consumer.home, cursor, trouble });
    let waits_at = row.as_ref().map(|row| row.trouble.seq);
    let event = match waits_at {
        Some(seq) => journal::row(store, &key.aggregate, seq).await?,
        None => None,
    };
    let from = waits_at.or(cursor.as_ref().map(|cursor| cursor.seq)).unwrap_or(Seq::ZERO);
    let behind = journal::behind(store, consumer, &key.aggregate, from).await?;
    let skipped = store.skipped(&key).await.context("the skips on record cannot be read")?;
    let since = row.as_ref().map_or(Timestamp::default(), |row| row.trouble.since);
    let orders = store.orders(&key.aggregate.tenant, since).await.context("the orders on record cannot be read")?;
    let about_it = |order: &Order| match &order.deed {
        Deed::Retry(blocked) | Deed::Skip(blocked) => {
            order.consumer == key.consumer && blocked.aggregate == key.aggregate
        }
        Deed::Hold | Deed::Resume => order.consumer == key.consumer,
        Deed::Replay(_) | Deed::Rebuild(_) | Deed::Swap(_) | Deed::Drop(_) | Deed::Limit(_) => false,
    };
    let orders = orders.into_iter().filter(about_it).collect();
    Ok(Found { key, cursor, row, event, behind, skipped, orders })
}

fn report(pipeline: &Pipeline, found: &Found, data: bool) -> Report {
    let header = |row: &JournalRow| {
        let event = &row.envelope;
        Header {
            event_id: event.event_id.to_string(),
            event_type: event.event_type.to_string(),
            event_version: event.event_version,
            seq: event.seq,
            occurred_at: event.occurred_at,
            correlation_id: event.correlation_id.to_string(),
            causation_id: event.causation_id.to_string(),
            producer: event.producer.to_string(),
            hops: event.hops,
        }
    };
    let text = found.event.as_ref().filter(|_| data).map(|row| row.envelope.data.as_str().to_owned());
    Report {
        stack: pipeline.name.clone(),
        status: found.cursor.as_ref().map_or("absent", |cursor| status_name(cursor.status)),
        cursor: found.cursor.as_ref().map_or(Seq::ZERO, |cursor| cursor.seq),
        row: found.row.as_ref().map(Row::line),
        event: found.event.as_ref().map(header),
        data: text.and_then(|text| RawValue::from_string(text).ok()),
        waiting_behind: found.behind.events,
        more_wait: found.behind.more,
        skipped: found.skipped.clone(),
        orders: found.orders.iter().map(super::log::Line::from).collect(),
    }
}

fn render(pipeline: &Pipeline, found: &Found, data: bool, now: Timestamp) -> String {
    let CursorKey { aggregate, consumer } = &found.key;
    let mut text = Lines(String::new());
    match (&found.row, &found.cursor) {
        (Some(row), _) => {
            let status = status_name(row.cursor.status);
            text.0 = format!("{consumer} does not advance {aggregate}: {status}\n");
            blocked(&mut text, found, row, now);
        }
        (None, Some(cursor)) => {
            text.0 =
                format!("{consumer} is not held up at {aggregate}: it has handled everything up to #{}\n", cursor.seq);
            text.line("waiting", &waiting(found.behind, "on their way"));
        }
        (None, None) => {
            text.0 = format!("{consumer} has handled nothing of {aggregate} yet\n");
            text.line("waiting", &waiting(found.behind, "that it handles"));
        }
    }
    for skipped in &found.skipped {
        let Skipped { seq, event_type, who, why, at, .. } = skipped;
        text.line("passed over", &format!("#{seq} {event_type}, ordered by {}: {} ({at})", plain(who), plain(why)));
    }
    for order in &found.orders {
        text.line("ordered", &super::log::sentence(order));
    }
    if let Some(event) = found.event.as_ref().filter(|_| data) {
        text.line("data", &plain(event.envelope.data.as_str()));
    }
    if let Some(row) = found.row.as_ref().filter(|row| row.cursor.status == Status::Parked) {
        text.0.push_str(&how_to_go_on(pipeline, row, data));
    }
    text.0
}

/// Lines of a name and what it stands for.
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "  {name:<13}{value}"); // a String takes any text
    }
}

fn blocked(text: &mut Lines, found: &Found, row: &Row, now: Timestamp) {
    let Row { trouble, cursor, .. } = row;
    let Trouble { seq, event_id, event_type, since, due, producer, .. } = trouble;
    match &found.event {
        Some(JournalRow { envelope: event, .. }) => {
            text.line("event", &format!("{event_type} version {}, #{seq}, {event_id}", event.event_version));
            let age = Age::between(event.occurred_at, now);
            text.line("committed", &format!("{} ({age} ago) by {}", event.occurred_at, event.producer));
            text.line("because of", &format!("{}, correlation {}", event.causation_id, event.correlation_id));
        }
        None => text.line("event", &format!("{event_type}, #{seq}, {event_id}: it is not in the journal any more")),
    }
    text.line("class", &plain(&trouble.class));
    text.line("error", &plain(&trouble.message));
    let attempts = count(u64::from(cursor.attempt), "attempt", "attempts");
    let deaths =
        if trouble.deaths > 0 { format!(", {} of them ended the process", trouble.deaths) } else { String::new() };
    text.line("failing", &format!("since {since} ({} ago), {attempts}{deaths}", Age::between(*since, now)));
    text.line("code", &format!("{producer} was the last to try"));
    let wait = if *due > now { format!("in {}", Age::between(now, *due)) } else { "overdue".to_owned() };
    let what = match (trouble.running.is_some(), cursor.status) {
        (true, _) => "an attempt is running; if it says nothing, it is looked at again",
        (false, Status::Retrying) => "tried again",
        (false, _) => "its ticket is renewed",
    };
    text.line("next look", &format!("{due} ({wait}): {what}"));
    if cursor.status == Status::Parked {
        text.line(
            "ticket",
            match trouble.ticket {
                Some(TicketState::Sent) => "in the dead-letter queue",
                Some(TicketState::Missing) | None => "missing: the auditor sends it again",
            },
        );
    }
    text.line("waiting", &waiting(found.behind, "behind it, to be applied in order once it is through"));
    text.line("row", &format!("cursor #{}, rev {}, fingerprint {}", cursor.seq, cursor.rev, row.fingerprint()));
}

fn waiting(behind: Behind, what: &str) -> String {
    match behind {
        Behind { events: 0, .. } => "no event".to_owned(),
        Behind { events, more: true } => format!("{events} events and more {what}"),
        Behind { events, more: false } => format!("{} {what}", count(events, "event", "events")),
    }
}

fn how_to_go_on(pipeline: &Pipeline, row: &Row, data: bool) -> String {
    let CursorKey { aggregate, consumer } = &row.key;
    let of = format!("--consumer {consumer} --aggregate '{aggregate}'");
    let show = if data {
        String::new()
    } else {
        format!("its data:      {}\n", pipeline.command(&format!("dlq show {of} --data")))
    };
    let who = if std::env::var("USER").is_ok_and(|name| !name.is_empty()) { "" } else { " --who NAME" };
    format!(
        "\n{show}its story:     {}\ntry it again:  {}\npass over it:  {}\n",
        pipeline.command(&format!("trace {}", row.trouble.event_id)),
        pipeline.command(&format!("dlq retry {of}{who} --why \"…\" --yes")),
        pipeline.command(&format!("dlq skip {of}{who} --why \"…\" --yes")),
    )
}
