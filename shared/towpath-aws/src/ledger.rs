//! The core's `Ledger` port on DynamoDB: what an auditor reads, page by page, and the rows that it writes.
//! Must not know: what it makes of them.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use serde_json::Value;
use towpath::ports::{
    Answer, AuditState, CommitError, Consistency, CursorHome, CursorKey, DueTimer, IndexRow, Ledger, Registered, Store,
    Unavailable,
};
use towpath::{
    AggregateKey, AllHolds, ConsumerName, CorrelationId, EventId, Holds, Rev, SagaRow, Status, TenantId, Timestamp,
};

use crate::AwsStore;
use crate::commit::{Condition, item_at};
use crate::rows::{
    AuditItem, BY_DUE, BY_TIME, DUE_SHARDS, DueItem, HOLDS, HoldsItem, INDEX_SHARDS, IndexItem, SagaItem, audit_key,
    bucket, held_shard, holds_key,
};
use crate::store::{Item, decode, number, unavailable, unreadable};

/// Rows of a page: as many as one invocation compares with cursors in a few seconds.
const PAGE_ROWS: i32 = 500;
/// Rows of a page of the due index: it holds keys only.
const DUE_ROWS: usize = 1_000;
/// Values that one expression compares with.
pub(crate) const CORRELATIONS: usize = 100;
const MILLIS_AN_HOUR: u64 = 3_600_000;

type Page = (Vec<IndexRow>, Option<String>);

/// A place in the time index: an hour, one of its shards, and the last row that was read there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    hour: u64,
    shard: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<Value>,
}

impl Place {
    fn first(since: Timestamp) -> Self {
        Self { hour: since.as_millis() / MILLIS_AN_HOUR, shard: 0, row: None }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.hour.saturating_mul(MILLIS_AN_HOUR))
    }

    /// The place after a page that ended at `row`, or at the end of its shard; none after `until`.
    fn next(&self, row: Option<Value>, until: Timestamp) -> Option<Self> {
        let next = match row {
            Some(row) => Self { row: Some(row), ..*self },
            None if self.shard < INDEX_SHARDS - 1 => Self { shard: self.shard + 1, row: None, ..*self },
            None => Self { hour: self.hour.saturating_add(1), shard: 0, row: None },
        };
        (next.at() <= until).then_some(next)
    }
}

impl AwsStore {
    /// All rows of the time, or only those of some correlations: then the index is read in larger pages.
    pub(crate) async fn page_of_committed(
        &self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&str>,
        only: Option<&[CorrelationId]>,
    ) -> Result<Page, Unavailable> {
        if until < since {
            return Ok((Vec::new(), None)); // DynamoDB refuses a range that ends before it begins
        }
        let place: Place = after.map_or_else(|| Ok(Place::first(since)), parse)?;
        let query = self
            .dynamodb
            .query()
            .table_name(&self.tables.outbox)
            .index_name(BY_TIME)
            .key_condition_expression("#bucket = :bucket AND #event_id BETWEEN :first AND :last")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_names("#event_id", "event_id")
            .expression_attribute_values(":bucket", AttributeValue::S(bucket(place.at(), place.shard)))
            .expression_attribute_values(":first", AttributeValue::S(EventId::new(since, 0).to_string()))
            .expression_attribute_values(":last", AttributeValue::S(EventId::new(until, u128::MAX).to_string()))
            .set_exclusive_start_key(place.row.as_ref().map(to_key).transpose()?)
            .set_limit(only.is_none().then_some(PAGE_ROWS));
        let query = match only {
            Some(only) => filtered(query, only),
            None => query,
        };
        let got = query.send().await.map_err(unavailable("Query of the time index"))?;
        let next = place.next(got.last_evaluated_key.map(from_key).transpose()?, until);
        Ok((index_rows(got.items.unwrap_or_default())?, next.map(|next| text(&next)).transpose()?))
    }

