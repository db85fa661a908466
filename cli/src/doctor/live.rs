//! Looks at everything that a stack is made of, with calls that only read.
//! Must not know: what is right and what is wrong.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;
use indicatif::ProgressBar;
use towpath_aws::registry::Registration;

use crate::pipeline::Pipeline;
use crate::stack::{Stack, Target};

/// What [`look`] asks, one after the other.
pub(crate) const STEPS: usize = 6;

/// What is checked of a stack that is up.
pub(crate) const RULES: &[&str] = &[
    "mapping-enabled",
    "mapping-ends",
    "single-failures",
    "queue-mapping",
    "wake-mapping",
    "stream-mapping",
    "visibility",
    "dead-letters",
    "set-aside-retention",
    "subscription",
    "filter",
    "tables-survive",
    "stream-images",
    "no-forgetting",
    "version-drift",
    "generation-drift",
    "consumer-without-function",
    "function-without-consumer",
];

/// A function, as it is deployed.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) timeout: i64,
    pub(crate) variables: HashMap<String, String>,
    /// The version behind the alias `live`.
    pub(crate) live: Option<String>,
    /// The version that was published last.
    pub(crate) newest: Option<String>,
}

/// A queue and what is set on it.
#[derive(Debug)]
pub(crate) struct Queue {
    /// `InventoryConsumer/Queue`.
    pub(crate) place: String,
    pub(crate) url: String,
    pub(crate) attributes: HashMap<QueueAttributeName, String>,
}

impl Queue {
    pub(crate) fn text(&self, name: QueueAttributeName) -> &str {
        self.attributes.get(&name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: QueueAttributeName) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }
}

/// A table and what is set on it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) is_protected: bool,
    pub(crate) recovers: bool,
    pub(crate) expires: bool,
    pub(crate) view: Option<String>,
}

/// Everything.
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) mappings: Vec<EventSourceMappingConfiguration>,
    pub(crate) queues: Vec<Queue>,
    /// The attributes of each subscription of the stack's topics.
    pub(crate) subscriptions: Vec<HashMap<String, String>>,
    pub(crate) tables: Vec<Table>,
    pub(crate) registered: Vec<Registration>,
}

impl Seen {
    /// The queue with this ARN.
    pub(crate) fn queue(&self, arn: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.text(QueueAttributeName::QueueArn) == arn)
    }

    /// The function that a mapping or an alias names.
    pub(crate) fn function(&self, arn: &str) -> Option<&Function> {
        self.functions.iter().find(|function| {
            let marker = format!(":function:{}", function.name);
            arn.split_once(&marker).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(':'))
        })
    }
}

/// Looks at all of it.
pub(crate) async fn look(target: &Target, bar: &ProgressBar) -> Result<Seen> {
    let stack = Stack::find(target).await?;
    let resources = resources(&stack).await?;
    bar.inc(1);
    let of = |kind: &str| -> Vec<(String, String)> { resources.get(kind).cloned().unwrap_or_default() };
    let lambda = stack.lambda();
    let mut functions = Vec::new();
    for (_, name) in of("AWS::Lambda::Function") {
        functions.push(function(&lambda, name).await?);
    }
    bar.inc(1);
    let mut mappings = Vec::new();
    let mut pages = lambda.list_event_source_mappings().into_paginator().items().send();
    while let Some(mapping) = pages.next().await {
        mappings.push(mapping.context("lambda:ListEventSourceMappings")?);
    }
    bar.inc(1);
    let sqs = stack.sqs();
    let mut queues = Vec::new();
    for (place, url) in of("AWS::SQS::Queue") {
        let all = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await;
        let all = all.with_context(|| format!("sqs:GetQueueAttributes of {url}"))?;
        queues.push(Queue { place, url, attributes: all.attributes.unwrap_or_default() });
    }
    bar.inc(1);
    let subscriptions = subscriptions(&stack, of("AWS::SNS::Topic")).await?;
    bar.inc(1);
    let dynamodb = stack.dynamodb();
    let mut tables = Vec::new();
    for (place, name) in of("AWS::DynamoDB::Table") {
        tables.push(table(&dynamodb, place, name).await?);
    }
    let registered = Pipeline::of(&stack, target).await?.consumers;
    bar.inc(1);
    let seen = Seen { name: stack.name, functions, mappings, queues, subscriptions, tables, registered };
    let own: Vec<_> = seen.mappings.iter().filter(|it| is_own(&seen, it)).cloned().collect();
    Ok(Seen { mappings: own, ..seen })
}

/// A mapping that feeds one of the stack's functions, or takes from one of its queues or tables.
fn is_own(seen: &Seen, mapping: &EventSourceMappingConfiguration) -> bool {
    let source = mapping.event_source_arn().unwrap_or_default();
    seen.function(mapping.function_arn().unwrap_or_default()).is_some()
        || seen.queue(source).is_some()
        || seen.tables.iter().any(|table| source.contains(&format!(":table/{}/stream/", table.name)))
}

