//! `towpath trace`: the story of a request, an event or an aggregate: what caused what, and what each consumer made of it;
//! or what an aggregate's journal said at a time.
//! Must not know: how rows are stored. It shows headers; an event's data only if that is asked for.

mod find;
mod outcome;
mod past;
mod render;
mod tree;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use towpath::{AggregateId, AggregateKey, AggregateType, CorrelationId, EventId, InvalidId, TenantId};

use crate::output::{FAILED, Usage, exit, now, say};
use crate::pipeline::Pipeline;
use crate::stack::Target;
use crate::when::When;
use tree::Node;

/// What `trace` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A correlation id, an event id, or an aggregate as tenant#type#id; with --tenant also as type/id.
    #[arg(value_name = "ID")]
    of: Subject,
    /// Hours to look back, and for an event also forward.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
    /// Whose aggregate it is, if ID does not say so.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only an aggregate's own events up to this time: 2026-11-21T10:00:00Z, or how long ago, as 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", conflicts_with = "hours")]
    at: Option<When>,
    /// Also print what the events say. It may be personal: the catalogue marks the fields that are.
    #[arg(long, requires = "at")]
    data: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whose story.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Aggregate(AggregateKey),
    /// An aggregate of a tenant that is named beside it.
    Of(AggregateType, AggregateId),
    /// An id that may be an event's, and else is a correlation's: both may be UUIDs.
    Event(EventId, CorrelationId),
    Correlation(CorrelationId),
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.contains('#') {
            return text.parse().map(Self::Aggregate);
        }
        if let Some((kind, id)) = text.split_once('/') {
            return Ok(Self::Of(kind.parse()?, id.parse()?));
        }
        let correlation: CorrelationId = text.parse()?;
        match EventId::parse(text) {
            // Only the hyphenated form in lower case is what rows hold.
            Ok(event) if event.to_string() == text => Ok(Self::Event(event, correlation)),
            _ => Ok(Self::Correlation(correlation)),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    stack: &'a str,
    events: usize,
    /// Were there more events than are shown?
    cut: bool,
    trees: &'a [Node],
}

impl Options {
    /// Whose story, the tenant known.
    fn subject(&self) -> Result<Subject> {
        match (&self.of, &self.tenant) {
            (Subject::Of(kind, id), Some(tenant)) => {
                let (tenant, kind, id) = (tenant.clone(), kind.clone(), id.clone());
                Ok(Subject::Aggregate(AggregateKey { tenant, kind, id }))
            }
            (Subject::Of(kind, id), None) => {
                Err(Usage(format!("whose {kind}/{id}? Give --tenant, or the whole key: tenant#{kind}#{id}")).into())
            }
            (Subject::Aggregate(key), Some(tenant)) if key.tenant != *tenant => {
                Err(Usage(format!("{key} is not of that tenant: leave --tenant out")).into())
            }
            (subject, _) => Ok(subject.clone()),
        }
    }
}

/// Prints the trees. Exit code 1 when there is no such event.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    let (of, now) = (options.subject()?, now());
    if let Some(at) = options.at {
        let Subject::Aggregate(aggregate) = &of else {
            return Err(Usage("--at shows one aggregate: give tenant#type#id, or type/id with --tenant".into()).into());
        };
        let at = at.before(now);
        if at > now {
            return Err(Usage(format!("that time has not come yet: it is {now}")).into());
        }
        return past::run(&Pipeline::open(target).await?, aggregate, at, (options.json, options.data)).await;
    }
    let pipeline = Pipeline::open(target).await?;
    let time = Duration::from_secs(options.hours * 3_600);
    let found = find::events(&pipeline, &of, now, time).await?;
    let told = outcome::of_all(&pipeline, found.events).await?;
    let events = told.len();
    let trees = tree::grow(told);
    let report = Report { stack: &pipeline.name, events, cut: found.cut, trees: &trees };
    let hours = options.hours;
    say(options.json, &report, || match events {
        0 => format!(
            "{}: no event of that was committed in the last {hours} h. Is the id right? --hours looks back further",
            pipeline.name
        ),
        _ => render::text(&trees, found.cut),
    })?;
    Ok(if events == 0 { exit(FAILED) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_traced_is_told_by_its_form() {
        assert!(matches!("acme#order#o-1".parse(), Ok(Subject::Aggregate(_))));
        assert!(matches!("019aa7a0-03e8-7200-8000-000000000000".parse(), Ok(Subject::Event(..))));
        assert!(matches!("019AA7A0-03e8-7200-8000-000000000000".parse(), Ok(Subject::Correlation(_))));
        assert!(matches!("checkout-17".parse(), Ok(Subject::Correlation(_))));
        assert!(matches!("invoice/i-1".parse(), Ok(Subject::Of(..))));
        assert!("a/b/c".parse::<Subject>().is_err() && "A/b".parse::<Subject>().is_err());
        assert!("a#b".parse::<Subject>().is_err() && "a b".parse::<Subject>().is_err());
    }
}
