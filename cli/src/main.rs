//! `towpath`: look at a deployed pipeline and operate it. Each command is a module; this file only names them.

mod audit;
mod blocked;
mod catalogue;
mod dlq;
mod doctor;
mod fingerprint;
mod journal;
mod metrics;
mod new;
mod orders;
mod output;
mod pipeline;
mod replay;
mod sagas;
mod stack;
mod status;
mod trace;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Look at rows that wait for an operator, try them again, or pass over an event.
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Let a consumer apply events again: a dry run, unless --yes is given.
    Replay(replay::Options),
    /// Show what caused what, and what each consumer made of it.
    Trace(trace::Options),
    /// Look for what is set up wrong, in a stack that is up or in a template, and say what to do.
    Doctor(doctor::Options),
    /// Check the event catalogue, write its pages, release it.
    #[command(subcommand)]
    Catalogue(catalogue::Verb),
    /// Write a fresh repository with a small domain of its own.
    New(new::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.stack.settle(&matches) {
        Ok(()) => run(&cli).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "this is where a command line program says what went wrong")]
            {
                eprintln!("towpath: {error:#}");
            }
            output::exit(if error.is::<output::Usage>() { output::USAGE } else { output::FAILED })
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Status(options) => status::run(&cli.stack, options).await,
        Command::Dlq(verb) => dlq::run(&cli.stack, verb).await,
        Command::Replay(options) => replay::run(&cli.stack, options).await,
        Command::Trace(options) => trace::run(&cli.stack, options).await,
        Command::Doctor(options) => doctor::run(&cli.stack, options).await,
        Command::Catalogue(verb) => catalogue::run(verb),
        Command::New(options) => new::run(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_the_guide_shows_is_understood() {
        Cli::command().debug_assert();
        let guide = include_str!("../../docs/when-something-fails.md");
        let shown = guide.lines().filter_map(|line| line.find("towpath ").map(|at| (line, &line[at..])));
        let typed =
            shown.filter(|(line, _)| line.starts_with("$ towpath") || line.contains(":  ") || line.starts_with("  "));
        let mut count = 0;
        for (line, command) in typed {
            let mut words = shlex::split(command).expect(line);
            if words.iter().any(|word| word == "--why") {
                words.extend(["--who".to_owned(), "what USER says".to_owned()]);
            }
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}\n{}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
            count += 1;
        }
        assert!(count > 10, "only {count} commands were found");
    }
}
