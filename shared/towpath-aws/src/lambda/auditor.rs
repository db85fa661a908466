//! The auditor as a Lambda function: a rule wakes it every minute, with an event that says nothing.
//! Must not know: what it compares.

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use towpath::audit::{AuditOptions, AuditPorts, tick};
use towpath::ports::{Host, Unavailable};

use crate::lambda::{Exit, Problem, host, invocation_failed, opened, plant, run};
use crate::{AwsStore, LambdaHost, WakeQueues, clients, config, telemetry};

/// Blocked rows of each table that are counted in one tick: whoever has more parked than this need not know how many.
const MOST_PARKED: usize = 1_000;

/// Runs the auditor: `fn main() -> Exit { run_auditor() }`.
pub fn run_auditor() -> Exit {
    run(async {
        let config = config::common(config::process_environment)?;
        let metrics = telemetry::start(&config.stage, &config.log_level, &[]);
        plant();
        let sdk = clients::load().await;
        let function = Function {
            store: AwsStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables, config.outbox_retention_days),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            said: telemetry::Said::default(),
        };
        opened(function.store.warm().await);
        let function = &function;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
            let done = function.tick(&host(&event.context)).await;
            // Not after a failure: what was measured a minute ago must not be published as new.
            done.map(|()| telemetry::flush(metrics)).map_err(|error| invocation_failed("NotAudited", error))
        }))
        .await
        .map_err(|error| -> Problem { error })
    })
}

struct Function {
    store: AwsStore,
    sqs: aws_sdk_sqs::Client,
    said: telemetry::Said,
}

impl Function {
    /// Its queues are looked up each time: a consumer may have been deployed since the last one.
    async fn tick(&self, host: &LambdaHost) -> Result<(), Unavailable> {
        let registrations = self.store.registered().await?;
        let wakes = WakeQueues::of(self.sqs.clone(), registrations);
        let ports =
            AuditPorts { ledger: &self.store, store: &self.store, wakes: &wakes, host, meters: Some(&self.store) };
        let report = tick(ports, AuditOptions::default()).await?;
        for (consumer, error) in &report.troubles {
            tracing::error!(%consumer, %error, "a consumer could not be audited: if it was removed, delete its row (pk ~registry) from the progress table");
        }
        if let Some(error) = &report.unmetered {
            tracing::error!(%error, "usage could not be folded: the next minute goes on with it");
        }
        let parked = self.store.parked(MOST_PARKED).await?;
        telemetry::measure_audit(&report, &parked, &self.said, host.now());
        Ok(())
    }
}
