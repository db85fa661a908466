//! Finds a deployed stack: by name through CloudFormation, or in the file that the local scripts write.
//! Must not know: what the stack is asked.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aws_config::{Region, SdkConfig};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::Deserialize;
use towpath_aws::calls::Calls;
use towpath_aws::config::Tables;

use crate::output::Usage;

/// Which stack.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Name of the CloudFormation stack.
    #[arg(long, global = true, env = "TOWPATH_STACK")]
    stack: Option<String>,
    /// A stack.json that `make run` or `make up` wrote.
    #[arg(long, global = true, env = "TOWPATH_STACK_FILE", value_name = "FILE")]
    stack_file: Option<PathBuf>,
    /// The environment says it: it need not be typed again.
    #[arg(skip)]
    is_known: bool,
    /// Everything that is asked of AWS.
    #[arg(skip)]
    pub(crate) calls: Calls,
}

impl Target {
    /// The stack of this name.
    pub(crate) fn named(&self, stack: &str) -> Self {
        Self { stack: Some(stack.to_owned()), stack_file: None, is_known: false, calls: self.calls.clone() }
    }

    /// Looks where the choice comes from: what was typed goes before what the environment says.
    pub(crate) fn settle(&mut self, matches: &ArgMatches) -> Result<()> {
        let from = |name, source| matches.value_source(name) == Some(source);
        let typed = |name| from(name, ValueSource::CommandLine);
        let is_known = |name| from(name, ValueSource::EnvVariable);
        match (&self.stack, &self.stack_file) {
            (Some(_), Some(_)) if typed("stack") && !typed("stack_file") => self.stack_file = None,
            (Some(_), Some(_)) if typed("stack_file") && !typed("stack") => self.stack = None,
            (Some(_), Some(_)) => {
                return Err(Usage(
                    "two stacks are named: by a name and by a file. Give one of --stack and --stack-file, or \
                                  unset one of TOWPATH_STACK and TOWPATH_STACK_FILE"
                        .into(),
                )
                .into());
            }
            _ => {}
        }
        self.is_known = !typed("stack") && !typed("stack_file") && (is_known("stack") || is_known("stack_file"));
        Ok(())
    }

    /// A command for this stack, to be typed as it stands.
    pub(crate) fn command(&self, rest: &str) -> String {
        command(&self.option(), rest)
    }

    /// The same choice, as options to type.
    pub(crate) fn option(&self) -> String {
        match (&self.stack_file, &self.stack) {
            _ if self.is_known => String::new(),
            (Some(path), _) => format!("--stack-file {}", path.display()),
            (None, Some(name)) => format!("--stack {name}"),
            (None, None) => String::new(),
        }
    }
}

