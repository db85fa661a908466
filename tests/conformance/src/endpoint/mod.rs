//! An AWS endpoint: an emulator, a LocalStack, AWS itself. Everything that is made there has the run's prefix, is noted
//! when it is made, and is removed at the end. Must not know: any case, which deviations are known.

mod made;
mod queues;
mod subscribed;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use deployed::dummy_credentials;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use towpath::TenantId;
use towpath::ports::{Ledger, Publisher, Store};
use towpath_aws::AwsStore;
use towpath_aws::config::Tables;

use crate::services::{Queue, Reply, Services, TopicAndQueues};
use made::Made;
pub(crate) use queues::{FIFO, SqsQueue};
pub(crate) use subscribed::open_to;

/// What `--endpoint` says for AWS itself, as the environment has it.
const AWS: &str = "aws";
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// An endpoint, and the tables that this run made there.
pub(crate) struct Endpoint {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) tables: Tables,
    store: AwsStore,
    made: Rc<Made>,
    names: Cell<u32>,
    patience: Duration,
}

/// Which endpoint it is, as the name of its list of deviations; `None` if nobody keeps one for it.
pub(crate) fn kind(address: &str) -> Option<&'static str> {
    let health = ureq::get(format!("{}/_ministack/health", address.trim_end_matches('/'))).call();
    health.is_ok_and(|answer| answer.status().is_success()).then_some("ministack")
}

impl Endpoint {
    /// Makes the tables. What has been made so far is in `made`, even if this fails.
    pub(crate) async fn new(config: &SdkConfig, made: Rc<Made>) -> Result<Self> {
        let tables = made.tables().await?;
        let dynamodb = aws_sdk_dynamodb::Client::new(config);
        let local = config.endpoint_url().is_some_and(is_local);
        Ok(Self {
            store: AwsStore::new(dynamodb.clone(), tables.clone(), 0),
            dynamodb,
            streams: aws_sdk_dynamodbstreams::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            tables,
            made,
            names: Cell::new(0),
            patience: Duration::from_secs(if local { 6 } else { 90 }),
        })
    }

    /// A FIFO queue with more attributes than infra/consumer.yaml's.
    pub(crate) async fn queue(&self, attributes: &[(&str, String)]) -> Result<SqsQueue> {
        SqsQueue::make(&self.sqs, &self.made, &self.fresh("q"), attributes).await
    }

    fn fresh(&self, what: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{}-{what}{}", self.made.prefix, self.names.get())
    }
}

/// How to reach it: made-up credentials for what is on this machine, the environment's for everything else.
pub(crate) async fn config(address: &str) -> SdkConfig {
    if is_local(address) {
        return dummy_credentials(address, "us-east-1");
    }
    let loader = aws_config::defaults(BehaviorVersion::latest());
    if address == AWS { loader.load().await } else { loader.endpoint_url(address).load().await }
}

/// Notes what a run makes, with a prefix of its own.
pub(crate) fn notes(config: &SdkConfig) -> Result<Rc<Made>> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).context("no random bits")?;
    Ok(Rc::new(Made::new(config, format!("towpath-conformance-{:08x}", u32::from_le_bytes(random)))))
}

fn is_local(address: &str) -> bool {
    let host = address.split("://").last().unwrap_or(address);
    LOCAL
        .iter()
        .any(|local| host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

impl Services for Endpoint {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.store
    }

    fn put_rows(&self, tenant: TenantId, count: usize) -> Reply<'_, bool> {
        async move {
            let rows = (0..count).map(|number| self.put(&format!("{tenant}#rows"), &number.to_string(), 1));
            let rows = rows.collect::<Result<Vec<_>>>()?;
            Ok(self.dynamodb.transact_write_items().set_transact_items(Some(rows)).send().await.is_ok())
        }
        .boxed_local()
    }

    fn fifo(&self) -> Reply<'_, Rc<dyn Queue>> {
        async move { Ok(Rc::new(self.queue(FIFO).await?) as Rc<dyn Queue>) }.boxed_local()
    }

    fn fifo_with_dead_letters(&self, most: u32) -> Reply<'_, (Rc<dyn Queue>, Rc<dyn Queue>)> {
        async move {
            let (queue, dead_letters) = self.redriven(most).await?;
            Ok((Rc::new(queue) as Rc<dyn Queue>, Rc::new(dead_letters) as Rc<dyn Queue>))
        }
        .boxed_local()
    }

    fn standard(&self) -> Reply<'_, Rc<dyn Queue>> {
        async move { Ok(Rc::new(self.queue(&[]).await?) as Rc<dyn Queue>) }.boxed_local()
    }

    fn topic<'a>(&'a self, filters: &'a [&'a [&'a str]]) -> Reply<'a, TopicAndQueues> {
        async move {
            let topic = self.fifo_topic().await?;
            let mut queues: Vec<Rc<dyn Queue>> = Vec::new();
            for types in filters {
                let queue = self.queue(&[FIFO, &[open_to(&topic)]].concat()).await?;
                self.subscribe(&topic, &queue, Some(types)).await?;
                queues.push(Rc::new(queue));
            }
            Ok((Rc::new(self.publisher(&topic)) as Rc<dyn Publisher>, queues))
        }
        .boxed_local()
    }

    fn pass(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        tokio::time::sleep(time).boxed_local()
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn tenant(&self) -> TenantId {
        // Of no other run either: DynamoDB remembers client tokens longer than a run lasts.
        TenantId::parse(self.fresh("t")).expect("it is letters, dashes and digits")
    }
}

impl Endpoint {
    /// A FIFO queue, and the one that gets what was received `most` times.
    pub(crate) async fn redriven(&self, most: u32) -> Result<(SqsQueue, SqsQueue)> {
        let dead_letters = self.queue(FIFO).await?;
        let policy = serde_json::json!({ "deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": most });
        let attributes = [FIFO, &[("RedrivePolicy", policy.to_string())]].concat();
        Ok((self.queue(&attributes).await?, dead_letters))
    }

    /// A plain put of so many bytes into the table of views.
    pub(crate) fn put(&self, view: &str, row: &str, bytes: usize) -> Result<TransactWriteItem> {
        let put = Put::builder().table_name(&self.tables.views).item("view", AttributeValue::S(view.to_owned()));
        let put = put.item("row", AttributeValue::S(row.to_owned())).item("x", AttributeValue::S("x".repeat(bytes)));
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }
}
