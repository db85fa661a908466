//! Finds a deployed stack: by name through CloudFormation, or in the file that the local scripts write.
//! Must not know: what the stack is asked.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aws_config::{Region, SdkConfig};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::Deserialize;
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
}

impl Target {
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
    pub(crate) sdk: SdkConfig,
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
            (Some(path), _) => Self::from_file(path).await,
            (None, Some(name)) => Self::from_cloudformation(name).await,
            (None, None) => {
                let how = "which stack? give --stack NAME, or --stack-file .local/run/stack.json after `make up`";
                Err(Usage(how.into()).into())
            }
        }
    }

    async fn from_file(path: &PathBuf) -> Result<Self> {
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
        Ok(Self { sdk: sdk.build(), name: file.stack_name, outputs: file.outputs })
    }

    async fn from_cloudformation(name: &str) -> Result<Self> {
        let sdk = towpath_aws::load_sdk_config().await;
        let cloudformation = aws_sdk_cloudformation::Client::new(&sdk);
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
        Ok(Self { sdk, name: name.to_owned(), outputs })
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
}
