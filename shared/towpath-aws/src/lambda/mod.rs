//! Lambda entry points: the only modules that know the shapes of Lambda's events.

mod auditor;
mod caller;
mod consumer;
pub mod http;
mod relay;

use std::process::ExitCode;
use std::time::Duration;

pub use auditor::run_auditor;
pub(crate) use consumer::read_messages;
pub use consumer::{run_consumer, run_consumer_with};
pub(crate) use http::read_request;
use lambda_runtime::{Context, Diagnostic};
pub use relay::run_relay;
pub(crate) use relay::{Record, read};
use towpath::Producer;
use towpath::ports::Unavailable;

use crate::LambdaHost;

/// How a function's `main` ends.
pub type Exit = ExitCode;

/// Anything that went wrong before or around an invocation.
pub(crate) type Problem = Box<dyn std::error::Error>;

/// Runs a function until Lambda stops it. An init that fails says why, once, and exits with 1.
pub(crate) fn run(function: impl Future<Output = Result<(), Problem>>) -> Exit {
    towpath::panics::record();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(function) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Problem) -> Exit {
    let line = serde_json::json!({ "level": "ERROR", "message": format!("the function could not start: {error}") });
    #[allow(clippy::print_stderr, reason = "logging may not have started")]
    {
        eprintln!("{line}");
    }
    ExitCode::FAILURE
}

/// `name@version` as events carry it.
pub(crate) fn producer(name: &str, version: &str) -> Result<Producer, Problem> {
    Ok(Producer::parse(format!("{name}@{version}"))?)
}

/// What came of opening a connection in init, where the CPU is not throttled. Whoever is away then is met again where it is
/// needed, and what must be done about it is known there: a function starts without its dead-letter queue.
pub(crate) fn opened(outcome: Result<(), Unavailable>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a connection could not be opened ahead of its use");
    }
}

/// The host of this invocation; a second is kept back for the answer.
pub(crate) fn host(context: &Context) -> LambdaHost {
    const FOR_THE_ANSWER: Duration = Duration::from_secs(1);
    let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
    LambdaHost::ending_in(left.saturating_sub(FOR_THE_ANSWER))
}

/// An invocation that Lambda must count as failed.
pub(crate) fn invocation_failed(kind: &str, why: impl std::fmt::Display) -> Diagnostic {
    tracing::error!(kind, reason = %why, "the invocation failed");
    Diagnostic { error_type: kind.to_owned(), error_message: why.to_string() }
}

/// Known bugs that this process shall have, in builds that can have any.
#[cfg(feature = "planted")]
pub(crate) fn plant() {
    for bug in crate::config::planted(crate::config::process_environment) {
        tracing::warn!(bug, "this build has a known bug switched on");
        towpath::planted::switch_on(&bug);
    }
}

#[cfg(not(feature = "planted"))]
pub(crate) fn plant() {}