    async fn page_of_sweep(&self, after: Option<&str>) -> Result<Page, Unavailable> {
        let place: Option<Value> = after.map(parse).transpose()?;
        let got = self
            .dynamodb
            .scan()
            .table_name(&self.tables.outbox)
            .index_name(BY_TIME)
            .set_exclusive_start_key(place.as_ref().map(to_key).transpose()?)
            .limit(PAGE_ROWS)
            .send()
            .await
            .map_err(unavailable("Scan of the time index"))?;
        let next = got.last_evaluated_key.map(from_key).transpose()?.map(|next| text(&next)).transpose()?;
        Ok((index_rows(got.items.unwrap_or_default())?, next))
    }

    /// A shard of a table's index of due rows, the most overdue first.
    fn due_of(&self, table: &str, shard: impl ToString, before: Timestamp, limit: usize) -> QueryFluentBuilder {
        self.dynamodb
            .query()
            .table_name(table)
            .index_name(BY_DUE)
            .key_condition_expression("#due_shard = :shard AND #due < :before")
            .expression_attribute_names("#due_shard", "due_shard")
            .expression_attribute_names("#due", "due")
            .expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
            .expression_attribute_values(":before", number(before.as_millis()))
            .limit(i32::try_from(limit.clamp(1, DUE_ROWS)).unwrap_or(i32::MAX))
    }

    /// The most overdue of all shards: the first shard alone could hide the others for ever.
    async fn query_due(
        &self,
        home: CursorHome,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<CursorKey>, Unavailable> {
        let mut found: Vec<(u64, CursorKey)> = Vec::new();
        for shard in 0..DUE_SHARDS {
            let mut rows = self.due_of(self.home(home), shard, before, limit).into_paginator().items().send();
            let mut of_shard = 0;
            while of_shard < limit
                && let Some(item) = rows.next().await
            {
                let row: DueItem = decode(item.map_err(unavailable("Query of due rows"))?, "a due row")?;
                found.extend(row.cursor().map(|key| (row.due, key)));
                of_shard += 1;
            }
        }
        found.sort();
        found.truncate(limit);
        Ok(found.into_iter().map(|(_, key)| key).collect())
    }

    /// The rows that a consumer holds of a tenant, those first whose time comes first.
    async fn query_held(
        &self,
        home: CursorHome,
        of: &ConsumerName,
        tenant: &TenantId,
        limit: usize,
    ) -> Result<Vec<CursorKey>, Unavailable> {
        let mut found = Vec::new();
        for shard in 0..DUE_SHARDS {
            let shard = held_shard(of, tenant, shard);
            let mut rows = self.due_of(self.home(home), shard, Timestamp::MAX, limit).into_paginator().items().send();
            while found.len() < limit
                && let Some(item) = rows.next().await
            {
                let row: DueItem = decode(item.map_err(unavailable("Query of held rows"))?, "a held row")?;
                found.extend(row.cursor());
            }
        }
        Ok(found)
    }

    async fn query_holds(&self) -> Result<AllHolds, Unavailable> {
        let mut rows = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :holds")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_values(":holds", AttributeValue::S(HOLDS.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut holds = AllHolds::new();
        while let Some(item) = rows.next().await {
            let row: HoldsItem = decode(item.map_err(unavailable("Query of holds"))?, "the holds of a consumer")?;
            let of = row.consumer();
            holds.extend(of.zip(Some(row.into_holds().map_err(unreadable)?)));
        }
        Ok(holds)
    }

    async fn write_holds(&self, of: &ConsumerName, to: &Holds, expect: Rev) -> Result<(), CommitError> {
        let item = item_at(&holds_key(of), &HoldsItem::new(to))?;
        self.put(self.tables.progress.clone(), item, Condition::written("pk", expect), None).await
    }

    /// How many rows of each consumer wait for an operator; of each table's blocked rows at most `limit` are looked at. One
    /// read for each shard of the index while nothing is blocked.
    pub async fn parked(&self, limit: usize) -> Result<BTreeMap<ConsumerName, u64>, Unavailable> {
        let mut parked = BTreeMap::new();
        for home in [CursorHome::Progress, CursorHome::Views] {
            let blocked = self.query_due(home, Timestamp::MAX, limit).await?;
            let positions = self.positions(home, &blocked, Consistency::Eventual).await?;
            for (key, position) in blocked.into_iter().zip(positions) {
                if position.is_some_and(|position| position.cursor.status == Status::Parked) {
                    *parked.entry(key.consumer).or_default() += 1;
                }
            }
        }
        Ok(parked)
    }

    /// Timers whose time lies before `before`, of all shards, the earliest first.
    async fn query_timers(&self, before: Timestamp, limit: usize) -> Result<Vec<DueTimer>, Unavailable> {
        let (sagas, _) = self.sagas_due(before, limit).await?;
        let mut timers: Vec<DueTimer> = sagas.iter().flat_map(|(saga, row)| DueTimer::of(saga, row, before)).collect();
        timers.sort_by_key(|timer| timer.due);
        timers.truncate(limit);
        Ok(timers)
    }

    /// Sagas that wait for something whose next timer comes before `before`; of each shard of the index at most `limit`,
    /// those whose timer comes first. `true`: some shard may have more.
    pub async fn sagas_due(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<(Vec<(AggregateKey, SagaRow)>, bool), Unavailable> {
        let (mut found, mut cut) = (Vec::new(), false);
        for shard in 0..DUE_SHARDS {
            let mut rows = self.due_of(&self.tables.entities, shard, before, limit).into_paginator().items().send();
            let mut of_shard = 0;
            while of_shard < limit
                && let Some(item) = rows.next().await
            {
                let row: SagaItem = decode(item.map_err(unavailable("Query of sagas"))?, "a saga's timers")?;
                found.push(row.into_saga().map_err(unreadable)?);
                of_shard += 1;
            }
            cut |= of_shard == limit;
        }
        Ok((found, cut))
    }

    async fn read_audit_state(&self) -> Result<AuditState, Unavailable> {
        let Some(item) = self.get_progress(&audit_key()).await? else { return Ok(AuditState::default()) };
        let row: AuditItem = decode(item, "the auditor's row")?;
        row.into_state().map_err(unreadable)
    }

    async fn write_audit_state(&self, state: &AuditState, expect: Rev) -> Result<(), CommitError> {
        let item = item_at(&audit_key(), &AuditItem::new(state))?;
        self.put(self.tables.progress.clone(), item, Condition::written("pk", expect), None).await
    }
}

impl Ledger for AwsStore {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        Box::pin(async move {
            let registrations = self.registered().await?;
            Ok(registrations.into_iter().map(|registration| registration.consumer).collect())
        })
    }

    fn committed<'a>(&'a self, since: Timestamp, until: Timestamp, after: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(self.page_of_committed(since, until, after, None))
    }

