//! `towpath doctor`: is a template, or a stack that is up, as it must be? Each finding names what to do about it.
//! Must not know: the rules of templates, which are towpath-doctor's.

mod ask;
mod deployed;
mod drift;
mod lambda;
mod live;
mod mend;
mod messages;
mod rows;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use towpath_doctor::{RULES, Source, examine};

use crate::output::{self, Usage};
use crate::stack::Target;

/// What `doctor` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Judge this template instead of a stack: as CloudFormation sees it, which `make expanded` writes to .local/expanded.json.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// A parameter of that template, as it will be deployed. What is not given is as in production: Stage=prod, and the defaults.
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "template")]
    parameters: Vec<String>,
    /// What the consumers' code handles; with it, a stack of another generation is found.
    #[arg(long, value_name = "FILE", default_value = "consumers.lock")]
    lock: PathBuf,
    /// The rules, and nothing else.
    #[arg(long, conflicts_with = "template")]
    rules: bool,
    /// For programs.
    #[arg(long)]
    json: bool,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn new(rule: &str, what: String, fix: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), what, fix: fix.into() }
    }
}

/// What was judged, by how many rules, and what came of it.
#[derive(Debug, Serialize)]
struct Report {
    of: String,
    checked: usize,
    findings: Vec<Finding>,
    /// What is no mistake, and good to know.
    notes: Vec<String>,
}

/// Looks, says, and ends with 3 if something is wrong.
pub(crate) async fn run(target: &Target, options: &Options) -> Result<ExitCode> {
    if options.rules {
        output::say(options.json, &rules(), || rules().iter().map(|(id, says)| format!("{id}: {says}\n")).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = match &options.template {
        Some(path) => of_template(path, &options.parameters)?,
        None => of_stack(target, options).await?,
    };
    output::say(options.json, &report, || said(&report))?;
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { output::exit(output::PARTLY) })
}

fn rules() -> Vec<(&'static str, &'static str)> {
    RULES.iter().map(|rule| (rule.id, rule.sentence)).collect()
}

/// As it would be in production, where everything is asked for, but for what is given.
fn of_template(path: &std::path::Path, parameters: &[String]) -> Result<Report> {
    let source = Source::read(path).map_err(|error| Usage(error.to_string()))?;
    let mut chosen = BTreeMap::from([("Stage", "prod")]);
    for given in parameters {
        let (name, value) =
            given.split_once('=').ok_or_else(|| Usage(format!("--parameter {given}: write it as NAME=VALUE")))?;
        let known = source.root["Parameters"].get(name);
        let known = known.ok_or_else(|| Usage(format!("--parameter {given}: the template has no parameter {name}")))?;
        if let Some(allowed) = known["AllowedValues"].as_array() {
            let texts: Vec<String> =
                allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
            if !texts.iter().any(|one| one == value) {
                return Err(Usage(format!("--parameter {given}: it is one of {}", texts.join(", "))).into());
            }
        }
        chosen.insert(name, value);
    }
    let stack = towpath_doctor::Stack::new(&source, &chosen.into_iter().collect::<Vec<_>>());
    let found = examine(&stack, RULES);
    let findings = found.into_iter().map(|it| Finding::new(it.rule, it.what, it.fix)).collect();
    Ok(Report { of: path.display().to_string(), checked: RULES.len(), findings, notes: goes_without(&stack) })
}

/// What somebody has chosen to go without.
fn goes_without(stack: &towpath_doctor::Stack) -> Vec<String> {
    let mut notes = Vec::new();
    if stack.chosen("Alarms").is_some_and(|chosen| chosen == "none") {
        notes.push("Alarms=none: this stage has no alarm, and nobody is told when something goes wrong".to_owned());
    }
    if !stack.is_protected() {
        notes.push(
            "neither prod nor Protected=true: its tables can be deleted, and it is encrypted with AWS's keys"
                .to_owned(),
        );
    }
    notes
}

async fn of_stack(target: &Target, options: &Options) -> Result<Report> {
    let bar = output::bar(live::STEPS, "looking");
    let seen = live::look(target, &bar).await?;
    bar.finish_and_clear();
    let lock = std::fs::read_to_string(&options.lock).ok();
    let (mut findings, mut notes) = drift::judge(&seen);
    findings.extend(lambda::findings(&seen));
    findings.extend(messages::findings(&seen));
    findings.extend(rows::findings(&seen, lock.as_deref()));
    let status = &seen.deployed.status;
    if status.ends_with("_IN_PROGRESS") {
        notes.push(format!(
            "it is {status}: what was not reached yet looks as if it had been changed by hand or were gone"
        ));
    }
    notes.extend(goes_without(&seen.deployed.stack));
    notes.extend(rows::notes(&seen));
    if lock.is_none() {
        notes.push(format!(
            "{} is not here, so generations were not compared: give --lock FILE",
            options.lock.display()
        ));
    }
    Ok(Report { of: seen.name, checked: RULES.len() + live::RULES.len(), findings, notes })
}

fn said(report: &Report) -> String {
    let line = |finding: &Finding| {
        format!("✗ {}: {}\n    {}\n", finding.rule, output::plain(&finding.what), output::plain(&finding.fix))
    };
    let found: String = report.findings.iter().map(line).collect();
    let notes: String = report.notes.iter().map(|note| format!("· {}\n", output::plain(note))).collect();
    let number = output::count(report.findings.len() as u64, "finding", "findings");
    format!("{found}{notes}{}: {number}, {} rules checked", report.of, report.checked)
}
