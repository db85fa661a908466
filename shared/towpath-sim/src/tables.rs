//! The tables as values: conditional writes, all or nothing, with the semantics of DynamoDB's transactions.
//! Must not know: faults, time.

use std::collections::{BTreeMap, BTreeSet};

use towpath::batch::Message;
use towpath::planted::is_on;
use towpath::ports::{
    AuditState, CommitError, CursorHome, CursorKey, DueTimer, Head, JournalRow, KeptAnswer, Position, Snapshot, Stored,
    Write,
};
use towpath::{
    AggregateKey, AllHolds, Bucket, Builds, ConsumerName, EventId, Holds, Hour, Place, Rev, Seq, Skipped, Status,
    TenantId, Ticket, Timestamp, Usage, Wake, limits,
};

/// What the four tables hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    /// The journal.
    pub outbox: BTreeMap<(AggregateKey, Seq), JournalRow>,
    /// State of state-stored aggregates.
    pub entities: BTreeMap<AggregateKey, Stored>,
    /// Cursors with a row of their own.
    pub progress: BTreeMap<CursorKey, Position>,
    /// Cursors in the rows of projections.
    pub summaries: BTreeMap<CursorKey, Position>,
    /// Rows of other read models.
    pub views: BTreeMap<(TenantId, Place), String>,
    /// Events that operators passed over.
    pub skipped: BTreeMap<(CursorKey, Seq), Skipped>,
    /// Messages in the queue of the consumer under test, and how often each was delivered.
    pub messages: Vec<Message>,
    /// Wakes in the queues of consumers, and how often each was delivered.
    pub wakes: Vec<(ConsumerName, Wake, u32)>,
    /// Tickets in dead-letter queues.
    pub tickets: Vec<Ticket>,
    /// Ids of the events that have left over the integration bus.
    pub left: BTreeSet<String>,
    /// What the topic remembers.
    pub published: BTreeSet<EventId>,
    /// How far the auditor is.
    pub audit: AuditState,
    /// Every snapshot that was kept of an event-sourced aggregate, in order. The last one is the one that is there; the
    /// earlier ones are what a look may show that is old.
    pub snapshots: BTreeMap<AggregateKey, Vec<Snapshot>>,
    /// Which builds of each projection there are.
    pub builds: BTreeMap<ConsumerName, Builds>,
    /// Which tenants are stopped at each consumer.
    pub holds: AllHolds,
    /// What each tenant used in each hour, and how often that was written.
    pub usage: BTreeMap<(Hour, TenantId), (Usage, Rev)>,
    /// Buckets of tenants.
    pub buckets: BTreeMap<TenantId, Bucket>,
    /// Kept answers of commands, by tenant and key.
    pub answers: BTreeMap<(TenantId, String), KeptAnswer>,
}

impl Tables {
    /// Writes all or nothing: every condition is checked against the tables as they are, then everything is written.
    pub(crate) fn commit(&mut self, writes: &[Write]) -> Result<(), CommitError> {
        if let Some(problem) = invalid(writes) {
            return Err(CommitError::Invalid(problem));
        }
        let refused: Vec<usize> =
            writes.iter().enumerate().filter(|(_, write)| !self.holds(write)).map(|(index, _)| index).collect();
        if !refused.is_empty() {
            return Err(CommitError::Refused(refused));
        }
        writes.iter().for_each(|write| self.write(write));
        Ok(())
    }

    pub(crate) fn home(&self, home: CursorHome) -> &BTreeMap<CursorKey, Position> {
        match home {
            CursorHome::Progress => &self.progress,
            CursorHome::Views => &self.summaries,
        }
    }

    /// Timers of sagas whose time has come, the earliest first.
    pub(crate) fn timers(&self, before: Timestamp, limit: usize) -> Vec<DueTimer> {
        let sagas = self.entities.iter().filter_map(|(key, stored)| Some((key, stored.saga.as_ref()?)));
        let mut due: Vec<DueTimer> = sagas.flat_map(|(key, row)| DueTimer::of(key, row, before)).collect();
        due.sort_by_key(|timer| timer.due);
        due.truncate(limit);
        due
    }

