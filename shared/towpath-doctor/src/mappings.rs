//! What wakes a function: queue mappings are bounded, stream mappings lose nothing, both report single failures, every
//! consumer has its wakes and the auditor its minute.
//! Must not know: what the functions do.

use serde_json::Value;

use crate::rule::Findings;
use crate::stack::{Resource, Stack, binary_of, number, texts};

const MAPPING: &str = "AWS::Lambda::EventSourceMapping";
const FUNCTION: &str = "AWS::Lambda::Function";
const DAY_SECONDS: u64 = 86_400;
const MINUTE_SECONDS: u64 = 60;

/// A mapping's source is a queue or a table's stream in here; its target is the alias `live`, never `$LATEST`.
pub(crate) fn ends(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for mapping in stack.each(MAPPING) {
        let source = stack.follow(mapping.property("EventSourceArn")).map(|source| source.kind.as_str());
        if !matches!(source, Some("AWS::SQS::Queue" | "AWS::DynamoDB::Table")) {
            findings.push(format!("{}: its source is no queue and no table of this stack", mapping.place));
        }
        let alias = stack.follow(mapping.property("FunctionName"));
        if alias.is_none_or(|alias| *alias.property("Name") != "live") || stack.function_of(mapping).is_none() {
            findings.push(format!("{}: its target is not the alias live of a function", mapping.place));
        }
    }
    findings
}

/// A mapping that is off takes nothing, and nobody is told. Only who waits for a provider may be off.
pub(crate) fn enabled(stack: &Stack) -> Findings {
    let waits = |mapping: &Resource| {
        stack.function_of(mapping).is_some_and(|function| *function.variable("TOWPATH_PROVIDER_URL") == "")
    };
    let off = stack.each(MAPPING).filter(|mapping| *mapping.property("Enabled") == false && !waits(mapping));
    off.map(|mapping| format!("{}: it is not enabled", mapping.place)).collect()
}

/// A function that may run nothing at once is throttled for ever: what it should take waits until the queue forgets it.
pub(crate) fn may_run(stack: &Stack) -> Findings {
    let stopped = stack.each(FUNCTION).filter(|function| function.number("ReservedConcurrentExecutions") == Some(0));
    stopped
        .map(|function| format!("{}: its ReservedConcurrentExecutions are 0, so it never runs", function.place))
        .collect()
}

/// Without it, one failed message brings back the whole batch.
pub(crate) fn single_failures(stack: &Stack) -> Findings {
    let reports =
        |mapping: &&Resource| !texts(mapping.property("FunctionResponseTypes")).contains(&"ReportBatchItemFailures");
    let silent = stack.each(MAPPING).filter(reports);
    silent
        .map(|mapping| format!("{}: FunctionResponseTypes must have ReportBatchItemFailures", mapping.place))
        .collect()
}

/// Batches of FIFO queues are at most 10; a filter would delete messages unseen; concurrency has a limit of its own.
pub(crate) fn of_queues(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for consumed in stack.consumed() {
        let (mapping, place) = (consumed.mapping, &consumed.mapping.place);
        if consumed.queue.is_fifo() && !mapping.number("BatchSize").is_some_and(|size| (1..=10).contains(&size)) {
            findings.push(format!("{place}: the BatchSize of a FIFO queue is 1 to 10"));
        }
        if !mapping.property("FilterCriteria").is_null() {
            findings.push(format!("{place}: FilterCriteria delete what they do not match; filter in the subscription"));
        }
        if number(&mapping.property("ScalingConfig")["MaximumConcurrency"]).is_none_or(|most| most < 2) {
            findings.push(format!("{place}: ScalingConfig.MaximumConcurrency must be set, to 2 or more"));
        }
    }
    findings
}

/// A function that is told of a queue takes from it.
fn is_consumer(function: &Resource) -> bool {
    !function.variable("TOWPATH_QUEUE_URL").is_null()
}

