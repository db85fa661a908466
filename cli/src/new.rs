//! `towpath new`: writes a fresh repository with a small domain of its own, to start a product from.
//! Must not know: what any of the files means.

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

/// What `new` may be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder to write; it must be empty or not exist.
    folder: PathBuf,
    /// The clone of Towpath that the new repository depends on.
    #[arg(long, default_value = ".", conflicts_with = "git")]
    towpath: PathBuf,
    /// Depend on Towpath's repository at this URL instead of a clone.
    #[arg(long, requires = "tag")]
    git: Option<String>,
    /// The released version to take from there.
    #[arg(long, requires = "git")]
    tag: Option<String>,
}

/// Each file of the new repository, and its text: the template's, or Towpath's own, unedited.
macro_rules! files {
    ($($path:literal from $source:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $source)))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    ".gitignore" from "cli/template/gitignore.in",
    "Cargo.lock" from "Cargo.lock",
    "Cargo.toml" from "cli/template/Cargo.toml.in",
    "Makefile" from "cli/template/Makefile",
    "README.md" from "cli/template/README.md",
    "catalogue/Cargo.toml" from "cli/template/catalogue/Cargo.toml.in",
    "catalogue/src/lib.rs" from "cli/template/catalogue/src/lib.rs",
    "catalogue/src/main.rs" from "cli/template/catalogue/src/main.rs",
    "docs/runbooks/api-faults.md" from "docs/runbooks/api-faults.md",
    "docs/runbooks/auditor-silent.md" from "docs/runbooks/auditor-silent.md",
    "docs/runbooks/broker.md" from "docs/runbooks/broker.md",
    "docs/runbooks/dead-letters.md" from "docs/runbooks/dead-letters.md",
    "docs/runbooks/function-errors.md" from "docs/runbooks/function-errors.md",
    "docs/runbooks/lag.md" from "docs/runbooks/lag.md",
    "docs/runbooks/limiter-away.md" from "docs/runbooks/limiter-away.md",
    "docs/runbooks/other-tenant.md" from "docs/runbooks/other-tenant.md",
    "docs/runbooks/overdue.md" from "docs/runbooks/overdue.md",
    "docs/runbooks/parked.md" from "docs/runbooks/parked.md",
    "docs/runbooks/pipeline-unhealthy.md" from "docs/runbooks/pipeline-unhealthy.md",
    "docs/runbooks/queue-age.md" from "docs/runbooks/queue-age.md",
    "docs/runbooks/receiver.md" from "docs/runbooks/receiver.md",
    "docs/runbooks/relay-failures.md" from "docs/runbooks/relay-failures.md",
    "docs/runbooks/relay-late.md" from "docs/runbooks/relay-late.md",
    "docs/runbooks/sweep-age.md" from "docs/runbooks/sweep-age.md",
    "docs/runbooks/tables.md" from "docs/runbooks/tables.md",
    "docs/runbooks/tenant-throttled.md" from "docs/runbooks/tenant-throttled.md",
    "docs/runbooks/throttles.md" from "docs/runbooks/throttles.md",
    "docs/runbooks/tokens.md" from "docs/runbooks/tokens.md",
    "docs/runbooks/unaccounted.md" from "docs/runbooks/unaccounted.md",
    "docs/runbooks/undelivered.md" from "docs/runbooks/undelivered.md",
    "docs/runbooks/wake-age.md" from "docs/runbooks/wake-age.md",
    "docs/runbooks/wake-dead-letters.md" from "docs/runbooks/wake-dead-letters.md",
    "docs/try.sh" from "cli/template/docs/try.sh",
    "docs/when-something-fails.md" from "docs/when-something-fails.md",
    "functions/auditor/Cargo.toml" from "cli/template/functions/auditor/Cargo.toml.in",
    "functions/auditor/src/main.rs" from "functions/auditor/src/main.rs",
    "functions/relay/Cargo.toml" from "cli/template/functions/relay/Cargo.toml.in",
    "functions/relay/src/main.rs" from "functions/relay/src/main.rs",
    "functions/ticket-board/Cargo.toml" from "cli/template/functions/ticket-board/Cargo.toml.in",
    "functions/ticket-board/src/lib.rs" from "cli/template/functions/ticket-board/src/lib.rs",
    "functions/ticket-board/src/main.rs" from "cli/template/functions/ticket-board/src/main.rs",
    "functions/ticket-board/tests/prove.rs" from "cli/template/functions/ticket-board/tests/prove.rs",
    "functions/tickets-api/Cargo.toml" from "cli/template/functions/tickets-api/Cargo.toml.in",
    "functions/tickets-api/src/lib.rs" from "cli/template/functions/tickets-api/src/lib.rs",
    "functions/tickets-api/src/main.rs" from "cli/template/functions/tickets-api/src/main.rs",
    "infra/access.yaml" from "infra/access.yaml",
    "infra/alarms.yaml" from "infra/alarms.yaml",
    "infra/api.yaml" from "infra/api.yaml",
    "infra/bus.yaml" from "infra/bus.yaml",
    "infra/consumer.yaml" from "infra/consumer.yaml",
    "infra/operations.yaml" from "infra/operations.yaml",
    "infra/keys.yaml" from "infra/keys.yaml",
    "infra/receiver.yaml" from "infra/receiver.yaml",
    "infra/releases.yaml" from "infra/releases.yaml",
    "infra/tables.yaml" from "infra/tables.yaml",
    "infra/topics.yaml" from "infra/topics.yaml",
    "rustfmt.toml" from "rustfmt.toml",
    "samconfig.toml" from "cli/template/samconfig.toml",
    "shared/helpdesk/Cargo.toml" from "cli/template/shared/helpdesk/Cargo.toml.in",
    "shared/helpdesk/src/lib.rs" from "cli/template/shared/helpdesk/src/lib.rs",
    "template.yaml" from "cli/template/template.yaml",
    "tests/local/dev.py" from "tests/local/dev.py",
    "tests/local/hints.py" from "tests/local/hints.py",
    "tests/local/issuer.py" from "tests/local/issuer.py",
    "tests/local/expand.py" from "tests/local/expand.py",
    "tests/local/requirements-emulator.txt" from "tests/local/requirements-emulator.txt",
    "tests/local/requirements-tools.txt" from "tests/local/requirements-tools.txt",
    "tests/local/stages.py" from "tests/local/stages.py",
    "tests/local/stack.py" from "tests/local/stack.py",
    "tests/local/tokens.py" from "tests/local/tokens.py",
];

