//! `AwsStore`: the core's `Store` port on DynamoDB. Reads are here, writes in `commit`.
//! Must not know: handlers, messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1::from_item;
use towpath::commit::Commit;
use towpath::limits;
use towpath::ports::{
    Answer, CommitError, Consistency, CursorHome, CursorKey, Head, JournalRow, KeptAnswer, Position, Snapshot, Store,
    Stored, Unavailable,
};
use towpath::{AggregateKey, Builds, ConsumerName, Holds, IdempotencyKey, Seq, Skipped, TenantId};

use crate::commit::{Condition, item as to_row};
use crate::config::Tables;
use crate::rows::{
    AnswerItem, BuildsItem, CursorItem, EntityItem, HoldsItem, OutboxItem, RowKey, SkipItem, SnapshotItem, ViewItem,
};
use crate::rows::{answer_key, builds_key, cursor_key, holds_key, skip_key, skips_of, snapshot_key, view_partition};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Times that unprocessed keys of a batch read are asked for again.
const BATCH_GET_ROUNDS: u32 = 4;

/// How old the builds may be that a reader goes by: so long may two processes show different builds after a swap. Both
/// show the same events, so nothing that rests on it can be wrong.
const BUILDS_AGE: Duration = Duration::from_secs(1);

/// How old the holds may be that a consumer goes by: so long after the order may it still begin with an event of a tenant
/// that was stopped. It keeps nothing back before it has read the row itself.
pub const HOLDS_AGE: Duration = Duration::from_secs(5);

/// The tables of a stack.
#[derive(Debug, Clone)]
pub struct AwsStore {
    pub(crate) dynamodb: Client,
    pub(crate) tables: Tables,
    pub(crate) outbox_retention_days: u32,
    builds: Lately<Builds>,
    holds: Lately<Holds>,
}

/// What a row of a consumer said when this process read it last, so that not every event needs a second read.
#[derive(Debug, Clone)]
struct Lately<T>(Arc<Mutex<HashMap<ConsumerName, (Instant, T)>>>);