/// A command with these options.
pub(crate) fn command(option: &str, rest: &str) -> String {
    let words = ["towpath", option, rest];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a stack says of itself.
pub(crate) struct Stack {
    /// How to reach it.
    sdk: SdkConfig,
    calls: Calls,
    /// Its name, for people.
    pub(crate) name: String,
    outputs: HashMap<String, String>,
}

#[derive(Deserialize)]
struct StackFile {
    endpoint: Option<String>,
    region: String,
    stack_name: String,
    outputs: HashMap<String, String>,
}

impl Stack {
    /// Finds the stack, or says what to give.
    pub(crate) async fn find(target: &Target) -> Result<Self> {
        match (&target.stack_file, &target.stack) {
            (Some(path), _) => Self::from_file(path, &target.calls).await,
            (None, Some(name)) => Self::from_cloudformation(name, &target.calls).await,
            (None, None) => {
                let how = "which stack? give --stack NAME, or --stack-file .local/run/stack.json after `make up`";
                Err(Usage(how.into()).into())
            }
        }
    }

    async fn from_file(path: &PathBuf, calls: &Calls) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read: run `make run` or `make up` first", path.display()))?;
        let file: StackFile =
            serde_json::from_str(&text).with_context(|| format!("{} is no stack file", path.display()))?;
        let mut sdk = towpath_aws::load_sdk_config().await.into_builder();
        sdk.set_region(Some(Region::new(file.region)));
        if let Some(endpoint) = file.endpoint {
            sdk.set_endpoint_url(Some(endpoint));
            // An emulator takes any key; real ones must not be sent to it.
            let key = aws_sdk_dynamodb::config::Credentials::new("test", "test", None, None, "local");
            sdk.set_credentials_provider(Some(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(key)));
        }
        Ok(Self::new(sdk.build(), calls, file.stack_name, file.outputs))
    }

    async fn from_cloudformation(name: &str, calls: &Calls) -> Result<Self> {
        let sdk = towpath_aws::load_sdk_config().await;
        let cloudformation = cloudformation(&sdk, calls);
        let region = sdk.region().map_or("no region", Region::as_ref);
        let answer =
            cloudformation.describe_stacks().stack_name(name).send().await.map_err(anyhow::Error::from).with_context(
                || {
                    format!(
                        "the stack {name} cannot be read in {region}: check its name, the region and your credentials"
                    )
                },
            )?;
        let stack = answer.stacks().first().with_context(|| format!("there is no stack {name}"))?;
        let output = |output: &aws_sdk_cloudformation::types::Output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        };
        let outputs = stack.outputs().iter().filter_map(output).collect();
        Ok(Self::new(sdk, calls, name.to_owned(), outputs))
    }

    fn new(sdk: SdkConfig, calls: &Calls, name: String, outputs: HashMap<String, String>) -> Self {
        let stack = Self { sdk, calls: calls.clone(), name, outputs };
        if let Ok(tables) = stack.tables() {
            let policies = stack.outputs.iter().filter(|(name, _)| name.ends_with("PolicyArn"));
            calls.know(tables, policies.map(|(name, arn)| (name.clone(), arn.clone())).collect());
        }
        stack
    }

    /// One of the stack's outputs.
    pub(crate) fn output(&self, name: &str) -> Result<String> {
        let value = self.outputs.get(name).cloned();
        value.with_context(|| {
            format!("the stack {} has no output {name}: is it a Towpath stack of this version?", self.name)
        })
    }

    /// The stack's tables.
    pub(crate) fn tables(&self) -> Result<Tables> {
        Ok(Tables {
            outbox: self.output("OutboxTable")?,
            entities: self.output("EntitiesTable")?,
            views: self.output("ViewsTable")?,
            progress: self.output("ProgressTable")?,
        })
    }

    /// A client of it that is watched.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk).interceptor(self.calls.of("dynamodb"));
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::config::Builder::from(&self.sdk).interceptor(self.calls.of("sqs"));
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        let config = aws_sdk_sns::config::Builder::from(&self.sdk).interceptor(self.calls.of("sns"));
        aws_sdk_sns::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        let config = aws_sdk_cloudwatchlogs::config::Builder::from(&self.sdk).interceptor(self.calls.of("logs"));
        aws_sdk_cloudwatchlogs::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        let config = aws_sdk_cloudwatch::config::Builder::from(&self.sdk).interceptor(self.calls.of("cloudwatch"));
        aws_sdk_cloudwatch::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        let config = aws_sdk_eventbridge::config::Builder::from(&self.sdk).interceptor(self.calls.of("events"));
        aws_sdk_eventbridge::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        let config = aws_sdk_lambda::config::Builder::from(&self.sdk).interceptor(self.calls.of("lambda"));
        aws_sdk_lambda::Client::from_conf(config.build())
    }

    /// A client of it that is watched.
    pub(crate) fn cloudformation(&self) -> aws_sdk_cloudformation::Client {
        cloudformation(&self.sdk, &self.calls)
    }
}

/// A client of CloudFormation that is watched; it is asked for the stack itself.
pub(crate) fn cloudformation(sdk: &SdkConfig, calls: &Calls) -> aws_sdk_cloudformation::Client {
    let config = aws_sdk_cloudformation::config::Builder::from(sdk).interceptor(calls.of("cloudformation"));
    aws_sdk_cloudformation::Client::from_conf(config.build())
}
