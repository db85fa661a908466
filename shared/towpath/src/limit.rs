//! A tenant's limit: a token bucket as arithmetic. Time comes in as a value, from the one who keeps the bucket.
//! Must not know: clocks, stores, requests. Tokens are counted in thousandths, so nothing is lost by rounding but less than one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Rev, Timestamp};

/// Thousandths of a token.
const MILLI: u64 = 1_000;
/// A lease is this part of a burst.
const CHUNKS: u32 = 10;
/// A tenant's throttling is told at most once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Commands a second, in thousandths: `50`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(u64);

/// Text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is commands a second from 0.001 to 100000, with at most three decimals: 50, 0.5")]
pub struct InvalidRate;

impl Rate {
    /// Most commands a second.
    pub const MAX: u64 = 100_000;
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 || text.ends_with('.') {
            return Err(InvalidRate);
        }
        let part: u64 = format!("{part:0<3}").parse().map_err(|_| InvalidRate)?;
        let whole: u64 = whole.parse().map_err(|_| InvalidRate)?;
        let milli = whole.checked_mul(MILLI).and_then(|whole| whole.checked_add(part)).ok_or(InvalidRate)?;
        if (1..=Self::MAX * MILLI).contains(&milli) { Ok(Self(milli)) } else { Err(InvalidRate) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / MILLI, self.0 % MILLI);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:03}").trim_end_matches('0'))
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;
    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

/// How much a tenant may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Commands a second, for ever.
    pub rate: Rate,
    /// Commands at once, after a while of rest; at least 1.
    pub burst: u32,
}

impl Limit {
    /// Tokens of one lease: a tenth of the burst, at least 1. So a process holds at most that many without having spent
    /// them, and writes once for so many commands.
    pub fn chunk(&self) -> u32 {
        (self.burst / CHUNKS).max(1)
    }

    fn most(&self) -> u64 {
        u64::from(self.burst.max(1)) * MILLI
    }

    /// What comes into the bucket in this time.
    fn gain(&self, millis: u64) -> u64 {
        let gain = u128::from(millis) * u128::from(self.rate.0) / u128::from(MILLI);
        u64::try_from(gain).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a second, {} at once", self.rate, self.burst)
    }
}

/// A tenant's bucket, one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of tokens that are in it.
    pub milli: u64,
    /// When that was, by the clock of the store. It never goes back.
    pub at: Timestamp,
    /// The tenant's own limit, if it has one.
    pub own: Option<Limit>,
    /// When it was last told that the tenant is throttled.
    pub told: Option<Timestamp>,
    /// How often it was written; every write is conditional on the one that was read.
    pub rev: Rev,
}

impl Bucket {
    /// The bucket of a tenant that has asked for nothing yet: full, and never written.
    pub fn full(limit: Limit, at: Timestamp) -> Self {
        Self { milli: limit.most(), at, own: None, told: None, rev: Rev::ZERO }
    }

    /// Takes up to `want` tokens when the store says that it is `now`: the bucket without them, and how many. With less
    /// than one in it, how long until there is one: whole seconds, at least 1.
    pub fn take(&self, limit: Limit, now: Timestamp, want: u32) -> Result<(Self, u32), Duration> {
        let milli = self.milli.saturating_add(limit.gain(now.millis_since(self.at))).min(limit.most());
        let at = self.at.max(now);
        let granted = u32::try_from(milli / MILLI).unwrap_or(u32::MAX).min(want);
        if granted == 0 {
            let missing = MILLI.saturating_sub(milli).saturating_mul(MILLI).div_ceil(limit.rate.0);
            let wait = missing.saturating_add(self.at.millis_since(now));
            return Err(Duration::from_secs(wait.div_ceil(1_000).max(1)));
        }
        Ok((Self { milli: milli - u64::from(granted) * MILLI, at, rev: self.rev.next(), ..*self }, granted))
    }

    /// The bucket with a note that its tenant's throttling is told now; `None` if it was told a short while ago.
    pub fn telling(&self, now: Timestamp) -> Option<Self> {
        let due = self.told.is_none_or(|told| now >= told.plus(TELL_AGAIN));
        due.then(|| Self { told: Some(now), rev: self.rev.next(), ..*self })
    }