impl<T: Clone> Lately<T> {
    fn known(&self, of: &ConsumerName, age: Duration) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(of).filter(|(at, _)| at.elapsed() < age).map(|(_, what)| what.clone())
    }

    fn learn(&self, of: &ConsumerName, what: T) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of.clone(), (Instant::now(), what.clone()));
        what
    }
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl AwsStore {
    /// A store over these tables; journal rows expire after `outbox_retention_days`, 0 for never.
    pub fn new(dynamodb: Client, tables: Tables, outbox_retention_days: u32) -> Self {
        Self { dynamodb, tables, outbox_retention_days, builds: Lately::default(), holds: Lately::default() }
    }

    /// Opens the connection before the first event comes: in init the CPU is not throttled.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        let nothing = RowKey { partition: ("pk", "~warm".to_owned()), sort: ("sk", "~warm".to_owned()) };
        self.get_progress(&nothing).await.map(|_| ())
    }

    pub(crate) async fn get_progress(&self, key: &RowKey) -> Result<Option<Item>, Unavailable> {
        let got = self
            .dynamodb
            .get_item()
            .table_name(&self.tables.progress)
            .set_key(Some(key_item(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(unavailable("GetItem of progress"))?;
        Ok(got.item)
    }

    pub(crate) fn home(&self, home: CursorHome) -> &str {
        match home {
            CursorHome::Progress => &self.tables.progress,
            CursorHome::Views => &self.tables.views,
        }
    }

    async fn read_positions(
        &self,
        home: CursorHome,
        keys: &[CursorKey],
        consistency: Consistency,
    ) -> Result<Vec<Option<Position>>, Unavailable> {
        let table = self.home(home);
        let rows: Vec<RowKey> = keys.iter().map(|key| cursor_key(home, key)).collect();
        let mut items = Vec::new();
        for chunk in rows.chunks(limits::BATCH_GET_KEYS) {
            items.extend(self.batch_get(chunk.iter().map(|key| (table, key)), consistency).await?);
        }
        in_order(&rows, items)
    }

    /// While the holds are known, one read of the cursors. Else the holds come with it, so that no batch makes two.
    async fn read_around(
        &self,
        consumer: &ConsumerName,
        home: CursorHome,
        keys: &[CursorKey],
    ) -> Result<(Vec<Option<Position>>, Holds), Unavailable> {
        let known = self.holds.known(consumer, HOLDS_AGE);
        if known.is_some() || keys.len() >= limits::BATCH_GET_KEYS {
            let positions = self.read_positions(home, keys, Consistency::Eventual).await?;
            let holds = match known {
                Some(known) => known,
                None => self.get_holds(consumer, Consistency::Eventual).await?,
            };
            return Ok((positions, holds));
        }
        let (table, along) = (self.home(home), holds_key(consumer));
        let rows: Vec<RowKey> = keys.iter().map(|key| cursor_key(home, key)).collect();
        let wanted = rows.iter().map(|key| (table, key)).chain([(self.tables.progress.as_str(), &along)]);
        let mut items = self.batch_get(wanted, Consistency::Eventual).await?;
        let held = items.iter().position(|item| is_at(item, &along)).map(|at| items.swap_remove(at));
        Ok((in_order(&rows, items)?, self.holds.learn(consumer, holds_of(held)?)))
    }

    /// Unprocessed keys are not absent rows: they are asked for again, and in the end it is an error.
    async fn batch_get<'a>(
        &self,
        rows: impl Iterator<Item = (&'a str, &'a RowKey)>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, Unavailable> {
        let mut keys: HashMap<&str, Vec<Item>> = HashMap::new();
        for (table, key) in rows {
            keys.entry(table).or_default().push(key_item(key));
        }
        let mut wanted = HashMap::new();
        for (table, keys) in keys {
            let of = KeysAndAttributes::builder().consistent_read(consistency == Consistency::Strong);
            let of = of.set_keys(Some(keys)).build();
            let of = of.map_err(|error| Unavailable { call: "BatchGetItem", why: error.to_string() })?;
            wanted.insert(table.to_owned(), of);
        }
        let mut items = Vec::new();
        for round in 0..BATCH_GET_ROUNDS {
            let got = self.dynamodb.batch_get_item().set_request_items(Some(wanted)).send().await;
            let got = got.map_err(unavailable("BatchGetItem"))?;
            items.extend(got.responses.into_iter().flat_map(HashMap::into_values).flatten());
            wanted = got.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(items);
            }
            tokio::time::sleep(Duration::from_millis(25 << round)).await;
        }
        Err(Unavailable { call: "BatchGetItem", why: "keys stayed unprocessed: the table is throttled".into() })
    }

    async fn query_journal(
        &self,
        key: &AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<JournalRow>, Unavailable> {
        if through <= after {
            return Ok(Vec::new()); // DynamoDB refuses a range that ends before it begins
        }
        let got = self
            .dynamodb
            .query()
            .table_name(&self.tables.outbox)
            .key_condition_expression("#aggregate = :aggregate AND #seq BETWEEN :first AND :last")
            .expression_attribute_names("#aggregate", "aggregate")
            .expression_attribute_names("#seq", "seq")
            .expression_attribute_values(":aggregate", AttributeValue::S(key.to_string()))
            .expression_attribute_values(":first", number(after.next().0))
            .expression_attribute_values(":last", number(through.0))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(unavailable("Query of the outbox"))?;
        let rows = got.items.unwrap_or_default().into_iter().map(|item| {
            let row: OutboxItem = decode(item, "a journal row")?;
            row.into_row().map_err(unreadable)
        });
        rows.collect()
    }

    async fn query_head(&self, key: &AggregateKey) -> Result<Option<Head>, Unavailable> {
        let got = self
            .dynamodb
            .query()
            .table_name(&self.tables.outbox)
            .key_condition_expression("#aggregate = :aggregate")
            .expression_attribute_names("#aggregate", "aggregate")
            .expression_attribute_values(":aggregate", AttributeValue::S(key.to_string()))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(1)
            .send()
            .await
            .map_err(unavailable("Query of the outbox"))?;
        let Some(item) = got.items.unwrap_or_default().pop() else { return Ok(None) };
        let row: OutboxItem = decode(item, "a journal row")?;
        row.into_head().map(Some).map_err(unreadable)
    }

    async fn query_skipped(&self, key: &CursorKey) -> Result<Vec<Skipped>, Unavailable> {
        let of = skip_key(key, Seq::ZERO);
        let mut pages = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :aggregate AND begins_with(#sk, :skips)")
            .expression_attribute_names("#pk", of.partition.0)
            .expression_attribute_names("#sk", of.sort.0)
            .expression_attribute_values(":aggregate", AttributeValue::S(of.partition.1))
            .expression_attribute_values(":skips", AttributeValue::S(skips_of(key)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut skipped = Vec::new();
        while let Some(item) = pages.next().await {
            let row: SkipItem = decode(item.map_err(unavailable("Query of skips"))?, "a skip")?;
            skipped.push(row.into_skipped().map_err(unreadable)?);
        }
        Ok(skipped)
    }

    async fn get_builds(&self, of: &ConsumerName, consistency: Consistency) -> Result<Builds, Unavailable> {
        if let Some(known) = self.builds.known(of, BUILDS_AGE).filter(|_| consistency == Consistency::Eventual) {
            return Ok(known);
        }
        let builds = match self.get_progress(&builds_key(of)).await? {
            Some(item) => {
                decode::<BuildsItem>(item, "the builds of a projection")?.into_builds().map_err(unreadable)?
            }
            None => Builds::default(),
        };
        Ok(self.builds.learn(of, builds))
    }

    async fn get_holds(&self, of: &ConsumerName, consistency: Consistency) -> Result<Holds, Unavailable> {
        if let Some(known) = self.holds.known(of, HOLDS_AGE).filter(|_| consistency == Consistency::Eventual) {
            return Ok(known);
        }
        let holds = holds_of(self.get_progress(&holds_key(of)).await?)?;
        Ok(self.holds.learn(of, holds))
    }

    async fn query_view(&self, tenant: &TenantId, view: &str, partition: &str) -> Result<Vec<String>, Unavailable> {
        let mut pages = self
            .dynamodb
            .query()
            .table_name(&self.tables.views)
            .key_condition_expression("#view = :view")
            .expression_attribute_names("#view", "view")
            .expression_attribute_values(":view", AttributeValue::S(view_partition(tenant, view, partition)))
            .into_paginator()
            .items()
            .send();
        let mut rows = Vec::new();
        while let Some(item) = pages.next().await {
            let row: ViewItem = decode(item.map_err(unavailable("Query of views"))?, "a row of a view")?;
            rows.push(row.state);
        }
        Ok(rows)
    }

    /// What cannot be read is as good as not there: the journal has it all.
    async fn get_snapshot(&self, key: &AggregateKey) -> Result<Option<Snapshot>, Unavailable> {
        let got = self
            .dynamodb
            .get_item()
            .table_name(&self.tables.entities)
            .key("aggregate", AttributeValue::S(snapshot_key(key)))
            .send()
            .await
            .map_err(unavailable("GetItem of entities"))?;
        let read = |item| decode::<SnapshotItem>(item, "a snapshot")?.into_snapshot().map_err(unreadable);
        Ok(got.item.and_then(|item| {
            read(item).inspect_err(|error| tracing::warn!(reason = %error, aggregate = %key, "a snapshot is left")).ok()
        }))
    }

    async fn put_snapshot(&self, key: &AggregateKey, snapshot: &Snapshot) {
        let on = Condition::not_newer(SnapshotItem::COUNTER, snapshot.seq.0);
        let put = async {
            let item = to_row(&SnapshotItem::new(key, snapshot))?;
            self.put(self.tables.entities.clone(), item, on, None).await
        };
        match put.await {
            Ok(()) | Err(CommitError::Refused(_)) => {} // refused: a later one is there
            Err(error) => tracing::warn!(reason = %error, aggregate = %key, "a snapshot was not kept"),
        }
    }

    async fn get_entity(&self, key: &AggregateKey) -> Result<Option<Stored>, Unavailable> {
        let got = self
            .dynamodb
            .get_item()
            .table_name(&self.tables.entities)
            .key("aggregate", AttributeValue::S(key.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(unavailable("GetItem of entities"))?;
        let Some(item) = got.item else { return Ok(None) };
        let row: EntityItem = decode(item, "an entity")?;
        row.into_stored().map(Some).map_err(unreadable)
    }
}

impl Store for AwsStore {
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        Box::pin(self.read_positions(home, keys, consistency))
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        Box::pin(self.get_entity(key))
    }

    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        Box::pin(self.query_head(key))
    }

    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        Box::pin(self.query_journal(key, after, through, limit))
    }

    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        Box::pin(self.query_skipped(key))
    }

    fn builds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Builds> {
        Box::pin(self.get_builds(consumer, consistency))
    }

    fn holds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Holds> {
        Box::pin(self.get_holds(consumer, consistency))
    }

    fn look_around<'a>(
        &'a self,
        consumer: &'a ConsumerName,
        home: CursorHome,
        keys: &'a [CursorKey],
    ) -> Answer<'a, (Vec<Option<Position>>, Holds)> {
        Box::pin(self.read_around(consumer, home, keys))
    }

    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(self.query_view(tenant, view, partition))
    }

    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        Box::pin(async move {
            let Some(item) = self.get_progress(&answer_key(tenant, key)).await? else { return Ok(None) };
            let row: AnswerItem = decode(item, "a kept answer")?;
            row.into_answer().map(Some).map_err(unreadable)
        })
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError> {
        Box::pin(self.write(commit))
    }

    fn snapshot<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        Box::pin(self.get_snapshot(key))
    }

    fn keep_snapshot<'a>(&'a self, key: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        Box::pin(self.put_snapshot(key, snapshot))
    }

    fn forgets(&self) -> bool {
        self.outbox_retention_days > 0
    }
}

