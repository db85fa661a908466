//! The stack that is measured, and a store on it whose requests are counted on their way out.
//! Must not know: what is measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Credentials, Intercept, RuntimeComponents, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::BoxError;
use serde::Deserialize;
use towpath_aws::AwsStore;
use towpath_aws::config::Tables;

use crate::wire::Request;

/// A deployed stack.
#[derive(Deserialize)]
pub(crate) struct Stack {
    endpoint: String,
    region: String,
    outputs: HashMap<String, String>,
}

/// Notes every request that goes out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<Mutex<Vec<Request>>>);

impl Counter {
    /// What went out since the last time.
    pub(crate) fn take(&self) -> Vec<Request> {
        self.0.lock().map(|mut seen| std::mem::take(&mut *seen)).unwrap_or_default()
    }
}

impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "Counter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let seen = Request::parse(target, request.body().bytes().unwrap_or_default())?;
        if let Ok(mut all) = self.0.lock() {
            all.push(seen);
        }
        Ok(())
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Stack {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read: run `make numbers`", file.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn sdk(&self) -> SdkConfig {
        let key = Credentials::new("test", "test", None, None, "emulator");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(key))
            .build()
    }

    /// A store on this stack, and what it asks of DynamoDB.
    pub(crate) fn store(&self) -> Result<(AwsStore, Counter)> {
        let output =
            |name: &str| self.outputs.get(name).cloned().with_context(|| format!("the stack has no output {name}"));
        let tables = Tables {
            outbox: output("OutboxTable")?,
            entities: output("EntitiesTable")?,
            views: output("ViewsTable")?,
            progress: output("ProgressTable")?,
        };
        let counter = Counter::default();
        let config = aws_sdk_dynamodb::config::Builder::from(&self.sdk()).interceptor(counter.clone()).build();
        Ok((AwsStore::new(aws_sdk_dynamodb::Client::from_conf(config), tables, 0), counter))
    }
}
