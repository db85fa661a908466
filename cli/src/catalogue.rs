//! `towpath catalogue`: whether the event catalogue in schemas/ may be deployed, its pages, and its release.
//! Must not know: any type of event, any rule; those are in towpath-catalogue.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use towpath_catalogue::{Finding, Folder, PAGES, SCHEMAS, check, said, unreleased, write_pages, write_release};

use crate::output::{self, Usage};

/// What can be done with the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Compare the schemas with the released ones: refuse what breaks them, a version without a way to read it, a sunset that is over.
    Check(Check),
    /// Write docs/catalogue from schemas/.
    Docs(Docs),
    /// Write down that the schemas are promised from now on, as they stand.
    Release(Release),
}

/// Where the catalogue lies.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder of the schemas.
    #[arg(long, default_value = SCHEMAS)]
    schemas: PathBuf,
}

/// What `check` may be told.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    place: Place,
    /// The day to check for, like 2026-11-21; today if nothing is said.
    #[arg(long)]
    today: Option<String>,
    /// Refuse also what is not released yet: before a deploy.
    #[arg(long)]
    released: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `docs` may be told.
#[derive(Debug, Args)]
pub(crate) struct Docs {
    #[command(flatten)]
    place: Place,
    /// The folder of the pages.
    #[arg(long, default_value = PAGES)]
    pages: PathBuf,
    /// Write nothing; fail if a page is not what schemas/ says.
    #[arg(long)]
    check: bool,
}

/// What `release` may be told.
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Report<'a> {
    events: usize,
    commands: usize,
    refused: usize,
    findings: &'a [Finding],
}

/// Does it.
pub(crate) fn run(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Check(options) => run_check(options),
        Verb::Docs(options) => run_docs(options),
        Verb::Release(options) => run_release(options),
    }
}

fn read(schemas: &Path) -> Result<Folder> {
    Folder::read(schemas).context("the catalogue cannot be read: run `make catalogue` in the root of the repository")
}

fn run_check(options: &Check) -> Result<ExitCode> {
    let folder = read(&options.place.schemas)?;
    let today = today(options.today.as_deref())?;
    let mut findings = check(&folder, &today);
    if options.released {
        findings.extend(unreleased(&folder));
    }
    let refused = findings.iter().filter(|finding| finding.refused).count();
    let commands = folder.listing.events.iter().filter(|listed| listed.command.is_some()).count();
    let events = folder.listing.events.len() - commands;
    let report = Report { events, commands, refused, findings: &findings };
    output::say(options.json, &report, || said(&folder, &findings))?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { output::exit(output::FAILED) })
}

/// A day as it was given, or this machine's.
fn today(given: Option<&str>) -> Result<String> {
    let Some(day) = given else { return Ok(output::now().to_string()[..10].to_owned()) };
    match format!("{day}T00:00:00.000Z").parse::<towpath::Timestamp>() {
        Ok(_) => Ok(day.to_owned()),
        Err(_) => Err(Usage("--today must be a day like 2026-11-21".to_owned()).into()),
    }
}

fn run_docs(options: &Docs) -> Result<ExitCode> {
    let folder = read(&options.place.schemas)?;
    let (pages, changed) = write_pages(&folder, &options.pages, !options.check)
        .with_context(|| format!("{} cannot be written", options.pages.display()))?;
    if options.check && !changed.is_empty() {
        let changed = changed.join("\nrefused: ");
        output::print(&format!("refused: {changed}\nRun `make catalogue`, and commit what it writes."))?;
        return Ok(output::exit(output::FAILED));
    }
    output::print(&format!("{}: {}", options.pages.display(), output::count(pages as u64, "page", "pages")))?;
    Ok(ExitCode::SUCCESS)
}

fn run_release(options: &Release) -> Result<ExitCode> {
    let schemas = &options.place.schemas;
    let folder = read(schemas)?;
    let done = write_release(&folder, schemas, &today(None)?)
        .with_context(|| format!("{} cannot be written", schemas.display()))?;
    match done {
        Ok(0) => output::print("Everything is released as it stands.")?,
        Ok(files) => {
            let files = output::count(files as u64, "file is", "files are");
            output::print(&format!("{}/released: {files} written. Commit, then deploy.", schemas.display()))?;
        }
        Err(refused) => {
            output::print(&said(&folder, &refused))?;
            return Ok(output::exit(output::FAILED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day() {
        assert_eq!(today(Some("2027-03-01")).unwrap(), "2027-03-01");
        assert_eq!(today(None).unwrap().len(), 10);
        assert!(today(Some("2027-02-30")).is_err() && today(Some("tomorrow")).is_err());
    }
}
