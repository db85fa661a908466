//! A journal of one aggregate that is made while it is read: a store may be as long as one likes and takes no memory.
//! Must not know: who reads it.

use std::future::ready;

use futures_util::FutureExt;
use towpath::commit::Commit;
use towpath::ports::{
    Answer, CommitError, Consistency, CursorHome, CursorKey, Head, JournalRow, KeptAnswer, Position, Store, Stored,
    Unavailable,
};
use towpath::{
    AggregateKey, Builds, ConsumerName, EventId, Holds, IdempotencyKey, Kind, Prior, Seq, Skipped, TenantId, Timestamp,
    Visibility,
};
use towpath_sim::World;

use crate::shop::{Said, envelope};

/// When the first event happened, in milliseconds since 1970.
const FIRST: u64 = 1_795_000_000_000;

/// The journal, and tables in memory for everything else.
pub(crate) struct Generated {
    /// How many events there are.
    pub(crate) events: u64,
    /// The rest.
    pub(crate) tables: World,
}

/// Event number `seq`, the same each time; each follows one of its type.
pub(crate) fn row(tenant: &str, seq: u64) -> anyhow::Result<JournalRow> {
    let mut prior = Prior::default();
    let envelope = envelope(tenant, &Said::<2>, seq, prior.clone())?;
    if seq > 1 {
        prior.note(envelope.event_type.clone(), Seq(seq - 1));
    }
    let event_id = EventId::new(Timestamp::from_millis(FIRST + seq), 0);
    let envelope = towpath::Envelope { prior, event_id, ..envelope };
    Ok(JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Private, to: None })
}

impl Store for Generated {
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        self.tables.positions(home, keys, consistency)
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        self.tables.entity(key)
    }

    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        self.tables.head(key)
    }

    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        let seqs = after.0 + 1..=through.0.min(self.events);
        let rows = seqs.take(limit).map(|seq| row(key.tenant.as_str(), seq)).collect::<anyhow::Result<_>>();
        let unavailable = |error: anyhow::Error| Unavailable { call: "a generated journal", why: error.to_string() };
        ready(rows.map_err(unavailable)).boxed_local()
    }

    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        self.tables.skipped(key)
    }

    fn builds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Builds> {
        self.tables.builds(consumer, consistency)
    }

    fn holds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Holds> {
        self.tables.holds(consumer, consistency)
    }

    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>> {
        self.tables.view(tenant, view, partition)
    }

    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        self.tables.kept_answer(tenant, key)
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError> {
        self.tables.commit(commit)
    }
}
