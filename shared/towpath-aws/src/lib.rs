//! Towpath on AWS: what the core asks through its ports is answered here with DynamoDB, SNS, SQS and EventBridge, and Lambda's
//! events are turned into the core's messages. The only crate that names attributes, expressions and event shapes.
//!
//! A function's `main` is one call: [`run_consumer`], [`run_relay`], [`run_auditor`] or [`http::run_api`].

pub mod audit;
mod buckets;
mod bus;
pub mod calls;
mod clients;
mod commit;
pub mod config;
pub mod decode;
mod host;
mod https;
mod issuer;
mod lambda;
mod ledger;
mod log;
mod meters;
pub mod operate;
mod provider;
mod queues;
pub mod registry;
mod rows;
pub mod spans;
mod store;
mod telemetry;
mod token;
mod topics;
mod trace;
pub mod watch;

pub use bus::EventBus;
pub use clients::load as load_sdk_config;
pub use host::LambdaHost;
pub use lambda::http;
pub use lambda::{Exit, run_auditor, run_consumer, run_consumer_with, run_relay};
pub use provider::{HttpProvider, InvalidProvider};
pub use queues::{DeadLetterQueue, QueueUrls, WakeQueues};
pub use store::{AwsStore, HOLDS_AGE};
pub use topics::{SnsTopics, TopicArns};
