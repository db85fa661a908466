//! The envelope: what every event carries besides its data, as JSON on the wire and as attributes in the outbox.
//! Must not know: any one event type, DynamoDB, SNS.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::limits;
use crate::{
    AggregateId, AggregateKey, AggregateType, CausationId, CorrelationId, Era, EventType, Older, Producer, Seq,
    TenantId, Timestamp, Traceparent,
};

/// The layout of envelopes and rows that this version writes. It reads this one and the one before.
pub const FORMAT: u16 = 1;

/// One event's identity: a UUIDv7, so that ids sort by time within an index bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id from the commit's time and 80 random bits, both values of the caller.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let bytes = random.to_le_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&bytes[..10]);
        Self(uuid::Builder::from_unix_timestamp_millis(at.as_millis(), &tail).into_uuid())
    }

    /// When it was drawn: the commit's time, to the millisecond.
    pub fn at(self) -> Timestamp {
        let (seconds, nanos) = self.0.get_timestamp().map_or((0, 0), |at| at.to_unix());
        Timestamp::from_millis(seconds.saturating_mul(1_000).saturating_add(u64::from(nanos) / 1_000_000))
    }

    /// Reads the hyphenated form.
    pub fn parse(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<EventId> for CausationId {
    fn from(id: EventId) -> Self {
        CausationId::parse(id.to_string()).expect("a UUID is hex digits and hyphens, at most 36 of them")
    }
}

/// Who may see an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Only the aggregate itself, from the journal. Never published.
    Private,
    /// The consumers of this pipeline.
    Internal,
    /// Also others, through the integration bus.
    Public,
}

/// What a row of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fact; goes to every consumer that handles its type.
    Event,
    /// An order to one consumer; never on the topic of events.
    Command,
}

/// For each row type of an aggregate, the place of its latest row before this one. A consumer sees from it whether
/// a row that it handles is missing, without being sent the rows that it does not handle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prior(BTreeMap<EventType, Seq>);

impl Prior {
    /// The latest earlier row whose type is one of `handled`; `Seq::ZERO` when there is none.
    pub fn latest_of(&self, handled: impl Fn(&EventType) -> bool) -> Seq {
        self.0.iter().filter(|(kind, _)| handled(kind)).map(|(_, seq)| *seq).max().unwrap_or(Seq::ZERO)
    }

    /// What the next row sees after a row of `kind` at `seq`.
    pub fn note(&mut self, kind: EventType, seq: Seq) {
        self.0.insert(kind, seq);
    }

    /// How many row types the aggregate has had.
    pub fn types(&self) -> usize {
        self.0.len()
    }

    /// Type and place of each latest earlier row, by type.
    pub fn iter(&self) -> impl Iterator<Item = (&EventType, Seq)> {
        self.0.iter().map(|(kind, seq)| (kind, *seq))
    }
}

impl FromIterator<(EventType, Seq)> for Prior {
    fn from_iter<I: IntoIterator<Item = (EventType, Seq)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

/// An event's own JSON, kept byte for byte as it was committed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(Box<RawValue>);

impl Data {
    /// Checks that `text` is one JSON value and keeps it as it is.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// One row of the journal on its way. The fields are those of the documentation, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Layout of this envelope: [`FORMAT`].
    pub format: u16,
    /// Identity of the event.
    pub event_id: EventId,
    /// `order.placed`.
    pub event_type: EventType,
    /// Version of the schema of `data`, from 1.
    pub event_version: u32,
    /// Whose event.
    pub tenant_id: TenantId,
    /// Of what kind of aggregate.
    pub aggregate_type: AggregateType,
    /// Of which aggregate.
    pub aggregate_id: AggregateId,
    /// Place in the aggregate's journal.
    pub seq: Seq,
    /// Latest earlier row of each type.
    pub prior: Prior,
    /// Which history.
    pub era: Era,
    /// When it was committed; never decreases within an aggregate. For people and metrics, never for decisions.
    pub occurred_at: Timestamp,
    /// Shared by all that one request set in motion.
    pub correlation_id: CorrelationId,
    /// What caused it.
    pub causation_id: CausationId,
    /// Who wrote it.
    pub producer: Producer,
    /// Place in a distributed trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
    /// How many consumers the chain of causes has passed.
    pub hops: u8,
    /// The event itself.
    pub data: Data,
    /// The same event as earlier versions had it.
    #[serde(default, skip_serializing_if = "Older::is_empty")]
    pub older: Older,
}

/// Why a body is no envelope. It never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvelope {
    /// Not JSON of the envelope's shape.
    #[error("the body is not an envelope: {0}")]
    Shape(String),
    /// A layout that this version cannot read.
    #[error("the envelope has format {0}; this version reads format {FORMAT}: deploy the newer consumer first")]
    Format(u16),
    /// More than an event may have.
    #[error("the envelope has {0} bytes; an event has at most {limit}", limit = limits::EVENT_BYTES)]
    Size(usize),
    /// `seq` is 0, or `prior` does not lie before it.
    #[error("the envelope's seq and prior do not fit: rows are counted from 1, and prior rows come before")]
    Order,
}

impl Envelope {
    /// Reads a message body.
    pub fn parse(body: &str) -> Result<Self, InvalidEnvelope> {
        #[derive(Deserialize)]
        struct Layout {
            format: u16,
        }
        if body.len() > limits::EVENT_BYTES {
            return Err(InvalidEnvelope::Size(body.len()));
        }
        let shape = |error: serde_json::Error| InvalidEnvelope::Shape(place_of(&error));
        let layout: Layout = serde_json::from_str(body).map_err(shape)?;
        if layout.format != FORMAT {
            return Err(InvalidEnvelope::Format(layout.format));
        }
        let envelope: Self = serde_json::from_str(body).map_err(shape)?;
        envelope.in_order()?;
        Ok(envelope)
    }

