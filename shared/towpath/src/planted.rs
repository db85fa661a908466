//! Known bugs that a test build can switch on, to show that the tests see them. Not compiled into anything deployed.
//! Must not know: what each bug does; that stands where the bug is.

use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static ON: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Switches one bug on for this thread.
pub fn switch_on(bug: &str) {
    ON.with_borrow_mut(|on| on.insert(bug.to_owned()));
}

/// Is this bug on?
pub fn is_on(bug: &str) -> bool {
    ON.with_borrow(|on| on.contains(bug))
}
