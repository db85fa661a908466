//! The promises, in a world where everything goes wrong, with the real machines and handlers. A failing seed says which
//! command tells its story.

use std::process::ExitCode;

use sim::proof::{each_call, each_order, pairs, seeds};

fn main() -> ExitCode {
    let tests: [asked::Test; 4] = [
        ("p0_p1_p2_p3_p7_p9_each_call_may_break_in_each_way", each_call),
        ("p1_p2_p3_messages_come_in_order_late_twice_and_again_after_a_crash", each_order),
        ("p0_p1_p2_p3_p7_p9_two_calls_may_break_in_each_way", pairs),
        ("p1_to_p4_p6_p7_p9_p10_p13_p16_every_promise_is_kept_whatever_goes_wrong", seeds),
    ];
    asked::run_all(&tests, 1, Vec::new)
}
