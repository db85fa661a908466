//! `towpath dlq`: rows that wait for an operator: look at them, try them again, pass over an event.
//! Must not know: dead-letter queues. The tickets there are for alarms; the rows are the truth.

mod list;
mod log;
mod order;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::stack::Target;

/// What can be done with rows that do not advance.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show which rows wait, by the kind of their failure.
    List(list::Options),
    /// Show all that is known of one row: its event, its error, what waits behind it, what was ordered.
    Show(show::Options),
    /// Try parked rows again: a dry run, unless --yes is given.
    Retry(order::Retry),
    /// Pass over the event that one row waits for, on record: a dry run, unless --yes is given.
    Skip(order::Skip),
    /// Show a tenant's orders: who, when, what, why.
    AuditLog(log::Options),
}

/// Does it.
pub(crate) async fn run(target: &Target, verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::List(options) => list::run(target, options).await,
        Verb::Show(options) => show::run(target, options).await,
        Verb::Retry(options) => order::retry(target, options).await,
        Verb::Skip(options) => order::skip(target, options).await,
        Verb::AuditLog(options) => log::run(target, options).await,
    }
}
