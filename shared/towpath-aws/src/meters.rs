//! The core's `Meters` port on DynamoDB: usage by tenant and hour.
//! Must not know: how it is folded, what it costs a tenant.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::ports::{Answer, CommitError, Unavailable};
use towpath::{Hour, Meters, Rev, TenantId, Usage};

use crate::commit::{Condition, item_at};
use crate::rows::{UsageItem, usage_key, usage_of};
use crate::store::{AwsStore, decode, unavailable, unreadable};

impl AwsStore {
    async fn query_usage(&self, hour: Hour) -> Result<BTreeMap<TenantId, (Usage, Rev)>, Unavailable> {
        let mut rows = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :hour")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_values(":hour", AttributeValue::S(usage_of(hour)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut usage = BTreeMap::new();
        while let Some(row) = rows.next().await {
            let row: UsageItem = decode(row.map_err(unavailable("Query of usage"))?, "a tenant's usage")?;
            let (tenant, row) = row.into_usage().map_err(unreadable)?;
            usage.insert(tenant, row);
        }
        Ok(usage)
    }
}

impl Meters for AwsStore {
    fn usage(&self, hour: Hour) -> Answer<'_, BTreeMap<TenantId, (Usage, Rev)>> {
        Box::pin(self.query_usage(hour))
    }

    fn keep_usage<'a>(
        &'a self,
        hour: Hour,
        tenant: &'a TenantId,
        usage: &'a Usage,
        expect: Rev,
    ) -> Answer<'a, (), CommitError> {
        Box::pin(async move {
            let item = item_at(&usage_key(hour, tenant), &UsageItem::new(tenant, usage, expect.next()))?;
            self.put(self.tables.progress.clone(), item, Condition::written("pk", expect), None).await
        })
    }
}
