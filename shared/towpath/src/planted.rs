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
}

#[cfg(feature = "planted")]
pub use switches::{is_on, switch_off, switch_on};

/// Is this bug on? Never, in this build.
#[cfg(not(feature = "planted"))]
pub const fn is_on(_: &str) -> bool {
    false
}