    /// Rows that are marked as held.
    pub(crate) fn held(&self, home: CursorHome, of: &ConsumerName, tenant: &TenantId, limit: usize) -> Vec<CursorKey> {
        let theirs = |key: &CursorKey| key.consumer == *of && key.aggregate.tenant == *tenant;
        let rows = self.home(home).iter().filter(|(key, at)| theirs(key) && at.cursor.status == Status::Held);
        rows.map(|(key, _)| key.clone()).take(limit).collect()
    }

    /// Changes whom a consumer holds, if that is what was read.
    pub(crate) fn keep_holds(&mut self, of: &ConsumerName, to: &Holds, expect: Rev) -> Result<(), CommitError> {
        if self.holds.get(of).map_or(Rev::ZERO, |holds| holds.rev) != expect {
            return Err(CommitError::Refused(vec![0]));
        }
        self.holds.insert(of.clone(), to.clone());
        Ok(())
    }

    /// What is kept of an hour.
    pub(crate) fn usage_of(&self, hour: Hour) -> BTreeMap<TenantId, (Usage, Rev)> {
        let rows = self.usage.iter().filter(|((of, _), _)| *of == hour);
        rows.map(|((_, tenant), row)| (tenant.clone(), row.clone())).collect()
    }

    /// Keeps a tenant's usage, if it was written so often.
    pub(crate) fn keep_usage(
        &mut self,
        hour: Hour,
        tenant: &TenantId,
        usage: &Usage,
        expect: Rev,
    ) -> Result<(), CommitError> {
        let at = (hour, tenant.clone());
        if self.usage.get(&at).map_or(Rev::ZERO, |(_, rev)| *rev) != expect {
            return Err(CommitError::Refused(vec![0]));
        }
        self.usage.insert(at, (usage.clone(), expect.next()));
        Ok(())
    }

    /// Keeps a tenant's bucket, if it was written so often.
    pub(crate) fn keep_bucket(&mut self, tenant: &TenantId, bucket: &Bucket, expect: Rev) -> Result<(), CommitError> {
        let there = self.buckets.get(tenant).map_or(Rev::ZERO, |bucket| bucket.rev);
        if there != expect && !is_on("50 a bucket read, changed and written back") {
            return Err(CommitError::Refused(vec![0]));
        }
        self.buckets.insert(tenant.clone(), *bucket);
        Ok(())
    }

    /// The head of an aggregate, from its last row.
    pub(crate) fn head(&self, key: &AggregateKey) -> Option<Head> {
        let (_, row) = self.outbox.range((key.clone(), Seq::ZERO)..=(key.clone(), Seq(u64::MAX))).next_back()?;
        Some(Head::at(&row.envelope))
    }

    /// Rows of an aggregate after `after`, up to and with `through`.
    pub(crate) fn journal(&self, key: &AggregateKey, after: Seq, through: Seq) -> impl Iterator<Item = &JournalRow> {
        let rows = (after < through).then(|| self.outbox.range((key.clone(), after.next())..=(key.clone(), through)));
        rows.into_iter().flatten().map(|(_, row)| row)
    }

    /// Events of an aggregate that a consumer passed over on record.
    pub(crate) fn skipped_by(&self, key: &CursorKey) -> Vec<Skipped> {
        self.skipped.iter().filter(|((of, _), _)| of == key).map(|(_, skipped)| skipped.clone()).collect()
    }

    /// Keeps a snapshot, unless a later one is there.
    pub(crate) fn keep_snapshot(&mut self, key: &AggregateKey, snapshot: &Snapshot) {
        let kept = self.snapshots.entry(key.clone()).or_default();
        if kept.last().is_none_or(|there| there.seq <= snapshot.seq) {
            kept.push(snapshot.clone());
        }
    }

