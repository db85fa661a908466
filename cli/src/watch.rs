//! `towpath watch`: each step of one tenant's events, or of all that one request set in motion, goes to the logs for a time,
//! whatever the log level is. Must not know: how a function learns of it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use towpath::{CorrelationId, TenantId, Timestamp};
use towpath_aws::watch::{STALE, Watch, Watched};

use crate::orders::Sign;
use crate::output::{Age, Usage, now, plain, say, table};
use crate::pipeline::Pipeline;
use crate::stack::Target;
use crate::when::parse_length;

/// Longest watch: what is needed longer is a log level.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What to watch; without a tenant and a correlation id, what is watched is listed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Whose events.
    #[arg(long, conflicts_with = "correlation")]
    tenant: Option<TenantId>,
    /// All that one request set in motion.
    #[arg(long, value_name = "ID")]
    correlation: Option<CorrelationId>,
    /// For how long: 90s, 30m, at most 24h.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_length, default_value = "30m")]
    length: Duration,
    /// End it now.
    #[arg(long, conflicts_with = "length")]
    end: bool,
    #[command(flatten)]
    sign: Sign,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Done {
    dry_run: bool,
    /// None: it is ended.
    watch: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<CorrelationId>,
    until: Timestamp,
    who: String,
    why: String,
}

pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let whom = match (&options.tenant, &options.correlation) {
        (Some(tenant), _) => Watched::Tenant(tenant.clone()),
        (None, Some(id)) => Watched::Correlation(id.clone()),
        (None, None) => return list(&Pipeline::open(target).await?, options.json).await,
    };
    if options.length.is_zero() || options.length > LONGEST {
        return Err(Usage("--for is from 1s to 24h: for longer, set the parameter LogLevel".into()).into());
    }
    let pipeline = Pipeline::open(target).await?;
    let (who, why) = (options.sign.who.clone().unwrap_or_default(), options.sign.why.clone().unwrap_or_default());
    let watch = Watch { whom, until: now().plus(options.length), who, why };
    if options.sign.yes && options.end {
        pipeline.store.end_watch(&watch.whom).await.context("the watch could not be ended")?;
    } else if options.sign.yes {
        pipeline.store.keep_watch(&watch).await.context("the watch could not be set")?;
    }
    let done = Done { dry_run: !options.sign.yes, watch: (!options.end).then(|| Shown::from(&watch)) };
    say(options.json, &done, || match (&done.watch, done.dry_run) {
        (_, true) => "A dry run: nothing was changed. To do it, add --why and --yes.".to_owned(),
        (None, false) => format!("It is ended. Functions know within {} s.", STALE.as_secs()),
        (Some(set), false) => format!(
            "Within {} s functions log each step, until {}: lines with \"watched\":true in the log group {}.",
            STALE.as_secs(),
            set.until,
            pipeline.log_group
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(pipeline: &Pipeline, json: bool) -> Result<ExitCode> {
    let now = now();
    let watches = pipeline.store.watches().await.context("the watches cannot be read")?;
    let watches: Vec<Shown> = watches.iter().filter(|watch| now < watch.until).map(Shown::from).collect();
    say(json, &watches, || {
        if watches.is_empty() {
            return "Nobody is watched.".to_owned();
        }
        let whom = |shown: &Shown| match (&shown.tenant, &shown.correlation_id) {
            (Some(tenant), _) => format!("tenant {tenant}"),
            (None, Some(id)) => format!("request {id}"),
            (None, None) => String::new(),
        };
        let row = |shown: &Shown| {
            [whom(shown), Age::between(now, shown.until).to_string(), plain(&shown.who), plain(&shown.why)]
        };
        table(["whom", "for", "by", "because"], &[], watches.iter().map(row))
    })?;
    Ok(ExitCode::SUCCESS)
}

impl From<&Watch> for Shown {
    fn from(watch: &Watch) -> Self {
        let (tenant, correlation_id) = match &watch.whom {
            Watched::Tenant(tenant) => (Some(tenant.clone()), None),
            Watched::Correlation(id) => (None, Some(id.clone())),
        };
        Self { tenant, correlation_id, until: watch.until, who: watch.who.clone(), why: watch.why.clone() }
    }
}
