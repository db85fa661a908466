//! The proof can fail: each known bug, put into the code or into the world, breaks the promise that is about it.

#![allow(clippy::print_stdout, reason = "a search says what it found")]

use model::journal::Type::Added;
use model::promises::*;
use model::search::search_for;
use model::state::{Bounds, Faults};
use model::world::{Bug, World};

const NONE: Faults = Faults {
    crashes: 0,
    losses: 0,
    lost_tickets: 0,
    copies: 0,
    expiries: 0,
    lost_answers: 0,
    refusals: 0,
    old_reads: 0,
    timeouts: 0,
    failures: 0,
    rejections: 0,
    days: 0,
    redrives: 0,
    orders: 0,
    old_code: 0,
    holds: 0,
};

/// Looks for `bug` in a world with these faults, and says how it shows.
fn is_found(bug: Bug, bounds: Bounds, promise: &'static str) {
    let whole = search_for(World::new(bounds.clone()), promise);
    assert!(whole.broken.is_empty(), "{promise} does not hold without {bug:?} either: {whole}");
    let found = search_for(World::with_bug(bounds, Some(bug)), promise);
    let (states, time) = (found.states, found.time.as_secs_f32());
    let story = found.broken.iter().find(|(broken, _)| *broken == promise).map(|(_, story)| story);
    let story = story.unwrap_or_else(|| panic!("{bug:?} was not found in {states} states"));
    println!("{bug:?} breaks \"{promise}\": {states} states, {time:.1} s\n{story}");
}

fn with(faults: Faults) -> Bounds {
    Bounds { journal: vec![Added, Added], faults, ..Bounds::default() }
}

fn audited(faults: Faults) -> Bounds {
    Bounds { auditor: true, ..with(faults) }
}

#[test]
fn acknowledged_before_the_commit_is_found() {
    is_found(Bug::AcknowledgedOnDelivery, with(Faults { crashes: 1, ..NONE }), NO_AUDITOR_NEEDED);
}

#[test]
fn a_wake_deleted_before_the_commit_is_found() {
    is_found(Bug::DeletedOnDelivery, with(Faults { crashes: 2, ..NONE }), NO_AUDITOR_NEEDED);
}

#[test]
fn an_unconditional_write_is_found() {
    is_found(Bug::Unconditional, with(Faults { crashes: 1, expiries: 1, ..NONE }), ONCE_IN_ORDER);
    is_found(Bug::Unconditional, audited(Faults { rejections: 1, ..NONE }), ONCE_IN_ORDER);
}

#[cfg(feature = "planted")]
mod in_the_code {
    use model::journal::Type::Moved;

    use super::*;

    fn meanwhile(faults: Faults) -> Bounds {
        Bounds { committed: false, ..with(faults) }
    }

    /// A known bug by its name in the code, the bounds within which it shows, and the promise that it breaks.
    macro_rules! found {
        ($($test:ident: $bug:literal, $bounds:expr, $promise:expr;)*) => {$(
            #[test]
            fn $test() {
                is_found(Bug::InTheCode($bug), $bounds, $promise);
            }
        )*};
    }

    found! {
        the_cursor_rule_removed_is_found: "cursor-rule-removed", with(Faults { copies: 1, ..NONE }), ONCE_IN_ORDER;
        a_gap_ignored_is_found: "gap ignored", Bounds { faults: NONE, ..Bounds::default() }, NOTHING_PASSED;
        a_failure_acknowledged_is_found:
            "acknowledged before the commit", with(Faults { refusals: 1, ..NONE }), NO_AUDITOR_NEEDED;
        an_attempt_that_never_expires_is_found:
            "14 an attempt that never expires", with(Faults { crashes: 1, ..NONE }), POISON;
        going_on_behind_a_failure_is_found:
            "28 going on behind a failure", with(Faults { failures: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_refusal_taken_for_a_duplicate_is_found:
            "21 any cancelled is a duplicate", Bounds { batches: 2, ..with(NONE) }, NO_AUDITOR_NEEDED;
        the_rest_not_reported_at_the_deadline_is_found:
            "32 the rest not reported at the deadline", with(Faults { timeouts: 1, ..NONE }), NO_AUDITOR_NEEDED;
        an_unknown_outcome_taken_for_done_is_found:
            "25 unknown outcome taken for done", with(Faults { refusals: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_hand_over_without_a_wake_is_found:
            "handed over though no wake was sent", with(Faults { failures: 1, refusals: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_wake_out_of_time_that_is_deleted_is_found:
            "32 a wake out of time is deleted", with(Faults { failures: 1, timeouts: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_verb_without_rev_is_found:
            "40 an order for any rev", audited(Faults { rejections: 2, orders: 2, ..NONE }), SKIP_ON_RECORD;
        marked_before_the_wake_is_found:
            "55 marked before the wake", with(Faults { failures: 1, crashes: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_stale_retrying_believed_is_found:
            "57 stale retrying believed", meanwhile(Faults { failures: 1, old_reads: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_no_op_on_a_ready_row_is_found: "58 no-op on a ready row", with(Faults { crashes: 1, ..NONE }), NO_AUDITOR_NEEDED;
        followers_read_before_the_commit_is_found:
            "59 followers read before the commit", meanwhile(Faults { failures: 1, ..NONE }), NO_AUDITOR_NEEDED;
        parked_before_the_ticket_is_found:
            "60 parked before the ticket", audited(Faults { rejections: 1, crashes: 1, ..NONE }), TICKET;
        counted_after_the_run_is_found: "62 counted after the run", with(Faults { crashes: 1, ..NONE }), POISON;
        older_code_not_noticed_is_found: "65 older code not noticed",
            Bounds { journal: vec![Added, Moved, Added], rash: true, ..audited(Faults { old_code: 1, ..NONE }) }, DRAINED;
        a_skip_off_the_record_is_found:
            "skipped off the record", audited(Faults { rejections: 1, orders: 1, ..NONE }), NOTHING_PASSED;
        held_without_a_mark_is_found: "held without a mark", with(Faults { holds: 1, ..NONE }), NO_AUDITOR_NEEDED;
        a_resume_that_forgets_is_found:
            "a resume forgets what is marked", audited(Faults { holds: 1, ..NONE }), NEVER_STUCK;
        a_ticket_acknowledged_because_parked_is_found:
            "ticket acknowledged because parked", audited(Faults { rejections: 1, redrives: 1, ..NONE }), CONSOLE;
    }
}
