//! The tables as DynamoDB shows them: strongly, a moment late, and through indexes that lag.
//! Must not know: who reads, what the rows are for.

use std::collections::BTreeMap;
use std::ops::Bound;

use towpath::planted::is_on;
use towpath::ports::{
    AuditState, CommitError, CursorHome, CursorKey, IndexRow, JournalRow, KeptAnswer, Position, Write,
};
use towpath::{AggregateKey, Builds, ConsumerName, EventId, Holds, Rev, Seq, Status, TenantId, Timestamp, Weight};

use crate::Tables;
use crate::dice::Millis;

/// How long an eventually consistent read may miss a write.
pub(crate) const STALE: Millis = 3_000;
/// How long DynamoDB remembers a client token (1).
const CLIENT_TOKEN: Millis = 10 * 60_000;

/// The tables, with what a late look at them shows.
#[derive(Debug, Default)]
pub(crate) struct DynamoDb {
    pub(crate) tables: Tables,
    /// What each cursor was before its last write, and when that was.
    before: BTreeMap<CursorKey, (Option<Position>, Millis)>,
    /// What the builds of each projection were before their last change, and when that was.
    builds_before: BTreeMap<ConsumerName, (Builds, Millis)>,
    /// The same of whom each consumer holds.
    holds_before: BTreeMap<ConsumerName, (Holds, Millis)>,
    /// Since when tenants are stopped.
    held_since: BTreeMap<(ConsumerName, TenantId), Millis>,
    /// The time index, and from when on it shows a row.
    index: BTreeMap<EventId, (Millis, IndexRow)>,
    audit: AuditState,
    /// When each answer of a command was kept.
    answered: BTreeMap<(TenantId, String), Millis>,
}

