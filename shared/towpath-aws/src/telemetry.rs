//! JSON logs and CloudWatch metrics in the embedded format, both to standard output.
//! Must not know: personal data. An event is logged by its ids, never by its data.

use std::sync::OnceLock;

use metrics_cloudwatch_embedded::{Builder, Collector};
use towpath::audit::AuditReport;
use towpath::relay::RelayReport;
use towpath::{Counts, Envelope, Failed, Happened, Then, Timestamp};
use tracing_subscriber::EnvFilter;

/// Namespace of every metric.
pub(crate) const NAMESPACE: &str = "Towpath";
/// Who writes these lines.
static SELF: OnceLock<String> = OnceLock::new();
/// Target of what is logged at any level, because somebody asked for it.
const WATCHED: &str = "watched";
/// Values of one metric in one line.
const LAGS: usize = 100;

/// Starts logging and metrics; `dimensions` are those of every metric besides the stage, by name.
pub(crate) fn start(stage: &str, log_level: &str, dimensions: &[(&'static str, &str)]) -> Option<&'static Collector> {
    let name = dimensions.first().map_or(stage, |(_, value)| value);
    SELF.get_or_init(|| name.to_owned());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_env_filter(EnvFilter::new(format!("{log_level},{WATCHED}=debug")))
        .init();
    let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("stage", stage.to_owned());
    let with =
        |builder: Builder, (name, value): &(&'static str, &str)| builder.with_dimension(*name, (*value).to_owned());
    let metrics = dimensions.iter().fold(builder, with).init();
    metrics.map_err(|error| tracing::error!(%error, "metrics are off")).ok()
}

/// Writes the invocation's metrics, one line.
pub(crate) fn flush(metrics: Option<&Collector>) {
    if let Some(Err(error)) = metrics.map(|metrics| metrics.flush(std::io::stdout())) {
        tracing::warn!(%error, "metrics could not be written");
    }
}

/// What a consumer did in one invocation; `failed` messages go back to the queue.
pub(crate) fn count_consumer(counts: &Counts, failed: usize) {
    count("Received", counts.received);
    count("Applied", counts.applied);
    count("Duplicates", counts.duplicates);
    count("Gaps", counts.gaps);
    count("Waiting", counts.waiting);
    count("Held", counts.held);
    count("HandedOver", counts.handed_over);
    count("Parked", counts.parked);
    count("Skipped", counts.skipped);
    count("RefusedGroups", counts.refused);
    count("Committed", counts.committed);
    count("DeadLettered", counts.dead_lettered);
    count("Failed", failed as u64);
    // A metric line holds 100 values: a long catch-up shows evenly spaced ones.
    for lag in counts.lags.iter().step_by(counts.lags.len().div_ceil(LAGS).max(1)) {
        metrics::histogram!("Lag").record(as_number(*lag));
    }
}

/// What the relay did.
pub(crate) fn count_relay(report: &RelayReport, quarantined: u64) {
    count("Published", report.published);
    count("PublishRequests", report.requests);
    count("PublishFailures", report.refusals);
    count("Quarantined", quarantined);
}

/// What the auditor found, zeros too: an alarm needs to tell "none" from "nobody looked".
pub(crate) fn measure_audit(report: &AuditReport, now: Timestamp) {
    for (consumer, found) in &report.consumers {
        let measured = [
            ("UnaccountedEvents", found.unaccounted),
            ("HeldEvents", found.held),
            ("Overdue", found.overdue),
            ("Woken", found.woken),
            ("Resumed", found.resumed),
        ];
        for (name, value) in measured {
            metrics::gauge!(name, "consumer" => consumer.to_string()).set(as_number(value));
        }
        if found.unaccounted > 0 {
            tracing::error!(%consumer, unaccounted = found.unaccounted, woken = found.woken, "events are missing");
        }
    }
    if let Some(swept) = report.swept {
        metrics::gauge!("SweepAgeSeconds", "function" => "auditor").set(as_number(now.millis_since(swept) / 1_000));
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts, milliseconds and seconds are far below 2^52")]
fn as_number(value: u64) -> f64 {
    value as f64
}

/// Counts, leaving zeros out: a metric that was not touched costs nothing.
pub(crate) fn count(name: &'static str, by: u64) {
    if by > 0 {
        metrics::counter!(name).increment(by);
    }
}

/// One line for one step of one event: at DEBUG, and always if somebody is watching it.
pub(crate) fn log_step(event: &Envelope, happened: Happened, watched: bool) {
    macro_rules! line {
        ($target:expr) => {
            tracing::debug!(
                target: $target,
                watched,
                by = SELF.get().map(String::as_str),
                tenant_id = %event.tenant_id,
                event_id = %event.event_id,
                event_type = %event.event_type,
                aggregate = %event.aggregate(),
                seq = event.seq.0,
                correlation_id = %event.correlation_id,
                causation_id = %event.causation_id,
                traceparent = event.traceparent.as_ref().map(tracing::field::display),
                outcome = happened.name(),
                "an event"
            )
        };
    }
    if watched { line!(WATCHED) } else { line!("towpath") }
}

/// One line for one failure, with all ids that lead to its story.
pub(crate) fn log_failure(consumer: &str, failed: &Failed) {
    let (reason, then) = (failed.failure.reason(), then(failed.then));
    let aggregate = failed.aggregate.as_ref().map(ToString::to_string);
    match &failed.envelope {
        Some(event) => tracing::warn!(
            consumer,
            tenant_id = %event.tenant_id,
            event_id = %event.event_id,
            event_type = %event.event_type,
            aggregate,
            seq = event.seq.0,
            correlation_id = %event.correlation_id,
            causation_id = %event.causation_id,
            class = %reason.class,
            reason = %reason.message,
            then,
            "an event was not applied"
        ),
        None => tracing::warn!(
            consumer,
            aggregate,
            class = %reason.class,
            reason = %reason.message,
            then,
            "a message was not handled"
        ),
    }
}

fn then(then: Then) -> &'static str {
    match then {
        Then::Again => "the queue delivers the message again",
        Then::HandedOver => "a wake tries it again",
        Then::Parked => "it waits for an operator",
        Then::GivenUp => "the replay or rebuild of it ends here",
        Then::Kept => "the message is kept whole in the dead-letter queue",
    }
}
