//! The rows as DynamoDB holds them: every attribute name of the four tables stands here and nowhere else.
//! Must not know: expressions, clients.

mod bucket;
mod cursor;
mod order;
#[cfg(test)]
mod properties;
mod registry;
mod snapshot;
mod usage;
mod watch;

use serde::{Deserialize, Serialize};
use towpath::ports::{Head, IndexRow, JournalRow, KeptAnswer, Stored};
use towpath::{
    AggregateKey, CausationId, ConsumerName, CorrelationId, Data, Envelope, Era, EventId, EventType, FORMAT, Kind,
    Older, Place, Prior, Producer, SagaRow, Seq, TenantId, Timestamp, Traceparent, Visibility, Weight,
};

pub(crate) use bucket::{BucketItem, bucket_key};
pub(crate) use cursor::{
    BY_DUE, CursorItem, DUE_SHARDS, DueItem, Signature, SkipItem, cursor_key, held_shard, skip_key, skips_of,
};
pub(crate) use order::{OrderItem, order_key, orders_of};
pub(crate) use registry::{
    AuditItem, BuildsItem, HOLDS, HoldsItem, REGISTRY, RegistryItem, audit_key, builds_key, holds_key,
};
pub(crate) use snapshot::{SnapshotItem, snapshot_key};
pub(crate) use usage::{UsageItem, usage_key, usage_of};
pub(crate) use watch::{WATCHES, WatchItem, watch_key};

/// Partitions of one hour of the time index. It may grow, never shrink: readers look at all of them.
pub(crate) const INDEX_SHARDS: u64 = 4;
const _: () = assert!(INDEX_SHARDS >= 4, "rows lie in 4 partitions of each hour: a reader of fewer would not see them");
/// The time index of the outbox.
pub(crate) const BY_TIME: &str = "by_time";
const SECONDS_A_DAY: u64 = 86_400;

/// A row that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the row cannot be read: {0}")]
pub(crate) struct UnreadableRow(pub(crate) String);

/// A journal row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutboxItem {
    aggregate: String,
    seq: Seq,
    format: u16,
    kind: Kind,
    visibility: Visibility,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<ConsumerName>,
    pub(crate) event_id: EventId,
    event_type: EventType,
    event_version: u32,
    prior: Prior,
    era: Era,
    occurred_at: Timestamp,
    correlation_id: CorrelationId,
    causation_id: CausationId,
    producer: Producer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Traceparent>,
    hops: u8,
    data: String,
    /// Earlier versions of the data, by version, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    older: Option<String>,
    bucket: String,
    /// As it travels: what usage counts. Rows from before it was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

impl OutboxItem {
    pub(crate) fn new(row: &JournalRow, retention_days: u32) -> Self {
        let envelope = &row.envelope;
        let aggregate = envelope.aggregate().to_string();
        let expires_at = (retention_days > 0)
            .then(|| envelope.occurred_at.as_millis() / 1_000 + u64::from(retention_days) * SECONDS_A_DAY);
        Self {
            bucket: bucket(envelope.occurred_at, shard_of(&aggregate)),
            aggregate,
            seq: envelope.seq,
            format: envelope.format,
            kind: row.kind,
            visibility: row.visibility,
            to: row.to.clone(),
            event_id: envelope.event_id,
            event_type: envelope.event_type.clone(),
            event_version: envelope.event_version,
            prior: envelope.prior.clone(),
            era: envelope.era,
            occurred_at: envelope.occurred_at,
            correlation_id: envelope.correlation_id.clone(),
            causation_id: envelope.causation_id.clone(),
            producer: envelope.producer.clone(),
            traceparent: envelope.traceparent.clone(),
            hops: envelope.hops,
            data: envelope.data.as_str().to_owned(),
            older: (!envelope.older.is_empty())
                .then(|| serde_json::to_string(&envelope.older).expect("numbers and JSON texts are JSON")),
            bytes: Some(envelope.to_body().len() as u64),
            expires_at,
        }
    }

    pub(crate) fn into_row(self) -> Result<JournalRow, UnreadableRow> {
        check_format(self.format)?;
        let key: AggregateKey = self.aggregate.parse().map_err(unreadable)?;
        let data = Data::parse(self.data).map_err(|_| UnreadableRow("its data is not JSON".into()))?;
        let older = self.older.map_or(Ok(Older::default()), |older| serde_json::from_str(&older));
        let older = older.map_err(|_| UnreadableRow("its earlier versions are not JSON".into()))?;
        let envelope = Envelope {
            format: self.format,
            event_id: self.event_id,
            event_type: self.event_type,
            event_version: self.event_version,
            tenant_id: key.tenant,
            aggregate_type: key.kind,
            aggregate_id: key.id,
            seq: self.seq,
            prior: self.prior,
            era: self.era,
            occurred_at: self.occurred_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            producer: self.producer,
            traceparent: self.traceparent,
            hops: self.hops,
            data,
            older,
        };
        Ok(JournalRow { envelope, kind: self.kind, visibility: self.visibility, to: self.to })
    }

