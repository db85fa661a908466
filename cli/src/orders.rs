//! Orders about parked rows: each is kept on record, then sent as one wake, then waited for. The consumer carries it out, and
//! only while the row is parked at the rev that was looked at: so two operators are one, and whoever is cut off begins
//! again. Must not know: which rows, how the outcome is shown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};
use towpath::ports::{Consistency, CursorHome, CursorKey, Ledger, Store, Wakes};
use towpath::{Cursor, Instruction, Status, Verb, Wake};
use towpath_aws::operate::{Blocked, Deed, Order};

use crate::blocked::Row;
use crate::output::{Interrupt, bar, now};
use crate::pipeline::Pipeline;

/// Time between two looks at the rows that were woken.
const LOOK: Duration = Duration::from_millis(500);
/// Longest name and longest reason, in characters.
const LONGEST: usize = 256;

/// Who orders it and why, and whether to do it at all.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Why. It is kept on record.
    #[arg(long, value_name = "TEXT", value_parser = sentence)]
    pub(crate) why: Option<String>,
    /// Who orders it. It is kept on record.
    #[arg(long, value_name = "NAME", env = "USER", value_parser = sentence)]
    pub(crate) who: Option<String>,
    /// Do it. Without this, only what would be done is shown.
    #[arg(long, requires_all = ["why", "who"])]
    pub(crate) yes: bool,
}

/// A name or a reason that can be read back in one line.
fn sentence(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!("give 1 to {LONGEST} characters in one line"));
    }
    Ok(text.to_owned())
}

/// What is ordered about a parked row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Retry,
    Skip,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is past the event.
    Advanced,
    /// It is past the event without having applied it: it was passed over, by order.
    PassedOver { who: String, why: String },
    /// It is past the event, and a later one is in its way.
    AdvancedThenBlocked { status: &'static str, seq: u64, class: String, message: String },
    /// It was tried and failed.
    ParkedAgain { class: String, message: String, attempts: u32 },
    /// It is being tried.
    Running,
    /// Its wake has not come yet.
    NotYet,
    /// It was changed by somebody else, or the attempt came to nothing: the order does not hold any more.
    Changed,
    /// No order was sent.
    NotOrdered,
}

impl Outcome {
    /// Must nobody wait for it any more?
    fn is_final(&self) -> bool {
        !matches!(self, Self::Running | Self::NotYet)
    }
}

/// How to go about it.
pub(crate) struct Course<'a> {
    pub(crate) what: What,
    pub(crate) who: &'a str,
    pub(crate) why: &'a str,
    /// Most orders in a second.
    pub(crate) rate: u32,
    /// How long to wait for the outcome.
    pub(crate) wait: Duration,
}

/// Orders it for each row, and waits. The outcomes are in the order of `rows`; an error tells why not all were ordered.
pub(crate) async fn give(pipeline: &Pipeline, course: &Course<'_>, rows: &[Row]) -> (Vec<Outcome>, Result<()>) {
    let interrupt = Interrupt::watch();
    let (ordered, sent) = send(pipeline, course, rows, &interrupt).await;
    let mut outcomes = vec![Outcome::NotOrdered; rows.len()];
    outcomes[..ordered].fill(Outcome::NotYet);
    let looked = settle(pipeline, course, &rows[..ordered], &mut outcomes, &interrupt).await;
    let passed = tell_passed(pipeline, rows, &mut outcomes).await;
    (outcomes, sent.and(looked).and(passed))
}

/// A row that went on has applied its event, or somebody had it passed over.
async fn tell_passed(pipeline: &Pipeline, rows: &[Row], outcomes: &mut [Outcome]) -> Result<()> {
    for (row, outcome) in rows.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Advanced) {
        let skips = pipeline.store.skipped(&row.key).await.context("what was passed over cannot be read")?;
        if let Some(skip) = skips.into_iter().find(|skip| skip.seq == row.trouble.seq) {
            *outcome = Outcome::PassedOver { who: skip.who, why: skip.why };
        }
    }
    Ok(())
}

