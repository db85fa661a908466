//! Known bugs that a test build can switch on, to show that the tests see them. Without the feature `planted` none of
//! them can be: each switch is a constant `false`, so nothing of them is left in what is deployed.
//! Must not know: what each bug does; that stands where the bug is. Numbers are those of the list of traps.

#[cfg(feature = "planted")]
mod switches {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static ON: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Switches one bug on for this thread.
    pub fn switch_on(bug: &str) {
        ON.with_borrow_mut(|on| on.insert(bug.to_owned()));
    }

    /// Switches all bugs off for this thread.
    pub fn switch_off() {
        ON.take();
    }

    /// Is this bug on?
    pub fn is_on(bug: &str) -> bool {
        ON.with_borrow(|on| on.contains(bug))
    }

    /// The bugs that are on, for a thread that goes on with the work of this one.
    pub fn all_on() -> Vec<String> {
        ON.with_borrow(|on| on.iter().cloned().collect())
    }
}

#[cfg(feature = "planted")]
pub use switches::{all_on, is_on, switch_off, switch_on};

/// The bugs that are on: none, in this build.
#[cfg(not(feature = "planted"))]
pub const fn all_on() -> Vec<String> {
    Vec::new()
}

/// Switches a bug on, which is not in this build.
#[cfg(not(feature = "planted"))]
pub const fn switch_on(_: &str) {}

/// Is this bug on? Never, in this build.
#[cfg(not(feature = "planted"))]
pub const fn is_on(_: &str) -> bool {
    false
}
