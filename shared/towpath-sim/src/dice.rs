//! Random numbers from one seed, and the virtual clock: all that a run may not take from the machine it runs on.
//! Must not know: what is decided with them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use towpath::Timestamp;

/// Milliseconds since the run began.
pub(crate) type Millis = u64;

/// When every run begins.
const BEGIN: u64 = 1_795_255_200_000;

/// A generator of random numbers (SplitMix64): small, fast, and the same on every machine.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high.saturating_sub(low) + 1)
    }

    /// True this often in 10,000.
    pub fn chance(&mut self, of_10_000: u32) -> bool {
        of_10_000 > 0 && self.roll() % 10_000 < u64::from(of_10_000)
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// A place in a list of this length, which is not empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll() % length as u64).expect("it is less than a length")
    }
}

/// The time of a run. It moves only when the simulator moves it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Rc<Cell<Millis>>);

impl Clock {
    /// The true time; a process may see another one.
    pub fn now(&self) -> Timestamp {
        timestamp(self.0.get())
    }

    /// How long the run has lasted.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.get())
    }

    pub(crate) fn millis(&self) -> Millis {
        self.0.get()
    }

    pub(crate) fn set(&self, to: Millis) {
        self.0.set(to);
    }
}

/// A time of the run as a point in time.
pub(crate) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millis(BEGIN + at)
}

/// A duration in whole milliseconds.
pub(crate) fn millis(of: Duration) -> Millis {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_and_another_one_does_not() {
        let rolls = |seed| {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.roll()).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn a_chance_is_as_often_as_it_says() {
        let mut dice = Dice::new(1);
        let hits = (0..100_000).filter(|_| dice.chance(2_500)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!((0..10_000).all(|_| !dice.chance(0)));
        assert!((0..10_000).all(|_| (3..=5).contains(&dice.between(3, 5))));
    }
}
