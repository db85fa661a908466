//! From when on a consumer handles a type: a pure function of the journal, never "the first message seen".
//! Must not know: when the consumer was deployed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{InvalidTimestamp, Timestamp};

/// The first events that a consumer handles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    /// All there ever were.
    #[default]
    Beginning,
    /// Those committed at this time or later. Times never decrease within an aggregate, so this is a place in each.
    At(Timestamp),
}

impl Start {
    /// Does an event of this time count?
    pub fn includes(self, occurred_at: Timestamp) -> bool {
        match self {
            Self::Beginning => true,
            Self::At(start) => occurred_at >= start,
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("beginning"),
            Self::At(time) => time.fmt(f),
        }
    }
}

impl FromStr for Start {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if text == "beginning" { Ok(Self::Beginning) } else { text.parse().map(Self::At) }
    }
}

impl TryFrom<String> for Start {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Start> for String {
    fn from(start: Start) -> String {
        start.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// So it is one place in each aggregate, whose times never decrease.
        #[test]
        fn a_start_divides_all_times_once_and_survives_as_text(start in 0_u64..10_000, mut times in proptest::collection::vec(0_u64..10_000, 0..20)) {
            let start = Start::At(Timestamp::from_millis(start));
            times.sort_unstable();
            let counted: Vec<bool> = times.iter().map(|at| start.includes(Timestamp::from_millis(*at))).collect();
            prop_assert!(counted.is_sorted());
            prop_assert_eq!(start.to_string().parse::<Start>(), Ok(start));
            prop_assert!(times.iter().all(|at| Start::Beginning.includes(Timestamp::from_millis(*at))));
        }
    }
}
