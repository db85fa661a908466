//! What happened, as a hash that tells runs apart and, when asked for, as lines to read.
//! Must not know: what any of it means.

use std::fmt;

use crate::dice::{Millis, timestamp};

/// The trace of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<Line>>,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    at: Millis,
    pub(crate) who: String,
    pub(crate) what: String,
}

impl Trace {
    /// A trace that keeps lines only if they are to be read: writing them costs more than all the rest of a run.
    pub(crate) fn new(readable: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: readable.then(Vec::new) }
    }

    /// Notes that `what` happened to number `who`.
    pub(crate) fn note(&mut self, at: Millis, what: &'static str, who: u64, say: impl FnOnce() -> (String, String)) {
        let mut hash = self.hash;
        for byte in what.bytes().map(u64::from).chain([at, who]) {
            hash = (hash ^ byte).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.hash = hash;
        if let Some(lines) = &mut self.lines {
            let (who, what) = say();
            lines.push(Line { at, who, what });
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = timestamp(self.at).to_string();
        write!(f, "{} {:<22} {}", &at[8..23], self.who, self.what)
    }
}
