//! Points in time as values: milliseconds since 1970 UTC, written as RFC 3339.
//! Must not know: the clock. A `Timestamp` always comes in from outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HOUR: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]");

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// Text that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time must be written like 2026-11-21T10:00:00.123Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The last millisecond that RFC 3339 can write (end of the year 9999).
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since 1970; later than the year 9999 is taken for its end.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX.0))
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Milliseconds from `earlier` to this, zero when it is not earlier.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, time: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This much earlier, at the earliest 1970.
    #[must_use]
    pub fn minus(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The UTC hour, as `2026-11-21T10`: the first half of a time index bucket.
    pub fn hour(self) -> String {
        self.format(HOUR)
    }

    fn format(self, form: &[BorrowedFormatItem<'_>]) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(form).ok())
            .unwrap_or_default() // unreachable: the constructor keeps the value within the years 1970 to 9999
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(MILLIS))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let millis = u64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| InvalidTimestamp)?;
        if millis > Self::MAX.0 { Err(InvalidTimestamp) } else { Ok(Self(millis)) }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> String {
        at.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let at = Timestamp::from_millis(1_795_255_200_007);
        assert_eq!(at.to_string(), "2026-11-21T10:00:00.007Z");
        assert_eq!(at.hour(), "2026-11-21T10");
        assert_eq!("2026-11-21T11:00:00.007+01:00".parse(), Ok(at));
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
    }

    proptest! {
        #[test]
        fn times_as_text_are_in_the_order_of_time(one in 0..=Timestamp::MAX.0, two in 0..=Timestamp::MAX.0) {
            let (one, two) = (Timestamp::from_millis(one), Timestamp::from_millis(two));
            prop_assert_eq!(one.cmp(&two), one.to_string().cmp(&two.to_string()));
            prop_assert_eq!(one.hour() == two.hour(), one.0 / 3_600_000 == two.0 / 3_600_000);
        }

        #[test]
        fn later_and_earlier_again_is_the_same_time_within_the_years_that_can_be_written(
            millis in 0..=Timestamp::MAX.0, by in any::<u64>(),
        ) {
            let (at, time) = (Timestamp::from_millis(millis), std::time::Duration::from_millis(by));
            let later = at.plus(time);
            prop_assert_eq!(later.millis_since(at), by.min(Timestamp::MAX.0 - millis));
            prop_assert!(later < Timestamp::MAX || later == Timestamp::MAX && at.minus(time) <= at);
            if later < Timestamp::MAX {
                prop_assert_eq!(later.minus(time), at);
            }
        }

        /// However small a part of a second is written, and wherever on earth.
        #[test]
        fn a_time_before_1970_is_refused_and_one_after_it_is_cut_to_its_millisecond(
            nanos in prop_oneof![1_u32..1_000_000_000, 999_000_001_u32..1_000_000_000], hours in -23_i32..=23,
        ) {
            let zone = format!("{}{:02}:00", if hours < 0 { '-' } else { '+' }, hours.abs());
            let local = |day_hour: i32| format!("{:02}", (day_hour + hours).rem_euclid(24));
            let day = |at: i32| if at + hours < 0 { "1969-12-31" } else { "1970-01-01" };
            let before_day = if hours >= 1 { "1970-01-01" } else { "1969-12-31" };
            let before = format!("{before_day}T{}:59:59.{nanos:09}{zone}", local(23));
            prop_assert_eq!(before.parse::<Timestamp>(), Err(InvalidTimestamp), "{}", before);
            let after = format!("{}T{}:00:00.{nanos:09}{zone}", day(0), local(0));
            prop_assert_eq!(after.parse::<Timestamp>(), Ok(Timestamp(u64::from(nanos) / 1_000_000)), "{}", after);
        }

        #[test]
        fn a_time_round_trips(millis in 0..=Timestamp::MAX.0) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }
    }
}
