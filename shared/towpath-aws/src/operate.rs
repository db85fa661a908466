//! What an operator's commands read and write beside the core's ports: orders on record, and a replay's own cursors.
//! Must not know: how an order is shown, when one is allowed. An order is carried out by the consumer, never here.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::ports::{CommitError, CursorHome, CursorKey, Unavailable};
use towpath::{AggregateKey, Builds, ConsumerName, EventId, InvalidId, Limit, Replay, Rev, TenantId, Timestamp};

use crate::commit::{Condition, item_at};
use crate::rows::{BuildsItem, OrderItem, builds_key, cursor_key, order_key, orders_of};
use crate::store::{AwsStore, decode, key_item, unavailable, unreadable};

/// Orders of one millisecond about one row; more are a fault.
const AT_ONCE: u32 = 8;

/// Somebody's order, as it is kept on record before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Why.
    pub why: String,
    /// To whom.
    pub consumer: ConsumerName,
    /// What.
    pub deed: Deed,
}

/// What was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// To try a parked row again.
    Retry(Blocked),
    /// To pass over the event of a parked row.
    Skip(Blocked),
    /// To apply events again, under this id.
    Replay(u64),
    /// To fill a new build of a projection.
    Rebuild(u32),
    /// To show readers this build.
    Swap(u32),
    /// To remove this build.
    Drop(u32),
    /// To stop the tenant.
    Hold,
    /// To let the tenant go on.
    Resume,
    /// To let a tenant ask for so much; none: as much as every tenant. The order's consumer is `tenant-limits`.
    Limit(Option<Limit>),
}

/// The parked row that an order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Of which aggregate.
    pub aggregate: AggregateKey,
    /// As it was looked at.
    pub rev: Rev,
    /// The event that it waits for.
    pub event_id: EventId,
}

impl AwsStore {
    /// Keeps an order on record, beside those that are there. It must be kept before it is sent.
    pub async fn keep_order(&self, tenant: &TenantId, order: &Order) -> Result<(), CommitError> {
        let mut order = order.clone();
        for _ in 0..AT_ONCE {
            let key = order_key(tenant, &order);
            let row = OrderItem::new(&order);
            let kept =
                self.put(self.tables.progress.clone(), item_at(&key, &row)?, Condition::absent(key.partition.0), None);
            match kept.await {
                Err(CommitError::Refused(_)) => {}
                other => return other,
            }
            // Ours, if its answer was lost and it was sent again; otherwise somebody else's of the same millisecond.
            let there = self.get_progress(&key).await?;
            if there.and_then(|there| decode::<OrderItem>(there, "an order").ok()).is_some_and(|there| there == row) {
                return Ok(());
            }
            order.at = order.at.plus(Duration::from_millis(1));
        }
        Err(CommitError::Refused(vec![0]))
    }

    /// A tenant's orders since `since`, oldest first.
    pub async fn orders(&self, tenant: &TenantId, since: Timestamp) -> Result<Vec<Order>, Unavailable> {
        let mut rows = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :orders AND #sk >= :since")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_names("#sk", "sk")
            .expression_attribute_values(":orders", AttributeValue::S(orders_of(tenant)))
            .expression_attribute_values(":since", AttributeValue::S(since.to_string()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut orders = Vec::new();
        while let Some(row) = rows.next().await {
            let row: OrderItem = decode(row.map_err(unavailable("Query of orders"))?, "an order")?;
            orders.push(row.into_order().map_err(unreadable)?);
        }
        Ok(orders)
    }

    /// Changes which builds of a projection there are; only if they are what was read.
    pub async fn keep_builds(&self, of: &ConsumerName, to: &Builds, expect: Rev) -> Result<(), CommitError> {
        let item = item_at(&builds_key(of), &BuildsItem::new(to))?;
        self.put(self.tables.progress.clone(), item, Condition::written("pk", expect), None).await
    }

    /// Removes a replay's cursor for an aggregate. A live cursor cannot be named here: a replay's name has its id in it.
    pub async fn forget_replay(
        &self,
        consumer: &ConsumerName,
        replay: &Replay,
        aggregate: &AggregateKey,
    ) -> Result<(), ForgetError> {
        let key = CursorKey { aggregate: aggregate.clone(), consumer: replay.cursors_of(consumer)? };
        self.dynamodb
            .delete_item()
            .table_name(&self.tables.progress)
            .set_key(Some(key_item(&cursor_key(CursorHome::Progress, &key))))
            .send()
            .await
            .map_err(unavailable("DeleteItem of a replay's cursor"))?;
        Ok(())
    }
}

/// Why a replay's cursor was not removed.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The consumer cannot be replayed, so it has no such cursor.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// It may work later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
