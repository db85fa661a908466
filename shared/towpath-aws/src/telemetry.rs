//! JSON logs and CloudWatch metrics in the embedded format, both to standard output.
//! Must not know: personal data. An event is logged by its ids, never by its data.

use metrics_cloudwatch_embedded::{Builder, Collector};
use towpath::batch::BatchReport;
use towpath::relay::RelayReport;
use towpath::{Envelope, Failure};
use tracing_subscriber::EnvFilter;

/// Namespace of every metric.
pub(crate) const NAMESPACE: &str = "Towpath";

/// Starts logging and metrics; `dimension` is (`consumer` or `function`, its name).
pub(crate) fn start(stage: &str, log_level: &str, dimension: (&'static str, &str)) -> Option<&'static Collector> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_env_filter(EnvFilter::new(log_level))
        .init();
    let (name, value) = dimension;
    let metrics = Builder::new()
        .cloudwatch_namespace(NAMESPACE)
        .with_dimension("stage", stage.to_owned())
        .with_dimension(name, value.to_owned())
        .init();
    metrics.map_err(|error| tracing::error!(%error, "metrics are off")).ok()
}

/// Writes the invocation's metrics, one line.
pub(crate) fn flush(metrics: Option<&Collector>) {
    if let Some(Err(error)) = metrics.map(|metrics| metrics.flush(std::io::stdout())) {
        tracing::warn!(%error, "metrics could not be written");
    }
}

/// What a consumer did.
pub(crate) fn count_batch(report: &BatchReport) {
    count("Received", report.received);
    count("Applied", report.applied);
    count("Duplicates", report.duplicates);
    count("Gaps", report.gaps);
    count("Committed", report.committed);
    count("Failed", report.failed.len() as u64);
    count("DeadLettered", report.dead_lettered);
    for lag in &report.lags {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of lag are far below 2^52")]
        metrics::histogram!("Lag").record(*lag as f64);
    }
}

/// What the relay did.
pub(crate) fn count_relay(report: &RelayReport, quarantined: u64) {
    count("Published", report.published);
    count("PublishRequests", report.requests);
    count("PublishFailures", report.refusals);
    count("Quarantined", quarantined);
}

/// Counts, leaving zeros out: a metric that was not touched costs nothing.
pub(crate) fn count(name: &'static str, by: u64) {
    if by > 0 {
        metrics::counter!(name).increment(by);
    }
}

/// One line for one failure, with all ids that lead to its story.
pub(crate) fn log_failure(consumer: &str, envelope: Option<&Envelope>, failure: &Failure) {
    let reason = failure.reason();
    match envelope {
        Some(event) => tracing::warn!(
            consumer,
            tenant_id = %event.tenant_id,
            event_id = %event.event_id,
            event_type = %event.event_type,
            aggregate = %event.aggregate(),
            seq = event.seq.0,
            correlation_id = %event.correlation_id,
            causation_id = %event.causation_id,
            class = %reason.class,
            reason = %reason.message,
            "an event was not applied; the queue will offer it again"
        ),
        None => tracing::warn!(consumer, class = %reason.class, reason = %reason.message, "a message was not handled"),
    }
}
