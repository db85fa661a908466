//! A stack that is up, as its stack.json describes it: clients of its services, its tables, a counter of requests.
//! Must not know: what is tested or measured on it.

mod counter;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
pub use counter::{Counter, Sent};
use serde::Deserialize;
use towpath_aws::AwsStore;
use towpath_aws::config::Tables;

/// A deployed stack on an emulator.
#[derive(Deserialize)]
pub struct Deployed {
    /// Where it is.
    pub endpoint: String,
    /// Its name in CloudFormation.
    pub stack_name: String,
    /// Who issues the tokens that its API takes.
    pub issuer: String,
    region: String,
    outputs: HashMap<String, String>,
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// For clients of an emulator, which takes any credentials.
pub fn dummy_credentials(endpoint: &str, region: &str) -> SdkConfig {
    let key = Credentials::new("test", "test", None, None, "emulator");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(key))
        .build()
}

impl Deployed {
    /// Reads what tests/local/stack.py wrote about a stack.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!("{} cannot be read: `make up` brings a stack up and writes one", file.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is no stack file", file.display()))
    }

    /// An output of the template.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    /// For clients of any service.
    pub fn sdk(&self) -> SdkConfig {
        dummy_credentials(&self.endpoint, &self.region)
    }

    /// The names of its tables.
    pub fn tables(&self) -> Result<Tables> {
        Ok(Tables {
            outbox: self.output("OutboxTable")?.to_owned(),
            entities: self.output("EntitiesTable")?.to_owned(),
            views: self.output("ViewsTable")?.to_owned(),
            progress: self.output("ProgressTable")?.to_owned(),
        })
    }

    /// Its tables as the functions use them.
    pub fn store(&self) -> Result<AwsStore> {
        Ok(AwsStore::new(aws_sdk_dynamodb::Client::new(&self.sdk()), self.tables()?, 0))
    }

    /// The same, and what goes out to DynamoDB.
    pub fn counted_store(&self) -> Result<(AwsStore, Counter)> {
        let counter = Counter::default();
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk()).interceptor(counter.clone()).build();
        Ok((AwsStore::new(aws_sdk_dynamodb::Client::from_conf(config), self.tables()?, 0), counter))
    }
}
