//! The auditor: compares the journal with the cursors of every registered consumer, and wakes what is behind. Hints get
//! lost; this is why that loses nothing.
//! Must not know: DynamoDB, queues, schedules.
//!
//! It also folds what each tenant used, see `usage`. Three looks, each for what the one before cannot see: rows whose time has passed (lost wakes, missing tickets); a
//! window of the time index, overlapping the last one (lost messages); a ring sweep of the whole journal that uses no
//! clock (whatever else).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::batch::MARGIN;
use crate::planted::is_on;
use crate::ports::{
    AuditState, CommitError, Consistency, CursorHome, CursorKey, DueTimer, Host, IndexRow, Ledger, Meters, Position,
    Registered, Store, Unavailable, Wakes,
};
use crate::trouble::OVERDUE;
use crate::usage::{Metered, closed, meter};
use crate::{AggregateKey, AllHolds, ConsumerName, EventId, Hold, Hour, LATE_MARKS, Status, TenantId, Timestamp, Wake};

/// What the auditor needs of the world.
#[derive(Clone, Copy)]
pub struct AuditPorts<'a> {
    /// The journal's index and the registry.
    pub ledger: &'a dyn Ledger,
    /// Cursors.
    pub store: &'a dyn Store,
    /// Wake queues.
    pub wakes: &'a dyn Wakes,
    /// Time.
    pub host: &'a dyn Host,
    /// Where usage is kept; none: it is not folded.
    pub meters: Option<&'a dyn Meters>,
}

/// How patient the auditor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditOptions {
    /// An event younger than this may still be on its way.
    pub grace: Duration,
    /// The same while the consumer's queue holds messages: a backlog is not a loss.
    pub grace_behind_backlog: Duration,
    /// How far each window reaches back into the last one: commit delay, index lag, twice the clocks' difference.
    pub overlap: Duration,
    /// Longest window of one tick.
    pub window: Duration,
    /// Pages of the sweep in one tick.
    pub sweep_pages: u32,
    /// Most wakes of one tick, per consumer.
    pub wakes: u64,
    /// Most wakes of one tick for rows that were held, per consumer: a big tenant that goes on shall not flood the others.
    pub resumes: u64,
    /// Most hours whose usage is folded in one tick.
    pub hours: u32,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(300),
            grace_behind_backlog: Duration::from_secs(3_600),
            overlap: Duration::from_secs(900),
            window: Duration::from_secs(3_600),
            sweep_pages: 4,
            wakes: 500,
            hours: 4,
            resumes: 1_000,
        }
    }
}

/// What the auditor found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditReport {
    /// By consumer.
    pub consumers: BTreeMap<ConsumerName, Found>,
    /// When the last sweep of the whole journal ended.
    pub swept: Option<Timestamp>,
    /// Pages of the journal's index that were read.
    pub pages: u64,
    /// Consumers whose queues could not be reached; the others were looked at all the same.
    pub troubles: Vec<(ConsumerName, Unavailable)>,
    /// Why usage could not be folded; the next tick goes on.
    pub unmetered: Option<Unavailable>,
}

/// What the auditor found of one consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Events that were compared with a cursor.
    pub compared: u64,
    /// Events that are older than a backlog explains, and neither applied nor behind a blocked row.
    pub unaccounted: u64,
    /// Events that wait because an operator has stopped their tenant, or until its rows are awake again.
    pub held: u64,
    /// Rows whose time to be looked at had passed, and timers that should have fired.
    pub overdue: u64,
    /// Those of them that are timers.
    pub late_timers: u64,
    /// Wakes sent for what was overdue or behind.
    pub woken: u64,
    /// Wakes sent for rows that were held.
    pub resumed: u64,
}

