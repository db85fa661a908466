//! The program of a product's catalogue crate: it writes schemas and runs the contract tests, which needs the types; and it
//! does what `towpath catalogue` does, for who has no `towpath` at hand. Must not know: any one event, any rule.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Catalogue;
use crate::check::check;
use crate::folder::{Folder, RELEASED, lay_out};
use crate::report::{said, write_pages, write_release};

/// Where schemas lie, seen from the root of the repository.
pub const SCHEMAS: &str = "schemas";
/// Where the pages lie.
pub const PAGES: &str = "docs/catalogue";
/// The page of the contract tests among them.
pub const EVIDENCE: &str = "contract-tests.md";

const USAGE: &str =
    "say `generate` or `contract-tests`, with --check to write nothing; run it in the root of the repository";

/// Runs the program with these arguments, in the root of the repository.
pub fn run(catalogue: &Catalogue, arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["generate"] => generate(catalogue, true),
        ["generate", "--check"] => generate(catalogue, false),
        ["check"] => checked(),
        ["contract-tests"] => contract_tests(catalogue, true),
        ["contract-tests", "--check"] => contract_tests(catalogue, false),
        ["docs"] => docs(true),
        ["docs", "--check"] => docs(false),
        ["release"] => released(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(said) => {
            let _ = writeln!(std::io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "catalogue: {why}");
            ExitCode::FAILURE
        }
    }
}

fn generate(catalogue: &Catalogue, write: bool) -> Result<String, String> {
    let root = Path::new(SCHEMAS);
    let released = Folder::read_released(root).map_err(|error| error.to_string())?;
    let generated = catalogue.generate(&released);
    let changed = lay_out(root, &generated.files(), Some(RELEASED), write).map_err(|error| error.to_string())?;
    written(changed, write)?;
    Ok(format!(
        "schemas: {}, {} samples",
        generated.listing.counted(),
        generated.shelf.samples.values().map(BTreeMap::len).sum::<usize>()
    ))
}

fn contract_tests(catalogue: &Catalogue, write: bool) -> Result<String, String> {
    let released = Folder::read_released(Path::new(SCHEMAS)).map_err(|error| error.to_string())?;
    let generated = catalogue.generate(&released);
    let evidence = catalogue.contract_tests(&generated, &released);
    if !evidence.broken.is_empty() {
        return Err(format!("broken contracts:\n  {}", evidence.broken.join("\n  ")));
    }
    let tested = evidence.page.lines().filter(|line| line.starts_with("| `")).count();
    let page = Path::new(PAGES).join(EVIDENCE);
    if std::fs::read_to_string(&page).is_ok_and(|there| there == evidence.page) {
        return Ok(format!("contract tests: {tested} samples are taken by every consumer of what they show"));
    }
    if write {
        let made = std::fs::create_dir_all(PAGES).and_then(|()| std::fs::write(&page, &evidence.page));
        made.map_err(|error| format!("{}: {error}", page.display()))?;
    }
    written(vec![format!("{}: it is not what the code says", page.display())], write)?;
    Ok(format!("contract tests: {tested} samples are taken by every consumer of what they show"))
}

fn checked() -> Result<String, String> {
    let folder = Folder::read(Path::new(SCHEMAS)).map_err(|error| error.to_string())?;
    let findings = check(&folder, &today());
    let said = said(&folder, &findings);
    if findings.iter().any(|finding| finding.refused) { Err(said) } else { Ok(said) }
}

fn docs(write: bool) -> Result<String, String> {
    let folder = Folder::read(Path::new(SCHEMAS)).map_err(|error| error.to_string())?;
    let (pages, changed) = write_pages(&folder, Path::new(PAGES), write).map_err(|error| error.to_string())?;
    written(changed, write)?;
    Ok(format!("{PAGES}: {pages} pages"))
}

fn released() -> Result<String, String> {
    let schemas = Path::new(SCHEMAS);
    let folder = Folder::read(schemas).map_err(|error| error.to_string())?;
    match write_release(&folder, schemas, &today()).map_err(|error| error.to_string())? {
        Ok(files) => Ok(format!("{SCHEMAS}/{RELEASED}: {files} files are written")),
        Err(refused) => Err(said(&folder, &refused)),
    }
}

/// This machine's day, in UTC.
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = towpath::Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    now.to_string()[..10].to_owned()
}

/// Nothing may have to be written when it is only checked.
fn written(changed: Vec<String>, write: bool) -> Result<(), String> {
    if write || changed.is_empty() {
        return Ok(());
    }
    Err(format!("run `make catalogue`, and commit what it writes:\n  {}", changed.join("\n  ")))
}
