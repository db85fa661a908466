//! `towpath`: look at a deployed pipeline and operate it. Each command is a module; this file only names them.

mod access;
mod audit;
mod blocked;
mod catalogue;
mod changes;
mod dlq;
mod doctor;
mod fingerprint;
mod hold;
mod journal;
mod lock;
mod metrics;
mod new;
mod orders;
mod output;
mod pipeline;
mod replay;
mod sagas;
mod stack;
mod status;
mod tenants;
mod trace;
mod watch;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Look at a deployed Towpath pipeline and operate it.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(flatten)]
    stack: stack::Target,
    /// Add to this file what is asked of AWS, one action a line.
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    calls: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show, for each consumer, what was committed, what it applied, and what is missing; and which sagas wait.
    ///
    /// Only sagas under way are counted, by stage. `trace TYPE/ID --tenant TENANT` shows one that has ended.
    Status(status::Options),
    /// Look at rows that wait for an operator, try them again, or pass over an event.
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Stop one tenant at one consumer; its events wait in the journal. A dry run, unless --yes is given.
    Hold(hold::Options),
    /// Let a tenant go on that was held. A dry run, unless --yes is given.
    Resume(hold::Options),
    /// Let a consumer apply events again: a dry run, unless --yes is given.
    Replay(replay::Options),
    /// Show what caused what, and what each consumer made of it.
    Trace(trace::Options),
    /// Log each step of one tenant's events, or of one request's, for a time; no deploy is needed.
    Watch(watch::Options),
    /// Show and set what a tenant may ask for, and what tenants used.
    #[command(subcommand)]
    Tenants(tenants::Verb),
    /// Look for what is set up wrong, in a stack that is up or in a template, and say what to do.
    Doctor(doctor::Options),
    /// Check the event catalogue, write its pages, release it.
    #[command(subcommand)]
    Catalogue(catalogue::Verb),
    /// Show what each command asks of AWS, and for whom of reader, operator and admin it is.
    Access(access::Options),
    /// Show what a stack's newest change set would do; refuse to lose data; execute it with --yes.
    Changes(changes::Options),
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
    let typed = access::typed(&matches);
    let kept = cli.calls.as_ref().map_or(Ok(()), |file| cli.stack.calls.keep(file, &typed));
    match done.and_then(|code| Ok(kept.map(|()| code)?)) {
        Ok(code) => code,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "this is where a command line program says what went wrong")]
            {
                eprintln!("towpath: {error:#}");
                if let Some(refused) = cli.stack.calls.refused() {
                    eprintln!("towpath: {}", access::sentence(&typed, &refused, &cli.stack.calls));
                }
            }
            output::exit(if error.is::<output::Usage>() { output::USAGE } else { output::FAILED })
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Status(options) => status::run(&cli.stack, options).await,
        Command::Dlq(verb) => dlq::run(&cli.stack, verb).await,
        Command::Hold(options) => hold::run(&cli.stack, options, hold::What::Hold).await,
        Command::Resume(options) => hold::run(&cli.stack, options, hold::What::Resume).await,
        Command::Replay(options) => replay::run(&cli.stack, options).await,
        Command::Trace(options) => trace::run(&cli.stack, options).await,
        Command::Watch(options) => watch::run(&cli.stack, options).await,
        Command::Tenants(verb) => tenants::run(&cli.stack, verb).await,
        Command::Doctor(options) => doctor::run(&cli.stack, options).await,
        Command::Catalogue(verb) => catalogue::run(verb),
        Command::Access(options) => access::run(options),
        Command::Changes(options) => changes::run(&cli.stack, options).await,
        Command::New(options) => new::run(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files under docs/ that show commands.
    fn shown() -> Vec<(String, String)> {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let runbooks = std::fs::read_dir(docs.join("runbooks")).expect("docs/runbooks is there");
        let files = runbooks.map(|entry| entry.expect("it can be listed").path());
        let files = files
            .chain([docs.join("when-something-fails.md"), docs.join("logs.md")])
            .filter(|path| path.extension() == Some("md".as_ref()));
        let read = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text)
        };
        files.map(read).collect()
    }

    #[test]
    fn every_command_that_the_guide_and_the_runbooks_show_is_understood() {
        Cli::command().debug_assert();
        let mut count = 0;
        for (file, text) in shown() {
            let shown = text.lines().filter_map(|line| line.find("towpath ").map(|at| (line, &line[at..])));
            let typed = shown.filter(|(line, _)| {
                line.starts_with("$ towpath")
                    || line.starts_with("towpath ")
                    || line.contains(":  ")
                    || line.starts_with("  ")
            });
            for (line, command) in typed {
                let mut words = shlex::split(command).unwrap_or_else(|| panic!("{file}: {line}"));
                if words.iter().any(|word| word == "--why") && !words.iter().any(|word| word == "--who") {
                    words.extend(["--who".to_owned(), "what USER says".to_owned()]);
                }
                let parsed = Cli::try_parse_from(words);
                let why = parsed.err().map(|error| error.to_string());
                assert!(why.is_none(), "{file}: {line}\n{}", why.unwrap_or_default());
                count += 1;
            }
        }
        assert!(count > 40, "only {count} commands were found");
    }

    /// What a person types in the middle of the night: ours, AWS's own, make. Anything else is a line that nobody checks.
    #[test]
    fn a_runbook_has_its_five_parts_and_at_least_three_commands_and_links_that_lead_somewhere() {
        let others = ["when-something-fails.md", "logs.md", "broker.md"];
        for (file, text) in shown().iter().filter(|(file, _)| !others.contains(&file.as_str())) {
            let parts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(parts, ["It means", "The user feels", "Type first", "Verify", "It ends when"], "{file}");
            let blocks = text.split("```").skip(1).step_by(2).flat_map(str::lines).filter(|line| !line.is_empty());
            let typed: Vec<&str> = blocks.filter(|line| !line.starts_with('#')).collect();
            let known = ["towpath ", "aws ", "make "];
            for line in &typed {
                assert!(
                    known.iter().any(|start| line.starts_with(start)),
                    "{file}: {line}: no command of ours or of AWS"
                );
            }
            assert!(typed.len() >= 3, "{file} shows {} commands", typed.len());
        }
        for (file, text) in shown() {
            for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let is_guide = ["when-something-fails.md", "logs.md"].contains(&file.as_str());
                let folder = if is_guide { "../docs" } else { "../docs/runbooks" };
                let to = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(link);
                assert!(link.is_empty() || to.exists(), "{file} links to {link}, which is not there");
            }
        }
    }
}
