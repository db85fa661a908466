//! Finding the events of one story by the time index: those of a correlation, or the one with an id.
//! Must not know: causes, trees, consumers.

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::ports::{IndexRow, Unavailable};
use towpath::{CorrelationId, EventId, Timestamp};

use crate::AwsStore;
use crate::ledger::{CORRELATIONS, index_rows};
use crate::rows::{BY_TIME, INDEX_SHARDS, bucket};
use crate::store::unavailable;

impl AwsStore {
    /// The rows of these correlations that were committed from `since` until `until`. It reads the whole index of that
    /// time: one request for each of its shards and hours, at least.
    pub async fn correlated(
        &self,
        correlations: &[CorrelationId],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<IndexRow>, Unavailable> {
        let mut found = Vec::new();
        for some in correlations.chunks(CORRELATIONS) {
            let mut place = None;
            loop {
                let (rows, next) = self.page_of_committed(since, until, place.as_deref(), Some(some)).await?;
                found.extend(rows);
                place = next;
                if place.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The row of this event: its id tells the hour, so at most one request for each shard.
    pub async fn event(&self, id: EventId) -> Result<Option<IndexRow>, Unavailable> {
        for shard in 0..INDEX_SHARDS {
            let got = self
                .dynamodb
                .query()
                .table_name(&self.tables.outbox)
                .index_name(BY_TIME)
                .key_condition_expression("#bucket = :bucket AND #event_id = :event_id")
                .expression_attribute_names("#bucket", "bucket")
                .expression_attribute_names("#event_id", "event_id")
                .expression_attribute_values(":bucket", AttributeValue::S(bucket(id.at(), shard)))
                .expression_attribute_values(":event_id", AttributeValue::S(id.to_string()))
                .send()
                .await
                .map_err(unavailable("Query of the time index"))?;
            if let Some(row) = index_rows(got.items.unwrap_or_default())?.pop() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}
