//! The crash sweep: every call of a scenario, broken in every way, then delivered again until it is through.
//! Must not know: what the scenario does.

use futures_util::FutureExt;

use crate::{Fault, Tables, World};

/// How often the transport delivers again before a scenario counts as stuck.
const DELIVERIES: usize = 6;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Calls of the scenario without faults.
    pub calls: usize,
    /// Runs with a fault.
    pub runs: usize,
}

/// Runs `scenario` on worlds that begin with `begin`, breaking each call in each way; after each broken run it is run
/// again, as the transport would, and then `same` compares the tables with those of the run without faults.
///
/// `scenario` returns whether it is through; one that awaits anything but the world's answers does not end.
///
/// # Panics
/// With the call and the fault, when a run is not through after six deliveries or when `same` says what differs.
pub fn crash_sweep(
    begin: &Tables,
    scenario: impl AsyncFn(&World) -> bool,
    same: impl Fn(&Tables, &Tables) -> Result<(), String>,
) -> Swept {
    let flawless = World::new(begin.clone());
    assert_eq!(scenario(&flawless).now_or_never(), Some(true), "the scenario is not through without any fault");
    let (calls, wanted) = (flawless.calls(), flawless.tables());
    let mut runs = 0;
    for number in 0..calls {
        for fault in Fault::ALL {
            let world = World::new(begin.clone());
            world.break_call(number, fault);
            let mut through = scenario(&world).now_or_never() == Some(true);
            for _ in 0..DELIVERIES {
                through = scenario(&world).now_or_never() == Some(true);
            }
            assert!(through, "{fault:?} at call {number}: not through after {DELIVERIES} more deliveries");
            if let Err(difference) = same(&wanted, &world.tables()) {
                panic!("{fault:?} at call {number}: {difference}");
            }
            runs += 1;
        }
    }
    Swept { calls, runs }
}
