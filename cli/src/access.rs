//! Who may use which command: what each one asks of AWS, and whose policy of the stack allows it. docs/access.md and
//! infra/access.yaml say the same, and tests compare the three. Must not know: how calls are made.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::Serialize;
use towpath_aws::calls::{Calls, Refusal};

use crate::output::{say, table};

/// What `access` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The people who work with a stack. Each has the policies of those before too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    /// Looks.
    Reader,
    /// Retries, skips, holds, replays: each on record.
    Operator,
    /// Sets what a tenant may ask for, and deploys.
    Admin,
}

impl Who {
    const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Admin];

    fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The stack's output with the ARN of this one's policy.
    fn output(self) -> &'static str {
        match self {
            Self::Reader => "ReaderPolicyArn",
            Self::Operator => "OperatorPolicyArn",
            Self::Admin => "AdminPolicyArn",
        }
    }

    /// What this one's policy allows, beyond those before.
    fn allowed(self) -> BTreeSet<&'static str> {
        let of = |wanted: fn(Self, Self) -> bool| -> BTreeSet<&str> {
            COMMANDS.iter().filter(|it| wanted(it.who, self)).flat_map(Command::calls).collect()
        };
        of(|who, own| who == own).difference(&of(|who, own| who < own)).copied().collect()
    }
}

