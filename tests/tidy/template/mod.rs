//! The templates keep the rules of towpath-doctor, which hold of any pipeline, and agree with this repository's code.
//! Must not know: how templates are read; that is in `source`.

mod alarms;
mod api;
mod broken;
mod bus;
mod capacity;
mod code;
mod policy;
mod releases;
mod secrets;
mod source;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use source::Code;
use towpath::Consumer;
use towpath_doctor::{Source, Stack, examine};

use crate::{layers, repo};

/// One sentence for each thing that is wrong.
type Findings = Vec<String>;

/// A rule by its name.
type Rule = (&'static str, fn(&Stack, &Code) -> Findings);

/// What this repository's templates must agree with its code in. What holds of any pipeline is in `towpath-doctor`.
const RULES: &[Rule] = &[
    ("every function crate is deployed", code::functions),
    ("the filter policy is what the code handles", code::filters),
    ("the environment is complete", code::environments),
    ("an API takes only tokens of its issuer", api::tokens),
    ("who forwards events is told of the bus", bus::told),
    ("a function adds to the journal what it records", code::journal),
    ("the runbook of an alarm is there", alarms::runbooks),
];

/// The stack as it is in production, where everything is asked for.
fn stack(source: &Source) -> Stack {
    Stack::new(source, &[("Stage", "prod")])
}

/// Every consumer of the repository. A crate under functions/ that is none is named in [`NO_CONSUMERS`].
pub(crate) fn consumers() -> Vec<Consumer> {
    catalogue::consumers()
}

/// Functions that handle no queue; every `…-api` is one too.
const NO_CONSUMERS: &[&str] = &["relay", "auditor"];

fn is_consumer(function: &str) -> bool {
    !NO_CONSUMERS.contains(&function) && !function.ends_with("-api")
}

/// The templates as the files are, read once.
fn as_written() -> &'static (Source, Code) {
    static SOURCE: OnceLock<(Source, Code)> = OnceLock::new();
    SOURCE.get_or_init(|| (source::templates(&[]), source::code()))
}

fn unlisted(functions: &BTreeSet<String>, listed: &BTreeSet<String>) -> Findings {
    let expected: BTreeSet<String> = functions.iter().filter(|name| is_consumer(name)).cloned().collect();
    let missing = expected.difference(listed).map(|name| {
        format!("functions/{name}: add it to consumers() in catalogue/src/lib.rs and to catalogue/Cargo.toml (or to NO_CONSUMERS)")
    });
    let strange = listed.difference(&expected).map(|name| format!("the consumer {name} is not called as its folder"));
    missing.chain(strange).collect()
}

#[test]
fn every_consumer_crate_is_checked() {
    let listed = consumers().iter().map(|consumer| consumer.name().to_string()).collect();
    repo::none(&unlisted(&layers::functions(&layers::packages()), &listed));
}

#[test]
fn a_consumer_crate_that_is_not_checked_is_found() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(unlisted(&names(&["inventory", "shipping", "orders-api", "relay"]), &names(&["inventory"])).len(), 1);
    assert_eq!(unlisted(&names(&["inventory"]), &names(&["inventory", "stock"])).len(), 1);
}

#[test]
fn the_templates_keep_every_rule() {
    let (source, code) = as_written();
    let stack = stack(source);
    let found = examine(&stack, towpath_doctor::RULES).into_iter().map(|it| format!("{}: {}", it.rule, it.what));
    let ours =
        RULES.iter().flat_map(|(name, rule)| rule(&stack, code).into_iter().map(move |it| format!("{name}: {it}")));
    repo::none(&found.chain(ours).collect::<Vec<_>>());
}
