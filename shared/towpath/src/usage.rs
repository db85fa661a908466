//! Usage for billing: what each tenant wrote in each hour, folded from the journal and from nothing else.
//! Must not know: prices, tables, when the auditor runs.
//!
//! A row of the journal belongs to the hour in its event's id. An hour is folded whole, once it is closed, and again when 1,
//! 2, 4, 8 … hours have closed after it: so what came late is in it soon, and a tick that was cut off, ran twice or got no
//! answer has changed nothing but the next one's work. Each fold writes what it read, never adds to what is there: nothing
//! can be counted twice, whoever folds and however often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::audit::AuditPorts;
use crate::batch::MARGIN;
use crate::planted::is_on;
use crate::ports::{Answer, CommitError, Consistency, CursorKey, IndexRow, Position, Registered, Unavailable};
use crate::{AggregateKey, ConsumerName, Kind, Rev, Seq, TenantId, Timestamp};

/// An hour is closed so long after its end: commits that are on their way, the index's lag, clocks that differ.
pub const CLOSED_AFTER: Duration = Duration::from_secs(1_800);
const MILLIS_AN_HOUR: u64 = 3_600_000;

/// A whole hour, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour(pub u64);

impl Hour {
    /// The hour in which this lies.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis() / MILLIS_AN_HOUR)
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(MILLIS_AN_HOUR))
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a tenant used in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Events that were recorded.
    pub events: u64,
    /// Commands to consumers that were recorded.
    pub commands: u64,
    /// Bytes of all of these, as they travel: envelope and data as JSON.
    pub bytes: u64,
    /// How many of them each consumer has handled. What was passed over on record had been tried, and counts.
    pub runs: BTreeMap<ConsumerName, u64>,
}

impl Usage {
    fn rows(&self) -> u64 {
        self.events + self.commands
    }

    /// What is there, and what was folded now. The journal loses rows only when their retention is over, and a cursor never
    /// goes back: so a fold that found less has not seen all, and what is there stays.
    fn or_more(&self, folded: Self) -> Self {
        if folded.rows() < self.rows() {
            return self.clone();
        }
        let mut runs = self.runs.clone();
        for (consumer, count) in folded.runs {
            let there = runs.entry(consumer).or_default();
            *there = count.max(*there);
        }
        Self { runs, ..folded }
    }
}

/// What of a journal row is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Event or command.
    pub kind: Kind,
    /// As it travels.
    pub bytes: u64,
}

/// Which hours are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Metered {
    /// The first hour with a row that the auditor has come across.
    pub first: Hour,
    /// The next one that is folded for the first time.
    pub next: Hour,
    /// How many earlier ones were folded again since.
    pub again: Option<u32>,
}

impl Metered {
    /// Nothing is folded, and nothing earlier is known.
    pub(crate) fn begin(closed: Hour) -> Self {
        Self { first: closed, next: closed, again: None }
    }

    /// What is folded now, when all hours before `closed` are closed.
    fn turn(&mut self, closed: Hour) -> Option<Hour> {
        if let Some(again) = self.again {
            let age = 1_u64.checked_shl(again).and_then(|age| age.checked_add(1));
            let hour = age.and_then(|age| self.next.0.checked_sub(age)).map(Hour);
            if let Some(hour) = hour.filter(|hour| *hour >= self.first) {
                return Some(hour);
            }
            self.again = None;
        }
        (self.next < closed).then_some(self.next)
    }

    /// It was folded.
    fn done(&mut self, closed: Hour) {
        match self.again {
            Some(again) => self.again = Some(again + 1),
            None => {
                self.next = self.next.next();
                // While it catches up every hour is new.
                self.again = (self.next >= closed).then_some(0);
            }
        }
    }

    /// A row of this hour was come across.
    pub(crate) fn note(&mut self, hour: Hour) {
        if hour < self.first {
            *self = Self::begin(hour);
        }
    }
}

/// The rows that usage is kept in.
pub trait Meters {
    /// What is kept of an hour, by tenant, strongly consistent, and how often it was written.
    fn usage(&self, hour: Hour) -> Answer<'_, BTreeMap<TenantId, (Usage, Rev)>>;
    /// Keeps what a tenant used in an hour; only if its rev is `expect`.
    fn keep_usage<'a>(
        &'a self,
        hour: Hour,
        tenant: &'a TenantId,
        usage: &'a Usage,
        expect: Rev,
    ) -> Answer<'a, (), CommitError>;
}

/// All hours before this one are closed.
pub(crate) fn closed(now: Timestamp) -> Hour {
    Hour::of(now.minus(CLOSED_AFTER))
}

/// Folds up to `hours` hours whose turn it is.
pub(crate) async fn meter(
    ports: AuditPorts<'_>,
    consumers: &[Registered],
    metered: &mut Option<Metered>,
    hours: u32,
) -> Result<(), Unavailable> {
    let Some(meters) = ports.meters else { return Ok(()) };
    let Some(metered) = metered else { return Ok(()) };
    let closed = closed(ports.host.now());
    for _ in 0..hours {
        let Some(hour) = metered.turn(closed) else { break };
        if !fold(ports, meters, consumers, hour).await? {
            break; // the next tick begins this hour again
        }
        metered.done(closed);
    }
    Ok(())
}

