//! `towpath status --audit`: one tick of the auditor by hand. As a dry run it wakes nobody and leaves the auditor's place as
//! it is, so that the auditor still comes to what was found here.
//! Must not know: how the auditor compares.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::ready;
use serde::Serialize;
use towpath::audit::{AuditOptions, AuditPorts, AuditReport, tick};
use towpath::ports::{
    Answer, AuditState, CommitError, CursorHome, CursorKey, DueTimer, IndexRow, Ledger, Registered, Wakes,
};
use towpath::{AllHolds, ConsumerName, Holds, Rev, TenantId, Timestamp, Wake};
use towpath_aws::{AwsStore, LambdaHost, WakeQueues};

use crate::output::{FAILED, count, exit, now, say, table};
use crate::pipeline::Pipeline;

/// How long a tick may take. The function has a minute; a person has more patience.
const LONGEST: Duration = Duration::from_secs(600);

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// An event younger than this may still be on its way.
    pub(crate) grace: Duration,
    /// How far to look back from where the auditor is.
    pub(crate) back: Duration,
    /// Send the wakes.
    pub(crate) yes: bool,
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Report {
    stack: String,
    at: Timestamp,
    dry_run: bool,
    consumers: BTreeMap<ConsumerName, Line>,
    unaccounted: u64,
    /// When the last sweep of the whole journal ended.
    swept: Option<Timestamp>,
    /// Seconds; younger events were not compared.
    grace: u64,
    troubles: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    /// Messages in its queue; while there are any, its events are missed only after an hour.
    queued: Option<u64>,
    compared: u64,
    unaccounted: u64,
    held: u64,
    overdue: u64,
    woken: u64,
}

/// Audits. Exit code 1 when events are unaccounted for, or a consumer could not be audited.
pub(crate) async fn run(pipeline: &Pipeline, course: Course) -> Result<ExitCode> {
    let options = AuditOptions {
        grace: course.grace,
        overlap: course.back,
        // The window is looked at once; a piece of the sweep beside it would count some events twice.
        sweep_pages: 0,
        window: course.back.max(AuditOptions::default().window),
        ..AuditOptions::default()
    };
    let (host, wakes) = (LambdaHost::ending_in(LONGEST), pipeline.wakes());
    let (dry_wakes, dry_ledger) = (DryWakes(&wakes), DryLedger(&pipeline.store));
    let store = &pipeline.store;
    let ports = if course.yes {
        AuditPorts { ledger: store, store, wakes: &wakes, host: &host, meters: None }
    } else {
        AuditPorts { ledger: &dry_ledger, store, wakes: &dry_wakes, host: &host, meters: None }
    };
    let found = tick(ports, options).await.context("the audit did not come to its end")?;
    let mut report = report(pipeline, &found, course);
    for (name, line) in &mut report.consumers {
        line.queued = wakes.backlog(name).await.ok();
    }
    say(course.json, &report, || render(&report))?;
    let woken: u64 = report.consumers.values().map(|line| line.woken).sum();
    let well = report.troubles.is_empty() && (report.unaccounted == 0 || course.yes && woken > 0);
    Ok(if well { ExitCode::SUCCESS } else { exit(FAILED) })
}

fn report(pipeline: &Pipeline, found: &AuditReport, course: Course) -> Report {
    let line = |found: &towpath::audit::Found| Line {
        queued: None,
        compared: found.compared,
        unaccounted: found.unaccounted,
        held: found.held,
        overdue: found.overdue,
        woken: found.woken + found.resumed,
    };
    let trouble = |(consumer, error): &(ConsumerName, towpath::ports::Unavailable)| {
        format!(
            "{consumer} could not be audited: {error}. If it was removed, delete its row (pk ~registry) from the progress \
             table"
        )
    };
    Report {
        stack: pipeline.name.clone(),
        at: now(),
        dry_run: !course.yes,
        grace: course.grace.as_secs(),
        consumers: found.consumers.iter().map(|(name, found)| (name.clone(), line(found))).collect(),
        unaccounted: found.consumers.values().map(|found| found.unaccounted).sum(),
        swept: found.swept,
        troubles: found.troubles.iter().map(trouble).collect(),
    }
}

fn render(report: &Report) -> String {
    let woken = if report.dry_run { "would wake" } else { "woken" };
    let line = |(name, line): (&ConsumerName, &Line)| {
        let Line { queued, compared, unaccounted, held, overdue, woken } = line;
        let queued = queued.map_or_else(|| "?".to_owned(), |queued| queued.to_string());
        let [compared, unaccounted, held, overdue, woken] =
            [compared, unaccounted, held, overdue, woken].map(|number| number.to_string());
        [name.to_string(), queued, compared, unaccounted, held, overdue, woken]
    };
    let header = ["consumer", "in its queue", "compared", "unaccounted", "held", "overdue", woken];
    let table = table(header, &[1, 2, 3, 4, 5, 6], report.consumers.iter().map(line));
    let swept = match report.swept {
        Some(at) => format!("the whole journal was last gone through at {at}"),
        None => "the whole journal has not been gone through yet".to_owned(),
    };
    let wakes: u64 = report.consumers.values().map(|line| line.woken).sum();
    let end = match (wakes, report.dry_run) {
        (0, _) => "nobody has to be woken".to_owned(),
        (_, true) => format!("nothing was done: --yes sends {}", count(wakes, "wake", "wakes")),
        (_, false) => format!("sent {}", count(wakes, "wake", "wakes")),
    };
    let troubles: String = report.troubles.iter().map(|trouble| format!("\n{trouble}")).collect();
    let behind = report.consumers.values().any(|line| line.queued.is_some_and(|queued| queued > 0));
    let patient = "\na backlog is not a loss: where messages are queued, events of the last hour are not compared";
    let patient = if behind { patient } else { "" };
    let young = format!("events of the last {} s may be on their way and are not compared (--grace)", report.grace);
    format!("{} at {}\n{table}{troubles}\n{young}{patient}\n{swept}\n{end}", report.stack, report.at)
}

/// Wakes nobody; the auditor counts what it would have sent.
struct DryWakes<'a>(&'a WakeQueues);

impl Wakes for DryWakes<'_> {
    fn wake<'a>(&'a self, _: &'a ConsumerName, _: &'a Wake) -> Answer<'a, ()> {
        ready(Ok(())).boxed_local()
    }

    fn backlog<'a>(&'a self, of: &'a ConsumerName) -> Answer<'a, u64> {
        self.0.backlog(of)
    }
}

/// Reads as the auditor does, and does not write down how far it came.
struct DryLedger<'a>(&'a AwsStore);

impl Ledger for DryLedger<'_> {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        self.0.consumers()
    }

    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.0.committed(since, until, after)
    }

    fn sweep<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.0.sweep(after)
    }

    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>> {
        self.0.due(home, before, limit)
    }

    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>> {
        self.0.timers(before, limit)
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        self.0.all_holds()
    }

    fn keep_holds<'a>(&'a self, _: &'a ConsumerName, _: &'a Holds, _: Rev) -> Answer<'a, (), CommitError> {
        ready(Ok(())).boxed_local()
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>> {
        self.0.held(home, of, tenant, limit)
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        self.0.audit_state()
    }

    fn keep_audit_state<'a>(&'a self, _: &'a AuditState, _: Rev) -> Answer<'a, (), CommitError> {
        ready(Ok(())).boxed_local()
    }
}
