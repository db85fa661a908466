//! Configuration: the one place that reads environment variables. All that is missing or wrong is said at once.
//! Must not know: clients, handlers.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use towpath::{AlsoWrites, Lanes, Limit, MOST_LANES, Rate};

use crate::https;
use crate::spans::Sampling;

/// Dead letters wait for 14 days, and may be replayed for 14 more: what they stand for must still be in the journal.
const LEAST_RETENTION_DAYS: u32 = 28;

/// The tables of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The journal.
    pub outbox: String,
    /// State of state-stored aggregates.
    pub entities: String,
    /// Read models.
    pub views: String,
    /// Cursors, kept answers, the registry.
    pub progress: String,
}

/// What every function is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// `dev`, `prod` …: a dimension of every metric.
    pub stage: String,
    /// Least level that is logged.
    pub log_level: String,
    /// Where the data is.
    pub tables: Tables,
    /// Days after which a journal row may be deleted; 0 keeps it for ever.
    pub outbox_retention_days: u32,
    /// Earlier versions of events that are written beside the current ones. It may be absent.
    pub also_writes: AlsoWrites,
    /// Where spans go. It may be absent: then there are none.
    pub traces: Option<Traces>,
}

/// What is told of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The collector's address, without `/v1/traces`.
    pub endpoint: String,
    /// Which of the traces that begin here are sampled.
    pub sampling: Sampling,
}

/// What a consumer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// As every function.
    pub common: Common,
    /// Keeps what could not be handled.
    pub dead_letter_queue_url: String,
    /// Holds its first deliveries.
    pub queue_url: String,
    /// Brings back the aggregates that must be looked at again.
    pub wake_queue_url: String,
    /// Where the provider is that its handlers call, if they call one. It may be absent.
    pub provider_url: Option<String>,
    /// Where public events, and facts about the pipeline, go. It may be absent, unless the consumer forwards events.
    pub bus_name: Option<String>,
}

/// Which tokens an API takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// The claim `iss`, letter by letter; below it, `/.well-known/openid-configuration` says where the keys are.
    pub issuer: String,
    /// What the claim `aud` is or holds.
    pub audience: String,
    /// The claim that names the tenant; `tenant_id` if nothing is said.
    pub tenant_claim: String,
}

/// What an API is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// As every function.
    pub common: Common,
    /// What each tenant may ask for that has no limit of its own; none: as much as it likes.
    pub tenant_limit: Option<Limit>,
    /// Where facts about the pipeline go. It may be absent.
    pub bus_name: Option<String>,
    /// Whom it believes.
    pub tokens: TokenRules,
}

/// What the relay is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// As every function.
    pub common: Common,
    /// Where events go.
    pub events_topic_arn: String,
    /// Where commands go.
    pub commands_topic_arn: String,
    /// Message groups of one tenant.
    pub lanes: Lanes,
    /// Keeps stream records that could not be read.
    pub failures_queue_url: String,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEnvironment(Vec<String>);

impl std::error::Error for InvalidEnvironment {}

impl fmt::Display for InvalidEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function's environment is not complete: {}; see Environment in template.yaml", self.0.join("; "))
    }
}

/// Reads what a consumer is told.
pub fn consumer(lookup: impl Fn(&str) -> Option<String>) -> Result<ConsumerConfig, InvalidEnvironment> {
    let mut env = Reader::new(&lookup);
    let config = ConsumerConfig {
        common: env.common(),
        dead_letter_queue_url: env.text("TOWPATH_DEAD_LETTER_QUEUE_URL"),
        queue_url: env.text("TOWPATH_QUEUE_URL"),
        wake_queue_url: env.text("TOWPATH_WAKE_QUEUE_URL"),
        provider_url: lookup("TOWPATH_PROVIDER_URL").filter(|url| !url.is_empty()),
        bus_name: env.bus_name(),
    };
    env.finish(config)
}

