//! A deployed pipeline as the operator's commands see it: its tables, its consumers, and their queues.
//! Must not know: how rows are stored, what a command does with them.

use anyhow::{Context, Result};
use towpath::ConsumerName;
use towpath_aws::registry::Registration;
use towpath_aws::{AwsStore, WakeQueues};

use crate::output::Usage;
use crate::stack::{Stack, Target};

/// What every operator's command needs.
pub(crate) struct Pipeline {
    /// The stack's name, for people.
    pub(crate) name: String,
    /// Its tables.
    pub(crate) store: AwsStore,
    /// All consumers that ever started in it, by name.
    pub(crate) consumers: Vec<Registration>,
    /// Where its functions write.
    pub(crate) log_group: String,
    sqs: aws_sdk_sqs::Client,
    option: String,
}

impl Pipeline {
    /// Finds the stack and asks who its consumers are.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let stack = Stack::find(target).await?;
        Self::of(&stack, target).await
    }

    /// The pipeline of a stack that was found.
    pub(crate) async fn of(stack: &Stack, target: &Target) -> Result<Self> {
        let store = AwsStore::new(stack.dynamodb(), stack.tables()?, 0);
        let consumers = store.registered().await.with_context(|| {
            format!("the tables of {} cannot be read: check the region, the account and your permissions", stack.name)
        })?;
        let sqs = stack.sqs();
        let log_group = stack.output("LogGroup")?;
        Ok(Self { name: stack.name.clone(), store, consumers, log_group, sqs, option: target.option() })
    }

    /// The consumer of this name, or a sentence that names those that there are.
    pub(crate) fn consumer(&self, name: &ConsumerName) -> Result<&Registration> {
        let known: Vec<&str> = self.consumers.iter().map(|known| known.consumer.name.as_str()).collect();
        let found = self.consumers.iter().find(|known| known.consumer.name == *name);
        found.ok_or_else(|| {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Usage(format!("no consumer {name} has ever started in {}; those that have: {known}", self.name)).into()
        })
    }

    /// The consumers of this name, or all.
    pub(crate) fn consumers_named(&self, name: Option<&ConsumerName>) -> Result<Vec<&Registration>> {
        match name {
            Some(name) => Ok(vec![self.consumer(name)?]),
            None => Ok(self.consumers.iter().collect()),
        }
    }

    /// Where consumers are woken; a consumer that wrote no queues into the registry is refused when it is woken.
    pub(crate) fn wakes(&self) -> WakeQueues {
        WakeQueues::of(self.sqs.clone(), self.consumers.iter().cloned())
    }

    /// Can this consumer be woken? If not, says what to do.
    pub(crate) fn can_be_woken(&self, name: &ConsumerName) -> Result<()> {
        let known = self.consumer(name)?;
        if known.queue_url.is_some() && known.wake_queue_url.is_some() {
            return Ok(());
        }
        let why = format!(
            "{name} has no queues in the registry, so nobody can give it an order: deploy it with this version of \
             Towpath and let it start once"
        );
        Err(anyhow::Error::msg(why))
    }

    /// A command for this pipeline, to be typed as it stands.
    pub(crate) fn command(&self, rest: &str) -> String {
        crate::stack::command(&self.option, rest)
    }
}
