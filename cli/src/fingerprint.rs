//! Fingerprints: rows that fail in the same way, at the same consumer, have the same one, whatever ids and numbers stand in
//! their errors. Must not know: where rows come from, what is done with a kind of them.

use std::fmt;
use std::str::FromStr;

use towpath::ports::CursorKey;
use towpath::trouble::Trouble;

/// Names one kind of failure, as eight hexadecimal digits: the same in every version, because people write it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(u32);

/// Text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is eight of 0-9 a-f, as `towpath dlq list` shows it")]
pub(crate) struct InvalidFingerprint;

impl Fingerprint {
    /// Of one row's trouble.
    pub(crate) fn of(key: &CursorKey, trouble: &Trouble) -> Self {
        let message = normalised(key, &trouble.message);
        let parts = [key.consumer.as_str(), trouble.event_type.as_str(), &trouble.class, &message];
        let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        Self(parts.iter().flat_map(|part| part.bytes().chain([0])).fold(0x811c_9dc5, fnv))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(InvalidFingerprint)
    }
}

/// The message with `#` for each word that has a digit in it, and for the aggregate's and the tenant's own names.
fn normalised(key: &CursorKey, message: &str) -> String {
    let in_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out = String::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.find(in_id).unwrap_or(rest.len());
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        let end = rest.find(|c| !in_id(c)).unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches('.');
        out.push_str(&name_or_kind(key, word));
        out.push_str(&rest[word.len()..end]);
        rest = &rest[end..];
    }
    out
}

fn name_or_kind(key: &CursorKey, word: &str) -> String {
    if word == key.aggregate.id.as_str() || word == key.aggregate.tenant.as_str() {
        return "#".to_owned();
    }
    let part = |part: &str| if part.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { part.to_owned() };
    word.split('.').map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use towpath::{EventId, Producer, Seq, Timestamp};

    use super::*;

    fn key(consumer: &str, id: &str) -> CursorKey {
        let aggregate = format!("acme#order#{id}").parse().unwrap();
        CursorKey { aggregate, consumer: consumer.parse().unwrap() }
    }

    fn trouble(class: &str, message: &str) -> Trouble {
        let at = Timestamp::from_millis(7_000);
        Trouble {
            seq: Seq(3),
            event_id: EventId::new(at, 3),
            event_type: "order.placed".parse().unwrap(),
            since: at,
            due: at,
            class: class.into(),
            message: message.into(),
            producer: Producer::parse("inventory@1.0.0").unwrap(),
            running: None,
            deaths: 0,
            ticket: None,
        }
    }

    #[test]
    fn numbers_and_ids_do_not_make_a_kind_of_their_own() {
        let print = |id: &str, message: &str| Fingerprint::of(&key("inventory", id), &trouble("rejected", message));
        let first = print("o-1", "row 3 of o-1 needs 12 of sku-7: 0199a-bc, 1.5.");
        assert_eq!(first, print("o-22", "row 41 of o-22 needs 7 of sku-9: 77aa0-zz, 20.75."));
        assert_eq!(print("tea", "tea is unknown"), print("coffee", "coffee is unknown"));
        assert_ne!(print("tea", "tea is unknown"), print("tea", "tea is empty"));
        assert_ne!(print("x", "at src/lib.rs:12"), print("x", "at src/main.rs:12"));
    }

    #[test]
    fn another_consumer_class_or_type_is_another_kind() {
        let base = Fingerprint::of(&key("inventory", "o-1"), &trouble("rejected", "no"));
        assert_ne!(base, Fingerprint::of(&key("billing", "o-1"), &trouble("rejected", "no")));
        assert_ne!(base, Fingerprint::of(&key("inventory", "o-1"), &trouble("panic", "no")));
        let mut other = trouble("rejected", "no");
        other.event_type = "order.cancelled".parse().unwrap();
        assert_ne!(base, Fingerprint::of(&key("inventory", "o-1"), &other));
    }

    #[test]
    fn a_fingerprint_is_written_down_and_read_again_and_stays_the_same() {
        let print = Fingerprint::of(&key("inventory", "o-1"), &trouble("rejected", "no 7"));
        assert_eq!(print.to_string(), "91164c52");
        assert_eq!("91164c52".parse(), Ok(print));
        for wrong in ["", "1", "+91164c5", "91164c520", "91164c5g"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(InvalidFingerprint), "{wrong}");
        }
    }
}
