//! Reads what the functions counted, from the metric lines in the stack's log group: it works wherever logs do.
//! Must not know: the journal. What was counted is for people; what is missing is decided by the audit.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_cloudwatchlogs::Client;
use serde_json::Value;
use towpath::Timestamp;

/// What one consumer counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counted {
    /// Messages that had been applied before.
    pub(crate) duplicates: u64,
    /// Events that were missing and read from the journal.
    pub(crate) gaps: u64,
    /// Milliseconds from commit to application.
    pub(crate) lags: Vec<f64>,
}

impl Counted {
    /// The lag that `percent` of the events did not exceed, in milliseconds.
    pub(crate) fn lag(&self, percent: usize) -> Option<f64> {
        let mut lags = self.lags.clone();
        lags.sort_by(f64::total_cmp);
        let rank = (lags.len() * percent).div_ceil(100).max(1);
        lags.get(rank - 1).copied()
    }

    /// The share of the events that were applied within this time after their commit, in percent.
    pub(crate) fn fresh(&self, within: Duration) -> Option<f64> {
        let (all, fresh) = self.lags.iter().fold((0.0, 0.0), |(all, fresh), lag| {
            (all + 1.0, fresh + if *lag <= within.as_secs_f64() * 1_000.0 { 1.0 } else { 0.0 })
        });
        (all > 0.0).then(|| 100.0 * fresh / all)
    }

    fn add(&mut self, line: &Value) {
        self.duplicates += line.get("Duplicates").and_then(whole).unwrap_or(0);
        self.gaps += line.get("Gaps").and_then(whole).unwrap_or(0);
        match line.get("Lag") {
            Some(Value::Array(lags)) => self.lags.extend(lags.iter().filter_map(Value::as_f64)),
            Some(lag) => self.lags.extend(lag.as_f64()),
            None => {}
        }
    }
}

fn whole(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.to_string().parse::<f64>().ok().and_then(|number| format!("{number:.0}").parse().ok()))
}

/// Adds up the metric lines since `since`, by consumer.
pub(crate) async fn read(logs: &Client, log_group: &str, since: Timestamp) -> Result<BTreeMap<String, Counted>> {
    let mut pages = logs
        .filter_log_events()
        .log_group_name(log_group)
        .filter_pattern("CloudWatchMetrics")
        .start_time(i64::try_from(since.as_millis())?)
        .into_paginator()
        .send();
    let mut consumers: BTreeMap<String, Counted> = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(anyhow::Error::from)
            .with_context(|| format!("the log group {log_group} could not be read"))?;
        for message in page.events().iter().filter_map(|event| event.message()) {
            let Ok(line) = serde_json::from_str::<Value>(message.trim()) else { continue };
            if let Some(consumer) = line.get("consumer").and_then(Value::as_str) {
                consumers.entry(consumer.to_owned()).or_default().add(&line);
            }
        }
    }
    Ok(consumers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_add_up_and_the_percentiles_are_exact() {
        let mut counted = Counted::default();
        counted.add(&json!({ "Duplicates": 2, "Lag": (1..=99).collect::<Vec<_>>() }));
        counted.add(&json!({ "Duplicates": 1.0, "Gaps": 4, "Lag": 100 }));
        assert_eq!((counted.duplicates, counted.gaps), (3, 4));
        assert_eq!((counted.lag(50), counted.lag(99)), (Some(50.0), Some(99.0)));
        assert_eq!(counted.fresh(Duration::from_millis(95)), Some(95.0));
        assert_eq!((Counted::default().lag(50), Counted::default().fresh(Duration::MAX)), (None, None));
    }
}
