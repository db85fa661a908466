//! What a run made at an endpoint, so that nothing of it stays there; and its tables, from infra/tables.yaml.
//! Must not know: what it is made for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack};
use towpath_aws::config::Tables;

/// How long a stack of tables may take.
const STACK_PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(300);

/// One thing that must be removed.
#[derive(Debug, Clone)]
pub(crate) enum Thing {
    Queue(String),
    Topic(String),
    Subscription(String),
    Stack(String),
    Table(String),
}

/// All of them, oldest first.
pub(crate) struct Made {
    pub(crate) prefix: String,
    things: RefCell<Vec<Thing>>,
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Made {
    pub(crate) fn new(config: &SdkConfig, prefix: String) -> Self {
        Self {
            prefix,
            things: RefCell::default(),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
        }
    }

    pub(crate) fn note(&self, thing: Thing) {
        self.things.borrow_mut().push(thing);
    }

    /// The tables of a stack, made as a deployment makes them.
    pub(crate) async fn tables(&self) -> Result<Tables> {
        let template = std::fs::read_to_string(deployed::root().join("infra/tables.yaml"))?;
        let name = format!("{}-tables", self.prefix);
        let stage = Parameter::builder().parameter_key("Stage").parameter_value("conformance").build();
        let create = self.cloudformation.create_stack().stack_name(&name).template_body(template).parameters(stage);
        self.note(Thing::Stack(name.clone()));
        create.capabilities(Capability::CapabilityIam).send().await.context("CreateStack of infra/tables.yaml")?;
        let stack = self.created(&name).await?;
        let outputs = stack.outputs().iter();
        let outputs: BTreeMap<&str, &str> =
            outputs.filter_map(|it| Some((it.output_key()?, it.output_value()?))).collect();
        let table = |output: &str| {
            let name =
                (*outputs.get(output).with_context(|| format!("the stack of tables has no {output}"))?).to_owned();
            self.note(Thing::Table(name.clone()));
            Ok::<_, anyhow::Error>(name)
        };
        let (outbox, entities) = (table("OutboxTable"), table("EntitiesTable"));
        let (views, progress) = (table("ViewsTable"), table("ProgressTable"));
        Ok(Tables { outbox: outbox?, entities: entities?, views: views?, progress: progress? })
    }

    async fn created(&self, name: &str) -> Result<Stack> {
        let begun = Instant::now();
        loop {
            let asked = self.cloudformation.describe_stacks().stack_name(name).send().await?;
            let stack = asked.stacks.unwrap_or_default().pop().context("the stack of tables is gone")?;
            match stack.stack_status().map(aws_sdk_cloudformation::types::StackStatus::as_str) {
                Some("CREATE_COMPLETE") => return Ok(stack),
                Some("CREATE_IN_PROGRESS") => {}
                other => bail!("the stack of tables is {other:?}: {:?}", stack.stack_status_reason()),
            }
            ensure!(begun.elapsed() < STACK_PATIENCE, "the stack of tables does not come up");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes everything, newest first; tells what could not be removed.
    pub(crate) async fn remove(&self) -> Vec<String> {
        let things: Vec<Thing> = self.things.borrow_mut().drain(..).rev().collect();
        let mut left = Vec::new();
        for thing in things {
            if let Err(error) = self.remove_one(&thing).await {
                left.push(format!("{thing:?}: {error:#}"));
            }
        }
        left
    }

    async fn remove_one(&self, thing: &Thing) -> Result<()> {
        match thing {
            Thing::Queue(url) => drop(self.sqs.delete_queue().queue_url(url).send().await?),
            Thing::Topic(arn) => drop(self.sns.delete_topic().topic_arn(arn).send().await?),
            Thing::Subscription(arn) => drop(self.sns.unsubscribe().subscription_arn(arn).send().await?),
            Thing::Table(name) => drop(self.dynamodb.delete_table().table_name(name).send().await?),
            Thing::Stack(name) => drop(self.cloudformation.delete_stack().stack_name(name).send().await?),
        }
        Ok(())
    }
}
