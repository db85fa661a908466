//! Effects outside the tables: a mail, a payment. They cannot lie in a transaction, so each carries a key that stays the
//! same however often it is tried, and says what is to be done when nobody knows whether it happened.
//! Must not know: HTTP, any one provider, when an attempt is made.

use std::fmt;
use std::time::Duration;

use crate::command::request_hash;
use crate::failure::{NOT_REACHED, REFUSED};
use crate::planted::is_on;
use crate::{ConsumerName, EventId, Failure};

/// The longest that one call outside may take.
const LONGEST: Duration = Duration::from_secs(10);
/// The shortest time with which a call is worth beginning.
pub(crate) const LEAST: Duration = Duration::from_secs(1);

/// Names one effect: 64 hex digits of a hash over the consumer and the event. Every attempt, redrive, retry by an operator
/// and process has the same one, so a provider with idempotency keys carries it out once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectKey(String);

impl EffectKey {
    pub(crate) fn new(consumer: &ConsumerName, event: EventId) -> Self {
        Self(request_hash(consumer.as_str(), event.to_string().as_bytes()))
    }

    /// The hex digits, as a provider's `Idempotency-Key`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a call outside needs: see [`Context::effect`](crate::Context::effect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What the provider is told, so that it knows a second attempt.
    pub key: EffectKey,
    /// How long the call may take. After that there is still time to write down what came of it.
    pub within: Duration,
}

impl Effect {
    /// The effect of an event, when so much is left of the invocation after what is kept back.
    pub(crate) fn new(key: EffectKey, left: Duration) -> Self {
        Self { key, within: left.min(LONGEST) }
    }
}

/// What a consumer does when it does not know whether an effect happened: the process ended in between, or the answer
/// did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnknown {
    /// Tries again, with the same key. A provider with idempotency keys does it once; any other perhaps twice.
    Retry,
    /// Never does it a second time by itself: the aggregate is parked with the class `outcome unknown`, and an operator asks
    /// the provider, then says `dlq retry` or `dlq skip`. For a provider without keys, where twice is worse than late. Each
    /// event costs one more write and one more message.
    Hold,
}

/// Why a provider gave no answer that can be used. `?` makes the right [`Failure`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// Nothing has happened: there was no connection, or the provider asked to come back later.
    NotReached(String),
    /// The provider has said no, and nothing has happened. A `no` that belongs to the business is an answer and no failure:
    /// match it and record an event.
    Refused {
        /// The status code.
        status: u16,
        /// The provider's own word for it; empty if it has none.
        word: String,
    },
    /// It may have happened: the answer did not come, or could not be read.
    Unknown(String),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReached(why) => write!(f, "the provider was not reached: {why}"),
            Self::Refused { status, word } => write!(f, "the provider refused it: {status} {word}"),
            Self::Unknown(why) => write!(f, "nobody knows whether the provider has done it: {why}"),
        }
    }
}

/// Like [`Failure`], this is no `std::error::Error`, on purpose: what is not known must not become an ordinary retry.
impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        match &error {
            ProviderError::NotReached(_) => Self::retry(NOT_REACHED, error),
            ProviderError::Refused { .. } => Self::retry(REFUSED, error),
            ProviderError::Unknown(_) => Self::unknown(error),
        }
    }
}

/// The key of an attempt, made as a known bug makes it; as it should be, of course.
pub(crate) fn key_of(consumer: &ConsumerName, event: EventId, drawn: impl FnOnce() -> u128) -> EffectKey {
    if is_on("12 an effect's key is the attempt's") {
        return EffectKey(format!("{:064x}", drawn()));
    }
    EffectKey::new(consumer, event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn key(consumer: &str, event: u128) -> String {
        let event = EventId::new(Timestamp::from_millis(1_795_255_200_000), event);
        EffectKey::new(&consumer.parse().unwrap(), event).to_string()
    }

    #[test]
    fn a_key_is_of_one_consumer_and_one_event_and_nothing_else() {
        assert_eq!(key("notify-customer", 1), key("notify-customer", 1));
        assert_ne!(key("notify-customer", 1), key("payments", 1));
        assert_ne!(key("notify-customer", 1), key("notify-customer", 2));
        // It is on record with providers: another hash would send everything again.
        assert_eq!(key("notify-customer", 1), "8d90bf428ae2bf3d1edb2f5723546098b27a854a633f99acb741027b3add53be");
    }

    #[test]
    fn only_what_may_have_happened_is_unknown() {
        let refused = ProviderError::Refused { status: 401, word: "bad_key".into() };
        assert_eq!(
            Failure::from(refused).to_string(),
            "retry: the provider refused it: 401 bad_key (refused by the provider)"
        );
        assert!(matches!(Failure::from(ProviderError::NotReached("refused".into())), Failure::Retry(_)));
        assert!(matches!(Failure::from(ProviderError::Unknown("no answer".into())), Failure::Unknown(_)));
    }

    #[test]
    fn a_call_is_shorter_than_what_is_left() {
        let within = |left| Effect::new(EffectKey(String::new()), Duration::from_secs(left)).within.as_secs();
        assert_eq!([within(0), within(2), within(60)], [0, 2, 10]);
    }
}
