//! The audit: compares the journal with the cursors of every registered consumer, by reading alone.
//! Must not know: transport. What the queues hold does not matter to what is missing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::ports::{Consistency, CursorKey, Store, Unavailable};
use towpath::{AggregateKey, ConsumerName, Seq, Status, Timestamp};

use crate::AwsStore;
use crate::registry::Registered;
use crate::rows::{BY_TIME, INDEX_SHARDS, IndexItem, bucket};
use crate::store::{decode, unavailable};

const MILLIS_AN_HOUR: u64 = 3_600_000;

/// What one consumer has made of the journal's window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Events of the types that it handles.
    pub committed: u64,
    /// Those at or below its cursors.
    pub applied: u64,
    /// Those behind a parked or held row.
    pub parked: u64,
    /// Those on their way: younger than the window's grace.
    pub waiting: u64,
    /// The rest. A healthy pipeline has none.
    pub unaccounted: u64,
}

/// Which events are accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Events of this hour and later.
    pub since: Timestamp,
    /// Events of this hour and earlier.
    pub until: Timestamp,
    /// An event that was committed later than this may still be on its way.
    pub settled_before: Timestamp,
}

/// A row of the window, as the time index shows it.
struct Seen {
    aggregate: AggregateKey,
    seq: Seq,
    at: Timestamp,
    event_type: towpath::EventType,
}

impl AwsStore {
    /// Accounts for all events of the window, hour by hour, for every registered consumer.
    pub async fn audit(&self, window: Window) -> Result<BTreeMap<ConsumerName, Account>, Unavailable> {
        let consumers = self.registered().await?;
        let mut accounts: BTreeMap<ConsumerName, Account> =
            consumers.iter().map(|consumer| (consumer.name.clone(), Account::default())).collect();
        let since = window.since.as_millis();
        let mut hour = since - since % MILLIS_AN_HOUR;
        while hour <= window.until.as_millis() {
            for shard in 0..INDEX_SHARDS {
                let rows = self.indexed(bucket(Timestamp::from_millis(hour), shard)).await?;
                for consumer in &consumers {
                    let account = accounts.entry(consumer.name.clone()).or_default();
                    self.account(consumer, &rows, window.settled_before, account).await?;
                }
            }
            hour += MILLIS_AN_HOUR;
        }
        Ok(accounts)
    }

    async fn indexed(&self, bucket: String) -> Result<Vec<Seen>, Unavailable> {
        let mut items = self
            .dynamodb
            .query()
            .table_name(&self.tables.outbox)
            .index_name(BY_TIME)
            .key_condition_expression("#bucket = :bucket")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":bucket", AttributeValue::S(bucket))
            .into_paginator()
            .items()
            .send();
        let mut rows = Vec::new();
        while let Some(item) = items.next().await {
            let row: IndexItem = decode(item.map_err(unavailable("Query of the time index"))?, "an index row")?;
            let aggregate = row.aggregate.parse().map_err(|error| Unavailable {
                call: "decoding a row",
                why: format!("an index row cannot be read: {error}"),
            })?;
            rows.push(Seen { aggregate, seq: row.seq, at: row.event_id.at(), event_type: row.event_type });
        }
        Ok(rows)
    }

    async fn account(
        &self,
        consumer: &Registered,
        rows: &[Seen],
        settled: Timestamp,
        account: &mut Account,
    ) -> Result<(), Unavailable> {
        let handled: Vec<&Seen> = rows.iter().filter(|row| consumer.handles.contains(&row.event_type)).collect();
        let aggregates: BTreeSet<&AggregateKey> = handled.iter().map(|row| &row.aggregate).collect();
        let keys: Vec<CursorKey> = aggregates
            .into_iter()
            .map(|aggregate| CursorKey { aggregate: aggregate.clone(), consumer: consumer.name.clone() })
            .collect();
        let positions = self.positions(consumer.home, &keys, Consistency::Strong).await?;
        let cursors: BTreeMap<&AggregateKey, _> =
            keys.iter().map(|key| &key.aggregate).zip(positions.iter().map(Option::as_ref)).collect();
        for row in handled {
            account.committed += 1;
            match cursors.get(&row.aggregate).copied().flatten().map(|position| &position.cursor) {
                Some(cursor) if cursor.seq >= row.seq => account.applied += 1,
                Some(cursor) if matches!(cursor.status, Status::Parked | Status::Held) => account.parked += 1,
                _ if row.at >= settled => account.waiting += 1,
                _ => account.unaccounted += 1,
            }
        }
        Ok(())
    }
}
