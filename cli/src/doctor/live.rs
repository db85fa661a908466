//! What a stack that is up is made of: what was deployed, and what is set on it now.
//! Must not know: how it is asked, what is right and what is wrong.

use std::collections::HashMap;

use anyhow::Result;
use aws_sdk_cloudwatch::types::{CompositeAlarm, MetricAlarm};
use aws_sdk_dynamodb::types::SseDescription;
use aws_sdk_eventbridge::operation::describe_rule::DescribeRuleOutput;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;
use indicatif::ProgressBar;
use towpath_aws::registry::Registration;

use super::ask;
use super::deployed::Deployed;
use crate::pipeline::Pipeline;
use crate::stack::{Stack, Target};

/// What [`look`] asks, one after the other.
pub(crate) const STEPS: usize = 7;

/// What is checked of a stack that is up, beside the rules of templates: a template alone cannot tell.
pub(crate) const RULES: &[&str] = &[
    "drift",
    "gone",
    "stranger",
    "filter",
    "version-drift",
    "generation-drift",
    "consumer-without-function",
    "function-without-consumer",
];

/// A function, as it is deployed.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) timeout: i64,
    pub(crate) variables: HashMap<String, String>,
    /// How many may run at once, if that was reserved.
    pub(crate) reserved: Option<i32>,
    /// `Allow`, or `Terminate`, which is what nobody asked for.
    pub(crate) recursion: Option<String>,
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

/// A topic and what is set on it.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) place: String,
    pub(crate) arn: String,
    pub(crate) attributes: HashMap<String, String>,
}

/// A table and what is set on it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) place: String,
    pub(crate) is_protected: bool,
    pub(crate) recovers: bool,
    /// By which attribute its rows expire.
    pub(crate) expires: Option<String>,
    pub(crate) view: Option<String>,
    pub(crate) encryption: Option<SseDescription>,
}

/// A rule of a bus or of the clock.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) place: String,
    pub(crate) about: DescribeRuleOutput,
}

/// Logs, by the name of their group.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) place: String,
    pub(crate) days: Option<i32>,
    pub(crate) key: Option<String>,
}

/// Everything.
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) deployed: Deployed,
    pub(crate) functions: Vec<Function>,
    pub(crate) mappings: Vec<EventSourceMappingConfiguration>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) topics: Vec<Topic>,
    /// The attributes of each subscription of the stack's topics.
    pub(crate) subscriptions: Vec<HashMap<String, String>>,
    pub(crate) tables: Vec<Table>,
    pub(crate) alarms: Vec<MetricAlarm>,
    pub(crate) composites: Vec<CompositeAlarm>,
    pub(crate) logs: Vec<Logs>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) registered: Vec<Registration>,
}

/// Looks at all of it, with calls that only read.
pub(crate) async fn look(target: &Target, bar: &ProgressBar) -> Result<Seen> {
    let stack = Stack::find(target).await?;
    let deployed = Deployed::read(&stack).await?;
    bar.inc(1);
    let functions = ask::functions(&stack, &deployed).await?;
    bar.inc(1);
    let mappings = ask::mappings(&stack, &deployed).await?;
    let queues = ask::queues(&stack, &deployed).await?;
    bar.inc(1);
    let topics = ask::topics(&stack, &deployed).await?;
    let subscriptions = ask::subscriptions(&stack, &topics).await?;
    bar.inc(1);
    let tables = ask::tables(&stack, &deployed).await?;
    bar.inc(1);
    let (alarms, composites) = ask::alarms(&stack, &deployed).await?;
    let logs = ask::logs(&stack, &deployed).await?;
    let schedules = ask::schedules(&stack, &deployed).await?;
    bar.inc(1);
    let registered = Pipeline::of(&stack, target).await?.consumers;
    bar.inc(1);
    let name = stack.name;
    Ok(Seen {
        name,
        deployed,
        functions,
        mappings,
        queues,
        topics,
        subscriptions,
        tables,
        alarms,
        composites,
        logs,
        schedules,
        registered,
    })
}
