//! Nothing under version control names a place that only one machine has, or the host of a package registry.
//! Must not know: which machine. The words are put together from halves, so that this file does not name them either.

use std::path::{Component, Path};

use crate::repo::{self, File};

const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/x"),
    concat!(".lib", "rary"),
    concat!("crates", ".io"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs"),
    concat!("proxy.", "golang.org"),
];

/// `Cargo.lock` writes this before every crate; another registry there is a finding.
const LOCKED: &str = concat!("\"registry+https://github.com/rust-lang/crates", ".io-index\"");

fn foreign(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for (place, line) in file.lines() {
            let line = if file.name() == "Cargo.lock" { line.replace(LOCKED, "") } else { line.to_owned() };
            let named = FOREIGN.iter().find(|name| line.contains(**name));
            findings.extend(named.map(|name| format!("{place}: {name}: not everybody has that")));
            if file.name() == "Cargo.lock" && line.contains("registry+") {
                findings.push(format!("{place}: another registry than everybody's"));
            }
            findings.extend(outside(&file.path, &line).map(|path| format!("{place}: {path} lies outside")));
        }
    }
    findings
}

/// A path into a folder `shared` that is not the one in here, seen from the file that names it.
fn outside(from: &str, line: &str) -> Option<String> {
    let step = concat!("..", "/shared");
    let middle = line.find(step)?;
    let start = line[..middle].rfind(|c: char| !matches!(c, '.' | '/')).map_or(0, |at| at + 1);
    let end = line[middle + step.len()..].find(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c));
    let path = &line[start..end.map_or(line.len(), |end| middle + step.len() + end)];
    let mut depth = Path::new(from).components().count() - 1;
    for _ in Path::new(path).components().filter(|component| *component == Component::ParentDir) {
        depth = match depth.checked_sub(1) {
            Some(depth) => depth,
            None => return Some(path.to_owned()),
        };
    }
    // Resolved by name, because the folder that the link starts from need not be there.
    let mut place = Path::new(from).parent().unwrap_or(Path::new("")).to_path_buf();
    for component in Path::new(path.trim_end_matches('.')).components() {
        match component {
            Component::ParentDir => drop(place.pop()),
            other => place.push(other),
        }
    }
    (!repo::root().join(place).exists()).then(|| path.to_owned())
}

#[test]
fn no_file_names_a_path_or_a_host_that_only_one_machine_has() {
    repo::none(&foreign(&repo::files()));
}

#[test]
fn each_foreign_place_is_found_and_links_within_are_not() {
    for name in FOREIGN {
        assert_eq!(foreign(&[File::new("docs/a.md", format!("first\nsee {name}a b"))]).len(), 1, "{name}");
    }
    let shared = concat!("..", "/shared");
    for (path, line) in [
        ("a.md", format!("see {shared}/design.md")),
        ("docs/a.md", format!("[rules](../{shared}/towpath)")),
        ("docs/a.md", format!("`{shared}/no-such-crate/x`")),
    ] {
        assert_eq!(foreign(&[File::new(path, &line)]).len(), 1, "{path}: {line}");
    }
    repo::none(&foreign(&[File::new("docs/a.md", format!("the core is [here]({shared}/towpath/src/lib.rs)."))]));
    let locked = |registry: &str| File::new("Cargo.lock", format!("source = {registry}\n"));
    repo::none(&foreign(&[locked(LOCKED)]));
    assert_eq!(foreign(&[locked("\"registry+https://crates.example.com/index\"")]).len(), 1);
}
