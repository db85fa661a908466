//! P0 to P3, P7 and P9 with the real handlers: whatever call breaks, in whatever way, delivering again makes it as if
//! nothing had happened. Then pairs of faults: about as many as `TOWPATH_PAIRS` says.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it does, and stops at what cannot be")]

use sim::begin::{DOUBLED, GAP, IN_ORDER};
use sim::number;
use sim::scenarios::{ALL, Depth, deliver, sweep};
use towpath_sim::{Fault, Swept};

const PAIRS: u64 = 40_000;

#[test]
fn p0_p1_p2_p3_p7_p9_each_call_may_break_in_each_way() {
    let all = sweep(Depth::Single);
    show(&all);
    for (name, swept) in all {
        assert!(swept.calls >= 2 && swept.runs == swept.calls * Fault::ALL.len(), "{name}: {swept:?}");
    }
}

#[test]
fn p1_p2_p3_messages_come_in_order_late_twice_and_again_after_a_crash() {
    for consumer in [inventory::consumer, order_summary::consumer, crm_timeline::consumer] {
        let runs = |pick| [0, 1].map(|receives| deliver(Depth::Single, consumer, pick, receives).runs);
        let runs: usize = [IN_ORDER, GAP, DOUBLED].into_iter().flat_map(runs).sum();
        println!("{}: {runs} broken runs", consumer().name());
        assert!(runs > 600);
    }
}

#[test]
fn p0_p1_p2_p3_p7_p9_two_calls_may_break_in_each_way() {
    let pairs = number("TOWPATH_PAIRS").unwrap_or(PAIRS);
    let all = sweep(Depth::Pairs(usize::try_from(pairs).unwrap() / ALL.len()));
    show(&all);
    let runs: usize = all.iter().map(|(_, swept)| swept.runs).sum();
    println!("{runs} pairs");
    assert!(all.len() >= 12 && runs as u64 >= (pairs / 2).min(200_000), "{runs} pairs of {} scenarios", all.len());
}

fn show(all: &[(&str, Swept)]) {
    for (name, swept) in all {
        println!("{name}: {} calls, {} broken runs", swept.calls, swept.runs);
    }
}

/// The sweep can fail: without the cursor rule, a second delivery reserves again.
#[cfg(feature = "planted")]
#[test]
#[should_panic = "expected"]
fn the_sweep_sees_a_consumer_without_the_cursor_rule() {
    towpath::planted::switch_on("cursor-rule-removed");
    (ALL[0].1)(Depth::Single);
}
