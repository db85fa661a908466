//! The templates keep the promises of the pipeline: each rule is a function over the stack as it would be deployed.
//! Must not know: how templates are read; that is in `source`.

mod alarms;
mod api;
mod broken;
mod bus;
mod code;
mod mappings;
mod queues;
mod source;
mod stack;
mod tables;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use source::Source;
use stack::Stack;
use towpath::Consumer;

use crate::{layers, repo};

/// One sentence for each thing that is wrong.
type Findings = Vec<String>;

/// A rule by its name.
type Rule = (&'static str, fn(&Stack) -> Findings);

const RULES: &[Rule] = &[
    ("every function crate is deployed", code::functions),
    ("the filter policy is what the code handles", code::filters),
    ("the environment is complete", code::environments),
    ("an API takes only tokens of its issuer", api::tokens),
    ("every mapping goes from a known source to the alias live", mappings::ends),
    ("every mapping reports single failures", mappings::single_failures),
    ("queue mappings are bounded and take everything", mappings::of_queues),
    ("stream mappings lose nothing and end", mappings::of_streams),
    ("every consumer takes its wakes one by one", mappings::of_wakes),
    ("the auditor runs every minute", mappings::of_auditor),
    ("messages stay hidden for six timeouts", queues::visibility),
    ("consumed queues have a dead-letter queue of their kind", queues::redrive),
    ("set-aside queues keep 14 days", queues::retention),
    ("set-aside queues say whose they are", queues::allowed_sources),
    ("nothing is deduplicated by content", queues::deduplication),
    ("FIFO throughput is per message group", queues::throughput),
    ("plain text is refused", queues::transport),
    ("subscriptions deliver raw and lose nothing", queues::subscriptions),
    ("who forwards events is told of the bus", bus::told),
    ("rules of the bus lose nothing", bus::rules),
    ("tables survive mistakes", tables::protection),
    ("no physical name is fixed", tables::names),
    ("what can lose, delay or double has an alarm", alarms::watched),
    ("a silent auditor is an alarm", alarms::silence),
    ("alarms tell somebody, and name a runbook", alarms::told),
];

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
fn as_written() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(source::read)
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
    let stack = Stack::new(as_written());
    let findings =
        RULES.iter().flat_map(|(name, rule)| rule(&stack).into_iter().map(move |each| format!("{name}: {each}")));
    repo::none(&findings.collect::<Vec<_>>());
}