    /// The bucket with another limit of its own, or none.
    #[must_use]
    pub fn limited(&self, own: Option<Limit>) -> Self {
        Self { own, rev: self.rev.next(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_limit() -> impl Strategy<Value = Limit> {
        (1..=5_000_u64, 1..=200_u32).prop_map(|(milli, burst)| Limit { rate: Rate(milli), burst })
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_795_255_200_000 + millis)
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for (text, milli) in [("50", 50_000), ("0.5", 500), ("0.001", 1), ("100000", 100_000_000), ("1.25", 1_250)] {
            assert_eq!(text.parse(), Ok(Rate(milli)));
            assert_eq!(Rate(milli).to_string(), text);
        }
        for wrong in ["", "0", "0.0", ".5", "5.", "-1", "1e3", "0.0001", "100000.001", "99999999999999999999", "１"] {
            assert_eq!(wrong.parse::<Rate>(), Err(InvalidRate), "{wrong}");
        }
    }

    proptest! {
        /// However it is asked, and whatever the store's clock does short of running ahead: in every window at most the
        /// burst, and what comes in meanwhile.
        #[test]
        fn what_is_taken_in_any_window_is_at_most_the_burst_and_the_rate_times_the_window(
            limit in any_limit(), asks in proptest::collection::vec((0_u64..5_000, 1_u32..50, 0_u64..3_000), 1..60),
        ) {
            let mut bucket = Bucket::full(limit, at(0));
            let (mut time, mut taken) = (0, Vec::new());
            for (wait, want, behind) in asks {
                time += wait;
                // Some answers come from a clock that is behind.
                if let Ok((next, granted)) = bucket.take(limit, at(time.saturating_sub(behind)), want) {
                    prop_assert!((1..=want).contains(&granted) && next.rev == bucket.rev.next() && next.at >= bucket.at);
                    bucket = next;
                    taken.push((time, u64::from(granted)));
                }
            }
            for first in 0..taken.len() {
                let mut sum = 0;
                for last in &taken[first..] {
                    sum += last.1;
                    // The clock may have been 3 s behind at the window's beginning.
                    let most = limit.most() + limit.gain(last.0 - taken[first].0 + 3_000);
                    prop_assert!(sum * MILLI <= most, "{} in {} ms", sum, last.0 - taken[first].0);
                }
            }
        }

        #[test]
        fn whoever_comes_back_after_the_wait_that_was_told_gets_a_token(limit in any_limit(), milli in 0_u64..MILLI, ahead in 0_u64..5_000) {
            let bucket = Bucket { milli, at: at(ahead), ..Bucket::full(limit, at(0)) };
            let wait = bucket.take(limit, at(0), 1).unwrap_err();
            prop_assert!(wait.as_millis().is_multiple_of(1_000) && !wait.is_zero());
            prop_assert_eq!(bucket.take(limit, at(0).plus(wait), 9).map(|(_, granted)| granted >= 1), Ok(true));
            // And not much earlier: it is no more than a second too long.
            let early = wait.saturating_sub(Duration::from_secs(1));
            prop_assert!(early.is_zero() || bucket.take(limit, at(0).plus(early), 1).is_err());
        }

        /// Nobody is locked out: a clock that is behind, or goes back, stops the refill for just as long.
        #[test]
        fn a_rested_bucket_is_full_again(limit in any_limit(), milli in 0_u64..100_000) {
            let bucket = Bucket { milli: milli.min(limit.most()), ..Bucket::full(limit, at(0)) };
            let rested = at(limit.most().saturating_mul(MILLI).div_ceil(limit.rate.0));
            prop_assert_eq!(bucket.take(limit, rested, u32::MAX).map(|(_, granted)| granted), Ok(limit.burst));
        }

        #[test]
        fn throttling_is_told_at_most_once_a_minute(waits in proptest::collection::vec(0_u64..100_000, 1..40)) {
            let limit = Limit { rate: Rate(1), burst: 1 };
            let (mut bucket, mut time, mut told) = (Bucket::full(limit, at(0)), 0, Vec::new());
            for wait in waits {
                time += wait;
                if let Some(next) = bucket.telling(at(time)) {
                    told.push(time);
                    bucket = next;
                }
            }
            prop_assert!(told.windows(2).all(|two| two[1] - two[0] >= 60_000));
        }
    }
}