/// Folds an hour. `false`: the time is over, or somebody else folds it.
async fn fold(
    ports: AuditPorts<'_>,
    meters: &dyn Meters,
    consumers: &[Registered],
    hour: Hour,
) -> Result<bool, Unavailable> {
    // Before the journal: whoever has read less of it is refused.
    let there = meters.usage(hour).await?;
    let mut all: BTreeMap<TenantId, Usage> = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        if ports.host.remaining() < MARGIN {
            return Ok(false);
        }
        let (rows, more) = ports.ledger.committed(hour.start(), hour.next().start(), after.as_deref()).await?;
        let rows: Vec<IndexRow> = rows.into_iter().filter(|row| Hour::of(row.event_id.at()) == hour).collect();
        for row in &rows {
            let weight = weight(ports, row).await?;
            let usage = all.entry(row.aggregate.tenant.clone()).or_default();
            match weight.kind {
                Kind::Event => usage.events += 1,
                Kind::Command => usage.commands += 1,
            }
            usage.bytes += weight.bytes;
        }
        for consumer in consumers {
            count_runs(ports, consumer, &rows, &mut all).await?;
        }
        if more.is_none() {
            break;
        }
        after = more;
    }
    for (tenant, usage) in all {
        let (kept, rev) = there.get(&tenant).cloned().unwrap_or_default();
        let usage = if is_on("usage is added to what is there") { added(&kept, usage) } else { kept.or_more(usage) };
        if usage == kept {
            continue;
        }
        match meters.keep_usage(hour, &tenant, &usage, rev).await {
            Ok(()) => {}
            Err(CommitError::Refused(_)) => return Ok(false),
            Err(CommitError::Unavailable(error)) => return Err(error),
            Err(CommitError::Invalid(why)) => return Err(Unavailable { call: "keeping a tenant's usage", why }),
        }
    }
    Ok(true)
}

/// A known bug.
fn added(kept: &Usage, folded: Usage) -> Usage {
    let (events, commands) = (kept.events + folded.events, kept.commands + folded.commands);
    Usage { events, commands, bytes: kept.bytes + folded.bytes, ..folded }
}

/// As the index shows it; a row from before it did is read.
async fn weight(ports: AuditPorts<'_>, row: &IndexRow) -> Result<Weight, Unavailable> {
    if let Some(weight) = row.weight {
        return Ok(weight);
    }
    let before = Seq(row.seq.0.saturating_sub(1));
    let found = ports.store.journal(&row.aggregate, before, row.seq, 1).await?.pop();
    let gone = || Unavailable { call: "weighing a row", why: format!("{} {} is not there", row.aggregate, row.seq) };
    let found = found.ok_or_else(gone)?;
    Ok(Weight { kind: found.kind, bytes: found.envelope.to_body().len() as u64 })
}

async fn count_runs(
    ports: AuditPorts<'_>,
    consumer: &Registered,
    rows: &[IndexRow],
    all: &mut BTreeMap<TenantId, Usage>,
) -> Result<(), Unavailable> {
    let handled: Vec<&IndexRow> =
        rows.iter().filter(|row| consumer.handles(&row.event_type, row.event_id.at())).collect();
    let aggregates: BTreeSet<&AggregateKey> = handled.iter().map(|row| &row.aggregate).collect();
    let key = |aggregate: &AggregateKey| CursorKey { aggregate: aggregate.clone(), consumer: consumer.name.clone() };
    let keys: Vec<CursorKey> = aggregates.into_iter().map(key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let positions = ports.store.positions(consumer.home, &keys, Consistency::Eventual).await?;
    let at: BTreeMap<&AggregateKey, Option<Position>> = keys.iter().map(|key| &key.aggregate).zip(positions).collect();
    for row in handled {
        let position = at.get(&row.aggregate).and_then(Option::as_ref);
        if position.is_some_and(|position| consumer.has_passed(&position.cursor, &row.event_type, row.seq))
            && let Some(usage) = all.get_mut(&row.aggregate.tenant)
        {
            *usage.runs.entry(consumer.name.clone()).or_default() += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fold_that_found_less_changes_nothing() {
        let runs = |count| [("inventory".parse().unwrap(), count)].into();
        let kept = Usage { events: 3, commands: 1, bytes: 900, runs: runs(2) };
        assert_eq!(kept.or_more(Usage { events: 3, ..Usage::default() }), kept, "rows have left the journal");
        let late = Usage { events: 4, commands: 1, bytes: 1_000, runs: runs(1) };
        assert_eq!(kept.or_more(late.clone()), Usage { runs: runs(2), ..late });
    }

    proptest! {
        /// However the auditor's ticks fall: no closed hour is left out, and each is folded again and again.
        #[test]
        fn every_closed_hour_is_folded_and_folded_again_at_twice_the_age(
            waits in proptest::collection::vec((0_u64..4, 0_u32..6), 1..200), earlier in 0_u64..50,
        ) {
            let mut closed = Hour(1_000);
            let mut metered = Metered::begin(closed);
            metered.note(Hour(1_000 - earlier));
            let mut folds: BTreeMap<Hour, Vec<u64>> = BTreeMap::new();
            for (wait, hours) in waits.into_iter().chain([(0, 1_000)]) {
                closed = Hour(closed.0 + wait);
                for _ in 0..hours {
                    let Some(hour) = metered.turn(closed) else { break };
                    prop_assert!(hour < closed && hour >= metered.first);
                    folds.entry(hour).or_default().push(closed.0 - hour.0);
                    metered.done(closed);
                }
            }
            for hour in 1_000 - earlier..closed.0 {
                prop_assert!(folds.contains_key(&Hour(hour)), "hour {} was never folded", hour);
            }
            prop_assert_eq!(metered.turn(closed), None);
        }

        #[test]
        fn a_time_lies_in_its_hour(millis in 0..=Timestamp::MAX.as_millis()) {
            let (at, hour) = (Timestamp::from_millis(millis), Hour::of(Timestamp::from_millis(millis)));
            prop_assert!(hour.start() <= at && (at < hour.next().start() || hour.next().start() == Timestamp::MAX));
            prop_assert_eq!(hour.start().hour(), at.hour());
        }
    }
}
