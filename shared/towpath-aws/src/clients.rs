//! One SDK configuration for all clients: time limits and few retries, because the queue retries too.
//! Must not know: tables, topics, queues.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// Attempts of one call. What still fails goes back to the queue or to the stream, which wait longer.
const ATTEMPTS: u32 = 3;

/// Reads region, credentials and endpoint as every AWS program does (`AWS_ENDPOINT_URL` for an emulator).
pub async fn load() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(6))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
        .load()
        .await
}
