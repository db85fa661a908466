//! What a person types behind an option of `towpath`: times, and fingerprints of failures. Must not know: commands.

use std::time::Duration;

use fingerprint::Fingerprint;
use towpath::ports::CursorKey;
use towpath::trouble::Trouble;
use towpath::{EventId, Seq, Timestamp};
use when::{Span, When};

// The program is no library, so its two parsers are compiled here once more.
#[path = "../../../cli/src/fingerprint.rs"]
mod fingerprint;
#[path = "../../../cli/src/when.rs"]
mod when;

const NOW: u64 = 1_795_255_200_000;

/// The first line as a time since when, the second as one until when; the rest is an error whose kind gets a name.
pub fn words(data: &[u8]) {
    let mut bytes = crate::bytes::Bytes::new(data);
    let (since, until) = (bytes.line(), bytes.line());
    let (first, now) = (Timestamp::default(), Timestamp::from_millis(NOW));
    let read = |text: &str| match text.parse::<When>() {
        Ok(when) => Some(when),
        Err(rule) => {
            assert!(text.parse::<Timestamp>().is_err() && rule.to_string().contains("is written like"));
            None
        }
    };
    let (since, until) = (read(&since), read(&until));
    match Span::new(since, until, first, now) {
        Ok(span) => assert!(span.since <= span.until && span.until <= now && span.includes(span.since)),
        Err(refused) => assert!(refused.is::<crate::output::Usage>() && (since.is_some() || until.is_some())),
    }
    if let Some(When::Ago(time)) = since {
        assert!(time <= Duration::from_secs(u64::from(u32::MAX) * 86_400));
    }
    name_of_a_kind(&String::from_utf8_lossy(bytes.rest()));
}

/// A kind of failure has one name, which can be typed, and which no number in the error changes.
fn name_of_a_kind(message: &str) {
    let key = CursorKey { aggregate: "acme#order#o-1".parse().unwrap(), consumer: "inventory".parse().unwrap() };
    let of = |message: &str| Fingerprint::of(&key, &trouble(message));
    let name = of(message);
    assert_eq!(name.to_string().parse(), Ok(name));
    assert_eq!(of(&message.replace(|c: char| c.is_ascii_digit(), "7")), name, "a number changes the kind");
    if let Ok(typed) = message.parse::<Fingerprint>() {
        assert_eq!(typed.to_string(), message.to_ascii_lowercase());
    }
}

fn trouble(message: &str) -> Trouble {
    let at = Timestamp::from_millis(NOW);
    Trouble {
        seq: Seq(1),
        event_id: EventId::new(at, 1),
        event_type: "order.placed".parse().unwrap(),
        since: at,
        due: at,
        class: "rejected".to_owned(),
        message: message.to_owned(),
        producer: "inventory@1".parse().unwrap(),
        running: None,
        deaths: 0,
        ticket: None,
    }
}