    fn sweep<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(self.page_of_sweep(after))
    }

    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>> {
        Box::pin(self.query_due(home, before, limit))
    }

    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>> {
        Box::pin(self.query_timers(before, limit))
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        Box::pin(self.query_holds())
    }

    fn keep_holds<'a>(&'a self, of: &'a ConsumerName, to: &'a Holds, expect: Rev) -> Answer<'a, (), CommitError> {
        Box::pin(self.write_holds(of, to, expect))
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>> {
        Box::pin(self.query_held(home, of, tenant, limit))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        Box::pin(self.read_audit_state())
    }

    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, expect: Rev) -> Answer<'a, (), CommitError> {
        Box::pin(self.write_audit_state(state, expect))
    }
}

/// Only rows of these correlations, at most [`CORRELATIONS`].
fn filtered(query: QueryFluentBuilder, only: &[CorrelationId]) -> QueryFluentBuilder {
    let names: Vec<String> = (0..only.len()).map(|index| format!(":c{index}")).collect();
    let query = query
        .filter_expression(format!("#correlation_id IN ({})", names.join(", ")))
        .expression_attribute_names("#correlation_id", "correlation_id");
    let value = |id: &CorrelationId| AttributeValue::S(id.to_string());
    names.into_iter().zip(only).fold(query, |query, (name, id)| query.expression_attribute_values(name, value(id)))
}

