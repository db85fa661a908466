//! Dependencies point strictly down: the core and the domain know no I/O, the functions no other function.
//! Must not know: what any crate does.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::repo;

/// What a crate of `shared/` may use of the workspace. A new one gets a line here.
const MAY_USE: &[(&str, &[&str])] = &[
    ("towpath", &[]),
    ("commerce", &["towpath"]),
    ("towpath-aws", &["towpath"]),
    ("towpath-sim", &["towpath"]),
    ("towpath-catalogue", &["towpath", "towpath-sim"]),
    ("towpath-doctor", &[]),
];

/// No I/O, clock or runtime anywhere below these.
const PURE: &[&str] = &["towpath", "commerce", "towpath-sim", "towpath-catalogue", "towpath-doctor"];
const IMPURE: &[&str] = &["tokio", "mio", "hyper", "reqwest", "lambda_runtime", "aws_lambda_events", "serde_dynamo"];

/// The crates that may talk to AWS.
const MAY_USE_AWS: &[&str] = &["towpath-aws", "towpath-cli"];

/// A crate of the workspace.
#[derive(Clone, Default)]
pub(crate) struct Package {
    /// The folder of its Cargo.toml, relative to the root.
    folder: String,
    /// What it depends on itself, without dev-dependencies.
    direct: BTreeSet<String>,
    /// The same, and what those depend on.
    tree: BTreeSet<String>,
}

pub(crate) type Packages = BTreeMap<String, Package>;
type Rule = fn(&Packages) -> Vec<String>;

/// The workspace, as cargo resolves it.
pub(crate) fn packages() -> Packages {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo -vV names the host");
    // For this host only: a build downloads nothing else, so more could not be resolved offline.
    let text = cargo(&["metadata", "--format-version", "1", "--offline", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata prints JSON");
    let all = list(&metadata["packages"]);
    let names: BTreeMap<&str, &str> =
        all.iter().map(|package| (text_of(&package["id"]), text_of(&package["name"]))).collect();
    let below: BTreeMap<&str, BTreeSet<&str>> =
        list(&metadata["resolve"]["nodes"]).iter().map(|node| (text_of(&node["id"]), normal(node))).collect();
    let named = |ids: &BTreeSet<&str>| ids.iter().map(|id| names[id].to_owned()).collect();
    let members: BTreeSet<&str> = list(&metadata["workspace_members"]).iter().map(text_of).collect();
    let package = |package: &Value| {
        let id = text_of(&package["id"]);
        let manifest = text_of(&package["manifest_path"]).trim_end_matches("/Cargo.toml");
        let folder = manifest.trim_start_matches(&*repo::root().to_string_lossy()).trim_start_matches('/').to_owned();
        Package { folder, direct: named(&below[id]), tree: named(&closure(id, &below)) }
    };
    all.iter()
        .filter(|each| members.contains(text_of(&each["id"])))
        .map(|each| (text_of(&each["name"]).to_owned(), package(each)))
        .collect()
}

/// The crates under functions/.
pub(crate) fn functions(packages: &Packages) -> BTreeSet<String> {
    packages
        .iter()
        .filter(|(_, package)| package.folder.starts_with("functions/"))
        .map(|(name, _)| name.clone())
        .collect()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    repo::stdout(Command::new(cargo).args(arguments))
}

fn closure<'a>(start: &'a str, below: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        open.extend(below[id].iter().filter(|next| seen.insert(**next)));
    }
    seen
}

/// What a node of the resolved graph depends on, dev- and build-dependencies left out.
fn normal(node: &Value) -> BTreeSet<&str> {
    let is_normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    list(&node["deps"]).iter().filter(is_normal).map(|dep| text_of(&dep["pkg"])).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn upward(packages: &Packages) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, package) in packages {
        let of_ours = package.direct.iter().filter(|used| packages.contains_key(*used));
        for used in of_ours {
            let allowed = match package.folder.split('/').next() {
                Some("shared") => match MAY_USE.iter().find(|(crate_, _)| crate_ == name) {
                    Some((_, allowed)) => allowed.contains(&used.as_str()),
                    None => false,
                },
                Some("functions" | "cli") => packages[used].folder.starts_with("shared/"),
                _ => true,
            };
            if !allowed {
                findings.push(format!("{name} must not depend on {used}: dependencies point down (see layers.rs)"));
            }
        }
    }
    findings
}

fn impure(packages: &Packages) -> Vec<String> {
    let mut findings = Vec::new();
    for name in PURE {
        let tree = packages.get(*name).map(|package| package.tree.clone()).unwrap_or_default();
        let is_impure = |used: &&String| IMPURE.contains(&used.as_str()) || is_aws(used);
        findings
            .extend(tree.iter().filter(is_impure).map(|used| format!("{name} does no I/O, but {used} is below it")));
    }
    findings
}

fn aws_users(packages: &Packages) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, package) in packages {
        if MAY_USE_AWS.contains(&name.as_str()) || package.folder.starts_with("tests/") {
            continue;
        }
        let foreign = package.direct.iter().filter(|used| is_aws(used) || used.starts_with("lambda_"));
        findings
            .extend(foreign.map(|used| format!("{name} depends on {used}: only {} may", MAY_USE_AWS.join(" and "))));
    }
    findings
}

fn is_aws(name: &str) -> bool {
    name.starts_with("aws-") || name.starts_with("aws_")
}

#[test]
fn dependencies_point_down_and_no_function_uses_another() {
    repo::none(&upward(&packages()));
}

#[test]
fn the_core_and_the_domain_have_no_runtime_and_no_aws_below_them() {
    let packages = packages();
    assert!(packages.contains_key("towpath") && packages.contains_key("commerce"));
    assert!(packages["towpath-aws"].tree.contains("tokio"), "the tree is read, or nothing could be found in it");
    repo::none(&impure(&packages));
}

#[test]
fn only_the_adapters_and_the_cli_talk_to_aws() {
    let packages = packages();
    assert!(packages["towpath-aws"].direct.contains("aws-sdk-dynamodb"));
    repo::none(&aws_users(&packages));
}

#[test]
fn each_wrong_dependency_is_found() {
    let broken: &[(Rule, &str, &str)] = &[
        (upward, "commerce", "towpath-aws"),
        (upward, "towpath", "commerce"),
        (upward, "towpath-aws", "commerce"),
        (upward, "inventory", "crm-timeline"),
        (upward, "towpath-cli", "inventory"),
        (upward, "orders-api", "tidy"),
        (impure, "towpath", "tokio"),
        (impure, "commerce", "aws-config"),
        (aws_users, "inventory", "aws-sdk-sqs"),
        (aws_users, "orders-api", "lambda_runtime"),
        (aws_users, "commerce", "aws_lambda_events"),
    ];
    let sound = packages();
    for (rule, name, used) in broken {
        let mut packages = sound.clone();
        let package = packages.get_mut(*name).expect("it is a crate of the workspace");
        package.direct.insert((*used).to_owned());
        package.tree.insert((*used).to_owned());
        assert_eq!(rule(&packages).len(), 1, "{name} -> {used}");
    }
    let unknown =
        Package { folder: "shared/new".to_owned(), direct: ["towpath".to_owned()].into(), ..Package::default() };
    let packages: Packages = sound.into_iter().chain([("new".to_owned(), unknown)]).collect();
    assert_eq!(upward(&packages).len(), 1, "a new shared crate says what it may use");
}