    /// Could a consumer read it? Its type alone does not say so, and what nobody can read must not be published.
    pub fn check(&self) -> Result<(), InvalidEnvelope> {
        let bytes = self.to_body().len();
        if bytes > limits::EVENT_BYTES { Err(InvalidEnvelope::Size(bytes)) } else { self.in_order() }
    }

    fn in_order(&self) -> Result<(), InvalidEnvelope> {
        let before = self.prior.latest_of(|_| true);
        if before < self.seq { Ok(()) } else { Err(InvalidEnvelope::Order) }
    }

    /// The message body.
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).expect("an envelope has string keys only, so it is always JSON")
    }

    /// The aggregate that the event belongs to.
    pub fn aggregate(&self) -> AggregateKey {
        AggregateKey {
            tenant: self.tenant_id.clone(),
            kind: self.aggregate_type.clone(),
            id: self.aggregate_id.clone(),
        }
    }
}

/// Where a JSON text went wrong, without a word of the text itself.
pub(crate) fn place_of(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or has the wrong type",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io => "it could not be read",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn envelope(seq: u64, prior: &[(&str, u64)]) -> Envelope {
        Envelope {
            format: FORMAT,
            event_id: EventId::new(Timestamp::from_millis(1_000), u128::from(seq)),
            event_type: "order.placed".parse().unwrap(),
            event_version: 1,
            tenant_id: "acme".parse().unwrap(),
            aggregate_type: "order".parse().unwrap(),
            aggregate_id: "o-1".parse().unwrap(),
            seq: Seq(seq),
            prior: prior.iter().map(|(kind, seq)| (kind.parse().unwrap(), Seq(*seq))).collect(),
            era: Era::FIRST,
            occurred_at: Timestamp::from_millis(1_000),
            correlation_id: "c-1".parse().unwrap(),
            causation_id: "r-1".parse().unwrap(),
            producer: "orders-api@0.1.0".parse().unwrap(),
            traceparent: None,
            hops: 0,
            data: Data::parse(r#"{"big":123456789012345678901234567890}"#.into()).unwrap(),
            older: Older::default(),
        }
    }

    #[test]
    fn data_travels_byte_for_byte() {
        let sent = envelope(2, &[("order.placed", 1)]);
        let read = Envelope::parse(&sent.to_body()).unwrap();
        assert_eq!(read, sent);
        assert_eq!(read.data.as_str(), r#"{"big":123456789012345678901234567890}"#);
    }

    #[test]
    fn an_event_id_tells_when_it_was_drawn() {
        let at = Timestamp::from_millis(1_795_255_200_007);
        assert_eq!(EventId::new(at, 12_345).at(), at);
    }

    #[test]
    fn the_wire_format_is_the_documented_one() {
        let body = envelope(2, &[("order.placed", 1)]).to_body();
        assert_eq!(
            body,
            concat!(
                r#"{"format":1,"event_id":"00000000-03e8-7200-8000-000000000000","event_type":"order.placed","#,
                r#""event_version":1,"tenant_id":"acme","aggregate_type":"order","aggregate_id":"o-1","seq":2,"#,
                r#""prior":{"order.placed":1},"era":1,"occurred_at":"1970-01-01T00:00:01.000Z","correlation_id":"c-1","#,
                r#""causation_id":"r-1","producer":"orders-api@0.1.0","hops":0,"#,
                r#""data":{"big":123456789012345678901234567890}}"#
            )
        );
    }

    #[test]
    fn a_body_that_is_no_envelope_is_refused_without_quoting_it() {
        let newer = envelope(1, &[]).to_body().replace("\"format\":1", "\"format\":9");
        assert_eq!(Envelope::parse(&newer), Err(InvalidEnvelope::Format(9)));
        assert_eq!(Envelope::parse(&envelope(0, &[]).to_body()), Err(InvalidEnvelope::Order));
        assert_eq!(Envelope::parse(&envelope(2, &[("order.placed", 2)]).to_body()), Err(InvalidEnvelope::Order));
        let hostile = envelope(1, &[]).to_body().replace("acme", "secret#1");
        assert!(!Envelope::parse(&hostile).unwrap_err().to_string().contains("secret"));
        assert_eq!(Envelope::parse(&" ".repeat(300_000)), Err(InvalidEnvelope::Size(300_000)));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_without_panic(body in "\\PC{0,300}") {
            let _ = Envelope::parse(&body);
        }

        #[test]
        fn a_mangled_envelope_is_read_or_refused_without_panic(at in 0_usize..380, byte in 0x20_u8..0x7f) {
            let mut bytes = envelope(2, &[("order.placed", 1)]).to_body().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Envelope::parse(std::str::from_utf8(&bytes).unwrap());
        }

        #[test]
        fn prior_names_the_latest_row_of_each_type(kinds in proptest::collection::vec(0_u8..5, 0..40)) {
            let mut prior = Prior::default();
            for (index, kind) in kinds.iter().enumerate() {
                prior.note(format!("order.t{kind}").parse().unwrap(), Seq(index as u64 + 1));
            }
            for wanted in 0_u8..5 {
                let latest = kinds.iter().rposition(|kind| *kind == wanted).map_or(0, |index| index as u64 + 1);
                prop_assert_eq!(prior.latest_of(|kind| kind.as_str() == format!("order.t{wanted}")), Seq(latest));
            }
        }
    }
}
