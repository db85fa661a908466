//! The promises, each in a world that is searched whole: every order of steps of the real machines within the bounds
//! that are printed, and every place for what goes wrong. A test fails too if it did not come to what it is about.

#![allow(clippy::print_stdout, reason = "a search says what it searched")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use asked::Asked;
use model::journal::Type::{Added, Changed, Moved, Noted};
use model::promises::NOTHING_PASSED;
use model::search::{search, search_for};
use model::state::{Bounds, Faults};
use model::world::World;

/// Holds every promise, in every state; comes to everything that these bounds allow. Says how many states there are.
fn holds(bounds: Bounds) -> usize {
    let found = search(World::new(bounds));
    println!("{found}");
    assert!(found.broken.is_empty() && found.missed.is_empty(), "{found}");
    count(found.states);
    found.states
}

static STATES: AtomicUsize = AtomicUsize::new(0);
static WORLDS: AtomicUsize = AtomicUsize::new(0);

fn count(states: usize) {
    STATES.fetch_add(states, Ordering::Relaxed);
    WORLDS.fetch_add(1, Ordering::Relaxed);
}

fn with(faults: Faults) -> Bounds {
    Bounds { faults, ..Bounds::default() }
}

fn effects_happen_once_and_in_order_whichever_steps_processes_end_at() -> Vec<Asked> {
    holds(with(Faults { crashes: 2, ..Faults::default() }));
    holds(with(Faults { crashes: 1, expiries: 1, ..Faults::default() }));
    let faults = Faults { crashes: 2, expiries: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
    Vec::new()
}

fn events_that_are_committed_meanwhile_are_not_left_behind() -> Vec<Asked> {
    let faults = Faults { crashes: 1, expiries: 1, ..Faults::default() };
    holds(Bounds { committed: false, ..with(faults) });
    let faults = Faults { crashes: 1, failures: 1, ..Faults::default() };
    holds(Bounds { committed: false, journal: vec![Added, Noted, Added], ..with(faults) });
    Vec::new()
}

fn a_first_delivery_needs_no_query_after_its_commit() -> Vec<Asked> {
    // No auditor, nothing lost: whatever is left behind would stay there.
    let faults = Faults { crashes: 1, copies: 1, ..Faults::default() };
    holds(Bounds { committed: false, batch: 2, ..with(faults) });
    let faults = Faults { expiries: 1, old_reads: 1, failures: 1, ..Faults::default() };
    holds(Bounds { batch: 3, batches: 2, ..with(faults) });
    Vec::new()
}

fn a_lost_answer_or_a_store_that_is_away_changes_nothing() -> Vec<Asked> {
    holds(with(Faults { crashes: 1, lost_answers: 1, ..Faults::default() }));
    holds(with(Faults { crashes: 1, refusals: 1, ..Faults::default() }));
    let faults = Faults { lost_answers: 1, timeouts: 1, failures: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
    Vec::new()
}

fn what_is_lost_on_the_way_is_found_by_the_auditor() -> Vec<Asked> {
    holds(Bounds { auditor: true, ..with(Faults { losses: 2, crashes: 1, ..Faults::default() }) });
    Vec::new()
}

fn a_parked_row_is_resumed_by_the_command_line_alone_and_a_skip_is_on_record() -> Vec<Asked> {
    let states = holds(with(Faults { crashes: 1, rejections: 2, orders: 1, ..Faults::default() }));
    assert!(states >= 1_000_000, "only {states} states: the search has shrunk");
    Vec::new()
}

fn two_operators_are_one() -> Vec<Asked> {
    holds(with(Faults { rejections: 2, orders: 2, ..Faults::default() }));
    let faults = Faults { rejections: 2, orders: 2, lost_answers: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
    Vec::new()
}

fn a_parked_row_is_resumed_by_the_console_alone_even_if_a_ticket_comes_twice() -> Vec<Asked> {
    let faults = Faults { rejections: 2, redrives: 2, copies: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
    Vec::new()
}

fn every_parked_row_has_a_ticket_or_the_auditor_sends_one() -> Vec<Asked> {
    let faults = Faults { rejections: 1, lost_tickets: 1, days: 1, ..Faults::default() };
    holds(Bounds { auditor: true, ..with(faults) });
    let faults = Faults { rejections: 1, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
    let faults = Faults { rejections: 1, refusals: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], auditor: true, ..with(faults) });
    Vec::new()
}

fn a_failure_that_lasts_is_parked_and_one_that_passes_is_not() -> Vec<Asked> {
    let faults = Faults { failures: 3, days: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Added], ..with(faults) });
    Vec::new()
}

/// Somebody stops the tenant and lets it go on, at any moment; the auditor may be done with it too early.
fn what_is_held_back_is_applied_when_the_tenant_goes_on() -> Vec<Asked> {
    let held = |faults| Bounds { auditor: true, ..with(Faults { holds: 1, ..faults }) };
    let two = |bounds: Bounds| Bounds { journal: vec![Added, Added], ..bounds };
    holds(held(Faults { crashes: 1, ..Faults::default() }));
    holds(Bounds { committed: false, ..held(Faults { losses: 1, ..Faults::default() }) });
    // With a crash as well it is thirteen million states: they hold, and take longer than all other worlds together.
    holds(two(held(Faults { failures: 1, ..Faults::default() })));
    holds(two(held(Faults { rejections: 2, orders: 1, ..Faults::default() })));
    holds(two(held(Faults { rejections: 1, redrives: 1, ..Faults::default() })));
    holds(two(held(Faults { refusals: 1, ..Faults::default() })));
    let faults = Faults { holds: 1, crashes: 1, expiries: 1, ..Faults::default() };
    holds(two(with(faults)));
    Vec::new()
}

/// One more of one thing that can go wrong.
const ONE_MORE: [fn(&mut Faults); 15] = [
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
    |faults| faults.holds += 1,
];

/// These worlds hold every promise.
fn all_hold(name: &str, worlds: impl IntoIterator<Item = Bounds>) {
    let (mut states, mut searched, began) = (0, 0, std::time::Instant::now());
    for bounds in worlds {
        let found = search(World::new(bounds));
        assert!(found.broken.is_empty(), "{found}");
        count(found.states);
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

fn whichever_two_things_go_wrong_together_every_promise_holds() -> Vec<Asked> {
    let bounds = Bounds { journal: vec![Added, Added], committed: false, ..Bounds::default() };
    all_hold("any two, without the auditor", one_more(&bounds).iter().flat_map(one_more));
    let audited = Bounds { committed: true, auditor: true, ..bounds };
    all_hold("any one, and the auditor", one_more(&audited));
    Vec::new()
}

fn whatever_goes_wrong_while_an_operator_looks_after_a_parked_event_every_promise_holds() -> Vec<Asked> {
    let faults = Faults { rejections: 2, orders: 1, ..Faults::default() };
    let bounds = Bounds { journal: vec![Added, Added], ..with(faults) };
    all_hold("a parked event, an order and any one", one_more(&bounds));
    Vec::new()
}

fn old_code_leaves_alone_what_newer_code_has_touched_and_what_it_cannot_read() -> Vec<Asked> {
    let faults = Faults { old_code: 2, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Changed, Added, Added], ..with(faults) });
    holds(Bounds { journal: vec![Added, Changed, Added], ..with(faults) });
    Vec::new()
}

fn a_new_type_is_safe_when_its_code_is_deployed_before_its_producer() -> Vec<Asked> {
    let faults = Faults { old_code: 2, crashes: 1, ..Faults::default() };
    holds(Bounds { journal: vec![Added, Moved, Added], committed: false, ..with(faults) });
    Vec::new()
}

/// The producer of a new type was deployed before the consumer, or an old process still runs: older code goes past a row
/// that it does not know, and it cannot be handled in its order any more. So it is parked for an operator to see.
fn what_older_code_has_gone_past_is_parked_and_never_passed_over_in_silence() -> Vec<Asked> {
    let one = Faults { old_code: 1, ..Faults::default() };
    let rash = |journal, faults| Bounds { journal, rash: true, auditor: true, ..with(faults) };
    holds(rash(vec![Added, Moved, Added], one));
    holds(rash(vec![Added, Moved, Moved, Added], one));
    holds(rash(vec![Moved, Added], Faults { orders: 1, ..one }));
    // Older code parks a row behind one that it has gone past, and an operator skips what is parked.
    let parks = Faults { old_code: 2, rejections: 2, orders: 1, ..one };
    let found = search_for(World::new(Bounds { auditor: false, ..rash(vec![Moved, Added], parks) }), NOTHING_PASSED);
    println!("{NOTHING_PASSED}: {} states", found.states);
    assert!(found.broken.iter().all(|(broken, _)| *broken != NOTHING_PASSED), "{found}");
    count(found.states);
    Vec::new()
}

fn in_all() -> Vec<Asked> {
    let (states, worlds) = (STATES.load(Ordering::Relaxed), WORLDS.load(Ordering::Relaxed));
    let reached = format!("{states}, all of {worlds} worlds");
    vec![Asked::new("model states", "10000000, each world searched whole", reached, states >= 10_000_000)]
}

fn main() -> ExitCode {
    let tests: [asked::Test; 16] = [
        ("what_is_held_back_is_applied_when_the_tenant_goes_on", what_is_held_back_is_applied_when_the_tenant_goes_on),
        (
            "effects_happen_once_and_in_order_whichever_steps_processes_end_at",
            effects_happen_once_and_in_order_whichever_steps_processes_end_at,
        ),
        (
            "events_that_are_committed_meanwhile_are_not_left_behind",
            events_that_are_committed_meanwhile_are_not_left_behind,
        ),
        ("a_first_delivery_needs_no_query_after_its_commit", a_first_delivery_needs_no_query_after_its_commit),
        (
            "a_lost_answer_or_a_store_that_is_away_changes_nothing",
            a_lost_answer_or_a_store_that_is_away_changes_nothing,
        ),
        ("what_is_lost_on_the_way_is_found_by_the_auditor", what_is_lost_on_the_way_is_found_by_the_auditor),
        (
            "a_parked_row_is_resumed_by_the_command_line_alone_and_a_skip_is_on_record",
            a_parked_row_is_resumed_by_the_command_line_alone_and_a_skip_is_on_record,
        ),
        ("two_operators_are_one", two_operators_are_one),
        (
            "a_parked_row_is_resumed_by_the_console_alone_even_if_a_ticket_comes_twice",
            a_parked_row_is_resumed_by_the_console_alone_even_if_a_ticket_comes_twice,
        ),
        (
            "every_parked_row_has_a_ticket_or_the_auditor_sends_one",
            every_parked_row_has_a_ticket_or_the_auditor_sends_one,
        ),
        (
            "a_failure_that_lasts_is_parked_and_one_that_passes_is_not",
            a_failure_that_lasts_is_parked_and_one_that_passes_is_not,
        ),
        (
            "whichever_two_things_go_wrong_together_every_promise_holds",
            whichever_two_things_go_wrong_together_every_promise_holds,
        ),
        (
            "whatever_goes_wrong_while_an_operator_looks_after_a_parked_event_every_promise_holds",
            whatever_goes_wrong_while_an_operator_looks_after_a_parked_event_every_promise_holds,
        ),
        (
            "old_code_leaves_alone_what_newer_code_has_touched_and_what_it_cannot_read",
            old_code_leaves_alone_what_newer_code_has_touched_and_what_it_cannot_read,
        ),
        (
            "a_new_type_is_safe_when_its_code_is_deployed_before_its_producer",
            a_new_type_is_safe_when_its_code_is_deployed_before_its_producer,
        ),
        (
            "what_older_code_has_gone_past_is_parked_and_never_passed_over_in_silence",
            what_older_code_has_gone_past_is_parked_and_never_passed_over_in_silence,
        ),
    ];
    asked::run_all(&tests, 2, in_all)
}