    /// The snapshot that is there.
    pub(crate) fn snapshot(&self, key: &AggregateKey) -> Option<Snapshot> {
        self.snapshots.get(key)?.last().cloned()
    }

    /// One partition of a read model, in the order of its sort keys.
    pub(crate) fn view(&self, tenant: &TenantId, view: &str, partition: &str) -> Vec<String> {
        let of = |place: &Place| place.view == view && place.partition == partition;
        let rows = self.views.iter().filter(|((owner, place), _)| owner == tenant && of(place));
        rows.map(|(_, state)| state.clone()).collect()
    }

    fn holds(&self, write: &Write) -> bool {
        match write {
            Write::Entity { key, expect, .. } | Write::CheckEntity { key, expect } => {
                self.entities.get(key).map(|stored| stored.head.seq) == *expect
            }
            Write::Append(row) => !self.outbox.contains_key(&(row.envelope.aggregate(), row.envelope.seq)),
            Write::CheckVacant { key, seq } => !self.outbox.contains_key(&(key.clone(), *seq)),
            Write::Skip { key, skipped } => !self.skipped.contains_key(&(key.clone(), skipped.seq)),
            Write::Cursor { home, key, position, .. } if is_on("56 condition on the cursor only") => {
                self.home(*home).get(key).is_none_or(|stored| stored.cursor.seq <= position.cursor.seq)
            }
            Write::Cursor { home, key, expect, .. } => {
                self.home(*home).get(key).map(|position| position.cursor.rev) == *expect
            }
            Write::Answer { tenant, key, .. } => !self.answers.contains_key(&(tenant.clone(), key.to_string())),
            Write::Put { .. } | Write::Remove { .. } => true,
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Entity { key, stored, .. } => {
                self.entities.insert(key.clone(), stored.clone());
            }
            Write::CheckEntity { .. } | Write::CheckVacant { .. } => {}
            Write::Append(row) => {
                self.outbox.insert((row.envelope.aggregate(), row.envelope.seq), row.clone());
            }
            Write::Skip { key, skipped } => {
                self.skipped.insert((key.clone(), skipped.seq), skipped.clone());
            }
            Write::Cursor { home, key, position, .. } => {
                let home = match home {
                    CursorHome::Progress => &mut self.progress,
                    CursorHome::Views => &mut self.summaries,
                };
                home.insert(key.clone(), position.clone());
            }
            Write::Put { tenant, place, state } => {
                self.views.insert((tenant.clone(), place.clone()), state.clone());
            }
            Write::Remove { tenant, place } => {
                self.views.remove(&(tenant.clone(), place.clone()));
            }
            Write::Answer { tenant, key, answer } => {
                self.answers.insert((tenant.clone(), key.to_string()), answer.clone());
            }
        }
    }
}

/// What DynamoDB never accepts: too many actions, or two on one item (1).
fn invalid(writes: &[Write]) -> Option<String> {
    let mut items = BTreeSet::new();
    let twice = writes.iter().map(item_of).find(|item| !items.insert(item.clone()));
    let many = (writes.len() > limits::TRANSACTION_ACTIONS).then(|| format!("{} actions", writes.len()));
    many.or_else(|| twice.map(|item| format!("two actions on {item}")))
}

fn item_of(write: &Write) -> String {
    match write {
        Write::Entity { key, .. } | Write::CheckEntity { key, .. } => format!("entity {key}"),
        Write::Append(row) => format!("row {} {}", row.envelope.aggregate(), row.envelope.seq),
        Write::CheckVacant { key, seq } => format!("row {key} {seq}"),
        Write::Cursor { key, .. } => format!("cursor {} {}", key.consumer, key.aggregate),
        Write::Skip { key, skipped } => format!("skip {} {} {}", key.consumer, key.aggregate, skipped.seq),
        Write::Put { tenant, place, .. } | Write::Remove { tenant, place } => format!("place {tenant} {place:?}"),
        Write::Answer { tenant, key, .. } => format!("answer {tenant} {key}"),
    }
}