/// One tick.
pub async fn tick(ports: AuditPorts<'_>, options: AuditOptions) -> Result<AuditReport, Unavailable> {
    let consumers = ports.ledger.consumers().await?;
    let holds = ports.ledger.all_holds().await?;
    let mut audit = Audit {
        ports,
        options,
        report: AuditReport::default(),
        holds,
        woken: BTreeSet::new(),
        missing: BTreeSet::new(),
        patience: vec![],
    };
    for consumer in &consumers {
        audit.report.consumers.insert(consumer.name.clone(), Found::default());
        let patience = match ports.wakes.backlog(&consumer.name).await {
            Ok(0) => options.grace,
            Ok(_) => options.grace_behind_backlog,
            Err(error) => {
                audit.report.troubles.push((consumer.name.clone(), error));
                options.grace
            }
        };
        audit.patience.push((consumer.clone(), patience));
    }
    audit.resumed().await?;
    audit.overdue().await?;
    audit.timers().await?;
    let mut state = ports.ledger.audit_state().await?;
    let read = state.rev;
    audit.window(&mut state).await?;
    if ports.meters.is_some() {
        state.metered.get_or_insert(Metered::begin(closed(ports.host.now())));
    }
    audit.sweep(&mut state).await?;
    // What it bills must not hold up what it finds.
    audit.report.unmetered = meter(ports, &consumers, &mut state.metered, options.hours).await.err();
    state.rev = read.next();
    match ports.ledger.keep_audit_state(&state, read).await {
        // Another tick ran at the same time and has kept its own: looking twice does no harm.
        Ok(()) | Err(CommitError::Refused(_)) => {}
        Err(CommitError::Unavailable(error)) => return Err(error),
        Err(CommitError::Invalid(why)) => return Err(Unavailable { call: "keeping the audit's state", why }),
    }
    audit.report.swept = state.swept;
    Ok(audit.report)
}

struct Audit<'a> {
    ports: AuditPorts<'a>,
    options: AuditOptions,
    report: AuditReport,
    /// Which tenants are stopped, or were until lately.
    holds: AllHolds,
    woken: BTreeSet<CursorKey>,
    /// What was found missing in this tick: the window and the sweep may both come across it.
    missing: BTreeSet<(ConsumerName, EventId)>,
    /// The consumers, each with the age from which its events are missed.
    patience: Vec<(Registered, Duration)>,
}

