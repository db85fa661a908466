//! The crash sweep: every call of a scenario, broken in every way, and every pair of such faults; then delivered again
//! until it is through.
//! Must not know: what the scenario does.

use futures_util::FutureExt;

use crate::{Fault, Tables, World};

/// How often the transport delivers again, for each fault, before a scenario counts as stuck.
const DELIVERIES: usize = 6;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Calls of the scenario without faults.
    pub calls: usize,
    /// Runs with faults.
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
    let (calls, wanted) = flawless(begin, &scenario);
    let mut runs = 0;
    for number in 0..calls {
        for fault in Fault::ALL {
            broken(begin, &scenario, &[(number, fault)], &wanted, &same);
            runs += 1;
        }
    }
    Swept { calls, runs }
}

/// The same with pairs of faults: each call broken in each way, and then each later call, those of the deliveries that
/// follow included. Of more than `most` pairs, about so many are run, spread evenly; the same ones each time.
///
/// # Panics
/// As [`crash_sweep`].
pub fn pair_sweep(
    begin: &Tables,
    scenario: impl AsyncFn(&World) -> bool,
    same: impl Fn(&Tables, &Tables) -> Result<(), String>,
    most: usize,
) -> Swept {
    let (calls, wanted) = flawless(begin, &scenario);
    let singles: Vec<(usize, Fault)> = (0..calls).flat_map(|number| Fault::ALL.map(|fault| (number, fault))).collect();
    let lengths: Vec<usize> = singles.iter().map(|first| broken(begin, &scenario, &[*first], &wanted, &same)).collect();
    let firsts = || singles.iter().zip(&lengths);
    let pairs = firsts().flat_map(|(first, length)| {
        (first.0 + 1..*length).flat_map(move |second| Fault::ALL.map(|fault| [*first, (second, fault)]))
    });
    let all: usize = firsts().map(|((first, _), length)| length.saturating_sub(first + 1) * Fault::ALL.len()).sum();
    let mut runs = 0;
    for pair in pairs.step_by(stride(all, most)) {
        broken(begin, &scenario, &pair, &wanted, &same);
        runs += 1;
    }
    Swept { calls, runs }
}

/// A step that leaves about `most` of `all`, and meets every kind of fault: it shares no divisor with their number.
fn stride(all: usize, most: usize) -> usize {
    let least = all.div_ceil(most.max(1)).max(1);
    (least..).find(|step| step % 2 != 0 && step % 3 != 0).unwrap_or(least)
}

fn flawless(begin: &Tables, scenario: &impl AsyncFn(&World) -> bool) -> (usize, Tables) {
    let world = World::new(begin.clone());
    assert_eq!(scenario(&world).now_or_never(), Some(true), "the scenario is not through without any fault");
    (world.calls(), world.tables())
}

/// One run with faults, until it is through and once more. How many calls it made.
fn broken(
    begin: &Tables,
    scenario: &impl AsyncFn(&World) -> bool,
    faults: &[(usize, Fault)],
    wanted: &Tables,
    same: &impl Fn(&Tables, &Tables) -> Result<(), String>,
) -> usize {
    let world = World::new(begin.clone());
    world.break_calls(faults);
    let deliver = || scenario(&world).now_or_never() == Some(true) && world.is_broken();
    let through = (0..=DELIVERIES * faults.len()).any(|_| deliver());
    assert!(through, "{faults:?}: not through after {} more deliveries", DELIVERIES * faults.len());
    let calls = world.calls();
    assert!(deliver(), "{faults:?}: through, and not when it was delivered once more");
    if let Err(difference) = same(wanted, &world.tables()) {
        panic!("{faults:?}: {difference}");
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_leaves_as_many_as_asked_for_and_meets_every_kind_of_fault() {
        assert_eq!([stride(100, 100), stride(100, 1_000), stride(0, 10)], [1, 1, 1]);
        assert_eq!([stride(1_000, 100), stride(1_000, 500)], [11, 5]);
    }
}
