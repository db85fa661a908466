//! What is wrong with functions and what wakes them, in a stack that is up.
//! Must not know: how it is asked.

use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType};
use aws_sdk_sqs::types::QueueAttributeName as Is;

use super::Finding;
use super::live::{Queue, Seen};

const DAY_SECONDS: i32 = 86_400;
const WRITE: &str = "deploy again, or write it with `aws lambda update-event-source-mapping --uuid";

/// Every finding.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    let mut found: Vec<Finding> = seen.mappings.iter().flat_map(|mapping| of_mapping(seen, mapping)).collect();
    for function in &seen.functions {
        let (live, newest) = (function.live.as_deref(), function.newest.as_deref());
        if live.is_none() || live != newest {
            let what = format!(
                "{}: the alias live is version {}, the newest is {}",
                function.name,
                live.unwrap_or("none"),
                newest.unwrap_or("none")
            );
            let fix = "a deployment is under way or was rolled back: end it, or deploy again";
            found.push(Finding::new("version-drift", what, fix));
        }
        let is_fed = |mapping: &&EventSourceMappingConfiguration| {
            seen.function(mapping.function_arn().unwrap_or_default()).is_some_and(|it| it.name == function.name)
        };
        if function.variables.contains_key("TOWPATH_QUEUE_URL") && seen.mappings.iter().filter(is_fed).count() < 2 {
            let what = format!("{}: a mapping of its queue or of its wake queue is gone", function.name);
            found.push(Finding::new("mapping-ends", what, "deploy again"));
        }
    }
    found
}

fn of_mapping(seen: &Seen, mapping: &EventSourceMappingConfiguration) -> Vec<Finding> {
    let uuid = mapping.uuid().unwrap_or_default();
    let function = seen.function(mapping.function_arn().unwrap_or_default());
    let queue = seen.queue(mapping.event_source_arn().unwrap_or_default());
    let name = function.map_or("a function that is not of this stack", |it| &it.name);
    let source = queue.map_or("the journal's stream", |queue| &queue.place);
    let mut found = Vec::new();
    let mut wrong = |rule: &str, what: &str, how: &str| {
        found.push(Finding::new(rule, format!("{source} to {name}: {what}"), format!("{WRITE} {uuid} {how}`")));
    };
    let waits = function.is_some_and(|it| it.variables.get("TOWPATH_PROVIDER_URL").is_some_and(String::is_empty));
    let state = mapping.state().unwrap_or_default();
    if !["Enabled", "Creating", "Enabling", "Updating"].contains(&state) && !waits {
        wrong("mapping-enabled", &format!("the mapping is {state}"), "--enabled");
    }
    if !mapping.function_arn().is_some_and(|arn| arn.ends_with(":live")) {
        wrong("mapping-ends", "it does not go to the alias live", "--function-name NAME:live");
    }
    if !mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures) {
        wrong(
            "single-failures",
            "one failed message brings back its whole batch",
            "--function-response-types ReportBatchItemFailures",
        );
    }
    match queue {
        Some(queue) => of_queue(queue, mapping, &mut wrong),
        None => of_stream(mapping, &mut wrong),
    }
    if let (Some(queue), Some(function)) = (queue, function) {
        let (hidden, timeout) = (queue.number(Is::VisibilityTimeout), function.timeout);
        if hidden < 6 * timeout {
            let what = format!("{}: messages are hidden for {hidden} s, {name} takes up to {timeout} s", queue.place);
            let fix = format!(
                "`aws sqs set-queue-attributes --queue-url {} --attributes VisibilityTimeout={}`",
                queue.url,
                6 * timeout
            );
            found.push(Finding::new("visibility", what, fix));
        }
    }
    found
}

fn of_queue(queue: &Queue, mapping: &EventSourceMappingConfiguration, wrong: &mut impl FnMut(&str, &str, &str)) {
    let (is_fifo, size) = (queue.text(Is::FifoQueue) == "true", mapping.batch_size().unwrap_or_default());
    if is_fifo && !(1..=10).contains(&size) {
        wrong("queue-mapping", &format!("batches of {size}"), "--batch-size 10");
    }
    if !is_fifo && size != 1 {
        wrong("wake-mapping", &format!("{size} wakes at once"), "--batch-size 1");
    }
    if mapping.filter_criteria().is_some_and(|filter| !filter.filters().is_empty()) {
        wrong("queue-mapping", "its filter deletes what does not match", "--filter-criteria '{}'");
    }
    let most = mapping.scaling_config().and_then(aws_sdk_lambda::types::ScalingConfig::maximum_concurrency);
    if most.is_none_or(|most| most < 2) {
        wrong("queue-mapping", "no limit of concurrency", "--scaling-config MaximumConcurrency=10");
    }
}

fn of_stream(mapping: &EventSourceMappingConfiguration, wrong: &mut impl FnMut(&str, &str, &str)) {
    if mapping.starting_position().is_none_or(|position| position.as_str() != "TRIM_HORIZON") {
        wrong(
            "stream-mapping",
            "it does not begin at the first record",
            "(a new mapping) --starting-position TRIM_HORIZON",
        );
    }
    if mapping.maximum_retry_attempts().is_none_or(|most| most < 1) {
        wrong("stream-mapping", "retries have no end", "--maximum-retry-attempts 1000");
    }
    if mapping.maximum_record_age_in_seconds().is_none_or(|most| !(60..DAY_SECONDS).contains(&most)) {
        let how = "--maximum-record-age-in-seconds 21600";
        wrong("stream-mapping", "retries go on until the stream has forgotten", how);
    }
    if mapping.bisect_batch_on_function_error() != Some(true) {
        wrong("stream-mapping", "a bad record takes its batch with it", "--bisect-batch-on-function-error");
    }
    let failed = mapping.destination_config().and_then(|to| to.on_failure()).and_then(|to| to.destination());
    if failed.is_none() {
        wrong("stream-mapping", "what it gives up is kept nowhere", "--destination-config OnFailure={Destination=ARN}");
    }
    let filters = mapping.filter_criteria().map(|filter| filter.filters()).unwrap_or_default();
    if filters.is_empty() || !filters.iter().all(|it| it.pattern().is_some_and(|pattern| pattern.contains("INSERT"))) {
        let how = r#"--filter-criteria '{"Filters":[{"Pattern":"{\"eventName\":[\"INSERT\"]}"}]}'"#;
        wrong("stream-mapping", "it takes more than inserts", how);
    }
}
