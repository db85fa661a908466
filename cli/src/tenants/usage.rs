//! `towpath tenants usage`: what tenants used, hour by hour, as it is billed.
//! Must not know: how it was folded.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use towpath::{CLOSED_AFTER, ConsumerName, Hour, Meters, TenantId, Timestamp};

use crate::output::{bar, count, now, say, table};
use crate::pipeline::Pipeline;
use crate::stack::Target;
use crate::when::{Span, When};

/// What is shown when nobody says since when.
const A_DAY: Duration = Duration::from_secs(86_400);

/// What `tenants usage` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only of this tenant.
    tenant: Option<TenantId>,
    /// From the hour in which this lies: 2026-11-21T10:00:00Z, or 7d ago; a day ago if nothing is said.
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Up to and with the hour in which this lies.
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A tenant's hour.
#[derive(Debug, Serialize)]
struct Line {
    tenant: TenantId,
    hour: Timestamp,
    events: u64,
    commands: u64,
    bytes: u64,
    runs: BTreeMap<ConsumerName, u64>,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Hours before this one are folded.
    folded_until: Option<Timestamp>,
    usage: Vec<Line>,
}

/// Prints it, hour by hour.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let now = now();
    let span = Span::new(options.from, options.to, now.minus(A_DAY), now)?;
    let pipeline = Pipeline::open(target).await?;
    let state =
        towpath::ports::Ledger::audit_state(&pipeline.store).await.context("the auditor's row cannot be read")?;
    let (first, last) = (Hour::of(span.since), Hour::of(span.until));
    let bar = bar(usize::try_from(last.0 - first.0 + 1).unwrap_or(usize::MAX), "hours");
    let mut usage = Vec::new();
    for hour in (first.0..=last.0).map(Hour) {
        let rows = pipeline.store.usage(hour).await.context("the usage cannot be read")?;
        let wanted = rows.into_iter().filter(|(tenant, _)| options.tenant.as_ref().is_none_or(|of| of == tenant));
        usage.extend(wanted.map(|(tenant, (of, _))| Line {
            tenant,
            hour: hour.start(),
            events: of.events,
            commands: of.commands,
            bytes: of.bytes,
            runs: of.runs,
        }));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = Report { folded_until: state.metered.map(|metered| metered.next.start()), usage };
    say(options.json, &report, || render(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn render(report: &Report) -> String {
    let until = match report.folded_until {
        Some(until) => format!(
            "hours before {until} are folded; an hour is folded {} min after its end, and what comes late is added",
            CLOSED_AFTER.as_secs() / 60
        ),
        None => "no hour is folded yet: the auditor has not run".to_owned(),
    };
    if report.usage.is_empty() {
        return format!("nothing was used in these hours\n{until}");
    }
    let line = |of: &Line| {
        let runs: Vec<String> = of.runs.iter().map(|(consumer, runs)| format!("{consumer} {runs}")).collect();
        let (events, commands, bytes) = (of.events.to_string(), of.commands.to_string(), of.bytes.to_string());
        [of.hour.hour(), of.tenant.to_string(), events, commands, bytes, runs.join(", ")]
    };
    let table = table(
        ["hour", "tenant", "events", "commands", "bytes", "handled by"],
        &[2, 3, 4],
        report.usage.iter().map(line),
    );
    let sum = |of: fn(&Line) -> u64| report.usage.iter().map(of).sum::<u64>();
    let (events, bytes) = (sum(|of| of.events), sum(|of| of.bytes));
    format!("{table}\n{}, {}\n{until}", count(events, "event", "events"), count(bytes, "byte", "bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_a_line_for_each_tenant_and_hour_and_says_how_far_it_goes() {
        let hour = Hour(497_015).start();
        let runs = [("inventory".parse().unwrap(), 2)].into();
        let of = Line { tenant: "acme".parse().unwrap(), hour, events: 3, commands: 1, bytes: 999, runs };
        let text = render(&Report { folded_until: Some(hour), usage: vec![of] });
        assert!(
            text.contains("acme") && text.contains("inventory 2") && text.contains("3 events, 999 bytes"),
            "{text}"
        );
        assert!(render(&Report { folded_until: None, usage: vec![] }).contains("has not run"));
    }
}
