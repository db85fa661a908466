//! `towpath dlq audit-log`: who ordered what, when and why.
//! Must not know: whether an order was carried out; the rows say that.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use towpath::{EventId, Rev, TenantId, Timestamp};
use towpath_aws::operate::{Deed, Order};

use crate::output::{now, plain, say};
use crate::pipeline::Pipeline;
use crate::stack::Target;
use crate::when::{Span, When};

/// What `dlq audit-log` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Whose orders.
    #[arg(long)]
    tenant: TenantId,
    /// Only orders of this time or later: 2026-11-21T10:00:00Z, or 7d ago.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An order as JSON shows it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    at: Timestamp,
    what: &'static str,
    who: String,
    why: String,
    consumer: String,
    aggregate: Option<String>,
    rev: Option<Rev>,
    event_id: Option<EventId>,
    replay: Option<u64>,
    build: Option<u32>,
    limit: Option<String>,
}

impl From<&Order> for Line {
    fn from(order: &Order) -> Self {
        let (blocked, replay, build) = match &order.deed {
            Deed::Retry(blocked) | Deed::Skip(blocked) => (Some(blocked), None, None),
            Deed::Replay(id) => (None, Some(*id), None),
            Deed::Rebuild(build) | Deed::Swap(build) | Deed::Drop(build) => (None, None, Some(*build)),
            Deed::Hold | Deed::Resume => (None, None, None),
            Deed::Limit(_) => (None, None, None),
        };
        let limit = match &order.deed {
            Deed::Limit(Some(limit)) => Some(limit.to_string()),
            Deed::Limit(None) => Some("that of all tenants".to_owned()),
            _ => None,
        };
        Self {
            at: order.at,
            what: what(order),
            who: order.who.clone(),
            why: order.why.clone(),
            consumer: order.consumer.to_string(),
            aggregate: blocked.map(|blocked| blocked.aggregate.to_string()),
            rev: blocked.map(|blocked| blocked.rev),
            event_id: blocked.map(|blocked| blocked.event_id),
            replay,
            build,
            limit,
        }
    }
}

fn what(order: &Order) -> &'static str {
    match order.deed {
        Deed::Retry(_) => "retry",
        Deed::Skip(_) => "skip",
        Deed::Replay(_) => "replay",
        Deed::Rebuild(_) => "rebuild",
        Deed::Swap(_) => "swap",
        Deed::Drop(_) => "drop",
        Deed::Hold => "hold",
        Deed::Resume => "resume",
        Deed::Limit(_) => "limit",
    }
}

/// An order in one line, for a row that it is about.
pub(super) fn sentence(order: &Order) -> String {
    format!("{} by {}: {} ({})", what(order), plain(&order.who), plain(&order.why), order.at)
}

/// Prints the orders, oldest first.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let span = Span::new(options.since, None, Timestamp::default(), now())?;
    let pipeline = Pipeline::open(target).await?;
    let orders = pipeline.store.orders(&options.tenant, span.since).await.context("the orders cannot be read")?;
    let lines: Vec<Line> = orders.iter().map(Line::from).collect();
    say(options.json, &lines, || render(&options.tenant, &lines))?;
    Ok(ExitCode::SUCCESS)
}

fn render(tenant: &TenantId, lines: &[Line]) -> String {
    if lines.is_empty() {
        return format!("nobody has ordered anything about {tenant}");
    }
    let line = |line: &Line| {
        let about = match (&line.aggregate, line.replay, line.build) {
            (Some(aggregate), ..) => aggregate.clone(),
            (None, Some(id), _) => id.to_string(),
            (None, None, Some(build)) => format!("build {build}"),
            (None, None, None) => line.limit.clone().unwrap_or_default(),
        };
        format!("{}  {}  {} {} at {}: {}", line.at, plain(&line.who), line.what, about, line.consumer, plain(&line.why))
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