/// Reads what the relay is told.
pub fn relay(lookup: impl Fn(&str) -> Option<String>) -> Result<RelayConfig, InvalidEnvironment> {
    let mut env = Reader::new(&lookup);
    let config = RelayConfig {
        common: env.common(),
        events_topic_arn: env.text("TOWPATH_EVENTS_TOPIC_ARN"),
        commands_topic_arn: env.text("TOWPATH_COMMANDS_TOPIC_ARN"),
        lanes: Lanes { each: env.number("TOWPATH_LANES", 1..=MOST_LANES), hot: env.optional("TOWPATH_HOT_LANES") },
        failures_queue_url: env.text("TOWPATH_RELAY_FAILURES_QUEUE_URL"),
    };
    env.finish(config)
}

/// Reads what an API is told.
pub fn api(lookup: impl Fn(&str) -> Option<String>) -> Result<ApiConfig, InvalidEnvironment> {
    let mut env = Reader::new(&lookup);
    let config = ApiConfig {
        common: env.common(),
        tenant_limit: env.tenant_limit(),
        bus_name: env.bus_name(),
        tokens: TokenRules {
            issuer: env.address("TOWPATH_TOKEN_ISSUER"),
            audience: env.text("TOWPATH_TOKEN_AUDIENCE"),
            tenant_claim: Some(env.optional("TOWPATH_TENANT_CLAIM"))
                .filter(|name: &String| !name.is_empty())
                .unwrap_or_else(|| "tenant_id".to_owned()),
        },
    };
    env.finish(config)
}

/// Reads what every function is told; the auditor is told no more.
pub fn common(lookup: impl Fn(&str) -> Option<String>) -> Result<Common, InvalidEnvironment> {
    let mut env = Reader::new(&lookup);
    let config = env.common();
    env.finish(config)
}

