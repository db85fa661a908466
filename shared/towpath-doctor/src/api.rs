//! The way in and what is written down: the HTTP API has limits and an access log, logs end some day.
//! Must not know: which routes there are.

use serde_json::Value;

use crate::rule::Findings;
use crate::stack::{Stack, number};

/// A log group without a retention is kept, and paid for, for ever.
pub(crate) fn logs(stack: &Stack) -> Findings {
    let groups = stack.each("AWS::Logs::LogGroup").filter(|group| group.number("RetentionInDays").is_none());
    let mut findings: Findings = groups.map(|group| format!("{}: it has no RetentionInDays", group.place)).collect();
    let astray = stack.each("AWS::Lambda::Function").filter(|function| {
        stack.follow(&function.property("LoggingConfig")["LogGroup"]).is_none_or(|to| to.kind != "AWS::Logs::LogGroup")
    });
    findings.extend(astray.map(|function| format!("{}: its log group is none of this stack", function.place)));
    let deaf = stack.each("AWS::Lambda::Function").filter(|function| {
        let how = function.property("LoggingConfig");
        how["LogFormat"] == "JSON" && how["ApplicationLogLevel"] != "TRACE"
    });
    findings.extend(deaf.map(|it| format!("{}: Lambda drops what `towpath watch` and LogLevel ask for", it.place)));
    findings
}

/// Without limits of its own, one caller uses up what the account has for all its APIs.
pub(crate) fn limits(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for stage in stack.each("AWS::ApiGatewayV2::Stage") {
        let limit = |name: &str| number(&stage.property("DefaultRouteSettings")[name]).is_some_and(|limit| limit > 0);
        if !limit("ThrottlingRateLimit") || !limit("ThrottlingBurstLimit") {
            findings.push(format!("{}: it has no throttling limits", stage.place));
        }
        let log = stage.property("AccessLogSettings");
        let is_kept = stack.follow(&log["DestinationArn"]).is_some_and(|to| to.kind == "AWS::Logs::LogGroup");
        if !is_kept || log["Format"] == Value::Null {
            findings.push(format!("{}: it has no access log", stage.place));
        }
    }
    findings
}
