//! `numbers`: measures each number that Towpath promises, prints them in one table, and fails when one is missed.
//! Must not know: how anything that it measures is done.

mod catch_up;
mod cpu;
mod generated;
mod idle;
mod killer;
mod poison;
mod requests;
mod shop;
mod slope;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use comfy_table::{Table, presets};
use deployed::Deployed;

/// Measure what Towpath promises in numbers.
#[derive(Parser)]
struct Cli {
    /// The stack.json of a stack that is up.
    #[arg(long)]
    stack_file: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Only the dollars of a month without traffic.
    Idle,
    /// In a process of its own, whose memory is measured: catch up with that many events.
    CatchUp {
        /// Events that wait.
        events: u64,
        /// From a journal that is made as it is read.
        #[arg(long)]
        generated: bool,
    },
}

/// One number.
struct Row {
    what: String,
    bound: String,
    measured: String,
    holds: bool,
}

impl Row {
    fn new(what: impl Into<String>, bound: impl Into<String>, measured: impl ToString, holds: bool) -> Self {
        Self { what: what.into(), bound: bound.into(), measured: measured.to_string(), holds }
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stack = Deployed::read(&cli.stack_file)?;
        if let Some(Command::Idle) = cli.command {
            let (lines, dollars) = idle::measure(&deployed::root().join("template.yaml"), &stack).await?;
            print(&format!("{lines}\nin all: ${dollars:.2}"));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(Command::CatchUp { events, generated }) = cli.command {
            let caught_up =
                if generated { catch_up::generated(events).await } else { catch_up::stored(&stack, events).await };
            return caught_up.map(|()| ExitCode::SUCCESS);
        }
        // First, while nothing has happened yet.
        let (lines, dollars) = idle::measure(&deployed::root().join("template.yaml"), &stack).await?;
        say("requests and write units");
        let mut rows = requests::measure(&stack).await?;
        say("poison among neighbours");
        rows.extend(poison::measure(&stack).await?);
        rows.extend(killer::measure()?);
        say("time against events, in memory");
        rows.push(slope::model()?);
        say("time against events, deployed (minutes)");
        rows.push(slope::deployed(&stack, &cli.stack_file).await?);
        say("catching up (minutes)");
        rows.extend(catch_up::measure(&cli.stack_file)?);
        print(&render(&rows));
        print(&format!(
            "\nDollars a month at zero traffic, per stage (list prices of us-east-1, without free tiers)\n{lines}"
        ));
        print(&format!("in all: ${dollars:.2}"));
        let missed: Vec<&str> = rows.iter().filter(|row| !row.holds).map(|row| row.what.as_str()).collect();
        if missed.is_empty() {
            print("\nEvery number holds.");
            return Ok(ExitCode::SUCCESS);
        }
        print(&format!("\nMissed: {}", missed.join("; ")));
        Ok(ExitCode::FAILURE)
    })
}

fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["", "what", "must be", "is"]);
    for row in rows {
        table.add_row([if row.holds { "✓" } else { "✗" }, &row.what, &row.bound, &row.measured]);
    }
    table.to_string()
}

/// What is measured now: it takes minutes.
#[allow(clippy::print_stderr, reason = "progress is not part of the table")]
fn say(what: &str) {
    eprintln!("measuring {what}");
}

#[allow(clippy::print_stdout, reason = "printing numbers is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
