//! Reads the templates: the root as SAM expands it, infra/ as it is written, both as JSON; and the code they deploy.
//! Must not know: any rule.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{layers, repo};

/// The name of the root template among the files.
pub(crate) const ROOT: &str = "template.yaml";

/// What the files say.
#[derive(Clone)]
pub(crate) struct Source {
    /// By path from the root folder.
    pub(crate) templates: BTreeMap<String, Value>,
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
}

/// Plain CloudFormation to JSON, by the parser that `sam` uses itself.
const TO_JSON: &str = "
import json, pathlib, sys
from samcli.yamlhelper import yaml_parse
print(json.dumps({path: yaml_parse(pathlib.Path(path).read_text()) for path in sys.argv[1:]}))
";

/// Reads everything. It needs the tools that `make` keeps in .venv/tools.
pub(crate) fn read() -> Source {
    let mut templates = nested();
    templates.insert(ROOT.to_owned(), expanded());
    let consumers = super::consumers();
    let types = |consumer: &towpath::Consumer| consumer.event_types().map(ToString::to_string).collect();
    let forwarding = consumers.iter().filter(|consumer| consumer.forwards());
    Source {
        templates,
        functions: layers::functions(&layers::packages()),
        forwarding: forwarding.map(|consumer| consumer.name().to_string()).collect(),
        runbooks: names_in("docs/runbooks").collect(),
        handled: consumers.iter().map(|consumer| (consumer.name().to_string(), types(consumer))).collect(),
        commanded: consumers
            .iter()
            .filter(|consumer| consumer.command_types().next().is_some())
            .map(|consumer| consumer.name().to_string())
            .collect(),
    }
}

fn nested() -> BTreeMap<String, Value> {
    let paths = names_in("infra").filter(|name| name.ends_with(".yaml")).map(|name| format!("infra/{name}"));
    let text = repo::stdout(python().args(["-c", TO_JSON]).args(paths));
    serde_json::from_str(&text).expect("json.dumps writes JSON")
}

fn names_in(folder: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(repo::root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("a folder can be listed").file_name().to_string_lossy().into_owned())
}

fn expanded() -> Value {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("expanded-{}.json", std::process::id()));
    repo::stdout(python().arg("tests/local/expand.py").arg(&file));
    let text = std::fs::read_to_string(&file).expect("expand.py wrote it");
    std::fs::remove_file(&file).expect("it was there");
    serde_json::from_str(&text).expect("expand.py writes JSON")
}

fn python() -> Command {
    let python = repo::root().join(".venv/tools/bin/python");
    assert!(python.exists(), "the rules for templates need .venv/tools: run `make venvs` first");
    Command::new(python)
}
