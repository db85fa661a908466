//! The registry: which consumers there are and what they handle, as rows that the auditor and the CLI read.
//! Must not know: how a consumer handles anything.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_dynamo::aws_sdk_dynamodb_1::to_item;
use towpath::ports::{CursorHome, Unavailable};
use towpath::{Consumer, ConsumerName, EventType, FORMAT};

use crate::rows::{REGISTRY, RegistryItem, RowKey};
use crate::store::{AwsStore, decode, key_item, unavailable};

/// A consumer as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: ConsumerName,
    /// Where its cursors are.
    pub home: CursorHome,
    /// The types that it handles.
    pub handles: Vec<EventType>,
}

impl AwsStore {
    /// Writes down what a consumer handles, if that is not written yet. It opens the connection on the way.
    pub async fn register(&self, consumer: &Consumer) -> Result<(), Unavailable> {
        let item = RegistryItem {
            pk: REGISTRY.to_owned(),
            sk: consumer.name().clone(),
            format: FORMAT,
            handles: consumer.event_types().cloned().collect(),
            storage: consumer.home().into(),
            generation: 1,
        };
        let key = RowKey { partition: ("pk", item.pk.clone()), sort: ("sk", item.sk.to_string()) };
        let get = self.dynamodb.get_item().table_name(&self.tables.progress).set_key(Some(key_item(&key)));
        let there = get.consistent_read(true).send().await.map_err(unavailable("GetItem of the registry"))?.item;
        if let Some(there) = there
            && decode::<RegistryItem>(there, "a registry row")? == item
        {
            return Ok(());
        }
        let row =
            to_item(&item).map_err(|error| Unavailable { call: "encoding a registry row", why: error.to_string() })?;
        let put = self.dynamodb.put_item().table_name(&self.tables.progress).set_item(Some(row));
        put.send().await.map(|_| ()).map_err(unavailable("PutItem of the registry"))
    }

    /// All consumers that ever started in this stack, by name.
    pub async fn registered(&self) -> Result<Vec<Registered>, Unavailable> {
        let mut rows = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :registry")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_values(":registry", AttributeValue::S(REGISTRY.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut consumers = Vec::new();
        while let Some(row) = rows.next().await {
            let item: RegistryItem = decode(row.map_err(unavailable("Query of the registry"))?, "a registry row")?;
            consumers.push(Registered {
                name: item.sk,
                home: item.storage.into(),
                handles: item.handles.into_iter().collect(),
            });
        }
        Ok(consumers)
    }
}
