//! `towpath dlq retry` and `towpath dlq skip`: what would be done, or what became of it.
//! Must not know: how an order travels.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use towpath::ports::CursorKey;
use towpath::{AggregateKey, ConsumerName, OUTCOME_UNKNOWN};

use super::list::lines_of;
use crate::blocked::{self, Filters, Line, Row, Wanted};
use crate::orders::{self, Course, Outcome, Sign, What};
use crate::output::{CONFLICT, FAILED, PARTLY, Usage, count, exit, now, print, say, short, short_class};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// Rows whose outcome is shown one by one.
const SHOWN: usize = 50;
/// Longest error in a line, in characters.
const MESSAGE: usize = 240;

/// What `dlq retry` may be told.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    filters: Filters,
    /// All parked rows of the stack.
    #[arg(long)]
    all: bool,
    /// Most orders in a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    #[command(flatten)]
    sign: Sign,
    #[command(flatten)]
    manner: Manner,
}

/// What `dlq skip` may be told.
#[derive(Debug, Args)]
pub(crate) struct Skip {
    /// The consumer that does not advance.
    #[arg(long, value_name = "NAME")]
    consumer: ConsumerName,
    /// What it does not advance.
    #[arg(long, value_name = "TENANT#TYPE#ID")]
    aggregate: AggregateKey,
    #[command(flatten)]
    sign: Sign,
    #[command(flatten)]
    manner: Manner,
}

/// How the outcome is waited for and shown.
#[derive(Debug, Args)]
struct Manner {
    /// Seconds to wait for the outcome.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    wait: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    stack: &'a str,
    dry_run: bool,
    count: usize,
    /// Parked rows that were chosen and are not tried again, because nobody knows whether their effect outside happened.
    unknown: usize,
    rows: Vec<Done>,
}

#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    row: Line,
    /// What became of it; nothing in a dry run.
    then: Option<Outcome>,
}

