//! Identity: the names that keys, groups and filters are made of, parsed once at the edge and trusted afterwards.
//! Must not know: tables, queues, JSON bodies.
//!
//! One strict ASCII set is allowed, so that `#` and `/` can join names into keys and no name can pass for another
//! one. Nothing is normalised: a name is accepted as it stands, or refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that was refused. It says which kind of name and which rule; never the value, which may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct InvalidId {
    /// What was parsed, as a person calls it.
    pub kind: &'static str,
    /// The rule that it broke.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest accepted value, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Accepts `text` as it stands, or says which rule it breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let allowed: fn(&str) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !allowed(&text) {
                    return Err(InvalidId { kind: $kind, rule: $rule });
                }
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// Who owns the data. First part of every key and of every message group.
    TenantId, "a tenant id", 64, is_word, "1 to 64 of A-Z a-z 0-9 . _ -"
);
id!(
    /// The kind of an aggregate: `order`, `stock`.
    AggregateType, "an aggregate type", 32, is_snake, "1 to 32 of a-z 0-9 _"
);
id!(
    /// One aggregate among those of its type and tenant. Never reused.
    AggregateId, "an id", 128, is_word, "1 to 128 of A-Z a-z 0-9 . _ -"
);
id!(
    /// The type of an event: `order.placed`, that is aggregate and past tense.
    EventType, "an event type", 64, is_event_type, "two parts of a-z 0-9 _ joined by one dot, at most 64 bytes"
);
id!(
    /// A named set of handlers with its own queue and cursors. `name@2` is its second build.
    ConsumerName, "a consumer name", 64, is_consumer, "1 to 64 of a-z 0-9 - with an optional @number"
);
id!(
    /// Ties together all that one request from outside set in motion.
    CorrelationId, "a correlation id", 128, is_word, "1 to 128 of A-Z a-z 0-9 . _ -"
);
id!(
    /// What caused an event: the id of the event or of the request that its producer was handling.
    CausationId, "a causation id", 128, is_word, "1 to 128 of A-Z a-z 0-9 . _ -"
);
id!(
    /// The caller's place in a distributed trace, as the W3C header `traceparent`.
    Traceparent, "a traceparent", 55, is_traceparent, "00-<32 hex>-<16 hex>-<2 hex>"
);
id!(
    /// The caller's name for one command; sent again, the command is answered and not executed again.
    IdempotencyKey, "an idempotency key", 128, is_word, "1 to 128 of A-Z a-z 0-9 . _ -"
);
id!(
    /// Who wrote an event, and which version of it: `orders-api@1.8.3`.
    Producer, "a producer", 96, is_producer, "name@version of A-Z a-z 0-9 . _ - +, at most 96 bytes"
);

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_snake(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_event_type(text: &str) -> bool {
    text.split_once('.').is_some_and(|(aggregate, verb)| is_snake(aggregate) && is_snake(verb))
}

fn is_consumer(text: &str) -> bool {
    let (name, build) = text.split_once('@').unwrap_or((text, "1"));
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !build.is_empty()
        && build.bytes().all(|b| b.is_ascii_digit())
}

fn is_producer(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b == b'+' || is_word(&(b as char).to_string()));
    text.split_once('@').is_some_and(|(name, version)| plain(name) && plain(version))
}

fn is_traceparent(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [2, 32, 16, 2] && text.bytes().all(|b| b == b'-' || matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The unit of consistency and of order, spelt `tenant#type#id` in every key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub kind: AggregateType,
    /// Which one it is.
    pub id: AggregateId,
}

impl fmt::Display for AggregateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.tenant, self.kind, self.id)
    }
}

impl FromStr for AggregateKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.split('#');
        let (Some(tenant), Some(kind), Some(id), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidId { kind: "an aggregate key", rule: "tenant#type#id" });
        };
        Ok(Self { tenant: tenant.parse()?, kind: kind.parse()?, id: id.parse()? })
    }
}

/// A counter that is kept in rows; `ZERO` means that nothing was counted yet.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $of:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $of);

        impl $name {
            /// Nothing counted yet.
            pub const ZERO: Self = Self(0);

            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Place of a row in its aggregate's journal: 1, 2, 3 … without holes.
    Seq, u64
);
number!(
    /// How often a progress row was written; every write of it is conditional on the one that was read.
    Rev, u64
);
number!(
    /// Which history a row belongs to; a restore from backup begins a new one.
    Era, u32
);

