//! The promises, each in a world that is searched whole: every order of steps of the real machines within the bounds
//! that are printed, and every place for what goes wrong. A test fails too if it did not come to what it is about.

#![allow(clippy::print_stdout, reason = "a search says what it searched")]

use model::journal::Type::{Added, Changed, Moved, Noted};
use model::search::search;
use model::state::{Bounds, Faults};
use model::world::World;

/// Holds every promise, in every state; comes to everything that these bounds allow. Says how many states there are.
fn holds(bounds: Bounds) -> usize {
    let found = search(World::new(bounds));
    println!("{found}");
    assert!(found.broken.is_empty() && found.missed.is_empty(), "{found}");
    found.states
}

fn with(faults: Faults) -> Bounds {
    Bounds { faults, ..Bounds::default() }
}

#[test]
fn effects_happen_once_and_in_order_whichever_steps_processes_end_at() {
    holds(with(Faults { crashes: 2, ..Faults::default() }));
    holds(with(Faults { crashes: 1, expiries: 1, ..Faults::default() }));
    let faults = Faults { crashes: 2, expiries: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
}

#[test]
fn events_that_are_committed_meanwhile_are_not_left_behind() {
    let faults = Faults { crashes: 1, expiries: 1, ..Faults::default() };
    holds(Bounds { committed: false, ..with(faults) });
    let faults = Faults { crashes: 1, failures: 1, ..Faults::default() };
    holds(Bounds { committed: false, journal: vec![Added, Noted, Added], ..with(faults) });
}

#[test]
fn a_first_delivery_needs_no_query_after_its_commit() {
    // No auditor, nothing lost: whatever is left behind would stay there.
    let faults = Faults { crashes: 1, copies: 1, ..Faults::default() };
    holds(Bounds { committed: false, batch: 2, ..with(faults) });
    let faults = Faults { expiries: 1, old_reads: 1, failures: 1, ..Faults::default() };
    holds(Bounds { batch: 3, batches: 2, ..with(faults) });
}

#[test]
fn a_lost_answer_or_a_store_that_is_away_changes_nothing() {
    holds(with(Faults { crashes: 1, lost_answers: 1, ..Faults::default() }));
    holds(with(Faults { crashes: 1, refusals: 1, ..Faults::default() }));
    let faults = Faults { lost_answers: 1, timeouts: 1, failures: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
}

#[test]
fn what_is_lost_on_the_way_is_found_by_the_auditor() {
    holds(Bounds { auditor: true, ..with(Faults { losses: 2, crashes: 1, ..Faults::default() }) });
}

#[test]
fn a_parked_row_is_resumed_by_the_command_line_alone_and_a_skip_is_on_record() {
    let states = holds(with(Faults { crashes: 1, rejections: 2, orders: 1, ..Faults::default() }));
    assert!(states >= 1_000_000, "only {states} states: the search has shrunk");
}

#[test]
fn two_operators_are_one() {
    holds(with(Faults { rejections: 2, orders: 2, ..Faults::default() }));
    let faults = Faults { rejections: 2, orders: 2, lost_answers: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
}

#[test]
fn a_parked_row_is_resumed_by_the_console_alone_even_if_a_ticket_comes_twice() {
    let faults = Faults { rejections: 2, redrives: 2, copies: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
}

#[test]
fn every_parked_row_has_a_ticket_or_the_auditor_sends_one() {
    let faults = Faults { rejections: 1, lost_tickets: 1, days: 1, ..Faults::default() };
    holds(Bounds { auditor: true, ..with(faults) });
    let faults = Faults { rejections: 1, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
    let faults = Faults { rejections: 1, refusals: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
}

#[test]
fn a_failure_that_lasts_is_parked_and_one_that_passes_is_not() {
    let faults = Faults { failures: 3, days: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
}

/// One more of one thing that can go wrong.
const ONE_MORE: [fn(&mut Faults); 14] = [
    |faults| faults.crashes += 1,
    |faults| faults.losses += 1,
    |faults| faults.lost_tickets += 1,
    |faults| faults.copies += 1,
    |faults| faults.expiries += 1,
    |faults| faults.lost_answers += 1,
    |faults| faults.refusals += 1,
    |faults| faults.old_reads += 1,
    |faults| faults.timeouts += 1,
    |faults| faults.failures += 1,
    |faults| faults.rejections += 1,
    |faults| faults.days += 1,
    |faults| faults.redrives += 1,
    |faults| faults.orders += 1,
];

/// These worlds hold every promise.
fn all_hold(name: &str, worlds: impl IntoIterator<Item = Bounds>) {
    let (mut states, mut searched, began) = (0, 0, std::time::Instant::now());
    for bounds in worlds {
        let found = search(World::new(bounds));
        assert!(found.broken.is_empty(), "{found}");
        (states, searched) = (states + found.states, searched + 1);
    }
    println!("{name}: {searched} worlds, {states} states, {:.1} s", began.elapsed().as_secs_f32());
}

fn one_more(of: &Bounds) -> Vec<Bounds> {
    let more = |add: &fn(&mut Faults)| {
        let mut bounds = of.clone();
        add(&mut bounds.faults);
        bounds
    };
    ONE_MORE.iter().map(more).collect()
}

#[test]
fn whichever_two_things_go_wrong_together_every_promise_holds() {
    let bounds = Bounds { journal: vec![Added, Added], committed: false, ..Bounds::default() };
    all_hold("any two, without the auditor", one_more(&bounds).iter().flat_map(one_more));
    let audited = Bounds { committed: true, auditor: true, ..bounds };
    all_hold("any one, and the auditor", one_more(&audited));
}

#[test]
fn whatever_goes_wrong_while_an_operator_looks_after_a_parked_event_every_promise_holds() {
    let faults = Faults { rejections: 2, orders: 1, ..Faults::default() };
    let bounds = Bounds { journal: vec![Added, Added], ..with(faults) };
    all_hold("a parked event, an order and any one", one_more(&bounds));
}

#[test]
fn old_code_leaves_alone_what_newer_code_has_touched_and_what_it_cannot_read() {
    let faults = Faults { old_code: 2, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Changed, Added, Added], ..with(faults) });
    holds(Bounds { journal: vec![Added, Changed, Added], ..with(faults) });
}

#[test]
fn a_new_type_is_safe_when_its_code_is_deployed_before_its_producer() {
    let faults = Faults { old_code: 2, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Moved, Added], committed: false, ..with(faults) });
}

/// The producer of a new type was deployed before the consumer, or an old process still runs: older code goes past a row
/// that it does not know, and it cannot be handled in its order any more. So it is parked for an operator to see.
#[test]
fn what_older_code_has_gone_past_is_parked_and_never_passed_over_in_silence() {
    let one = Faults { old_code: 1, ..Faults::default() };
    let rash = |journal, faults| Bounds { journal, rash: true, auditor: true, ..with(faults) };
    holds(rash(vec![Added, Moved, Added], one));
    holds(rash(vec![Added, Moved, Moved, Added], one));
    holds(rash(vec![Moved, Added], Faults { orders: 1, ..one }));
}
