//! `towpath tenants`: what a tenant may ask for, and what it used.
//! Must not know: how tokens are leased, how usage is folded.

mod usage;

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;
use towpath::ports::CommitError;
use towpath::{Limit, Rate, TenantId};
use towpath_aws::operate::{Deed, Order};

use crate::orders::Sign;
use crate::output::{CONFLICT, Usage, exit, now, say};
use crate::pipeline::Pipeline;
use crate::stack::Target;

/// In an order's place for a consumer: a limit is kept by the functions that take commands.
const LIMITS: &str = "tenant-limits";

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show a tenant's own limit, set it, or take it away: a dry run, unless --yes is given.
    Limit(LimitOptions),
    /// Show what tenants used, hour by hour: events, commands, bytes, and what each consumer handled.
    Usage(usage::Options),
}

/// What `tenants limit` may be told.
#[derive(Debug, Args)]
pub(crate) struct LimitOptions {
    /// Whose limit.
    tenant: TenantId,
    /// Commands a second: 50, 0.5.
    #[arg(long, requires = "burst")]
    rate: Option<Rate>,
    /// Commands at once, after a while of rest.
    #[arg(long, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: Option<u32>,
    /// Take the tenant's own limit away: that of all tenants holds again.
    #[arg(long, conflicts_with_all = ["rate", "burst"])]
    default: bool,
    #[command(flatten)]
    sign: Sign,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    tenant: TenantId,
    /// None: the limit of all tenants, which the stack's parameters say.
    before: Option<Limit>,
    after: Option<Limit>,
    done: bool,
}

/// Does it.
pub(crate) async fn run(target: &Target, verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Limit(options) => limit(target, options).await,
        Verb::Usage(options) => usage::run(target, options).await,
    }
}

async fn limit(target: &Target, options: &LimitOptions) -> Result<ExitCode> {
    let wanted = match (options.rate.zip(options.burst), options.default) {
        (Some((rate, burst)), _) => Some(Some(Limit { rate, burst })),
        (None, true) => Some(None),
        (None, false) if options.sign.yes => {
            return Err(Usage("set what? give --rate and --burst, or --default".into()).into());
        }
        (None, false) => None,
    };
    let pipeline = Pipeline::open(target).await?;
    let (before, rev) = pipeline.store.own_limit(&options.tenant).await.context("the tenant's limit cannot be read")?;
    let after = wanted.unwrap_or(before);
    let mut report = Report { tenant: options.tenant.clone(), before, after, done: false };
    if options.sign.yes && before != after {
        let (who, why) = (options.sign.who.clone().unwrap_or_default(), options.sign.why.clone().unwrap_or_default());
        let order = Order { at: now(), who, why, consumer: LIMITS.parse()?, deed: Deed::Limit(after) };
        let kept = pipeline.store.keep_order(&options.tenant, &order).await;
        kept.context("the order could not be kept on record, so the limit is as it was")?;
        match set(&pipeline, options, before, rev).await {
            Ok(()) => report.done = true,
            Err(CommitError::Refused(_)) => {
                say(options.json, &report, || {
                    format!("somebody else has changed the limit of {} meanwhile: look again", options.tenant)
                })?;
                return Ok(exit(CONFLICT));
            }
            Err(error) => return Err(anyhow!(error).context("the limit may be as it was: look again")),
        }
    }
    say(options.json, &report, || render(&report))?;
    Ok(ExitCode::SUCCESS)
}

/// A busy tenant's bucket is written again and again: as long as nobody has changed its limit, it is set.
async fn set(
    pipeline: &Pipeline,
    options: &LimitOptions,
    before: Option<Limit>,
    mut rev: towpath::Rev,
) -> Result<(), CommitError> {
    const TRIES: u32 = 20;
    let after = options.rate.zip(options.burst).map(|(rate, burst)| Limit { rate, burst });
    for _ in 0..TRIES {
        match pipeline.store.keep_own_limit(&options.tenant, after, rev).await {
            Err(CommitError::Refused(_)) => {}
            other => return other,
        }
        let (there, now) = pipeline.store.own_limit(&options.tenant).await?;
        if there == after {
            return Ok(()); // ours, whose answer was lost, or somebody's who wants the same
        }
        if there != before {
            break;
        }
        rev = now;
    }
    Err(CommitError::Refused(vec![0]))
}

fn render(report: &Report) -> String {
    let said = |limit: Option<Limit>| limit.map_or_else(|| "that of all tenants".to_owned(), |limit| limit.to_string());
    let Report { tenant, before, after, done } = report;
    if before == after {
        return format!("the limit of {tenant}: {}", said(*after));
    }
    let how = if *done { "is now" } else { "would be" };
    let more = if *done { "it holds within a minute" } else { "add --yes, --who and --why to do it" };
    format!("the limit of {tenant} was {}, and {how} {}: {more}", said(*before), said(*after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_said_in_one_line() {
        let limit = |burst| Some(Limit { rate: "2.5".parse().unwrap(), burst });
        let report = |after, done| Report { tenant: "acme".parse().unwrap(), before: None, after, done };
        assert_eq!(render(&report(None, false)), "the limit of acme: that of all tenants");
        let dry = render(&report(limit(10), false));
        assert!(dry.contains("would be 2.5 a second, 10 at once: add --yes"), "{dry}");
        assert!(render(&report(limit(10), true)).contains("is now 2.5 a second"));
    }
}