/// Every resource of the stack and of its nested stacks: by type, each with its place and its physical id.
async fn resources(stack: &Stack) -> Result<BTreeMap<String, Vec<(String, String)>>> {
    let cloudformation = stack.cloudformation();
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut open = vec![(String::new(), stack.name.clone())];
    while let Some((scope, name)) = open.pop() {
        let mut pages = cloudformation.list_stack_resources().stack_name(&name).into_paginator().items().send();
        while let Some(resource) = pages.next().await {
            let resource = resource.with_context(|| format!("cloudformation:ListStackResources of {name}"))?;
            let Some(id) = resource.physical_resource_id() else { continue };
            let logical = resource.logical_resource_id().unwrap_or_default();
            let kind = resource.resource_type().unwrap_or_default();
            if kind == "AWS::CloudFormation::Stack" {
                open.push((format!("{logical}/"), id.to_owned()));
            }
            found.entry(kind.to_owned()).or_default().push((format!("{scope}{logical}"), id.to_owned()));
        }
    }
    Ok(found)
}

async fn function(lambda: &aws_sdk_lambda::Client, name: String) -> Result<Function> {
    let about = lambda.get_function_configuration().function_name(&name).send().await;
    let about = about.with_context(|| format!("lambda:GetFunctionConfiguration of {name}"))?;
    let alias = lambda.get_alias().function_name(&name).name("live").send().await;
    let live = match alias {
        Ok(alias) => alias.function_version,
        Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => None,
        Err(error) => return Err(error).with_context(|| format!("lambda:GetAlias of {name}")),
    };
    let mut pages = lambda.list_versions_by_function().function_name(&name).into_paginator().items().send();
    let mut newest: Option<u64> = None;
    while let Some(version) = pages.next().await {
        let version = version.with_context(|| format!("lambda:ListVersionsByFunction of {name}"))?;
        newest = newest.max(version.version().and_then(|number| number.parse().ok()));
    }
    let variables = about.environment.and_then(|environment| environment.variables).unwrap_or_default();
    let timeout = i64::from(about.timeout.unwrap_or_default());
    Ok(Function { name, timeout, variables, live, newest: newest.map(|number| number.to_string()) })
}

async fn subscriptions(stack: &Stack, topics: Vec<(String, String)>) -> Result<Vec<HashMap<String, String>>> {
    let sns = stack.sns();
    let mut found = Vec::new();
    for (_, topic) in topics {
        let mut pages = sns.list_subscriptions_by_topic().topic_arn(&topic).into_paginator().items().send();
        while let Some(subscription) = pages.next().await {
            let subscription = subscription.with_context(|| format!("sns:ListSubscriptionsByTopic of {topic}"))?;
            let arn = subscription.subscription_arn.unwrap_or_default();
            let all = sns.get_subscription_attributes().subscription_arn(&arn).send().await;
            let all = all.with_context(|| format!("sns:GetSubscriptionAttributes of {arn}"))?;
            let mut attributes = all.attributes.unwrap_or_default();
            // AWS says these twice, an emulator need not.
            attributes.insert("Endpoint".to_owned(), subscription.endpoint.unwrap_or_default());
            attributes.insert("SubscriptionArn".to_owned(), arn);
            found.push(attributes);
        }
    }
    Ok(found)
}

async fn table(dynamodb: &aws_sdk_dynamodb::Client, place: String, name: String) -> Result<Table> {
    let about = dynamodb.describe_table().table_name(&name).send().await;
    let about = about.with_context(|| format!("dynamodb:DescribeTable of {name}"))?.table;
    let backups = dynamodb.describe_continuous_backups().table_name(&name).send().await;
    let backups = backups.with_context(|| format!("dynamodb:DescribeContinuousBackups of {name}"))?;
    let expiry = dynamodb.describe_time_to_live().table_name(&name).send().await;
    let expiry = expiry.with_context(|| format!("dynamodb:DescribeTimeToLive of {name}"))?;
    let recovery = backups.continuous_backups_description.and_then(|it| it.point_in_time_recovery_description);
    let status = expiry.time_to_live_description.and_then(|it| it.time_to_live_status);
    let view = about.as_ref().and_then(|it| it.stream_specification()).and_then(|it| it.stream_view_type());
    Ok(Table {
        place,
        name,
        is_protected: about.as_ref().is_some_and(|it| it.deletion_protection_enabled() == Some(true)),
        recovers: recovery
            .and_then(|it| it.point_in_time_recovery_status)
            .is_some_and(|status| status.as_str() == "ENABLED"),
        expires: status.is_some_and(|status| ["ENABLED", "ENABLING"].contains(&status.as_str())),
        view: view.map(|view| view.as_str().to_owned()),
    })
}