/// Tries parked rows again.
pub(crate) async fn retry(target: &Target, options: &Retry) -> Result<ExitCode> {
    let nothing_said = options.filters.is_everything();
    if options.all && !nothing_said {
        return Err(Usage("--all means every parked row: leave it out, or the filters".into()).into());
    }
    if options.sign.yes && nothing_said && !options.all {
        return Err(Usage("this would retry every parked row: narrow it, or say --all".into()).into());
    }
    let pipeline = Pipeline::open(target).await?;
    let rows = blocked::read(&pipeline, &options.filters, Wanted::Parked).await?;
    let (rows, unknown): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| options.filters.allows_unknown() || !row.trouble.is_unknown());
    if !unknown.is_empty() && !options.manner.json {
        print(&left_out(&pipeline, &unknown))?;
    }
    if rows.is_empty() {
        let report =
            Report { stack: &pipeline.name, dry_run: true, count: 0, unknown: unknown.len(), rows: Vec::new() };
        say(options.manner.json, &report, || format!("{}: no row is parked as you asked for", pipeline.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    act(&pipeline, What::Retry, &options.sign, options.rate, &options.manner, &rows, unknown.len()).await
}

/// Passes over the event of one parked row.
pub(crate) async fn skip(target: &Target, options: &Skip) -> Result<ExitCode> {
    let pipeline = Pipeline::open(target).await?;
    let (consumer, aggregate) = (Some(options.consumer.clone()), Some(options.aggregate.clone()));
    let filters = Filters { consumer, aggregate, ..Filters::default() };
    let rows = blocked::read(&pipeline, &filters, Wanted::Parked).await?;
    if rows.is_empty() {
        bail!(
            "{} is not parked at {}: only the event that a parked row waits for can be passed over",
            options.aggregate,
            options.consumer
        );
    }
    act(&pipeline, What::Skip, &options.sign, 1, &options.manner, &rows, 0).await
}

fn left_out(pipeline: &Pipeline, unknown: &[Row]) -> String {
    format!(
        "{} left out: nobody knows whether the effect outside happened. Ask the provider about each; then skip what was done,\n         and try again what was not, one by one with --aggregate, or all of them: {}\n",
        count(unknown.len() as u64, "parked row is", "parked rows are"),
        pipeline.command(&format!("dlq retry --class '{OUTCOME_UNKNOWN}'")),
    )
}

async fn act(
    pipeline: &Pipeline,
    what: What,
    sign: &Sign,
    rate: u32,
    manner: &Manner,
    rows: &[Row],
    unknown: usize,
) -> Result<ExitCode> {
    for row in rows {
        pipeline.can_be_woken(&row.key.consumer)?;
    }
    let (Some(who), Some(why), true) = (&sign.who, &sign.why, sign.yes) else {
        let done = rows.iter().map(|row| Done { row: row.line(), then: None }).collect();
        let report = Report { stack: &pipeline.name, dry_run: true, count: rows.len(), unknown, rows: done };
        say(manner.json, &report, || would_do(pipeline, what, sign, rows))?;
        return Ok(ExitCode::SUCCESS);
    };
    let course = Course { what, who, why, rate, wait: Duration::from_secs(manner.wait) };
    let (outcomes, given) = orders::give(pipeline, &course, rows).await;
    let pairs = || rows.iter().zip(&outcomes);
    let done = pairs().map(|(row, outcome)| Done { row: row.line(), then: Some(outcome.clone()) }).collect();
    let report = Report { stack: &pipeline.name, dry_run: false, count: rows.len(), unknown, rows: done };
    say(manner.json, &report, || came_to(what, &pairs().collect::<Vec<_>>()))?;
    if !manner.json && outcomes.contains(&Outcome::NotOrdered) {
        print("what was not ordered is parked as before: the same command goes on with it")?;
    }
    given.map(|()| match code(what, sign, &outcomes) {
        0 => ExitCode::SUCCESS,
        code => exit(code),
    })
}

/// 0: all are through; 3: not all are known; 4: somebody else was faster; 1: some failed again.
fn code(what: What, sign: &Sign, outcomes: &[Outcome]) -> u8 {
    let any = |wanted: fn(&Outcome) -> bool| outcomes.iter().any(wanted);
    if any(|outcome| matches!(outcome, Outcome::NotOrdered | Outcome::NotYet | Outcome::Running)) {
        return PARTLY;
    }
    if any(|outcome| matches!(outcome, Outcome::ParkedAgain { .. })) {
        return FAILED;
    }
    let others = |outcome: &Outcome| match outcome {
        Outcome::PassedOver { who, .. } => what == What::Retry || sign.who.as_ref() != Some(who),
        outcome => *outcome == Outcome::Changed,
    };
    if outcomes.iter().any(others) { CONFLICT } else { 0 }
}

fn would_do(pipeline: &Pipeline, what: What, sign: &Sign, rows: &[Row]) -> String {
    let who = if sign.who.is_none() { " --who NAME" } else { "" };
    let why = if sign.why.is_none() { " --why \"…\"" } else { "" };
    let goes_on = format!("To do it, add{who}{why} --yes");
    match (what, rows) {
        (What::Skip, [row, ..]) => {
            let Row { key: CursorKey { aggregate, consumer }, trouble, .. } = row;
            format!(
                "This would pass over one event, on record, and then go on behind it:\n  {consumer} would never apply \
                 #{} {} of {aggregate} ({})\n  it fails with {}: {}\nNothing was done. {goes_on}.\nAll that is known of it: {}",
                trouble.seq,
                trouble.event_type,
                trouble.event_id,
                short_class(&trouble.class),
                short(&trouble.message, MESSAGE),
                pipeline.command(&format!("dlq show --consumer {consumer} --aggregate '{aggregate}'")),
            )
        }
        _ => format!(
            "{} would be tried again:\n{}\nNothing was done. {goes_on}.",
            count(rows.len() as u64, "parked row", "parked rows"),
            lines_of(&blocked::kinds(rows), now())
        ),
    }
}

fn came_to(what: What, pairs: &[(&Row, &Outcome)]) -> String {
    let well = |outcome: &Outcome| match outcome {
        Outcome::Advanced => true,
        Outcome::PassedOver { .. } => what == What::Skip,
        _ => false,
    };
    let failed = |pair: &&(&Row, &Outcome)| !well(pair.1);
    let number = |wanted: fn(&Outcome) -> bool| pairs.iter().filter(|(_, outcome)| wanted(outcome)).count();
    let through = number(|outcome| matches!(outcome, Outcome::Advanced | Outcome::AdvancedThenBlocked { .. }));
    let again = number(|outcome| matches!(outcome, Outcome::ParkedAgain { .. }));
    let open = number(|outcome| matches!(outcome, Outcome::NotYet | Outcome::Running));
    let changed = number(|outcome| *outcome == Outcome::Changed);
    let unsent = number(|outcome| *outcome == Outcome::NotOrdered);
    let passed = number(|outcome| matches!(outcome, Outcome::PassedOver { .. }));
    let numbers = [
        (through, "advanced"),
        (passed, "passed over"),
        (again, "parked again"),
        (open, "not yet"),
        (changed, "changed by others"),
        (unsent, "not ordered"),
    ];
    let numbers = numbers.iter().filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}"));
    let mut text = numbers.collect::<Vec<_>>().join(", ");
    for (row, outcome) in pairs.iter().filter(failed).take(SHOWN) {
        let CursorKey { aggregate, consumer } = &row.key;
        text = format!("{text}\n  {aggregate} at {consumer}\n    {}", sentence(outcome));
    }
    let left = pairs.iter().filter(failed).count().saturating_sub(SHOWN);
    if left > 0 { format!("{text}\nand {left} more") } else { text }
}

fn sentence(outcome: &Outcome) -> String {
    let error = |class: &str, message: &str| format!("{}: {}", short_class(class), short(message, MESSAGE));
    match outcome {
        Outcome::Advanced => "advanced".to_owned(),
        Outcome::PassedOver { who, why } => format!("not applied: {who} had it passed over: {why}"),
        Outcome::AdvancedThenBlocked { status, seq, class, message } => {
            format!("past that event, but {status} at #{seq}: {}", error(class, message))
        }
        Outcome::ParkedAgain { class, message, attempts } => {
            format!("parked again after attempt {attempts}: {}", error(class, message))
        }
        Outcome::Running => "an attempt is running: look again with `dlq show`".to_owned(),
        Outcome::NotYet => "not yet: the wake is on its way; look again with `dlq list`".to_owned(),
        Outcome::Changed => {
            "somebody else changed it, or the attempt was cut off: look again with `dlq show`".to_owned()
        }
        Outcome::NotOrdered => "not ordered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_all_is_through_or_some_or_somebody_was_faster() {
        let sign = Sign { yes: true, who: Some("ann".into()), why: Some("mended".into()) };
        let passed = |who: &str| Outcome::PassedOver { who: who.into(), why: "x".into() };
        let again = Outcome::ParkedAgain { class: "rejected".into(), message: "no".into(), attempts: 2 };
        for (what, outcomes, wanted) in [
            (What::Retry, vec![Outcome::Advanced], 0),
            (What::Retry, vec![Outcome::Advanced, Outcome::NotOrdered], PARTLY),
            (What::Retry, vec![Outcome::NotYet, again.clone()], PARTLY),
            (What::Retry, vec![Outcome::Running], PARTLY),
            (What::Retry, vec![again, Outcome::Changed], FAILED),
            (What::Retry, vec![Outcome::Advanced, Outcome::Changed], CONFLICT),
            (What::Retry, vec![passed("ann")], CONFLICT),
            (What::Skip, vec![passed("bob")], CONFLICT),
            (What::Skip, vec![passed("ann")], 0),
        ] {
            assert_eq!(code(what, &sign, &outcomes), wanted, "{outcomes:?}");
        }
        assert_eq!((crate::output::USAGE, PARTLY, CONFLICT), (2, 3, 4), "as the documents say");
    }
}