impl DynamoDb {
    /// Writes all or nothing; the time index shows new rows after `lag`.
    pub(crate) fn commit(&mut self, writes: &[Write], now: Millis, lag: Millis) -> Result<(), CommitError> {
        let old: Vec<(CursorKey, Option<Position>)> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Cursor { home, key, .. } => Some((key.clone(), self.tables.home(*home).get(key).cloned())),
                _ => None,
            })
            .collect();
        self.forget_answers(now);
        self.tables.commit(writes)?;
        self.before.extend(old.into_iter().map(|(key, position)| (key, (position, now))));
        for write in writes {
            if let Write::Answer { tenant, key, .. } = write {
                self.answered.insert((tenant.clone(), key.to_string()), now);
            }
            if let Write::Append(row) = write {
                let of = &row.envelope;
                let row = IndexRow {
                    aggregate: of.aggregate(),
                    seq: of.seq,
                    event_id: of.event_id,
                    event_type: of.event_type.clone(),
                    weight: Some(Weight { kind: row.kind, bytes: of.to_body().len() as u64 }),
                };
                self.index.insert(of.event_id, (now + lag, row));
            }
        }
        Ok(())
    }

    /// A cursor; a late look may miss a write of the last `age`.
    pub(crate) fn position(&self, home: CursorHome, key: &CursorKey, age: Millis, now: Millis) -> Option<Position> {
        match self.before.get(key) {
            Some((before, written)) if now < written + age => before.clone(),
            _ => self.tables.home(home).get(key).cloned(),
        }
    }

    /// The builds of a projection; a late look may miss a change of the last `age`.
    pub(crate) fn builds(&self, of: &ConsumerName, age: Millis, now: Millis) -> Builds {
        match self.builds_before.get(of) {
            Some((before, written)) if now < written + age => *before,
            _ => self.tables.builds.get(of).copied().unwrap_or_default(),
        }
    }

    /// Changes them, if they are what was read.
    pub(crate) fn keep_builds(
        &mut self,
        of: &ConsumerName,
        to: Builds,
        expect: Rev,
        now: Millis,
    ) -> Result<(), CommitError> {
        let there = self.tables.builds.get(of).copied().unwrap_or_default();
        if there.rev != expect {
            return Err(CommitError::Refused(vec![0]));
        }
        self.builds_before.insert(of.clone(), (there, now));
        self.tables.builds.insert(of.clone(), to);
        Ok(())
    }

    /// Whom a consumer holds, as an instance remembers it that has looked so long ago.
    pub(crate) fn holds(&self, of: &ConsumerName, age: Millis, now: Millis) -> Holds {
        match self.holds_before.get(of) {
            Some((before, written)) if now < written + age => before.clone(),
            _ => self.tables.holds.get(of).cloned().unwrap_or_default(),
        }
    }

    /// Changes that, if it is what was read.
    pub(crate) fn keep_holds(
        &mut self,
        of: &ConsumerName,
        to: &Holds,
        expect: Rev,
        now: Millis,
    ) -> Result<(), CommitError> {
        let there = self.tables.holds.get(of).cloned().unwrap_or_default();
        self.tables.keep_holds(of, to, expect)?;
        self.holds_before.insert(of.clone(), (there, now));
        for tenant in to.tenants.keys() {
            let key = (of.clone(), tenant.clone());
            if to.has(tenant) {
                self.held_since.entry(key).or_insert(now);
            } else {
                self.held_since.remove(&key);
            }
        }
        Ok(())
    }

    /// Since when this tenant is stopped, if it is.
    pub(crate) fn held_since(&self, of: &ConsumerName, tenant: &TenantId) -> Option<Millis> {
        self.held_since.get(&(of.clone(), tenant.clone())).copied()
    }

    /// The kept answer of a command.
    pub(crate) fn kept_answer(&mut self, at: &(TenantId, String), now: Millis) -> Option<KeptAnswer> {
        self.forget_answers(now);
        self.tables.answers.get(at).cloned()
    }

    /// Kept answers are never forgotten, unlike a client token of DynamoDB (1).
    fn forget_answers(&mut self, now: Millis) {
        if is_on("20 a command is known for ten minutes") {
            let answered = &self.answered;
            self.tables.answers.retain(|at, _| answered.get(at).is_some_and(|kept| now < kept + CLIENT_TOKEN));
        }
    }

    /// A page of the time index.
    pub(crate) fn committed(
        &self,
        (since, until): (Timestamp, Timestamp),
        after: Option<&str>,
        page: usize,
        now: Millis,
    ) -> (Vec<IndexRow>, Option<String>) {
        let after = after.and_then(|after| EventId::parse(after).ok());
        let inside = |id: EventId| (since..until).contains(&id.at()) && after.is_none_or(|after| id > after);
        let shown = self.index.iter().filter(|(id, (from, _))| inside(**id) && *from <= now);
        paged(shown.map(|(_, (_, row))| row.clone()).take(page + 1).collect(), page, |row| row.event_id.to_string())
    }

    /// A page of the whole journal.
    pub(crate) fn sweep(&self, after: Option<&str>, page: usize) -> (Vec<IndexRow>, Option<String>) {
        let start = after
            .and_then(|after| after.rsplit_once('@'))
            .and_then(|(key, seq)| Some(Bound::Excluded((key.parse::<AggregateKey>().ok()?, Seq(seq.parse().ok()?)))));
        let row = |((aggregate, seq), row): (&(AggregateKey, Seq), &JournalRow)| IndexRow {
            aggregate: aggregate.clone(),
            seq: *seq,
            event_id: row.envelope.event_id,
            event_type: row.envelope.event_type.clone(),
            weight: None,
        };
        let rows = self.tables.outbox.range((start.unwrap_or(Bound::Unbounded), Bound::Unbounded));
        paged(rows.map(row).take(page + 1).collect(), page, |row| format!("{}@{}", row.aggregate, row.seq))
    }

    /// Cursors in the due index whose time has come, the longest overdue first.
    pub(crate) fn due(
        &self,
        home: CursorHome,
        before: Timestamp,
        limit: usize,
        age: Millis,
        now: Millis,
    ) -> Vec<CursorKey> {
        let mut due: Vec<(Timestamp, CursorKey)> = self
            .tables
            .home(home)
            .keys()
            .filter_map(|key| {
                let cursor = self.position(home, key, age, now)?.cursor;
                let trouble = cursor.trouble.filter(|_| !matches!(cursor.status, Status::Ready | Status::Held))?;
                (trouble.due < before).then(|| (trouble.due, key.clone()))
            })
            .collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, key)| key).collect()
    }

    pub(crate) fn audit_state(&self) -> AuditState {
        self.audit.clone()
    }

    pub(crate) fn keep_audit_state(&mut self, state: &AuditState, expect: Rev) -> Result<(), CommitError> {
        if self.audit.rev != expect {
            return Err(CommitError::Refused(vec![0]));
        }
        self.audit = state.clone();
        Ok(())
    }
}

/// At most `page` rows, and the place of the last one if there are more.
fn paged(mut rows: Vec<IndexRow>, page: usize, place: impl Fn(&IndexRow) -> String) -> (Vec<IndexRow>, Option<String>) {
    let more = rows.len() > page;
    rows.truncate(page);
    let next = rows.last().filter(|_| more).map(place);
    (rows, next)
}
