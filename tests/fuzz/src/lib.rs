//! What must hold whatever bytes come: nothing panics or overflows, what is read is written the same, what is refused is
//! refused with a reason, and a consumer's machine applies each event once and in order. Must not know: who draws the bytes.
//!
//! `fuzz_targets/` gives each function here to libFuzzer, `tests/corpus.rs` gives them the inputs under `corpus/`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at what cannot be")]

pub mod aws;
pub mod bytes;
pub mod cli;
pub mod machine;
pub mod seeds;
pub mod wire;

/// What the CLI's files that are compiled in `cli` need of the CLI.
mod output {
    /// A wrong question.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    pub(crate) struct Usage(pub(crate) String);
}

/// A target: its name, which is that of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("cli_words", cli::words),
    ("envelope", wire::envelope),
    ("http_request", aws::http_request),
    ("ids", wire::ids),
    ("machine", machine::machine),
    ("page_token", aws::page_token),
    ("queue_event", aws::queue_event),
    ("row", aws::row),
    ("stream_record", aws::stream_record),
    ("ticket", wire::ticket),
    ("token", aws::token),
    ("wake", wire::wake),
];