/// A place that was kept as text: the same place, and the one after its shard's end.
pub(crate) fn after_place(place: &str, until: Timestamp) -> Result<(String, Option<String>), Unavailable> {
    let place: Place = parse(place)?;
    place.row.as_ref().map(to_key).transpose()?;
    let next = place.next(None, until);
    Ok((text(&place)?, next.map(|next| text(&next)).transpose()?))
}

/// A place of the sweep that was kept as text: the key of the row that it goes on after.
pub(crate) fn key_of_sweep(place: &str) -> Result<String, Unavailable> {
    text(&from_key(to_key(&parse::<Value>(place)?)?)?)
}

pub(crate) fn index_rows(items: Vec<Item>) -> Result<Vec<IndexRow>, Unavailable> {
    let row = |item| decode::<IndexItem>(item, "an index row")?.into_row().map_err(unreadable);
    items.into_iter().map(row).collect()
}

fn parse<T: serde::de::DeserializeOwned>(place: &str) -> Result<T, Unavailable> {
    serde_json::from_str(place).map_err(no_place)
}

fn text(place: &impl Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(place).map_err(no_place)
}

fn to_key(place: &Value) -> Result<Item, Unavailable> {
    to_item(place).map_err(no_place)
}

fn from_key(key: Item) -> Result<Value, Unavailable> {
    from_item(key).map_err(no_place)
}

fn no_place(error: impl std::fmt::Display) -> Unavailable {
    Unavailable { call: "finding a place in the time index", why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No event can hide from the audit: wherever it lies, a walk over its time comes by.
        #[test]
        fn every_bucket_of_the_time_is_visited_once(since in 0_u64..1 << 42, hours in 0_u64..60, at in 0.0..1.0_f64, shard in 0..INDEX_SHARDS) {
            let until = Timestamp::from_millis(since + hours * MILLIS_AN_HOUR);
            let since = Timestamp::from_millis(since);
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "any time in between")]
            let at = Timestamp::from_millis(since.as_millis() + (until.millis_since(since) as f64 * at) as u64);
            let mut visits = 0;
            let mut place = Some(Place::first(since));
            while let Some(here) = place {
                visits += usize::from(bucket(here.at(), here.shard) == bucket(at, shard));
                place = here.next(None, until);
            }
            prop_assert_eq!(visits, 1);
        }

        #[test]
        fn any_place_is_left_behind_and_survives_as_text(hour in any::<u64>(), shard in any::<u64>(), until in any::<u64>()) {
            let place = Place { hour, shard, row: None };
            prop_assert_eq!(&parse::<Place>(&text(&place).unwrap()).unwrap(), &place);
            if let Some(next) = place.next(None, Timestamp::from_millis(until)) {
                prop_assert!((next.hour, next.shard) > (hour, shard) && next.at() <= Timestamp::from_millis(until));
            }
        }
    }

    #[test]
    fn every_shard_of_every_hour_is_visited_once_and_in_order() {
        let at = |hour: u64, minute: u64| Timestamp::from_millis(hour * MILLIS_AN_HOUR + minute * 60_000);
        let mut visited = Vec::new();
        let mut place = Some(Place::first(at(5, 30)));
        while let Some(here) = place {
            visited.push((here.hour, here.shard));
            place = here.next(None, at(7, 0));
        }
        let expected: Vec<(u64, u64)> = (5..=7).flat_map(|hour| (0..INDEX_SHARDS).map(move |it| (hour, it))).collect();
        assert_eq!(visited, expected);
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended_and_its_place_survives_as_text() {
        let key: Item = [
            ("aggregate".to_owned(), AttributeValue::S("acme#order#o-1".into())),
            ("seq".to_owned(), AttributeValue::N("3".into())),
        ]
        .into();
        let place = Place::first(Timestamp::from_millis(5 * MILLIS_AN_HOUR));
        let next = place.next(Some(from_key(key.clone()).unwrap()), place.at()).unwrap();
        assert_eq!((next.hour, next.shard), (5, 0));
        let again: Place = parse(&text(&next).unwrap()).unwrap();
        assert_eq!(again, next);
        assert_eq!(to_key(&again.row.unwrap()).unwrap(), key);
        assert!(parse::<Place>("?").is_err());
    }
}
