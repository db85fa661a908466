//! `conformance`: asks the simulator's model and an AWS endpoint the same questions, prints both answers, and fails where the
//! model is not as AWS, or the endpoint not as its list of known deviations says.
//! Must not know: any question.

mod cases;
mod deviations;
mod endpoint;
mod model;
mod report;
mod services;
#[cfg(test)]
mod swapped;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use deviations::Known;
use endpoint::Endpoint;
use futures_util::{FutureExt, StreamExt, stream};
use services::Reply;

use cases::{Ask, Case};
use model::Model;
use report::Row;

/// Seeds of the model for each case: what chance may decide, it decides differently.
const SEEDS: u64 = 50;
/// Cases that are asked of an endpoint at the same time, because they wait.
const AT_ONCE: usize = 12;

/// Ask the model and an endpoint what AWS does.
#[derive(Parser)]
struct Cli {
    /// Such as http://127.0.0.1:4566; `aws`: AWS itself, with the environment's credentials. Without it, only the model is asked.
    #[arg(long)]
    endpoint: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Ask only cases whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
}

/// What one side answered; `None` if it was not asked.
type Answers = Vec<Option<Result<(), String>>>;

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let cases: Vec<&Case> = cases::all().filter(|case| case.name.contains(&cli.only)).collect();
    anyhow::ensure!(!cases.is_empty(), "no case has {:?} in its name", cli.only);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let model = ask_model(&cases).await;
        let Some(address) = &cli.endpoint else {
            return Ok(finish(&cli, None, rows(&cases, model, vec![None; cases.len()], &Known::default())));
        };
        let kind = endpoint::kind(address);
        let names: Vec<&str> = cases::all().map(|case| case.name).collect();
        let known = kind.map(|kind| Known::read(kind, &names)).transpose()?.unwrap_or_default();
        let (answers, left) = ask_endpoint(address, &cases).await?;
        let done = finish(&cli, Some(kind.unwrap_or("endpoint")), rows(&cases, model, answers, &known));
        if left.is_empty() {
            return Ok(done);
        }
        report::warn(&format!("left behind at {address}:\n  {}", left.join("\n  ")));
        Ok(ExitCode::FAILURE)
    })
}

/// Asks every case with every seed; the first answer that is wrong counts.
async fn ask_model(cases: &[&Case]) -> Answers {
    let mut answers = Vec::new();
    for case in cases {
        let mut answer = None;
        for seed in 0..SEEDS {
            let model = Model::new(seed);
            let asked = match case.ask {
                Ask::Both(ask) => said(ask(&model)).await,
                Ask::Model(_, ask) => said(ask(&model)).await,
                Ask::Endpoint(..) => break,
            };
            let wrong = asked.is_err();
            answer = Some(asked.map_err(|why| format!("seed {seed}: {why}")));
            if wrong {
                break;
            }
        }
        answers.push(answer);
    }
    answers
}

/// Asks all cases, some at the same time. Whatever happens, what was made is removed; also tells what could not be.
async fn ask_endpoint(address: &str, cases: &[&Case]) -> Result<(Answers, Vec<String>)> {
    let config = endpoint::config(address).await;
    let made = endpoint::notes(&config)?;
    let asked = async {
        let endpoint =
            Endpoint::new(&config, made.clone()).await.with_context(|| format!("making tables at {address}"))?;
        let ask = async |case: &Case| match case.ask {
            Ask::Both(ask) => Some(said(ask(&endpoint)).await),
            Ask::Endpoint(_, ask) => Some(said(ask(&endpoint)).await),
            Ask::Model(..) => None,
        };
        anyhow::Ok(stream::iter(cases).map(|case| ask(case)).buffered(AT_ONCE).collect::<Vec<_>>().await)
    };
    let answers = tokio::select! {
        answers = asked => answers,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let left = made.remove().await;
    Ok((answers?, left))
}

/// A case that panics has not held.
async fn said(case: Reply<'_, ()>) -> Result<(), String> {
    match AssertUnwindSafe(case).catch_unwind().await {
        Ok(answer) => answer.map_err(|why| format!("{why:#}")),
        Err(_) => Err("the case panicked".to_owned()),
    }
}

fn rows(cases: &[&Case], model: Answers, endpoint: Answers, known: &Known) -> Vec<Row> {
    let row = |((case, model), endpoint): ((&&Case, _), Option<Result<(), String>>)| Row {
        case: case.name,
        model,
        verdict: known.verdict(case.name, endpoint.as_ref()),
        endpoint,
        listed: known.what(case.name).to_owned(),
        why_one_side: match case.ask {
            Ask::Both(_) => "",
            Ask::Model(why, _) | Ask::Endpoint(why, _) => why,
        },
    };
    cases.iter().zip(model).zip(endpoint).map(row).collect()
}

fn finish(cli: &Cli, kind: Option<&str>, rows: Vec<Row>) -> ExitCode {
    if cli.json {
        report::json(&rows)
    } else {
        report::table(kind, &rows)
    }
    if rows.iter().any(Row::fails) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_does_what_aws_does() {
        let cases: Vec<&Case> = cases::all().collect();
        let answers = ask_model(&cases).now_or_never().expect("the model's time is virtual");
        let asked = answers.iter().flatten().count();
        assert!(asked >= 30, "{asked} cases were asked");
        for (case, answer) in cases.iter().zip(answers) {
            assert_eq!(answer.unwrap_or(Ok(())), Ok(()), "{}", case.name);
        }
    }
}
