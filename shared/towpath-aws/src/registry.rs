//! The registry: which consumers there are and what they handle, as rows that the auditor and the CLI read.
//! Must not know: how a consumer handles anything.

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::FORMAT;
use towpath::ports::{CommitError, Handled, Registered, Unavailable};

use crate::commit::{Condition, item};
use crate::rows::{REGISTRY, RegistryItem, RowKey};
use crate::store::{AwsStore, decode, unavailable};

/// A consumer as the registry knows it, and its queues, where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it handles.
    pub consumer: Registered,
    /// Was it declared replayable? Rows from before this was written down say no.
    pub replayable: bool,
    /// Where first deliveries wait.
    pub queue_url: Option<String>,
    /// Where it is woken.
    pub wake_queue_url: Option<String>,
    /// Where its tickets are.
    pub dead_letter_queue_url: Option<String>,
}

/// Why a consumer must not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRegistered {
    /// A newer one did.
    #[error(
        "a newer generation of {0} has started, and this is generation {1}: old code must not start beside newer, \
         deploy the newer one"
    )]
    Newer(towpath::ConsumerName, u32),
    /// A type was added, and no generation begun for it.
    #[error(
        "{0} is deployed as generation {1} and did not handle {2}: code of before may go past such events unseen. Write \
         `.generation({next})` before the handlers that are new, and `.since::<Event>(…)` behind them", next = .1 + 1
    )]
    SameGeneration(towpath::ConsumerName, u32, towpath::EventType),
    /// The registry cannot be read or written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl AwsStore {
    /// Writes down what a consumer handles, if that is not written yet, and unless a newer generation has started. It
    /// opens the connection on the way.
    pub async fn register(&self, registration: &Registration) -> Result<(), NotRegistered> {
        let row = RegistryItem::from(registration);
        let key = RowKey { partition: ("pk", row.pk.clone()), sort: ("sk", row.sk.to_string()) };
        let there = self.get_progress(&key).await?;
        // One that cannot be read is written anew.
        if let Some(Ok(there)) = there.map(|there| decode::<RegistryItem>(there, "a registry row")) {
            if there == row {
                return Ok(());
            }
            if let Some(unseen) = row.unseen_by(&there) {
                return Err(NotRegistered::SameGeneration(row.sk, there.generation, unseen));
            }
        }
        let unavailable = |why: String| Unavailable { call: "PutItem of the registry", why };
        let item = item(&row).map_err(|error| unavailable(error.to_string()))?;
        match self
            .put(self.tables.progress.clone(), item, Condition::not_newer("generation", row.generation.into()), None)
            .await
        {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(_)) => Err(NotRegistered::Newer(row.sk, row.generation)),
            Err(CommitError::Unavailable(error)) => Err(error.into()),
            Err(CommitError::Invalid(why)) => Err(unavailable(why).into()),
        }
    }

    /// All consumers that ever started in this stack, by name.
    pub async fn registered(&self) -> Result<Vec<Registration>, Unavailable> {
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
        let mut registrations = Vec::new();
        while let Some(row) = rows.next().await {
            let row: RegistryItem = decode(row.map_err(unavailable("Query of the registry"))?, "a registry row")?;
            registrations.push(row.into());
        }
        Ok(registrations)
    }
}

impl From<&Registration> for RegistryItem {
    fn from(registration: &Registration) -> Self {
        let consumer = &registration.consumer;
        Self {
            pk: REGISTRY.to_owned(),
            sk: consumer.name.clone(),
            format: FORMAT,
            handles: consumer.handles.iter().map(|handled| handled.event_type.clone()).collect(),
            starts: consumer.handles.iter().map(|handled| (handled.event_type.clone(), handled.start)).collect(),
            added: consumer.handles.iter().map(|handled| (handled.event_type.clone(), handled.added)).collect(),
            storage: consumer.home.into(),
            generation: consumer.generation,
            replayable: registration.replayable,
            queue_url: registration.queue_url.clone(),
            wake_queue_url: registration.wake_queue_url.clone(),
            dead_letter_queue_url: registration.dead_letter_queue_url.clone(),
        }
    }
}

impl From<RegistryItem> for Registration {
    fn from(row: RegistryItem) -> Self {
        let (starts, added) = (row.starts, row.added);
        let handled = |event_type| Handled {
            start: starts.get(&event_type).copied().unwrap_or_default(),
            added: added.get(&event_type).copied().unwrap_or(1),
            event_type,
        };
        Self {
            consumer: Registered {
                name: row.sk,
                home: row.storage.into(),
                handles: row.handles.into_iter().map(handled).collect(),
                generation: row.generation,
            },
            replayable: row.replayable,
            queue_url: row.queue_url,
            wake_queue_url: row.wake_queue_url,
            dead_letter_queue_url: row.dead_letter_queue_url,
        }
    }
}