/// The rate, as a clock that ticks.
pub(crate) fn ticks(rate: u32) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn send(pipeline: &Pipeline, course: &Course<'_>, rows: &[Row], interrupt: &Interrupt) -> (usize, Result<()>) {
    let wakes = pipeline.wakes();
    let holds = match pipeline.store.all_holds().await.context("it cannot be read who is held") {
        Ok(holds) => holds,
        Err(error) => return (0, Err(error)),
    };
    let (mut ticks, bar) = (ticks(course.rate), bar(rows.len(), "ordering"));
    for (index, row) in rows.iter().enumerate() {
        ticks.tick().await;
        if interrupt.came() {
            return (index, Ok(()));
        }
        let CursorKey { aggregate, consumer } = &row.key;
        if holds.get(consumer).is_some_and(|of| of.has(&aggregate.tenant)) {
            let tenant = &aggregate.tenant;
            let resume = pipeline.command(&format!("resume {consumer} --tenant {tenant}"));
            let why = format!("{tenant} is held at {consumer}, which does nothing about {aggregate} until: {resume}");
            return (index, Err(anyhow::Error::msg(why)));
        }
        let sent = order(pipeline, &wakes, course, row).await;
        if sent.is_err() {
            return (index, sent);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    (rows.len(), Ok(()))
}

/// First on record, then on its way.
async fn order(pipeline: &Pipeline, wakes: &dyn Wakes, course: &Course<'_>, row: &Row) -> Result<()> {
    let CursorKey { aggregate, consumer } = &row.key;
    let blocked = Blocked { aggregate: aggregate.clone(), rev: row.cursor.rev, event_id: row.trouble.event_id };
    let deed = match course.what {
        What::Retry => Deed::Retry(blocked),
        What::Skip => Deed::Skip(blocked),
    };
    let (who, why) = (course.who.to_owned(), course.why.to_owned());
    let order = Order { at: now(), who: who.clone(), why: why.clone(), consumer: consumer.clone(), deed };
    let kept = pipeline.store.keep_order(&aggregate.tenant, &order).await;
    kept.with_context(|| format!("the order about {aggregate} could not be kept on record, so it was not given"))?;
    let instruction = Instruction { rev: row.cursor.rev, who, why };
    let verb = match course.what {
        What::Retry => Verb::Retry(instruction),
        What::Skip => Verb::Skip(instruction),
    };
    let sent = wakes.wake(consumer, &Wake { aggregate: aggregate.clone(), verb }).await;
    sent.with_context(|| format!("{consumer} could not be woken for {aggregate}, which is parked as before"))
}

/// Looks at the rows until each has an outcome, or the time is over.
async fn settle(
    pipeline: &Pipeline,
    course: &Course<'_>,
    rows: &[Row],
    outcomes: &mut [Outcome],
    interrupt: &Interrupt,
) -> Result<()> {
    let (began, bar) = (Instant::now(), bar(rows.len(), "waiting"));
    loop {
        for home in [CursorHome::Progress, CursorHome::Views] {
            let open = |index: &usize| rows[*index].home == home && !outcomes[*index].is_final();
            let open: Vec<usize> = (0..rows.len()).filter(open).collect();
            let keys: Vec<CursorKey> = open.iter().map(|index| rows[*index].key.clone()).collect();
            let found = pipeline.store.positions(home, &keys, Consistency::Strong).await;
            let found = found.context("the orders are on their way, but the rows cannot be looked at now")?;
            for (index, position) in open.into_iter().zip(found) {
                outcomes[index] = outcome(&rows[index], position.as_ref().map(|position| &position.cursor));
            }
        }
        let left = outcomes[..rows.len()].iter().filter(|outcome| !outcome.is_final()).count();
        bar.set_position((rows.len() - left) as u64);
        if left == 0 || began.elapsed() >= course.wait || interrupt.came() {
            bar.finish_and_clear();
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// What a row shows of the order that was given about it as it was `before`.
fn outcome(before: &Row, after: Option<&Cursor>) -> Outcome {
    let Some(after) = after else { return Outcome::Changed };
    let trouble = after.trouble.as_ref();
    // What older code went past lies below the cursor from the beginning.
    let is_done = if before.trouble.seq > before.cursor.seq {
        after.seq >= before.trouble.seq
    } else {
        trouble.is_none_or(|trouble| trouble.seq != before.trouble.seq)
    };
    if is_done {
        return match trouble.filter(|trouble| !trouble.is_backlog()) {
            Some(trouble) => Outcome::AdvancedThenBlocked {
                status: crate::blocked::status_name(after.status),
                seq: trouble.seq.0,
                class: trouble.class.clone(),
                message: trouble.message.clone(),
            },
            None => Outcome::Advanced,
        };
    }
    if after.rev == before.cursor.rev {
        return Outcome::NotYet;
    }
    match trouble {
        Some(trouble) if trouble.running.is_some() => Outcome::Running,
        Some(trouble) if after.status == Status::Parked && after.attempt > before.cursor.attempt => {
            Outcome::ParkedAgain {
                class: trouble.class.clone(),
                message: trouble.message.clone(),
                attempts: after.attempt,
            }
        }
        _ => Outcome::Changed,
    }
}

#[cfg(test)]
mod tests {
    use towpath::{Rev, Seq};

    use super::*;
    use crate::blocked::tests::row;

    #[test]
    fn a_row_shows_what_became_of_the_order() {
        let before = row("o-1", "rejected", "no", 5);
        let with = |change: &dyn Fn(&mut Cursor)| {
            let mut after = before.cursor.clone();
            change(&mut after);
            outcome(&before, Some(&after))
        };
        assert_eq!(with(&|_| {}), Outcome::NotYet);
        assert_eq!(outcome(&before, None), Outcome::Changed);
        let ready = |after: &mut Cursor| (after.seq, after.rev, after.trouble) = (Seq(3), Rev(8), None);
        assert_eq!(with(&ready), Outcome::Advanced);
        let running = |after: &mut Cursor| {
            (after.rev, after.attempt) = (Rev(8), 3);
            after.trouble.as_mut().unwrap().running = Some(1);
        };
        assert_eq!(with(&running), Outcome::Running);
        let again = with(&|after| (after.rev, after.attempt) = (Rev(9), 3));
        assert_eq!(again, Outcome::ParkedAgain { class: "rejected".into(), message: "no".into(), attempts: 3 });
        let renewed = with(&|after| after.rev = Rev(8));
        assert_eq!(renewed, Outcome::Changed, "a renewed ticket is no attempt");
        let next = with(&|after| {
            (after.seq, after.rev) = (Seq(3), Rev(9));
            after.trouble.as_mut().unwrap().seq = Seq(4);
        });
        assert!(matches!(next, Outcome::AdvancedThenBlocked { seq: 4, status: "parked", .. }), "{next:?}");
    }

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(sentence(" fixed in 1.2 "), Ok("fixed in 1.2".to_owned()));
        for wrong in ["", "  ", "a\nb", &"x".repeat(257)] {
            assert!(sentence(wrong).is_err(), "{wrong:?}");
        }
    }
}