/// Writes the repository.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = &options.folder;
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: name a new folder", folder.display());
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let found = |name: &&'static str| Ok((format!("{{{{{name}}}}}"), dependency(options, name)?));
    let crates = ["towpath", "towpath-aws", "towpath-catalogue", "towpath-sim"].iter().map(found);
    let crates = crates.collect::<Result<Vec<_>>>()?;
    for (path, text) in FILES {
        let file = folder.join(path);
        let text = crates.iter().fold((*text).to_owned(), |text, (place, found)| text.replace(place, found));
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, text));
        written.with_context(|| format!("{} cannot be written", file.display()))?;
    }
    writeln!(std::io::stdout(), "{} is written. Next: cd {0} && make up", folder.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Where the new manifest finds a crate of Towpath.
fn dependency(options: &Options, name: &str) -> Result<String> {
    if let (Some(git), Some(tag)) = (&options.git, &options.tag) {
        return Ok(format!("git = {git:?}, tag = {tag:?}"));
    }
    let found = options.towpath.join("shared").join(name);
    let full = |path: &Path| path.canonicalize().with_context(|| format!("{} is not there", path.display()));
    let there = full(&found).context("no clone of Towpath here: give --towpath FOLDER, or --git URL --tag TAG")?;
    Ok(format!("path = {:?}", between(&full(&options.folder)?, &there)))
}

/// The way from one folder to another, both absolute, so that the two can be moved together.
fn between(from: &Path, to: &Path) -> PathBuf {
    let (from, to) = (from.components().collect::<Vec<_>>(), to.components().collect::<Vec<_>>());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| &Component::ParentDir);
    up.chain(to.iter().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn files_under(folder: &Path) -> Vec<PathBuf> {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn no_file_of_the_template_of_infra_or_of_the_runbooks_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let texts: BTreeSet<&str> = FILES.iter().map(|(_, text)| *text).collect();
        for file in [root.join("cli/template"), root.join("infra"), root.join("docs/runbooks")]
            .iter()
            .flat_map(|folder| files_under(folder))
        {
            assert!(texts.contains(fs::read_to_string(&file).unwrap().as_str()), "{} is left out", file.display());
        }
    }

    #[test]
    fn a_dependency_is_named_from_the_new_folder() {
        let way = between(Path::new("/a/tickets"), Path::new("/a/clone/shared/towpath"));
        assert_eq!(way, Path::new("../clone/shared/towpath"));
    }
}
