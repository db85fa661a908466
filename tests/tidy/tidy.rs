//! Rules about the repository itself, kept as ordinary tests: who may depend on whom, where words may stand, how files
//! begin, what no file may name, and what the templates must say. Must not know: what any crate does at run time.
//!
//! A rule is a pure function that returns findings, one sentence each; next to it a test shows it failing.

mod heads;
mod layers;
mod lock;
mod paths;
mod repo;
mod template;
mod words;
