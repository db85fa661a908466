//! How a handler fails: anything that goes up through `?` is tried again; only what the author rejects is permanent.
//! Must not know: when and how often a retry happens.
//!
//! [`Failure`] is not a `std::error::Error`, on purpose: that makes it legal that every error converts into it.

use std::error::Error;
use std::fmt::{self, Display};

/// Why a handler did not return its writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: a store that is away, a conflict, a bug that a deploy will mend.
    Retry(Reason),
    /// It will never work, and the author said so with [`OrReject::or_reject`].
    Reject(Reason),
    /// An effect outside may have happened or not. What follows is what the consumer has declared with
    /// [`Consumer::effects`](crate::Consumer::effects); without that, it is tried again.
    Unknown(Reason),
}

/// Class of an effect outside of which nobody knows whether it happened.
pub const OUTCOME_UNKNOWN: &str = "outcome unknown";
/// Classes of calls outside that did nothing.
pub(crate) const NOT_REACHED: &str = "provider not reached";
pub(crate) const REFUSED: &str = "refused by the provider";

/// What went wrong, for people and for grouping. It must not hold personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Groups failures of one kind: the error's type, or `rejected`.
    pub class: String,
    /// The error and its causes, outermost first.
    pub message: String,
}

impl Failure {
    /// A failure that may pass.
    pub fn retry(class: impl Into<String>, message: impl Display) -> Self {
        Self::Retry(Reason { class: class.into(), message: message.to_string() })
    }

    /// A failure that will not pass.
    pub fn reject(class: impl Into<String>, message: impl Display) -> Self {
        Self::Reject(Reason { class: class.into(), message: message.to_string() })
    }

    /// Something outside may have happened or not.
    pub fn unknown(message: impl Display) -> Self {
        Self::Unknown(Reason { class: OUTCOME_UNKNOWN.to_owned(), message: message.to_string() })
    }

    /// Does it say for sure that nothing has happened outside?
    pub(crate) fn did_nothing_outside(&self) -> bool {
        matches!(self, Self::Retry(reason) if [NOT_REACHED, REFUSED].contains(&reason.class.as_str()))
    }

    /// Is it that the store could not be asked? Then nothing is known of the event itself.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Retry(reason) if reason.class == std::any::type_name::<crate::ports::Unavailable>())
    }

    /// What went wrong.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Retry(reason) | Self::Reject(reason) | Self::Unknown(reason) => reason,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.class)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Retry(_) => "retry",
            Self::Reject(_) => "rejected",
            Self::Unknown(_) => "unknown",
        };
        write!(f, "{verb}: {}", self.reason())
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Self::retry(std::any::type_name::<E>(), message)
    }
}

/// Marks the one place where a failure is permanent.
pub trait OrReject<T> {
    /// The value, or a permanent failure that says `why`.
    fn or_reject(self, why: impl Display) -> Result<T, Failure>;
}

impl<T> OrReject<T> for Option<T> {
    fn or_reject(self, why: impl Display) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::reject("rejected", why))
    }
}

impl<T, E: Display> OrReject<T> for Result<T, E> {
    fn or_reject(self, why: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::reject("rejected", format!("{why}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_through_the_question_mark_is_a_retry_with_its_whole_chain() {
        fn work() -> Result<u8, Failure> {
            Ok("300".parse::<u8>()?)
        }
        let failure = work().unwrap_err();
        assert!(matches!(&failure, Failure::Retry(reason) if reason.class.ends_with("ParseIntError")), "{failure}");
    }

    #[test]
    fn only_or_reject_is_permanent() {
        assert_eq!(None::<u8>.or_reject("unknown sku"), Err(Failure::reject("rejected", "unknown sku")));
        let refused = "x".parse::<u8>().or_reject("no number").unwrap_err();
        assert_eq!(refused.to_string(), "rejected: no number: invalid digit found in string (rejected)");
    }
}