    pub(crate) fn into_head(self) -> Result<Head, UnreadableRow> {
        check_format(self.format)?;
        let mut prior = self.prior;
        prior.note(self.event_type, self.seq);
        Ok(Head { seq: self.seq, prior, era: self.era, occurred_at: self.occurred_at })
    }
}

/// What the time index shows of a journal row.
#[derive(Debug, Deserialize)]
pub(crate) struct IndexItem {
    aggregate: String,
    seq: Seq,
    event_id: EventId,
    event_type: EventType,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    bytes: Option<u64>,
}

impl IndexItem {
    pub(crate) fn into_row(self) -> Result<IndexRow, UnreadableRow> {
        let aggregate = self.aggregate.parse().map_err(unreadable)?;
        let weight = self.kind.zip(self.bytes).map(|(kind, bytes)| Weight { kind, bytes });
        Ok(IndexRow { aggregate, seq: self.seq, event_id: self.event_id, event_type: self.event_type, weight })
    }
}

/// An entity, or the tombstone of one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntityItem {
    aggregate: String,
    format: u16,
    version: Seq,
    prior: Prior,
    era: Era,
    occurred_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// A saga's stage and timers, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saga: Option<String>,
    /// When the next timer comes, in milliseconds since 1970. Only sagas that wait have it and the shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<String>,
}

/// A saga that waits, as the index of due rows shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct SagaItem {
    aggregate: String,
    saga: String,
}

impl SagaItem {
    pub(crate) fn into_saga(self) -> Result<(AggregateKey, SagaRow), UnreadableRow> {
        let row = serde_json::from_str(&self.saga).map_err(|_| UnreadableRow("its timers are not JSON".into()))?;
        Ok((self.aggregate.parse().map_err(unreadable)?, row))
    }
}

impl EntityItem {
    pub(crate) fn new(key: &AggregateKey, stored: &Stored) -> Self {
        let due = stored.saga.as_ref().and_then(SagaRow::due);
        Self {
            aggregate: key.to_string(),
            format: FORMAT,
            version: stored.head.seq,
            prior: stored.head.prior.clone(),
            era: stored.head.era,
            occurred_at: stored.head.occurred_at,
            state: stored.state.clone(),
            saga: stored.saga.as_ref().map(|saga| serde_json::to_string(saga).expect("its keys are strings")),
            due: due.map(Timestamp::as_millis),
            due_shard: due.map(|_| (hash(&key.to_string()) % DUE_SHARDS).to_string()),
        }
    }

    pub(crate) fn into_stored(self) -> Result<Stored, UnreadableRow> {
        check_format(self.format)?;
        let head = Head { seq: self.version, prior: self.prior, era: self.era, occurred_at: self.occurred_at };
        let saga = self.saga.as_deref().map(serde_json::from_str).transpose();
        let saga = saga.map_err(|_| UnreadableRow("its timers are not JSON".into()))?;
        Ok(Stored { head, state: self.state, saga })
    }
}

/// A row of a read model that has no cursor in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ViewItem {
    pub(crate) format: u16,
    pub(crate) state: String,
}

/// The kept answer of a command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerItem {
    format: u16,
    body_hash: String,
    status: u16,
    answer: String,
}

impl AnswerItem {
    pub(crate) fn new(answer: &KeptAnswer) -> Self {
        Self {
            format: FORMAT,
            body_hash: answer.request_hash.clone(),
            status: answer.code,
            answer: answer.body.clone(),
        }
    }

    pub(crate) fn into_answer(self) -> Result<KeptAnswer, UnreadableRow> {
        check_format(self.format)?;
        Ok(KeptAnswer { request_hash: self.body_hash, code: self.status, body: self.answer })
    }
}

/// The names and values of a row's two key attributes, in the table where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    pub(crate) partition: (&'static str, String),
    pub(crate) sort: (&'static str, String),
}

/// Where a read model's row lies. `~` is in no id, so it cannot be taken for an aggregate.
pub(crate) fn view_key(tenant: &TenantId, place: &Place) -> RowKey {
    let partition = view_partition(tenant, &place.view, &place.partition);
    RowKey { partition: ("view", partition), sort: ("row", place.sort.clone()) }
}

pub(crate) fn view_partition(tenant: &TenantId, view: &str, partition: &str) -> String {
    format!("{tenant}#~{view}#{partition}")
}

/// Where the kept answer of a command lies.
pub(crate) fn answer_key(tenant: &TenantId, key: &towpath::IdempotencyKey) -> RowKey {
    RowKey { partition: ("pk", format!("{tenant}#~command#{key}")), sort: ("sk", "answer".to_owned()) }
}

/// The partition of the time index for an hour and a shard.
pub(crate) fn bucket(at: Timestamp, shard: u64) -> String {
    format!("{}#{shard}", at.hour())
}

fn shard_of(aggregate: &str) -> u64 {
    hash(aggregate) % INDEX_SHARDS
}

/// The same for ever: rows lie where it says.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn check_format(format: u16) -> Result<(), UnreadableRow> {
    if format == FORMAT {
        return Ok(());
    }
    Err(UnreadableRow(format!("it has format {format}, this version reads format {FORMAT}: deploy the newer version")))
}

fn unreadable(error: impl std::fmt::Display) -> UnreadableRow {
    UnreadableRow(error.to_string())
}