/// A consumer takes wakes from a standard queue, one by one, so that what kills the process takes no neighbour with it.
/// It wakes itself, which Lambda takes for a loop unless it is told otherwise.
pub(crate) fn of_wakes(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for function in stack.each(FUNCTION).filter(|function| is_consumer(function)) {
        let own = stack.consumed().filter(|it| it.function.place == function.place && !it.queue.is_fifo());
        let mappings: Vec<&Resource> = own.map(|consumed| consumed.mapping).collect();
        if mappings.len() != 1 {
            findings.push(format!("{}: {} mappings to a wake queue, not one", function.place, mappings.len()));
        }
        let many = mappings.iter().filter(|mapping| mapping.number("BatchSize") != Some(1));
        findings.extend(many.map(|mapping| format!("{}: the BatchSize of a wake queue is 1", mapping.place)));
        if *function.property("RecursiveLoop") != "Allow" {
            findings.push(format!("{}: RecursiveLoop must be Allow, because it wakes itself", function.place));
        }
    }
    findings
}

/// The auditor runs every minute through its alias, and is done before the next one begins.
pub(crate) fn of_auditor(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for function in stack.each(FUNCTION).filter(|function| binary_of(function) == "auditor") {
        let is_it = |target: &Value| {
            let alias = stack.follow(target).filter(|alias| *alias.property("Name") == "live");
            let runs = alias.and_then(|alias| stack.follow(alias.property("FunctionName")));
            runs.is_some_and(|runs| runs.place == function.place)
        };
        let wakes = |rule: &&Resource| {
            let targets = rule.property("Targets").as_array().into_iter().flatten();
            *rule.property("ScheduleExpression") == "rate(1 minute)"
                && *rule.property("State") != "DISABLED"
                && targets.into_iter().any(|it| is_it(&it["Arn"]))
        };
        let Some(rule) = stack.each("AWS::Events::Rule").find(wakes) else {
            findings.push(format!("{}: no rule that is on wakes its alias live at rate(1 minute)", function.place));
            continue;
        };
        let may = |permission: &Resource| {
            *permission.property("Principal") == "events.amazonaws.com"
                && is_it(permission.property("FunctionName"))
                && stack.follow(permission.property("SourceArn")).is_some_and(|source| source.place == rule.place)
        };
        if !stack.each("AWS::Lambda::Permission").any(may) {
            findings.push(format!("{}: no permission lets this rule wake {}", rule.place, function.place));
        }
        if function.number("Timeout").is_none_or(|timeout| timeout >= MINUTE_SECONDS) {
            findings.push(format!("{}: its Timeout must be below a minute", function.place));
        }
    }
    findings
}

/// From the first record, inserts alone, with an end to retries that comes before the stream forgets.
pub(crate) fn of_streams(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for mapping in stack.each(MAPPING) {
        let source = stack.follow(mapping.property("EventSourceArn"));
        if source.is_none_or(|source| source.kind != "AWS::DynamoDB::Table") {
            continue;
        }
        let target = stack.follow(&mapping.property("DestinationConfig")["OnFailure"]["Destination"]);
        let filters = mapping.property("FilterCriteria")["Filters"].as_array();
        let demands = [
            (*mapping.property("StartingPosition") == "TRIM_HORIZON", "StartingPosition must be TRIM_HORIZON"),
            (
                mapping.number("MaximumRetryAttempts").is_some_and(|most| (1..=10_000).contains(&most)),
                "MaximumRetryAttempts must have a bound, 1 to 10000",
            ),
            (
                mapping.number("MaximumRecordAgeInSeconds").is_some_and(|most| (60..DAY_SECONDS).contains(&most)),
                "MaximumRecordAgeInSeconds must end before the stream's 24 hours",
            ),
            (*mapping.property("BisectBatchOnFunctionError") == true, "BisectBatchOnFunctionError must be true"),
            (
                target.is_some_and(|target| target.kind == "AWS::SQS::Queue" && !target.is_fifo()),
                "DestinationConfig.OnFailure must be a standard queue",
            ),
            (
                filters.is_some_and(|filters| !filters.is_empty() && filters.iter().all(is_insert)),
                "FilterCriteria must let INSERT through and nothing else",
            ),
        ];
        let broken = demands.iter().filter(|(holds, _)| !holds);
        findings.extend(broken.map(|(_, demand)| format!("{}: {demand}", mapping.place)));
    }
    findings
}

fn is_insert(filter: &Value) -> bool {
    let pattern = filter["Pattern"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    pattern.is_some_and(|pattern| pattern["eventName"] == serde_json::json!(["INSERT"]))
}
