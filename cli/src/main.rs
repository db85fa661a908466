//! `towpath`: look at a deployed pipeline and operate it. Each command is a module; this file only names them.

mod metrics;
mod new;
mod stack;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Look at a deployed Towpath pipeline and operate it.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    stack: stack::Target,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show, for each consumer, what was committed, what it applied, and what is missing.
    Status(status::Options),
    /// Write a fresh repository with a small domain of its own.
    New(new::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Status(options) => status::run(&cli.stack, options).await,
        Command::New(options) => new::run(options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "this is where a command line program says what went wrong")]
            {
                eprintln!("towpath: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
