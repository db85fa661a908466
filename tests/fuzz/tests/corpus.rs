//! The corpora without a fuzzer: every input that is kept holds what its target promises, so an input that once found a
//! bug guards against it in every test run.

#![allow(clippy::unwrap_used, reason = "a test stops at what cannot be")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, seeds};

fn names(folder: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    std::fs::read_dir(path)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().display().to_string())
        .collect()
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn p14_every_kept_input_is_read_or_refused_and_the_machine_keeps_its_promises() {
    for (target, check) in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for (path, input) in inputs {
            println!("{}", path.display());
            check(&input);
        }
    }
}

#[test]
fn every_target_is_given_to_the_fuzzer_and_begins_with_what_the_code_writes_today() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    for (target, name, seed) in seeds::seeds() {
        let kept = inputs(target).into_iter().find(|(path, _)| path.ends_with(name)).map(|(_, input)| input);
        assert!(kept == Some(seed), "{target}/{name}: `make seeds` writes it");
    }
}

/// The machine's target can fail: each of these known bugs shows in the sequences that are kept.
#[cfg(feature = "planted")]
#[test]
fn the_kept_sequences_see_a_machine_with_a_known_bug() {
    for bug in [
        "cursor-rule-removed",
        "gap ignored",
        "13 cursor apart from the effects",
        "14 an attempt that never expires",
        "19 cursor without its consumer",
        "28 going on behind a failure",
        "58 no-op on a ready row",
        "skipped off the record",
    ] {
        towpath::planted::switch_on(bug);
        let broken = inputs("machine")
            .into_iter()
            .any(|(_, input)| std::panic::catch_unwind(|| fuzz::machine::machine(&input)).is_err());
        towpath::planted::switch_off();
        assert!(broken, "{bug} was not seen");
    }
}