/// Names of the known bugs that a test build shall have.
#[cfg(feature = "planted")]
pub(crate) fn planted(lookup: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let names = lookup("TOWPATH_PLANTED").unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The process's environment, as a lookup.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    fn common(&mut self) -> Common {
        Common {
            stage: self.text("TOWPATH_STAGE"),
            log_level: self.one_of("TOWPATH_LOG_LEVEL", &["error", "warn", "info", "debug", "trace"]),
            tables: Tables {
                outbox: self.text("TOWPATH_OUTBOX_TABLE"),
                entities: self.text("TOWPATH_ENTITIES_TABLE"),
                views: self.text("TOWPATH_VIEWS_TABLE"),
                progress: self.text("TOWPATH_PROGRESS_TABLE"),
            },
            outbox_retention_days: self.retention_days("TOWPATH_OUTBOX_RETENTION_DAYS"),
            also_writes: self.optional("TOWPATH_ALSO_WRITES"),
            traces: self.traces(),
        }
    }

    fn traces(&mut self) -> Option<Traces> {
        let sampling = self.optional("TOWPATH_TRACE_SAMPLING");
        let endpoint = (self.lookup)("TOWPATH_OTLP_ENDPOINT").filter(|endpoint| !endpoint.is_empty())?;
        self.keeps_secrets("TOWPATH_OTLP_ENDPOINT", &endpoint);
        Some(Traces { endpoint, sampling })
    }

    fn bus_name(&mut self) -> Option<String> {
        Some(self.optional("TOWPATH_BUS_NAME")).filter(|name: &String| !name.is_empty())
    }

    /// For ever, or longer than a dead letter can wait and be replayed after.
    fn retention_days(&mut self, name: &str) -> u32 {
        let days = self.number(name, 0..=36_500);
        if (1..LEAST_RETENTION_DAYS).contains(&days) {
            self.problems
                .push(format!("{name} must be 0, or {LEAST_RETENTION_DAYS} and more: a dead letter waits for 14 days"));
        }
        days
    }

    /// Both, or neither: a rate of nothing is no limit.
    fn tenant_limit(&mut self) -> Option<Limit> {
        let rate = (self.lookup)("TOWPATH_TENANT_RATE").filter(|rate| !rate.is_empty() && rate != "0")?;
        let burst = self.number("TOWPATH_TENANT_BURST", 1..=1_000_000);
        match rate.parse::<Rate>() {
            Ok(rate) => Some(Limit { rate, burst }),
            Err(rule) => {
                self.problems.push(format!("TOWPATH_TENANT_RATE: {rule}"));
                None
            }
        }
    }

    fn text(&mut self, name: &str) -> String {
        let value = (self.lookup)(name).unwrap_or_default();
        if value.trim().is_empty() {
            self.problems.push(format!("{name} is missing"));
        }
        value
    }

    fn address(&mut self, name: &str) -> String {
        let value = self.text(name);
        if !value.is_empty() {
            self.keeps_secrets(name, &value);
        }
        value
    }

    fn keeps_secrets(&mut self, name: &str, address: &str) {
        if !https::is_base(address) {
            let rule = "must be https://host/path without query or user; http only for 127.0.0.1 and localhost";
            self.problems.push(format!("{name} {rule}"));
        }
    }

    /// Absent, it is the default.
    fn optional<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &str) -> T {
        let parsed = (self.lookup)(name).map(|text| text.parse::<T>());
        match parsed {
            Some(Err(rule)) => {
                self.problems.push(format!("{name}: {rule}"));
                T::default()
            }
            Some(Ok(value)) => value,
            None => T::default(),
        }
    }

    fn one_of(&mut self, name: &str, allowed: &[&str]) -> String {
        let value = self.text(name).to_ascii_lowercase();
        if !value.is_empty() && !allowed.contains(&value.as_str()) {
            self.problems.push(format!("{name} must be one of {}", allowed.join(", ")));
        }
        value
    }

    fn number<T: FromStr + PartialOrd + fmt::Display + Copy>(&mut self, name: &str, range: RangeInclusive<T>) -> T {
        let text = self.text(name);
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                if !text.is_empty() {
                    self.problems.push(format!("{name} must be a number from {} to {}", range.start(), range.end()));
                }
                *range.start()
            }
        }
    }

    fn finish<T>(self, config: T) -> Result<T, InvalidEnvironment> {
        if self.problems.is_empty() { Ok(config) } else { Err(InvalidEnvironment(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(name: &str) -> Option<String> {
        let value = match name {
            "TOWPATH_LANES" => "1",
            "TOWPATH_OUTBOX_RETENTION_DAYS" => "0",
            "TOWPATH_LOG_LEVEL" => "INFO",
            "TOWPATH_ALSO_WRITES" => "order.placed@1",
            "TOWPATH_HOT_LANES" => "acme=8",
            "TOWPATH_TOKEN_ISSUER" => "https://issuer.example/",
            "TOWPATH_TENANT_RATE" | "TOWPATH_TENANT_BURST" => "100",
            "TOWPATH_OTLP_ENDPOINT" => "http://localhost:4318",
            "TOWPATH_TRACE_SAMPLING" => "0.25",
            _ => "x",
        };
        Some(value.into())
    }

    #[test]
    fn a_complete_environment_is_accepted() {
        assert_eq!(relay(complete).unwrap().common.log_level, "info");
        assert!(consumer(complete).is_ok() && common(complete).is_ok());
        let tokens = api(complete).unwrap().tokens;
        assert_eq!((tokens.issuer.as_str(), tokens.tenant_claim.as_str()), ("https://issuer.example/", "x"));
        let without = |name: &str| complete(name).filter(|_| name != "TOWPATH_TENANT_CLAIM");
        assert_eq!(api(without).unwrap().tokens.tenant_claim, "tenant_id");
        let without = |name: &str| complete(name).filter(|_| name != "TOWPATH_ALSO_WRITES");
        assert_eq!(common(without).unwrap().also_writes, AlsoWrites::default());
        let traces = common(complete).unwrap().traces.unwrap();
        assert_eq!((traces.endpoint.as_str(), traces.sampling), ("http://localhost:4318", "0.25".parse().unwrap()));
        for absent in [None, Some(String::new())] {
            let without = |name: &str| if name == "TOWPATH_OTLP_ENDPOINT" { absent.clone() } else { complete(name) };
            assert_eq!(common(without).unwrap().traces, None);
        }
    }

    #[test]
    fn a_tenants_limit_is_a_rate_and_a_burst_or_none() {
        let with = |rate: &'static str, burst: &'static str| {
            api(move |name| match name {
                "TOWPATH_TENANT_RATE" => Some(rate.into()),
                "TOWPATH_TENANT_BURST" => Some(burst.into()),
                _ => complete(name),
            })
        };
        assert_eq!(with("0", "").unwrap().tenant_limit, None);
        assert_eq!(with("", "").unwrap().tenant_limit, None);
        let limit = with("2.5", "10").unwrap().tenant_limit.unwrap();
        assert_eq!(limit.to_string(), "2.5 a second, 10 at once");
        let message = with("fast", "0").unwrap_err().to_string();
        assert!(
            message.contains("TOWPATH_TENANT_RATE: a rate is")
                && message.contains("TOWPATH_TENANT_BURST must be a number"),
            "{message}"
        );
    }

    #[test]
    fn an_api_does_not_start_without_an_issuer_whose_keys_can_be_trusted() {
        for (issuer, problem) in [(None, "is missing"), (Some("http://issuer.example"), "must be https://")] {
            let found = api(|name| match name {
                "TOWPATH_TOKEN_ISSUER" => issuer.map(str::to_owned),
                "TOWPATH_TOKEN_AUDIENCE" => None,
                _ => complete(name),
            });
            let said = found.unwrap_err().to_string();
            assert!(said.contains(&format!("TOWPATH_TOKEN_ISSUER {problem}")), "{said}");
            assert!(said.contains("TOWPATH_TOKEN_AUDIENCE is missing"), "{said}");
        }
    }

    #[test]
    fn a_journal_that_would_forget_before_the_dead_letters_do_does_not_start() {
        let with = |days: &'static str| {
            common(move |name| if name == "TOWPATH_OUTBOX_RETENTION_DAYS" { Some(days.into()) } else { complete(name) })
        };
        for good in ["0", "28", "3650"] {
            assert_eq!(with(good).unwrap().outbox_retention_days.to_string(), good);
        }
        for wrong in ["1", "27", "-1", "", "36501", "1e3"] {
            let said = with(wrong).unwrap_err().to_string();
            assert!(said.contains("TOWPATH_OUTBOX_RETENTION_DAYS"), "{wrong}: {said}");
        }
    }

    #[test]
    fn everything_missing_or_wrong_is_named_in_one_message() {
        let message = relay(|name| match name {
            "TOWPATH_LANES" => Some("0".into()),
            "TOWPATH_HOT_LANES" => Some("acme".into()),
            "TOWPATH_OUTBOX_TABLE" | "TOWPATH_VIEWS_TABLE" => None,
            "TOWPATH_LOG_LEVEL" => Some("loud".into()),
            "TOWPATH_ALSO_WRITES" => Some("order.placed".into()),
            "TOWPATH_OTLP_ENDPOINT" => Some("http://collector.example:4318".into()),
            "TOWPATH_TRACE_SAMPLING" => Some("5%".into()),
            _ => complete(name),
        });
        assert_eq!(
            message.unwrap_err().to_string(),
            "the function's environment is not complete: TOWPATH_LOG_LEVEL must be one of error, warn, info, debug, \
             trace; TOWPATH_OUTBOX_TABLE is missing; TOWPATH_VIEWS_TABLE is missing; TOWPATH_ALSO_WRITES: it must be a \
             list like order.placed@1,order.cancelled@2, or empty; TOWPATH_TRACE_SAMPLING: it must be a number from 0 to \
             1 with at most six digits behind the point; TOWPATH_OTLP_ENDPOINT must be https://host/path without query or \
             user; http only for 127.0.0.1 and localhost; TOWPATH_LANES must be a number from 1 to 1000; \
             TOWPATH_HOT_LANES: it must be a list like acme=8,globex=4 with numbers from 1 to 1000, each tenant once, or \
             empty; see Environment in template.yaml"
        );
    }
}