pub(crate) fn key_item(key: &RowKey) -> Item {
    [&key.partition, &key.sort]
        .into_iter()
        .map(|(name, value)| ((*name).to_owned(), AttributeValue::S(value.clone())))
        .collect()
}

fn is_at(item: &Item, key: &RowKey) -> bool {
    [&key.partition, &key.sort]
        .into_iter()
        .all(|(name, value)| item.get(*name).and_then(|v| v.as_s().ok()) == Some(value))
}

/// The cursors among these items, in the order of their keys.
fn in_order(keys: &[RowKey], items: Vec<Item>) -> Result<Vec<Option<Position>>, Unavailable> {
    let mut found: HashMap<&RowKey, Position> = HashMap::new();
    for item in items {
        let Some(key) = keys.iter().find(|key| is_at(&item, key)) else { continue };
        let row: CursorItem = decode(item, "a cursor")?;
        found.insert(key, row.into_position().map_err(unreadable)?);
    }
    Ok(keys.iter().map(|key| found.remove(key)).collect())
}

fn holds_of(item: Option<Item>) -> Result<Holds, Unavailable> {
    let Some(item) = item else { return Ok(Holds::default()) };
    decode::<HoldsItem>(item, "the holds of a consumer")?.into_holds().map_err(unreadable)
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn decode<T: DeserializeOwned>(item: Item, what: &str) -> Result<T, Unavailable> {
    from_item(item)
        .map_err(|error| Unavailable { call: "decoding a row", why: format!("{what} cannot be read: {error}") })
}

pub(crate) fn unreadable(error: crate::rows::UnreadableRow) -> Unavailable {
    Unavailable { call: "decoding a row", why: error.to_string() }
}

/// An SDK error with its causes, each said once: the SDK's own way also prints headers and bodies.
pub(crate) fn unavailable<E, R>(call: &'static str) -> impl FnOnce(SdkError<E, R>) -> Unavailable
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    move |error| Unavailable { call, why: causes(&error) }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Chain(&'static str, #[source] Option<Box<Chain>>);

    #[test]
    fn an_error_says_each_of_its_causes_once() {
        let inner = Chain("no such table", Some(Box::new(Chain("no such table", None))));
        assert_eq!(causes(&Chain("service error", Some(Box::new(inner)))), "service error: no such table");
    }
}
