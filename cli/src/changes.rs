//! `towpath changes`: what the newest change set of a stack would do, nested stacks included. It refuses one that would replace
//! or remove what holds data or a place in it: a table, a stream, a queue, a topic, a key, a mapping; and one that would have old
//! code go on beside a new generation of its consumer, which it refuses to. With --yes it executes.
//! Must not know: how a change set is made.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{ChangeAction, ExecutionStatus, Replacement, ResourceChange, StackStatus};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::sleep;

use crate::lock;
use crate::output::{FAILED, Usage, exit, say, table};
use crate::pipeline::Pipeline;
use crate::stack::{self, Stack, Target};

/// Time between two looks at a stack that changes.
const LOOK: Duration = Duration::from_secs(5);
/// What holds events or a place among them: a new one begins empty, and the old one is gone.
const KEPT: [&str; 6] = [
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    "AWS::KMS::Key",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Events::Archive",
];
/// The deployment that moves an alias in one step.
const AT_ONCE: &str = "AllAtOnce";

/// Which stack's change set, and whether to execute it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Name of the CloudFormation stack.
    name: String,
    /// A resource that may be replaced or removed, by its logical id: `OrderSummaryConsumer/Queue`. It may be given again.
    #[arg(long, value_name = "ID")]
    allow: Vec<String>,
    /// What generation each consumer's code is.
    #[arg(long, value_name = "FILE", default_value = "consumers.lock")]
    lock: PathBuf,
    /// Execute it. Without this, only what it would do is shown.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    change_set: String,
    changes: Vec<Change>,
    refused: bool,
    executed: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    /// With the nested stacks that it lies in: `Tables/OutboxTable`.
    id: String,
    kind: String,
    action: String,
    /// Why it must not happen, unless somebody allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    danger: Option<String>,
}

pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let client = stack::cloudformation(&towpath_aws::load_sdk_config().await, &target.calls);
    let Some(change_set) = newest(&client, &options.name).await? else {
        say(options.json, &serde_json::json!({ "changes": [] }), || {
            format!(
                "{} has no change set to execute: sam deploy --no-execute-changeset makes one if there is anything to change.",
                options.name
            )
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    let (mut changes, how) = read(&client, &change_set).await?;
    if how.is_some_and(|how| how != AT_ONCE) {
        changes.splice(0..0, begun(&target.named(&options.name), options).await?);
    }
    let refused: Vec<&str> = changes
        .iter()
        .filter(|change| change.danger.is_some() && !options.allow.contains(&change.id))
        .map(|change| change.id.as_str())
        .collect();
    let (is_refused, executed) = (!refused.is_empty(), refused.is_empty() && options.yes);
    let verdict = match (is_refused, executed) {
        (true, _) => format!(
            "Refused because of {}. Change what the last column says, or, if you know better, give --allow ID.",
            refused.join(", ")
        ),
        (false, true) => "Executed.".to_owned(),
        (false, false) => "Nothing stands in its way. Execute it with --yes.".to_owned(),
    };
    if executed {
        let done = client.execute_change_set().change_set_name(&change_set).send().await;
        done.map_err(anyhow::Error::from).context("the change set could not be executed")?;
        settle(&client, &options.name).await?;
    }
    let report = Report { change_set, changes, refused: is_refused, executed };
    say(options.json, &report, || {
        let row = |change: &Change| {
            let danger = change.danger.clone().unwrap_or_default();
            [change.id.clone(), change.kind.clone(), change.action.clone(), danger]
        };
        format!("{}\n{verdict}", table(["resource", "type", "action", ""], &[], report.changes.iter().map(row)))
    })?;
    Ok(exit(if is_refused { FAILED } else { 0 }))
}

/// Waits until the stack stands as it was told to, or as it was before.
async fn settle(client: &Client, stack: &str) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message(format!("{stack} changes"));
    spinner.enable_steady_tick(Duration::from_millis(200));
    loop {
        let found = client.describe_stacks().stack_name(stack).send().await.map_err(anyhow::Error::from);
        let found = found.context("the change is under way, but the stack cannot be looked at now")?;
        let status = found.stacks().first().and_then(|stack| stack.stack_status()).map_or("", StackStatus::as_str);
        if !status.ends_with("_IN_PROGRESS") {
            spinner.finish_and_clear();
            let well = status.ends_with("_COMPLETE") && !status.contains("ROLLBACK");
            anyhow::ensure!(well, "{stack} is now {status}: the events of the stack in CloudFormation say why");
            return Ok(());
        }
        spinner.set_message(format!("{stack}: {status}"));
        sleep(LOOK).await;
    }
}

/// The newest change set that can be executed.
async fn newest(client: &Client, stack: &str) -> Result<Option<String>> {
    let mut listed = client.list_change_sets().stack_name(stack).into_paginator().items().send();
    let mut newest = None;
    while let Some(found) = listed.next().await {
        let found = found.map_err(anyhow::Error::from).with_context(|| {
            format!("the change sets of {stack} cannot be read: check its name, region and credentials")
        })?;
        if found.execution_status() == Some(&ExecutionStatus::Available) {
            newest = newest.max(found.creation_time().copied().zip(found.change_set_id().map(str::to_owned)));
        }
    }
    Ok(newest.map(|(_, change_set)| change_set))
}

/// Consumers whose next generation this change would begin while code of the last one goes on. A process of that code which
/// starts later refuses to, and after a rollback nobody could start.
async fn begun(target: &Target, options: &Options) -> Result<Vec<Change>> {
    let stack = Stack::find(target).await?;
    if stack.tables().is_err() {
        return Ok(Vec::new()); // it is not there yet, so nobody has begun anything
    }
    let lock = std::fs::read_to_string(&options.lock).map_err(|_| {
        let lock = options.lock.display();
        Usage(format!("{lock} is not here, and a slow deployment must not begin a generation: give --lock FILE"))
    })?;
    let known = Pipeline::of(&stack, target).await?.consumers;
    let known: Vec<(&str, u32)> =
        known.iter().map(|known| (known.consumer.name.as_str(), known.consumer.generation)).collect();
    Ok(generations(&lock, &known))
}

fn generations(lock: &str, known: &[(&str, u32)]) -> Vec<Change> {
    let locked = lock::generations(lock);
    let begins = known.iter().filter_map(|(name, there)| {
        let here = *locked.get(name)?;
        let danger =
            "its old code does not start beside the new, nor after a rollback: deploy with Deployment=AllAtOnce";
        (here > *there).then(|| Change {
            id: (*name).to_owned(),
            kind: format!("generation {there} to {here}"),
            action: "Begin".to_owned(),
            danger: Some(danger.to_owned()),
        })
    });
    begins.collect()
}

/// All changes of a change set and of those of its nested stacks, and how new code is to take over.
async fn read(client: &Client, change_set: &str) -> Result<(Vec<Change>, Option<String>)> {
    let (mut changes, mut open) = (Vec::new(), vec![(String::new(), change_set.to_owned())]);
    let mut how = None;
    while let Some((within, arn)) = open.pop() {
        let mut page = None;
        loop {
            let asked = client.describe_change_set().change_set_name(&arn).set_next_token(page).send().await;
            let found = asked.map_err(anyhow::Error::from).with_context(|| format!("{arn} cannot be read"))?;
            let of_it = found.parameters().iter().find(|given| given.parameter_key() == Some("Deployment"));
            how = how.or_else(|| of_it.and_then(|given| given.parameter_value()).map(str::to_owned));
            for change in found.changes().iter().filter_map(|change| change.resource_change()) {
                let seen = look(&within, change);
                if let Some(nested) = change.change_set_id() {
                    open.push((format!("{}/", seen.id), nested.to_owned()));
                }
                changes.push(seen);
            }
            page = found.next_token().map(str::to_owned);
            if page.is_none() {
                break;
            }
        }
    }
    changes.sort_by(|a, b| (a.danger.is_none(), &a.id).cmp(&(b.danger.is_none(), &b.id)));
    Ok((changes, how))
}

fn look(within: &str, change: &ResourceChange) -> Change {
    let kind = change.resource_type().unwrap_or_default();
    let action = change.action().map_or("", ChangeAction::as_str);
    let is_kept = KEPT.contains(&kind);
    let replaced = matches!(change.replacement(), Some(Replacement::True | Replacement::Conditional));
    let stream = change.details().iter().any(|detail| {
        detail.target().and_then(|target| target.name()).is_some_and(|property| property == "StreamSpecification")
    });
    let danger = if is_kept && change.action() == Some(&ChangeAction::Remove) {
        Some("it is removed")
    } else if is_kept && replaced {
        Some("it is replaced by an empty one")
    } else if is_kept && stream {
        Some("its stream is replaced: what the old one holds is not published")
    } else {
        None
    };
    Change {
        id: format!("{within}{}", change.logical_resource_id().unwrap_or_default()),
        kind: kind.to_owned(),
        action: action.to_owned(),
        danger: danger.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{ResourceChangeDetail, ResourceTargetDefinition};

    use super::*;

    fn change(kind: &str, action: ChangeAction, replacement: Option<Replacement>, property: &str) -> Option<String> {
        let target = ResourceTargetDefinition::builder().name(property).build();
        let change = ResourceChange::builder()
            .logical_resource_id("It")
            .resource_type(kind)
            .action(action)
            .set_replacement(replacement)
            .details(ResourceChangeDetail::builder().target(target).build())
            .build();
        let seen = look("Tables/", &change);
        assert_eq!(seen.id, "Tables/It");
        seen.danger
    }

    #[test]
    fn what_holds_events_is_never_replaced_or_removed_unasked() {
        for kind in KEPT {
            assert!(change(kind, ChangeAction::Remove, None, "").is_some(), "{kind}");
            assert!(change(kind, ChangeAction::Modify, Some(Replacement::True), "").is_some(), "{kind}");
            assert!(change(kind, ChangeAction::Modify, Some(Replacement::Conditional), "").is_some(), "{kind}");
            assert_eq!(change(kind, ChangeAction::Modify, Some(Replacement::False), "Tags"), None, "{kind}");
            assert_eq!(change(kind, ChangeAction::Add, None, ""), None, "{kind}");
        }
        let stream = change(KEPT[0], ChangeAction::Modify, Some(Replacement::False), "StreamSpecification");
        assert!(stream.is_some_and(|why| why.contains("stream")));
    }

    #[test]
    fn what_holds_nothing_may_be_replaced() {
        for kind in ["AWS::Lambda::Version", "AWS::IAM::Role", "AWS::CloudFormation::Stack"] {
            assert_eq!(change(kind, ChangeAction::Modify, Some(Replacement::True), ""), None);
            assert_eq!(change(kind, ChangeAction::Remove, None, ""), None);
        }
    }

    #[test]
    fn a_slow_deployment_that_begins_a_generation_is_refused_and_any_other_is_not() {
        let lock = "# names\ninventory 2 a.b=beginning\nshipping 1 c.d=beginning\nnew 1 e.f=beginning\n";
        let begun = |known: &[(&str, u32)]| -> Vec<String> {
            generations(lock, known).into_iter().map(|change| format!("{}: {}", change.id, change.kind)).collect()
        };
        assert_eq!(begun(&[("inventory", 1), ("shipping", 1)]), ["inventory: generation 1 to 2"]);
        assert!(begun(&[("inventory", 2), ("shipping", 1), ("gone", 7)]).is_empty());
        assert!(generations(lock, &[("inventory", 1)]).iter().all(|change| change.danger.is_some()));
    }
}
