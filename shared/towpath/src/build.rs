//! Builds of a projection: which there are, which of them readers see, and the second state that a row keeps while there
//! are two. Must not know: queues, stores, folds.
//!
//! Both states lie in one row, behind one cursor. So one conditional put moves both, whoever reads either sees the same
//! last event, and no writer needs to know which of them is live.

use serde::{Deserialize, Serialize};

use crate::ports::Position;
use crate::{Cursor, Rev, Seq};

/// Which builds of a projection there are: one row per projection, none for one that was never rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builds {
    /// What readers see.
    pub live: u32,
    /// The one beside it: being filled, or kept until it is dropped.
    pub other: Option<u32>,
    /// The highest number that was ever given: none is given twice.
    pub last: u32,
    /// How often this was written; every write is conditional on the one that was read.
    pub rev: Rev,
}

impl Default for Builds {
    fn default() -> Self {
        Self { live: 1, other: None, last: 1, rev: Rev::ZERO }
    }
}

impl Builds {
    /// A new build beside the live one; `None` while there are two.
    pub fn begun(&self) -> Option<Self> {
        let last = self.last + 1;
        self.other.is_none().then_some(Self { other: Some(last), last, rev: self.rev.next(), ..*self })
    }

    /// The other one is live; `None` if there is only one.
    pub fn swapped(&self) -> Option<Self> {
        Some(Self { live: self.other?, other: Some(self.live), rev: self.rev.next(), ..*self })
    }

    /// Only the live one is left; `None` if `build` is not the one beside it.
    pub fn without(&self, build: u32) -> Option<Self> {
        (self.other == Some(build)).then_some(Self { other: None, rev: self.rev.next(), ..*self })
    }

    /// May rows be given this step now? What comes late finds that it is over.
    pub fn allow(&self, rebuild: &Rebuild) -> bool {
        let build = rebuild.build;
        match rebuild.step {
            Step::Fill => self.other.is_some() && build == self.last,
            Step::Keep => self.other.is_none() && build == self.live,
            Step::Discard => self.other != Some(build) && build != self.live,
        }
    }
}

/// The state of the higher build in a row that has two. The lower one is the row's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Which build.
    pub build: u32,
    /// How far it is; it follows the row's cursor once it has reached it.
    pub seq: Seq,
    /// JSON of the row in this build.
    pub state: Option<String>,
}

/// What a wake does about a row's builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Which build.
    pub build: u32,
    /// What with it.
    pub step: Step,
}

/// The steps of a rebuild in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Folds the journal into this build, as far as the row's cursor is.
    Fill,
    /// Makes this build the row's only one.
    Keep,
    /// Removes this build from the row.
    Discard,
}

impl Position {
    /// A row with one build.
    pub fn new(cursor: Cursor, state: Option<String>) -> Self {
        Self { cursor, state, beside: None }
    }

    /// The same row under a cursor that moved without an event being folded.
    #[must_use]
    pub fn moved(&self, cursor: Cursor) -> Self {
        let mut beside = self.beside.clone();
        if let Some(beside) = beside.as_mut().filter(|beside| beside.seq == self.cursor.seq) {
            beside.seq = cursor.seq;
        }
        Self { cursor, state: self.state.clone(), beside }
    }

    /// Has this row all of this build? A row of which nothing was folded yet has: whatever comes is folded into it.
    pub fn has(&self, build: u32) -> bool {
        let level = |beside: &Beside| beside.build == build && beside.seq == self.cursor.seq;
        self.cursor.seq == Seq::ZERO || self.beside.as_ref().is_some_and(level)
    }

    /// What a reader sees while `live` is live. A row without that build was begun after the rebuild was, so it is the same
    /// in both.
    pub fn shown(&self, live: u32) -> Option<&str> {
        let level = |beside: &&Beside| beside.build == live && beside.seq == self.cursor.seq;
        match self.beside.as_ref().filter(level) {
            Some(beside) => beside.state.as_deref(),
            None => self.state.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Era;

    fn row(seq: u64, beside: Option<(u32, u64)>) -> Position {
        let cursor = Cursor { seq: Seq(seq), ..Cursor::start(Era::FIRST, 1) };
        let beside = beside.map(|(build, seq)| Beside { build, seq: Seq(seq), state: Some("new".into()) });
        Position { cursor, state: Some("old".into()), beside }
    }

    #[test]
    fn a_rebuild_goes_there_and_back_and_no_number_is_given_twice() {
        let first = Builds::default();
        let filling = first.begun().unwrap();
        assert_eq!((filling.live, filling.other, filling.begun()), (1, Some(2), None));
        let swapped = filling.swapped().unwrap();
        assert_eq!((swapped.live, swapped.other), (2, Some(1)));
        let back = swapped.swapped().unwrap();
        assert_eq!((back.live, back.other), (1, Some(2)));
        assert_eq!(back.without(1), None, "the live one is not dropped");
        let given_up = back.without(2).unwrap();
        assert_eq!((given_up.live, given_up.other, given_up.begun().unwrap().last), (1, None, 3));
        assert_eq!(first.swapped(), None);
        assert_eq!(given_up.rev, Rev(4), "each change is another rev");
    }

    #[test]
    fn a_step_that_comes_late_is_over() {
        let step = |build, step| Rebuild { build, step };
        let filling = Builds::default().begun().unwrap();
        let swapped = filling.swapped().unwrap();
        let dropped = swapped.without(1).unwrap();
        assert!(filling.allow(&step(2, Step::Fill)) && swapped.allow(&step(2, Step::Fill)));
        assert!(!dropped.allow(&step(2, Step::Fill)) && !dropped.begun().unwrap().allow(&step(2, Step::Fill)));
        assert!(dropped.allow(&step(2, Step::Keep)) && !swapped.allow(&step(2, Step::Keep)));
        let given_up = filling.without(2).unwrap();
        assert!(given_up.allow(&step(2, Step::Discard)) && !filling.allow(&step(2, Step::Discard)));
        assert!(!dropped.allow(&step(2, Step::Discard)) && !swapped.allow(&step(2, Step::Discard)));
    }

    #[test]
    fn a_reader_sees_the_live_build_as_soon_as_it_is_level_and_never_another_event() {
        assert_eq!(row(3, Some((2, 3))).shown(2), Some("new"));
        assert_eq!(row(3, Some((2, 3))).shown(1), Some("old"));
        assert_eq!(row(3, Some((2, 2))).shown(2), Some("old"), "it is not filled yet");
        assert_eq!(row(3, None).shown(2), Some("old"), "it was begun after the rebuild");
        assert!(row(3, Some((2, 3))).has(2) && !row(3, Some((2, 2))).has(2) && !row(3, None).has(2));
        assert!(row(0, None).has(2));
    }

    #[test]
    fn a_skip_moves_a_build_that_is_level_and_leaves_one_that_is_not() {
        let passed = Cursor { seq: Seq(4), ..row(3, None).cursor };
        assert!(row(3, Some((2, 3))).moved(passed.clone()).has(2));
        assert_eq!(row(3, Some((2, 1))).moved(passed).beside.unwrap().seq, Seq(1));
    }
}
