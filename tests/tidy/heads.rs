//! Every file begins with a line that says what it is for, and can be read in one sitting.
//! Must not know: what the line should say.

use crate::repo::{self, File};

const MOST_LINES: usize = 500;
/// The root template is a list: one stanza after the other, each of which can be read alone.
const MOST_LINES_OF_LIST: usize = 1_000;

/// How a file of this kind begins; a crate's Cargo.toml says it in its description. Other kinds may begin as they like.
fn heads(file: &File) -> Option<&'static [&'static str]> {
    match (file.name(), file.extension()) {
        ("Cargo.toml", _) => Some(&["# ", "[package]\n"]),
        ("Makefile", _) | (_, "toml" | "yaml" | "yml" | "mk" | "sh") => Some(&["# ", "#!/"]),
        (_, "rs") => Some(&["//! "]),
        (_, "py") => Some(&["\"\"\"", "#!/"]),
        _ => None,
    }
}

fn headless(files: &[File]) -> Vec<String> {
    let described = |file: &File| {
        let crate_ = file.text.starts_with("[package]");
        !crate_ || file.text.lines().any(|line| line.starts_with("description = \"") && line.len() > 30)
    };
    let begins = |file: &File, heads: &[&str]| {
        let first = file.text.lines().next().unwrap_or_default();
        let text = if first.starts_with("#!/") { file.text[first.len()..].trim_start() } else { &file.text };
        heads.iter().any(|head| text.starts_with(head) && *head != "#!/")
    };
    files
        .iter()
        .filter(|file| heads(file).is_some_and(|heads| !begins(file, heads) || !described(file)))
        .map(|file| {
            format!("{}:1: say in the first line what this file is for (a crate: in its description)", file.path)
        })
        .collect()
}

fn too_long(files: &[File]) -> Vec<String> {
    let ours = files.iter().filter(|file| heads(file).is_some());
    let most = |file: &File| if file.path == "template.yaml" { MOST_LINES_OF_LIST } else { MOST_LINES };
    let long = ours.map(|file| (file, file.text.lines().count(), most(file))).filter(|(_, lines, most)| lines > most);
    long.map(|(file, lines, most)| format!("{}: {lines} lines, at most {most}: split it", file.path)).collect()
}

#[test]
fn every_file_says_first_what_it_is_for() {
    repo::none(&headless(&repo::files()));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    repo::none(&too_long(&repo::files()));
}

#[test]
fn a_file_without_a_head_and_a_long_file_are_found() {
    let bad = [
        ("a.rs", "use std::fmt;\n"),
        ("a.rs", ""),
        ("a.py", "import json\n"),
        ("a.py", "#!/usr/bin/env python3\nimport json\n"),
        ("infra/a.yaml", "Resources:\n"),
        ("Makefile", "all:\n"),
        ("a.toml", "x = 1\n"),
        ("Cargo.toml", "[package]\nname = \"a\"\n"),
        ("Cargo.toml", "[package]\nname = \"a\"\ndescription = \"a\"\n"),
    ];
    for (path, text) in bad {
        assert_eq!(headless(&[File::new(path, text)]).len(), 1, "{path} {text}");
    }
    let good = [("a.py", "#!/usr/bin/env python3\n\"\"\"Does it.\"\"\"\n"), ("a.json", "{}"), ("a.rs", "//! It.\n")];
    repo::none(&headless(&good.map(|(path, text)| File::new(path, text))));
    assert_eq!(too_long(&[File::new("a.rs", "x\n".repeat(MOST_LINES + 1))]).len(), 1);
    repo::none(&too_long(&[File::new("a.rs", "x\n".repeat(MOST_LINES)), File::new("Cargo.lock", "x\n".repeat(9000))]));
}