/// A command as it is typed, who it is for, and what it asks for.
struct Command {
    typed: &'static str,
    who: Who,
    calls: &'static [&'static [&'static str]],
}

impl Command {
    fn calls(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.calls.iter().flat_map(|part| part.iter().copied())
    }
}

/// The stack, its consumers and who is held.
const STACK: &[&str] = &["cloudformation:DescribeStacks", "dynamodb:Query progress"];
const CURSORS: &[&str] = &["dynamodb:BatchGetItem progress", "dynamodb:BatchGetItem views"];
const WAITING: &[&str] = &["dynamodb:Query progress/by_due", "dynamodb:Query views/by_due"];
const SAGAS: &[&str] = &["dynamodb:Query entities/by_due"];
const INDEX: &[&str] = &["dynamodb:Query outbox/by_time"];
const JOURNAL: &[&str] = &["dynamodb:Query outbox"];
const ROW: &[&str] = &["dynamodb:GetItem progress"];
const LOGS: &[&str] = &["logs:FilterLogEvents"];
const QUEUES: &[&str] = &["sqs:GetQueueAttributes"];
const WAKE: &[&str] = &["sqs:SendMessage"];
const RECORD: &[&str] = &["dynamodb:PutItem progress *#~audit"];
const REPLAY: &[&str] = &["dynamodb:Scan outbox/by_time"];
const CHANGE: &[&str] = &["cloudformation:DescribeChangeSet", "cloudformation:ListChangeSets"];
const SETTINGS: &[&str] = &[
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
    "cloudwatch:DescribeAlarms",
    "dynamodb:DescribeContinuousBackups entities",
    "dynamodb:DescribeContinuousBackups outbox",
    "dynamodb:DescribeContinuousBackups progress",
    "dynamodb:DescribeContinuousBackups views",
    "dynamodb:DescribeTable entities",
    "dynamodb:DescribeTable outbox",
    "dynamodb:DescribeTable progress",
    "dynamodb:DescribeTable views",
    "dynamodb:DescribeTimeToLive entities",
    "dynamodb:DescribeTimeToLive outbox",
    "dynamodb:DescribeTimeToLive progress",
    "dynamodb:DescribeTimeToLive views",
    "events:DescribeRule",
    "lambda:GetAlias",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetFunctionRecursionConfig",
    "lambda:ListEventSourceMappings",
    "lambda:ListVersionsByFunction",
    "logs:DescribeLogGroups",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
];

macro_rules! commands {
    ($($typed:literal $who:ident: $($part:expr),*;)*) => {
        &[$(Command { typed: $typed, who: Who::$who, calls: &[$($part),*] }),*]
    };
}

/// Every command that asks AWS for something.
const COMMANDS: &[Command] = commands![
    "status" Reader: STACK, CURSORS, WAITING, SAGAS, INDEX, ROW, LOGS, QUEUES;
    "status --audit --yes" Operator: STACK, CURSORS, WAITING, SAGAS, INDEX, ROW, LOGS, QUEUES, WAKE, &["dynamodb:PutItem progress ~audit"];
    "dlq list" Reader: STACK, CURSORS, WAITING;
    "dlq show" Reader: STACK, CURSORS, WAITING, JOURNAL;
    "dlq audit-log" Reader: STACK;
    "dlq retry" Reader: STACK, CURSORS, WAITING;
    "dlq retry --yes" Operator: STACK, CURSORS, WAITING, RECORD, WAKE;
    "dlq skip" Reader: STACK, CURSORS, WAITING;
    "dlq skip --yes" Operator: STACK, CURSORS, WAITING, RECORD, WAKE;
    "hold" Reader: STACK, WAITING, ROW;
    "hold --yes" Operator: STACK, WAITING, ROW, RECORD, &["dynamodb:PutItem progress ~holds"];
    "resume" Reader: STACK, WAITING, ROW;
    "resume --yes" Operator: STACK, WAITING, ROW, RECORD, &["dynamodb:PutItem progress ~holds"];
    "replay" Operator: STACK, CURSORS, ROW, INDEX, REPLAY;
    "replay --yes" Operator: STACK, CURSORS, ROW, INDEX, REPLAY, RECORD, WAKE,
        &["dynamodb:DeleteItem progress *#*#*", "dynamodb:PutItem progress ~builds"];
    "trace" Reader: STACK, CURSORS, INDEX, JOURNAL;
    "watch" Reader: STACK;
    "watch --yes" Operator: STACK, &["dynamodb:DeleteItem progress ~watch", "dynamodb:PutItem progress ~watch"];
    "tenants limit" Reader: STACK, ROW;
    "tenants limit --yes" Admin: STACK, ROW, RECORD, &["dynamodb:PutItem progress *#~limit"];
    "tenants usage" Reader: STACK, ROW;
    "doctor" Reader: STACK, QUEUES, SETTINGS;
    "changes" Reader: STACK, CHANGE;
    "changes --yes" Admin: STACK, CHANGE, &["cloudformation:ExecuteChangeSet"];
];

/// The command that was typed: its words, and whether it is to be done.
pub(crate) fn typed(matches: &ArgMatches) -> String {
    let (mut words, mut at) = (Vec::new(), matches);
    while let Some((name, inner)) = at.subcommand() {
        words.push(name.to_owned());
        at = inner;
    }
    let said = |flag: &str| at.try_get_one::<bool>(flag).ok().flatten() == Some(&true);
    if said("yes") {
        words.extend(said("audit").then(|| "--audit".to_owned())); // without it there is nothing to be done
        words.push("--yes".to_owned());
    }
    words.join(" ")
}

/// Whether this is the name of a command as [`COMMANDS`] has it, which says no more of it than is needed to tell it apart.
#[cfg(test)]
pub(crate) fn names(command: &str) -> bool {
    COMMANDS.iter().any(|known| command.strip_prefix("towpath ") == Some(known.typed))
}

/// What to do about a refusal, for the person who typed this.
pub(crate) fn sentence(typed: &str, refused: &Refusal, calls: &Calls) -> String {
    let allows = |who: &Who| {
        let action = |call: &&str| call.split(' ').next().is_some_and(|it| it.eq_ignore_ascii_case(&refused.action));
        who.allowed().iter().any(action)
    };
    let own = COMMANDS.iter().find(|command| command.typed == typed).map(|command| command.who);
    let who = own.filter(allows).or_else(|| Who::ALL.into_iter().find(allows)).or(own).unwrap_or(Who::Reader);
    let on = refused.resource.as_deref().map(|resource| format!(" on {resource}")).unwrap_or_default();
    let output = who.output();
    let policy = match calls.policy(output) {
        Some(arn) => format!("{arn} ({output} of the stack's outputs)"),
        None => format!("which the stack's output {output} names"),
    };
    format!("you may not {}{on}. `towpath {typed}` needs it: have the policy attached to you, {policy}", refused.action)
}

#[derive(Serialize)]
struct Line {
    command: &'static str,
    who: Who,
    calls: Vec<&'static str>,
}

/// Prints who may use which command, and what it asks of AWS.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let line = |it: &Command| Line { command: it.typed, who: it.who, calls: it.calls().collect() };
    let lines: Vec<Line> = COMMANDS.iter().map(line).collect();
    say(options.json, &lines, || {
        let rows =
            lines.iter().map(|line| [line.command.to_owned(), line.who.name().to_owned(), line.calls.join(", ")]);
        table(["towpath", "for", "asks AWS for"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;
    use serde_json::Value;
    use towpath_doctor::Source;

    use super::*;

    fn read(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
    }

    /// What a statement allows, in the words of [`COMMANDS`].
    fn words_of(statement: &Value) -> Vec<String> {
        let texts = |value: &Value| -> Vec<String> {
            let one = |value: &Value| value.as_str().or_else(|| value["Fn::Sub"].as_str()).map(str::to_owned);
            one(value).into_iter().chain(value.as_array().into_iter().flatten().filter_map(one)).collect()
        };
        let keys = texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
        if !keys.is_empty() {
            assert_eq!(
                statement["Condition"]["Null"]["dynamodb:LeadingKeys"], "false",
                "ForAllValues is true of nothing"
            );
        }
        let mut words = Vec::new();
        for action in texts(&statement["Action"]) {
            for on in texts(&statement["Resource"]) {
                let table =
                    on.split_once(":table/${").map(|(_, rest)| rest.replacen("Table}", "", 1).replace("/index", ""));
                match (table, &*keys) {
                    (Some(table), []) => words.push(format!("{action} {}", table.to_lowercase())),
                    (Some(table), keys) => {
                        words.extend(keys.iter().map(|key| format!("{action} {} {key}", table.to_lowercase())))
                    }
                    (None, _) => words.push(action.clone()),
                }
            }
        }
        words
    }

    /// Both ways: no action is missing, and none is too much. What DynamoDB and SQS ask of the key on the way is apart.
    #[test]
    fn each_policy_allows_what_its_commands_ask_for_and_nothing_else() {
        let source = Source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/access.yaml")).unwrap();
        for who in Who::ALL {
            let logical = who.output().strip_suffix("Arn").unwrap();
            let document = &source.root["Resources"][logical]["Properties"]["PolicyDocument"];
            let statements = document["Statement"].as_array().unwrap();
            let plain = statements.iter().filter(|statement| statement["Fn::If"].is_null());
            let said: BTreeSet<String> = plain.flat_map(words_of).collect();
            let asked: BTreeSet<String> = who.allowed().into_iter().map(str::to_owned).collect();
            let (missing, much) = (asked.difference(&said), said.difference(&asked));
            assert_eq!((missing.collect::<Vec<_>>(), much.collect::<Vec<_>>()), (vec![], vec![]), "{}", who.name());
        }
    }

    #[test]
    fn docs_access_names_what_each_command_asks_for() {
        let page = read("docs/access.md");
        let mut wanted = String::new();
        for command in COMMANDS {
            let calls: Vec<String> = command.calls().map(|call| format!("`{call}`")).collect();
            wanted += &format!("| `towpath {}` | {} | {} |\n", command.typed, command.who.name(), calls.join(", "));
        }
        assert!(page.contains(&wanted), "docs/access.md must hold this table:\n{wanted}");
    }

    /// A command that is new must say what it asks for; what asks nobody is named here.
    #[test]
    fn every_command_of_the_program_is_listed() {
        let alone = ["access", "catalogue check", "catalogue docs", "catalogue release", "new"];
        let mut found = BTreeSet::new();
        for command in crate::Cli::command().get_subcommands() {
            let verbs: Vec<_> = command
                .get_subcommands()
                .map(|verb| (format!("{} {}", command.get_name(), verb.get_name()), verb))
                .collect();
            let all = if verbs.is_empty() { vec![(command.get_name().to_owned(), command)] } else { verbs };
            for (typed, command) in all.into_iter().filter(|(typed, _)| !alone.contains(&typed.as_str())) {
                let has = |flag: &str| command.get_arguments().any(|argument| argument.get_id() == flag);
                if has("yes") {
                    found.insert(format!("{typed}{} --yes", if has("audit") { " --audit" } else { "" }));
                }
                found.insert(typed);
            }
        }
        assert_eq!(found, COMMANDS.iter().map(|command| command.typed.to_owned()).collect());
    }

    #[test]
    fn a_refusal_says_what_is_missing_and_which_policy_has_it() {
        let refused = |action: &str| Refusal { action: action.into(), resource: Some("arn:aws:sqs:q".into()) };
        let calls = Calls::default();
        let said = |typed: &str, action: &str| sentence(typed, &refused(action), &calls);
        assert!(said("dlq retry --yes", "sqs:SendMessage").contains("OperatorPolicyArn"));
        assert!(said("dlq retry --yes", "sqs:sendmessage").contains("OperatorPolicyArn"));
        assert!(said("dlq retry --yes", "dynamodb:BatchGetItem").contains("ReaderPolicyArn"));
        assert!(said("tenants limit --yes", "dynamodb:PutItem").contains("AdminPolicyArn"));
        assert!(said("hold --yes", "dynamodb:PutItem").contains("OperatorPolicyArn"));
        assert_eq!(
            said("status", "kms:Decrypt"),
            "you may not kms:Decrypt on arn:aws:sqs:q. `towpath status` needs it: have the policy attached to you, which the \
             stack's output ReaderPolicyArn names"
        );
    }
}