impl Era {
    /// The history of a stack that was never restored.
    pub const FIRST: Self = Self(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_could_forge_a_key_are_refused() {
        for text in ["", "a#b", "a/b", "a\0", "a\r\n", "a b", "\u{202e}a", "аcme", "é", &"x".repeat(129)] {
            assert!(AggregateId::parse(text).is_err(), "{text:?} was accepted");
            assert!(TenantId::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(AggregateId::parse("x".repeat(128)).is_ok());
        assert!(EventType::parse("order.placed").is_ok());
        for text in ["order", "order.", ".placed", "Order.placed", "a.b.c"] {
            assert!(EventType::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(ConsumerName::parse("order-summary@2").is_ok());
        assert!(ConsumerName::parse("@2").is_err());
        assert!(Producer::parse("orders-api@1.8.3+build.4").is_ok());
        assert!(Producer::parse("orders-api").is_err());
    }

    #[test]
    fn a_refusal_never_echoes_the_value() {
        let refusal = TenantId::parse("<script>").unwrap_err().to_string();
        assert_eq!(refusal, "a tenant id must be 1 to 64 of A-Z a-z 0-9 . _ -");
    }

    proptest! {
        #[test]
        fn an_aggregate_key_round_trips(t in "[A-Za-z0-9._-]{1,64}", k in "[a-z0-9_]{1,32}", i in "[A-Za-z0-9._-]{1,128}") {
            let key = AggregateKey { tenant: t.parse().unwrap(), kind: k.parse().unwrap(), id: i.parse().unwrap() };
            prop_assert_eq!(key.to_string().parse::<AggregateKey>().unwrap(), key);
        }

        /// `a` + `b#c` must not be `a#b` + `c`.
        #[test]
        fn no_two_aggregates_share_a_key(
            one in ("[ab._-]{1,3}", "[ab_]{1,3}", "[ab._-]{1,3}"), two in ("[ab._-]{1,3}", "[ab_]{1,3}", "[ab._-]{1,3}"),
        ) {
            let key = |(tenant, kind, id): &(String, String, String)| {
                AggregateKey { tenant: tenant.parse().unwrap(), kind: kind.parse().unwrap(), id: id.parse().unwrap() }
            };
            prop_assert_eq!(key(&one).to_string() == key(&two).to_string(), one == two);
        }

        #[test]
        fn a_name_with_one_forbidden_character_anywhere_is_refused(before in "[A-Za-z0-9._-]{0,9}", after in "[A-Za-z0-9._-]{0,9}", bad in any::<char>()) {
            let allowed = bad.is_ascii_alphanumeric() || "._-".contains(bad);
            let text = format!("{before}{bad}{after}");
            prop_assert_eq!(TenantId::parse(&*text).is_ok(), allowed);
            prop_assert_eq!(AggregateId::parse(&*text).is_ok(), allowed);
            prop_assert_eq!(IdempotencyKey::parse(text).is_ok(), allowed);
        }

        #[test]
        fn a_name_is_refused_from_its_first_byte_above_the_limit_on(bytes in 1_usize..300) {
            let text = "x".repeat(bytes);
            prop_assert_eq!(TenantId::parse(&*text).is_ok(), bytes <= TenantId::MAX_BYTES);
            prop_assert_eq!(AggregateId::parse(&*text).is_ok(), bytes <= AggregateId::MAX_BYTES);
            prop_assert_eq!(ConsumerName::parse(&*text).is_ok(), bytes <= ConsumerName::MAX_BYTES);
        }

        #[test]
        fn an_event_type_is_two_parts_and_belongs_to_one_aggregate_type(a in "[a-z0-9_.]{0,5}", b in "[a-z0-9_.]{0,5}") {
            let snake = |text: &str| !text.is_empty() && !text.contains('.');
            let text = format!("{a}.{b}");
            prop_assert_eq!(EventType::parse(&*text).is_ok(), text.split('.').count() == 2 && text.split('.').all(snake));
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_panic(text in "\\PC{0,200}") {
            let _ = text.parse::<AggregateKey>();
            let _ = text.parse::<Producer>();
            let _ = text.parse::<ConsumerName>();
        }
    }
}
