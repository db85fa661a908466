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
    use std::path::{Path, PathBuf};

    use clap::error::ErrorKind;

    use super::*;

    /// README.md and every page under docs, with its path.
    fn pages() -> Vec<(PathBuf, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (mut found, mut folders) = (vec![root.join("README.md")], vec![root.join("docs")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("docs is there") {
                let path = entry.expect("it can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension() == Some("md".as_ref()) {
                    found.push(path);
                }
            }
        }
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            (path, text)
        };
        found.into_iter().map(read).collect()
    }

    /// What a page shows to be typed in its blocks, and the names of commands in its text.
    fn commands(page: &str) -> (Vec<String>, Vec<String>) {
        let (mut typed, mut text, mut block) = (Vec::new(), String::new(), false);
        for line in page.lines() {
            if line.trim_start().starts_with("```") {
                block = !block;
            } else if !block {
                text += line.trim();
                text += " ";
            } else if let Some(at) = line.find("towpath ")
                && (at == 0 || line.starts_with("$ ") || line.contains(":  ") || line[..at].ends_with(['/', ' ']))
            {
                typed.push(line[at..].to_owned());
            }
        }
        let named = text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("towpath "));
        (typed, named.map(str::to_owned).collect())
    }

    /// Why a command is none; one that is only named may leave things out: for `…`, or all that is behind its name.
    fn misunderstood(command: &str, named: bool) -> Option<String> {
        let Some(mut words) = shlex::split(command) else { return Some("a quote has no end".to_owned()) };
        let left_out = words.iter().any(|word| word == "…") || !words.iter().any(|word| word.starts_with("--"));
        words.retain(|word| !named || word != "…");
        if words.iter().any(|word| word == "--why") && !words.iter().any(|word| word == "--who") {
            words.extend(["--who".to_owned(), "what USER says".to_owned()]);
        }
        let option_alone = words.last().is_some_and(|word| word.starts_with("--"));
        let error = Cli::try_parse_from(words).err()?;
        let forgiven = match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => left_out || access::names(command),
            ErrorKind::InvalidValue => option_alone,
            _ => false,
        };
        (!named || !forgiven).then(|| error.to_string())
    }

    #[test]
    fn every_command_that_a_page_shows_or_names_is_understood() {
        Cli::command().debug_assert();
        let (mut shown, mut mentioned, mut wrong) = (0, 0, Vec::new());
        for (path, text) in pages() {
            let (typed, named) = commands(&text);
            (shown, mentioned) = (shown + typed.len(), mentioned + named.len());
            let each = typed.iter().map(|it| (it, false)).chain(named.iter().map(|it| (it, true)));
            wrong.extend(each.filter_map(|(command, named)| {
                misunderstood(command, named).map(|why| format!("{}: {command}\n{why}", path.display()))
            }));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(shown > 80 && mentioned > 60, "only {shown} commands and {mentioned} names were found");
    }

    #[test]
    fn a_command_that_does_not_work_is_found_in_a_block_and_in_the_text() {
        let page = "Type `towpath dlq retry --class 'outcome unknown' --yes`, or\n`towpath status\n--yes`.\n```\n$ towpath dlq show\n\
                    towpath tenants limit acme      shows it\n```\n`towpath dlq show`, `towpath trace … --at` and `towpath dlq skip … --yes`.";
        let (typed, named) = commands(page);
        assert_eq!(typed.iter().map(|it| misunderstood(it, false).is_some()).collect::<Vec<_>>(), [true, true]);
        let found: Vec<bool> = named.iter().map(|it| misunderstood(it, true).is_some()).collect();
        assert_eq!(found, [true, true, false, false, false]);
        assert!(misunderstood("towpath dlq retri … --yes", true).is_some());
    }

    /// What a person types in the middle of the night: ours, AWS's own, make. Anything else is a line that nobody checks.
    #[test]
    fn a_runbook_has_its_five_parts_and_at_least_three_commands() {
        let runbooks =
            pages().into_iter().filter(|(path, _)| path.parent().is_some_and(|it| it.ends_with("docs/runbooks")));
        for (path, text) in runbooks.filter(|(path, _)| !path.ends_with("broker.md")) {
            let file = path.display();
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
    }

    #[test]
    fn every_link_of_a_page_leads_somewhere() {
        for (path, text) in pages() {
            let to = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for link in to.filter(|link| !link.is_empty() && !link.contains("://")) {
                let there = path.parent().is_some_and(|folder| folder.join(link).exists());
                assert!(there, "{} links to {link}, which is not there", path.display());
            }
        }
    }
}
