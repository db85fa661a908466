//! The world's topic and its auditor: what brings a row of the journal to a consumer, each call of it to be broken.
//! Must not know: what the consumer does with it.

use std::time::Duration;

use towpath::audit::{AuditOptions, AuditPorts, tick};
use towpath::batch::Message;
use towpath::ports::{
    Answer, AuditState, CommitError, CursorHome, CursorKey, DueTimer, IndexRow, JournalRow, Ledger, Publication,
    Publisher, Registered,
};
use towpath::relay::relay;
use towpath::{AllHolds, Consumer, ConsumerName, Holds, Kind, Lanes, Rev, Status, TenantId, Timestamp};

use crate::{Tables, World};

/// A subscription of one consumer.
struct Topic<'w> {
    world: &'w World,
    consumer: &'w Consumer,
}

/// The journal's index, and a registry of one consumer.
struct Index<'w> {
    world: &'w World,
    registered: Registered,
}

impl World {
    /// Relays every row of the journal, as the stream offers them after a crash: all once more. `true` when all are through.
    pub async fn relay(&self, consumer: &Consumer) -> bool {
        let rows: Vec<JournalRow> = self.tables().outbox.into_values().collect();
        relay(&Topic { world: self, consumer }, self, &Lanes::all(1), rows).await.failed.is_empty()
    }

    /// Changes whom a consumer holds, as an operator does.
    pub async fn keep(&self, of: &ConsumerName, to: Holds) -> Result<(), CommitError> {
        let (of, expect) = (of.clone(), self.tables().holds.get(of).map_or(Rev::ZERO, |holds| holds.rev));
        self.call(move |tables| tables.keep_holds(&of, &to, expect), CommitError::Unavailable).await
    }

    /// One tick of an auditor who is not patient, an hour later. `true` when it got through.
    pub async fn audit(&self, consumer: &Consumer) -> bool {
        self.pass(Duration::from_secs(3_600));
        let index = Index { world: self, registered: consumer.registration() };
        let options =
            AuditOptions { grace: Duration::ZERO, grace_behind_backlog: Duration::ZERO, ..AuditOptions::default() };
        let ports = AuditPorts { ledger: &index, store: self, wakes: self, host: self, meters: Some(self) };
        tick(ports, options).await.is_ok_and(|report| report.troubles.is_empty())
    }
}

impl Publisher for Topic<'_> {
    fn publish<'a>(&'a self, _: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>> {
        let batch: Vec<(Publication, bool)> =
            batch.iter().map(|message| (message.clone(), self.consumer.handles(&message.event_type))).collect();
        let send = move |tables: &mut Tables| {
            for (message, wanted) in &batch {
                if tables.published.insert(message.event_id) && *wanted {
                    let (id, group) = (message.event_id.to_string(), message.group.clone());
                    tables.messages.push(Message { id, group, receives: 0, body: message.body.clone() });
                }
            }
            Ok(vec![Ok(()); batch.len()])
        };
        self.world.call(send, |error| error)
    }
}

impl Ledger for Index<'_> {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        let registered = self.registered.clone();
        self.world.read(move |_| vec![registered.clone()])
    }

    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        _: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        let inside = move |row: &&JournalRow| (since..until).contains(&row.envelope.occurred_at);
        self.world.read(move |tables| (tables.outbox.values().filter(inside).map(indexed).collect(), None))
    }

    fn sweep<'a>(&'a self, _: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.world.read(|tables| (tables.outbox.values().map(indexed).collect(), None))
    }

    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>> {
        self.world.read(move |tables| {
            let due = tables.home(home).iter().filter(|(_, position)| {
                let cursor = &position.cursor;
                !matches!(cursor.status, Status::Ready | Status::Held)
                    && cursor.trouble.as_ref().is_some_and(|trouble| trouble.due < before)
            });
            due.map(|(key, _)| key.clone()).take(limit).collect()
        })
    }

    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>> {
        self.world.read(move |tables| tables.timers(before, limit))
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        self.world.read(|tables| tables.holds.clone())
    }

    fn keep_holds<'a>(&'a self, of: &'a ConsumerName, to: &'a Holds, expect: Rev) -> Answer<'a, (), CommitError> {
        let (of, to) = (of.clone(), to.clone());
        self.world.call(move |tables| tables.keep_holds(&of, &to, expect), CommitError::Unavailable)
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>> {
        let (of, tenant) = (of.clone(), tenant.clone());
        self.world.read(move |tables| tables.held(home, &of, &tenant, limit))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        self.world.read(|tables| tables.audit.clone())
    }

    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, expect: Rev) -> Answer<'a, (), CommitError> {
        let state = state.clone();
        let keep = move |tables: &mut Tables| {
            if tables.audit.rev != expect {
                return Err(CommitError::Refused(vec![0]));
            }
            tables.audit = state.clone();
            Ok(())
        };
        self.world.call(keep, CommitError::Unavailable)
    }
}

fn indexed(row: &JournalRow) -> IndexRow {
    let of = &row.envelope;
    let (aggregate, event_type) = (of.aggregate(), of.event_type.clone());
    IndexRow { aggregate, seq: of.seq, event_id: of.event_id, event_type, weight: None }
}
