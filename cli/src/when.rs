//! Times as a person writes them: a point in time, or how long ago.
//! Must not know: the clock. What is "now" comes in from outside.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use towpath::Timestamp;

use crate::output::Usage;

/// `2026-11-21T10:00:00Z`, or `90s`, `30m`, `2h`, `7d` ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    Ago(Duration),
}

/// Text that is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written like 2026-11-21T10:00:00Z, or as how long ago it was: 90s, 30m, 2h, 7d")]
pub(crate) struct InvalidWhen;

impl FromStr for When {
    type Err = InvalidWhen;

    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        parse_length(text).map(Self::Ago)
    }
}

/// `90s`, `30m`, `2h`, `7d`.
pub(crate) fn parse_length(text: &str) -> Result<Duration, InvalidWhen> {
    let unit = text.chars().last().ok_or(InvalidWhen)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(InvalidWhen),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| InvalidWhen)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

impl When {
    /// The point in time, when it is `now`.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(time) => now.minus(time),
        }
    }
}

/// From a time on, until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl Span {
    /// Refuses what lies in the future or is reversed.
    pub(crate) fn new(since: Option<When>, until: Option<When>, first: Timestamp, now: Timestamp) -> Result<Self> {
        let since = since.map_or(first, |since| since.before(now));
        let until = until.map_or(now, |until| until.before(now));
        if since > now || until > now {
            return Err(Usage(format!("that time has not come yet: it is {now}")).into());
        }
        if since > until {
            return Err(Usage(format!("--since {since} is later than --until {until}: exchange them")).into());
        }
        Ok(Self { since, until })
    }

    pub(crate) fn includes(&self, at: Timestamp) -> bool {
        (self.since..=self.until).contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_time_is_a_point_or_how_long_ago() {
        assert_eq!("1970-01-01T00:00:05Z".parse(), Ok(When::At(at(5))));
        assert_eq!("2h".parse(), Ok(When::Ago(Duration::from_secs(7_200))));
        for wrong in ["", "h", "yesterday", "-1h", "1w", "1.5h", "99999999999d", "é"] {
            assert_eq!(wrong.parse::<When>(), Err(InvalidWhen), "{wrong}");
        }
    }

    #[test]
    fn a_span_that_is_reversed_or_to_come_is_refused() {
        let span = |since: &str, until: &str| {
            Span::new(Some(since.parse().unwrap()), Some(until.parse().unwrap()), at(0), at(100_000))
        };
        assert_eq!(span("2h", "1h").unwrap(), Span { since: at(92_800), until: at(96_400) });
        assert!(span("1h", "2h").unwrap_err().to_string().contains("exchange them"));
        assert!(span("1h", "2999-01-01T00:00:00Z").unwrap_err().to_string().contains("not come yet"));
        assert_eq!(Span::new(None, None, at(3), at(9)).unwrap(), Span { since: at(3), until: at(9) });
    }
}