impl Audit<'_> {
    /// Rows of tenants that go on, so many a tick. When no marked row was left for a while, the order is done with; what is
    /// marked after that is found by the sweep.
    async fn resumed(&mut self) -> Result<(), Unavailable> {
        for (consumer, _) in self.patience.clone() {
            let Some(holds) = self.holds.get(&consumer.name).cloned() else { continue };
            let resumed = |hold: &Hold| hold.resumed;
            let going: Vec<(&TenantId, Timestamp)> =
                holds.tenants.iter().filter_map(|(tenant, hold)| Some((tenant, resumed(hold)?))).collect();
            let share = usize::try_from(self.options.resumes).unwrap_or(usize::MAX) / going.len().max(1);
            let mut over = Vec::new();
            for (tenant, since) in going {
                if self.ports.host.remaining() < MARGIN || is_on("a resume forgets what is marked") {
                    break;
                }
                let keys = self.ports.ledger.held(consumer.home, &consumer.name, tenant, share.max(1)).await?;
                let late = self.ports.host.now().millis_since(since);
                if keys.is_empty() && u128::from(late) >= LATE_MARKS.as_millis() {
                    over.push(tenant.clone());
                }
                self.resume(keys).await;
            }
            if !over.is_empty() {
                match self.ports.ledger.keep_holds(&consumer.name, &holds.without(&over), holds.rev).await {
                    // Somebody has ordered something meanwhile: the next tick sees what.
                    Ok(()) | Err(CommitError::Refused(_)) => {}
                    Err(CommitError::Unavailable(error)) => return Err(error),
                    Err(CommitError::Invalid(why)) => return Err(Unavailable { call: "ending a hold", why }),
                }
            }
        }
        Ok(())
    }

    async fn resume(&mut self, keys: Vec<CursorKey>) {
        for key in keys {
            let found = self.report.consumers.entry(key.consumer.clone()).or_default();
            match self.ports.wakes.wake(&key.consumer, &Wake::advance(key.aggregate)).await {
                Ok(()) => found.resumed += 1,
                Err(error) => return self.report.troubles.push((key.consumer, error)),
            }
        }
    }

    /// Retries whose wake was lost, parked rows whose ticket is missing or about to expire.
    async fn overdue(&mut self) -> Result<(), Unavailable> {
        if is_on("5 nobody looks at what is overdue") {
            return Ok(());
        }
        let before = self.ports.host.now().minus(OVERDUE);
        for home in [CursorHome::Progress, CursorHome::Views] {
            let limit = usize::try_from(self.options.wakes).unwrap_or(usize::MAX);
            for key in self.ports.ledger.due(home, before, limit).await? {
                if let Some(found) = self.report.consumers.get_mut(&key.consumer) {
                    found.overdue += 1;
                    self.wake(key).await;
                }
            }
        }
        Ok(())
    }

    /// Timers whose time has come: those that were set for longer than a hint can wait, and those whose hint was lost.
    async fn timers(&mut self) -> Result<(), Unavailable> {
        if is_on("46 nobody looks at timers") {
            return Ok(());
        }
        let now = self.ports.host.now();
        for timer in self.timers_that_may_fire(now).await? {
            let found = self.report.consumers.entry(timer.consumer.clone()).or_default();
            let late = u64::from(timer.due < now.minus(OVERDUE));
            found.overdue += late;
            found.late_timers += late;
            let wake = Wake::timer(timer.saga, timer.firing.name, timer.firing.nonce);
            match self.ports.wakes.wake(&timer.consumer, &wake).await {
                Ok(()) => found.woken += 1,
                Err(error) => self.report.troubles.push((timer.consumer, error)),
            }
        }
        Ok(())
    }

    /// Timers of tenants that are stopped wait, and hide no others.
    async fn timers_that_may_fire(&self, now: Timestamp) -> Result<Vec<DueTimer>, Unavailable> {
        let most = usize::try_from(self.options.wakes).unwrap_or(usize::MAX);
        let mut limit = most;
        loop {
            let mut timers = self.ports.ledger.timers(now, limit).await?;
            let all = timers.len() < limit;
            timers.retain(|timer| !self.holds.get(&timer.consumer).is_some_and(|of| of.has(&timer.saga.tenant)));
            if all || timers.len() >= most || self.ports.host.remaining() < MARGIN {
                timers.truncate(most);
                return Ok(timers);
            }
            limit = limit.saturating_mul(4);
        }
    }

    /// What was committed since the last window, and a good while before its end.
    async fn window(&mut self, state: &mut AuditState) -> Result<(), Unavailable> {
        let end = self.ports.host.now().minus(self.options.grace);
        if state.audited_until == Timestamp::default() {
            // Whatever is older is found by the sweep.
            state.audited_until = end;
        }
        let since = state.audited_until.minus(self.options.overlap);
        let until = end.min(state.audited_until.plus(self.options.window));
        if since >= until {
            return Ok(());
        }
        let mut after: Option<String> = None;
        loop {
            let (rows, more) = self.ports.ledger.committed(since, until, after.as_deref()).await?;
            self.compare(&rows).await?;
            if more.is_none() {
                state.audited_until = until.max(state.audited_until);
                return Ok(());
            }
            if self.ports.host.remaining() < MARGIN {
                return Ok(()); // the next tick begins this window again
            }
            after = more;
        }
    }

    async fn sweep(&mut self, state: &mut AuditState) -> Result<(), Unavailable> {
        for _ in 0..self.options.sweep_pages {
            if self.ports.host.remaining() < MARGIN {
                break;
            }
            let (rows, more) = self.ports.ledger.sweep(state.sweep.as_deref()).await?;
            self.compare(&rows).await?;
            if let Some((metered, first)) = state.metered.as_mut().zip(rows.iter().map(|row| row.event_id.at()).min()) {
                metered.note(Hour::of(first));
            }
            state.sweep = more;
            if state.sweep.is_none() {
                state.swept = Some(self.ports.host.now());
                break;
            }
        }
        Ok(())
    }

    async fn compare(&mut self, rows: &[IndexRow]) -> Result<(), Unavailable> {
        self.report.pages += 1;
        let now = self.ports.host.now();
        for (consumer, patience) in self.patience.clone() {
            let handled = |row: &&IndexRow| {
                let at = row.event_id.at();
                at <= now.minus(patience) && consumer.handles(&row.event_type, at)
            };
            let rows: Vec<&IndexRow> = rows.iter().filter(handled).collect();
            let behind = self.behind(&consumer, &rows, Consistency::Eventual).await?;
            // An old read may say so too early; only a strong one is believed.
            let behind: Vec<&IndexRow> = behind.into_iter().map(|(row, _)| row).collect();
            let behind = self.behind(&consumer, &behind, Consistency::Strong).await?;
            let holds = self.holds.get(&consumer.name).cloned().unwrap_or_default();
            let found = self.report.consumers.entry(consumer.name.clone()).or_default();
            found.compared += rows.len() as u64;
            let mut asleep = BTreeSet::new();
            for (row, marked) in behind {
                let waits = holds.tenants.contains_key(&row.aggregate.tenant);
                if self.missing.insert((consumer.name.clone(), row.event_id)) {
                    *(if waits { &mut found.held } else { &mut found.unaccounted }) += 1;
                }
                // A marked row is woken when its tenant goes on; of one that is not, the consumer makes one.
                if !(waits && marked) {
                    asleep.insert(&row.aggregate);
                }
            }
            for aggregate in asleep {
                self.wake(CursorKey { aggregate: aggregate.clone(), consumer: consumer.name.clone() }).await;
            }
        }
        Ok(())
    }

    /// The rows that a consumer has neither applied nor on record as tried or parked; and of each, whether it is marked as
    /// held.
    async fn behind<'r>(
        &self,
        consumer: &Registered,
        rows: &[&'r IndexRow],
        consistency: Consistency,
    ) -> Result<Vec<(&'r IndexRow, bool)>, Unavailable> {
        let aggregates: BTreeSet<&AggregateKey> = rows.iter().map(|row| &row.aggregate).collect();
        let keys: Vec<CursorKey> = aggregates
            .into_iter()
            .map(|aggregate| CursorKey { aggregate: aggregate.clone(), consumer: consumer.name.clone() })
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let positions = self.ports.store.positions(consumer.home, &keys, consistency).await?;
        let at: BTreeMap<&AggregateKey, Option<Position>> =
            keys.iter().map(|key| &key.aggregate).zip(positions).collect();
        let behind = |row: &&'r IndexRow| match at.get(&row.aggregate).and_then(Option::as_ref) {
            None => Some((*row, false)),
            // One that is tried or parked is in the due index: a wake or a ticket is on its way, or is sent again when it is
            // overdue.
            Some(Position { cursor, .. }) => {
                let marked = cursor.status == Status::Held;
                let left = cursor.status == Status::Ready || marked && !is_on("a resume forgets what is marked");
                (left && !consumer.has_passed(cursor, &row.event_type, row.seq)).then_some((*row, marked))
            }
        };
        Ok(rows.iter().filter_map(behind).collect())
    }

    async fn wake(&mut self, key: CursorKey) {
        let found = self.report.consumers.entry(key.consumer.clone()).or_default();
        if found.woken >= self.options.wakes || !self.woken.insert(key.clone()) {
            return;
        }
        match self.ports.wakes.wake(&key.consumer, &Wake::advance(key.aggregate)).await {
            Ok(()) => found.woken += 1,
            Err(error) => self.report.troubles.push((key.consumer, error)),
        }
    }
}

#[cfg(test)]
mod properties;
