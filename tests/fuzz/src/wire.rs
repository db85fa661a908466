//! What travels in messages, and the names in it: envelopes, wakes, tickets, ids, times. Must not know: queues, rows.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towpath::{
    AggregateId, AggregateKey, AggregateType, CausationId, ConsumerName, CorrelationId, Envelope, EventId, EventType,
    IdempotencyKey, Producer, Start, TenantId, Ticket, Timestamp, Traceparent, Wake,
};

/// What a refusal may say of a JSON text, its numbers left out.
const PLACES: &[&str] = &[
    "a field is missing or has the wrong type (line , column )",
    "it is not JSON (line , column )",
    "it ends too early (line , column )",
];

/// The body of an event's message.
pub fn envelope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Envelope::parse(text) {
        Ok(read) => {
            assert!(read.seq > read.prior.latest_of(|_| true));
            assert_eq!(read.aggregate().to_string().parse(), Ok(read.aggregate()));
            // One that was written tighter may be too big when it is written out again.
            let again = Envelope::parse(&read.to_body());
            assert!(again == Ok(read) || read_is_big(text), "{again:?}");
        }
        Err(refused) => {
            let said: String = refused.to_string().chars().filter(|c| !c.is_ascii_digit()).collect();
            let rest = said.strip_prefix("the body is not an envelope: ");
            assert!(rest.is_none_or(|rest| PLACES.contains(&rest)), "a refusal quotes the body: {said}");
            assert!(said.len() > 10);
        }
    }
}

/// Half of what is allowed: defaults and times are spelt out when it is written again.
fn read_is_big(text: &str) -> bool {
    text.len() > towpath::limits::EVENT_BYTES / 2
}

/// The body of a wake.
pub fn wake(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Wake::parse(text) {
        Ok(read) => assert_eq!(Wake::parse(&read.to_body()), Ok(read)),
        Err(said) => {
            let said: String = said.chars().filter(|c| !c.is_ascii_digit()).collect();
            assert!(PLACES.contains(&said.as_str()), "a refusal quotes the body: {said}");
        }
    }
}

/// The body of a ticket, which shares its queue with envelopes.
pub fn ticket(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(read) = Ticket::parse(text) else { return };
    assert!(Envelope::parse(&read.to_body()).is_err(), "a ticket is taken for an event");
    let name = |text: &str| text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
    assert!(name(&read.group()) && name(&read.deduplication_id()), "{} {}", read.group(), read.deduplication_id());
    assert!(read.group().starts_with(&format!("{}#", read.aggregate.tenant)));
    assert_eq!(Ticket::parse(&read.to_body()), Some(read));
}

/// Every name, number and time that is parsed from text.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    same::<TenantId>(text);
    same::<AggregateType>(text);
    same::<AggregateId>(text);
    same::<EventType>(text);
    same::<ConsumerName>(text);
    same::<CorrelationId>(text);
    same::<CausationId>(text);
    same::<Traceparent>(text);
    same::<IdempotencyKey>(text);
    same::<Producer>(text);
    if let Ok(key) = text.parse::<AggregateKey>() {
        assert_eq!(key.to_string(), text, "a key was normalised");
    }
    if let Ok(id) = EventId::parse(text) {
        assert_eq!(EventId::parse(&id.to_string()), Ok(id));
        assert!(id.at() <= Timestamp::MAX && !CausationId::from(id).as_str().is_empty());
    }
    for at in text.split(' ').filter_map(|word| word.parse::<Timestamp>().ok()) {
        assert_eq!(at.to_string().parse(), Ok(at));
        assert!(at <= Timestamp::MAX && at.to_string().len() == 24 && at.to_string().starts_with(&at.hour()));
        let first = text.split(' ').find_map(|word| word.parse::<Timestamp>().ok()).unwrap_or_default();
        assert_eq!(at.cmp(&first), at.to_string().cmp(&first.to_string()), "times as text are not in their order");
    }
    if let Ok(start) = text.parse::<Start>() {
        assert_eq!(start.to_string().parse(), Ok(start));
    }
}

/// A name is accepted as it stands, in JSON too, or refused with a rule.
fn same<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let in_json = serde_json::from_value::<T>(text.into());
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string(), text, "a name was normalised");
            assert!(text.is_ascii() && !text.contains(['#', '/', ' ']) && !text.is_empty());
            assert_eq!(serde_json::to_value(&name).unwrap(), text);
            assert_eq!(in_json.unwrap(), name);
        }
        Err(rule) => {
            assert!(in_json.is_err() && rule.to_string().contains(" must be "));
        }
    }
}
