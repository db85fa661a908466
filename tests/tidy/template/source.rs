//! Reads the templates, the root as SAM expands it and infra/ as it is written, and the code that they deploy.
//! Must not know: any rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use towpath_doctor::Source;

use crate::{layers, repo};

/// The name of the root template among the files.
pub(crate) const ROOT: &str = "template.yaml";

/// Whoever carries out commands records when an operator passes one over; the catalogue's stories show one who does.
const PASSED_OVER: &str = "passed_over";

/// What the templates must agree with.
#[derive(Clone)]
pub(crate) struct Code {
    /// The crates under functions/.
    pub(crate) functions: BTreeSet<String>,
    /// What each consumer's code handles.
    pub(crate) handled: BTreeMap<String, BTreeSet<String>>,
    /// The consumers that carry out commands.
    pub(crate) commanded: BTreeSet<String>,
    /// Consumers whose code puts events on the bus.
    pub(crate) forwarding: BTreeSet<String>,
    /// Files in docs/runbooks.
    pub(crate) runbooks: BTreeSet<String>,
    /// For each function, the aggregates whose rows it adds to the journal.
    pub(crate) records: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the code's side.
pub(crate) fn code() -> Code {
    let consumers = super::consumers();
    let named = |consumer: &towpath::Consumer| consumer.name().to_string();
    let types = |consumer: &towpath::Consumer| consumer.event_types().map(ToString::to_string).collect();
    let mut records: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let listing =
        std::fs::read_to_string(repo::root().join("schemas/catalogue.json")).expect("make catalogue wrote it");
    let listing: Value = serde_json::from_str(&listing).expect("make catalogue writes JSON");
    let text = |value: &Value| value.as_str().expect("a name is a text").to_owned();
    for event in listing["events"].as_array().expect("events are a list") {
        for producer in event["producers"].as_array().expect("producers are a list") {
            records.entry(text(producer)).or_default().insert(text(&event["aggregate"]));
        }
    }
    let commanded: BTreeSet<String> =
        consumers.iter().filter(|one| one.command_types().next().is_some()).map(named).collect();
    for consumer in &commanded {
        records.entry(consumer.clone()).or_default().insert(PASSED_OVER.to_owned());
    }
    Code {
        functions: layers::functions(&layers::packages()),
        forwarding: consumers.iter().filter(|consumer| consumer.forwards()).map(named).collect(),
        handled: consumers.iter().map(|consumer| (named(consumer), types(consumer))).collect(),
        commanded,
        records,
        runbooks: names_in("docs/runbooks"),
    }
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repo::root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("a folder can be listed").file_name().to_string_lossy().into_owned()).collect()
}

/// Reads the templates, expanded with these parameters as `NAME=VALUE`. It needs the tools that `make` keeps in .venv/tools.
pub(crate) fn templates(parameters: &[&str]) -> Source {
    let python = repo::root().join(".venv/tools/bin/python");
    assert!(python.exists(), "the rules for templates need .venv/tools: run `make venvs` first");
    let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("expanded-{}-{thread}.json", std::process::id()));
    repo::stdout(Command::new(python).arg("tests/local/expand.py").arg(&file).args(parameters));
    let read = Source::read(&file);
    std::fs::remove_file(&file).expect("expand.py wrote it");
    read.unwrap_or_else(|error| panic!("{error}"))
}

/// A template by its path from the root folder.
pub(crate) fn template<'a>(source: &'a mut Source, path: &str) -> &'a mut Value {
    if path == ROOT {
        return &mut source.root;
    }
    let found = source.nested.iter_mut().find(|(url, _)| url.ends_with(path));
    found.unwrap_or_else(|| panic!("no template {path}")).1
}
