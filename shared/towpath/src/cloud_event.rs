//! An event as others see it: CloudEvents 1.0 in its JSON format, made of an envelope and read back into one.
//! Must not know: who takes it, and how it gets there.
//!
//! A version is part of the type, `order.placed.v1`, so that a receiver gets the version that it asks for. `source` is the
//! aggregate: `sequence` orders the events of one source, and `source` with `id` tells an event from all others, as the
//! specification and its extension `sequence` say.

use serde::{Deserialize, Serialize};

use crate::envelope::{InvalidEnvelope, place_of};
use crate::{
    CausationId, CorrelationId, Data, Envelope, Era, EventId, EventType, FORMAT, Older, Prior, Producer, Seq, TenantId,
    Timestamp, Traceparent,
};

/// The version of the specification.
const SPECIFICATION: &str = "1.0";
/// What `data` is.
const JSON: &str = "application/json";

/// One version of a public event; the fields are its attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// The event's id; of a version that is written beside the current one, with `.v1` behind it. By it a receiver drops
    /// what it gets twice.
    pub id: String,
    /// The aggregate: `/acme/order/o-1`.
    pub source: String,
    /// Type and version: `order.placed.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The aggregate within its tenant: `order/o-1`.
    pub subject: String,
    /// When it was committed.
    pub time: Timestamp,
    /// `application/json`.
    pub datacontenttype: String,
    /// Where in the producer's repository the schema of `data` is: `towpath:schemas/order.placed/v1.json`.
    pub dataschema: String,
    /// Whose event.
    pub tenantid: TenantId,
    /// Shared by all that one request set in motion.
    pub correlationid: CorrelationId,
    /// What caused it.
    pub causationid: CausationId,
    /// Its place in the aggregate's journal, with leading zeros so that texts compare as numbers do. There are holes where
    /// the journal has what is not public.
    pub sequence: String,
    /// The latest earlier public rows: `order.cancelled=3,order.placed=1`. A receiver of these types that has not seen
    /// one of them has a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// Which history.
    pub era: Era,
    /// Who wrote it.
    pub producer: Producer,
    /// How many consumers the chain of causes has passed.
    pub hops: u8,
    /// Place in a distributed trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
    /// The event itself, as it was committed; a bus may write the same JSON in other bytes.
    pub data: Data,
}

/// Why a CloudEvent is none of Towpath's. It never quotes the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCloudEvent {
    /// Not JSON of this shape.
    #[error("it is not a CloudEvent of Towpath: {0}")]
    Shape(String),
    /// This attribute is not as Towpath writes it.
    #[error("the attribute {0} is not as Towpath writes it")]
    Attribute(&'static str),
    /// The envelope that it makes is none.
    #[error(transparent)]
    Envelope(#[from] InvalidEnvelope),
}

impl CloudEvent {
    /// The event in its current version, then in each that was written beside it. Of the earlier rows it names those of
    /// types that are `carried`, so that nobody learns of others.
    pub fn of(envelope: &Envelope, carried: impl Fn(&EventType) -> bool) -> Vec<Self> {
        let (key, event_type) = (envelope.aggregate(), &envelope.event_type);
        let prior: Vec<String> = envelope
            .prior
            .iter()
            .filter(|(kind, _)| carried(kind))
            .map(|(kind, seq)| format!("{kind}={seq}"))
            .collect();
        let version = |version: u32, id: String, data: &Data| Self {
            specversion: SPECIFICATION.to_owned(),
            id,
            source: format!("/{}/{}/{}", key.tenant, key.kind, key.id),
            kind: format!("{event_type}.v{version}"),
            subject: format!("{}/{}", key.kind, key.id),
            time: envelope.occurred_at,
            datacontenttype: JSON.to_owned(),
            dataschema: format!("towpath:schemas/{event_type}/v{version}.json"),
            tenantid: envelope.tenant_id.clone(),
            correlationid: envelope.correlation_id.clone(),
            causationid: envelope.causation_id.clone(),
            sequence: format!("{:020}", envelope.seq.0),
            prior: (!prior.is_empty()).then(|| prior.join(",")),
            era: envelope.era,
            producer: envelope.producer.clone(),
            hops: envelope.hops,
            traceparent: envelope.traceparent.clone(),
            data: data.clone(),
        };
        let current = version(envelope.event_version, envelope.event_id.to_string(), &envelope.data);
        let older = envelope.older.iter();
        let older = older.map(|(before, data)| version(before, format!("{}.v{before}", envelope.event_id), data));
        std::iter::once(current).chain(older).collect()
    }

    /// As JSON.
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).expect("an event has string keys only")
    }

    /// From JSON, for a receiver that is written in Rust.
    pub fn parse(body: &str) -> Result<Self, InvalidCloudEvent> {
        let event: Self = serde_json::from_str(body).map_err(|error| InvalidCloudEvent::Shape(place_of(&error)))?;
        if event.specversion != SPECIFICATION {
            return Err(InvalidCloudEvent::Attribute("specversion"));
        }
        Ok(event)
    }

    /// The envelope that it was made of, without what did not leave: earlier rows that are not public, and the other
    /// versions.
    pub fn to_envelope(&self) -> Result<Envelope, InvalidCloudEvent> {
        let wrong = |attribute: &'static str| move || InvalidCloudEvent::Attribute(attribute);
        let (event_type, version) = self.kind.rsplit_once(".v").ok_or_else(wrong("type"))?;
        let event_type = EventType::parse(event_type).map_err(|_| wrong("type")())?;
        let event_version = version.parse().map_err(|_| wrong("type")())?;
        let id = self.id.split_once('.').map_or(self.id.as_str(), |(id, _version)| id);
        let (aggregate_type, aggregate_id) = self.subject.split_once('/').ok_or_else(wrong("subject"))?;
        let prior: Option<Prior> = self.prior.iter().flat_map(|prior| prior.split(',')).map(row).collect();
        let envelope = Envelope {
            format: FORMAT,
            event_id: EventId::parse(id).map_err(|_| wrong("id")())?,
            event_type,
            event_version,
            tenant_id: self.tenantid.clone(),
            aggregate_type: aggregate_type.parse().map_err(|_| wrong("subject")())?,
            aggregate_id: aggregate_id.parse().map_err(|_| wrong("subject")())?,
            seq: self.sequence.parse().map(Seq).map_err(|_| wrong("sequence")())?,
            prior: prior.ok_or_else(wrong("prior"))?,
            era: self.era,
            occurred_at: self.time,
            correlation_id: self.correlationid.clone(),
            causation_id: self.causationid.clone(),
            producer: self.producer.clone(),
            traceparent: self.traceparent.clone(),
            hops: self.hops,
            data: self.data.clone(),
            older: Older::default(),
        };
        envelope.check()?;
        Ok(envelope)
    }
}

/// `order.placed=1`.
fn row(text: &str) -> Option<(EventType, Seq)> {
    let (kind, seq) = text.split_once('=')?;
    Some((EventType::parse(kind).ok()?, Seq(seq.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::properties::any_envelope;
    use crate::envelope::tests::envelope;
    use crate::{Aggregate, AggregateId, Consumer, Event, Storage, Visibility, limits};

    fn all(_: &EventType) -> bool {
        true
    }

    #[test]
    fn the_mapping_is_the_documented_one() {
        let sent = Envelope { seq: Seq(7), ..envelope(7, &[("order.placed", 1), ("order.cancelled", 3)]) };
        let events = CloudEvent::of(&sent, all);
        let [event] = &*events else { panic!("{events:?}") };
        assert_eq!(
            event.to_body(),
            concat!(
                r#"{"specversion":"1.0","id":"00000000-03e8-7700-8000-000000000000","source":"/acme/order/o-1","#,
                r#""type":"order.placed.v1","subject":"order/o-1","time":"1970-01-01T00:00:01.000Z","#,
                r#""datacontenttype":"application/json","dataschema":"towpath:schemas/order.placed/v1.json","#,
                r#""tenantid":"acme","correlationid":"c-1","causationid":"r-1","sequence":"00000000000000000007","#,
                r#""prior":"order.cancelled=3,order.placed=1","era":1,"producer":"orders-api@0.1.0","hops":0,"#,
                r#""data":{"big":123456789012345678901234567890}}"#
            )
        );
    }

    struct Meter;

    impl Aggregate for Meter {
        const TYPE: &'static str = "order";
        const STORAGE: Storage = Storage::Events;
    }

    #[derive(Serialize, Deserialize)]
    struct Inside;

    impl Event for Inside {
        type Of = Meter;
        const TYPE: &'static str = "order.weighed";
        const VERSION: u32 = 1;
        fn aggregate_id(&self) -> AggregateId {
            "o-1".parse().unwrap()
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Outside;

    impl Event for Outside {
        type Of = Meter;
        const TYPE: &'static str = "order.placed";
        const VERSION: u32 = 1;
        const VISIBILITY: Visibility = Visibility::Public;
        fn aggregate_id(&self) -> AggregateId {
            "o-1".parse().unwrap()
        }
    }

    #[test]
    #[should_panic = "order.weighed is not public, so it must not leave the pipeline"]
    fn an_event_that_is_not_public_cannot_be_forwarded() {
        let _ = Consumer::new("bus").forward::<Inside>();
    }

    #[test]
    fn what_is_forwarded_may_have_a_version_that_the_code_does_not_know() {
        let bus = Consumer::new("bus").forward::<Outside>();
        let newer = Envelope { event_version: 7, ..envelope(1, &[]) };
        assert!(bus.handler(&newer).is_ok() && bus.forwards() && bus.forwards_type(&newer.event_type));
        assert!(!Consumer::new("none").forwards());
    }

    #[test]
    fn a_cloud_event_of_somebody_else_is_refused_without_quoting_it() {
        let body = CloudEvent::of(&envelope(2, &[("order.placed", 1)]), all)[0].to_body();
        let with = |from: &str, to: &str| {
            assert!(body.contains(from), "{from}");
            CloudEvent::parse(&body.replace(from, to)).and_then(|event| event.to_envelope())
        };
        assert!(with("acme", "acme").is_ok());
        assert_eq!(with("\"1.0\"", "\"0.3\""), Err(InvalidCloudEvent::Attribute("specversion")));
        assert_eq!(with("order.placed.v1\"", "secret\""), Err(InvalidCloudEvent::Attribute("type")));
        assert_eq!(with("\"order/o-1\"", "\"secret\""), Err(InvalidCloudEvent::Attribute("subject")));
        assert_eq!(with("order.placed=1", "secret"), Err(InvalidCloudEvent::Attribute("prior")));
        assert_eq!(with("order.placed=1", "order.placed=2"), Err(InvalidEnvelope::Order.into()));
        assert!(!with("\"acme\"", "\"secret#1\"").unwrap_err().to_string().contains("secret"));
    }

    proptest! {
        #[test]
        fn any_public_event_comes_back_as_it_left(sent in any_envelope()) {
            let public = |kind: &EventType| kind.as_str() < "n";
            let events = CloudEvent::of(&sent, public);
            prop_assert_eq!(events.len(), 1 + sent.older.iter().count());
            let prior = sent.prior.iter().filter(|(kind, _)| public(kind)).map(|(kind, seq)| (kind.clone(), seq));
            let left = Envelope { prior: prior.collect(), older: Older::default(), ..sent.clone() };
            let versions = std::iter::once((sent.event_version, &sent.data)).chain(sent.older.iter());
            for (event, (version, data)) in events.iter().zip(versions) {
                let wanted = Envelope { event_version: version, data: data.clone(), ..left.clone() };
                let read = CloudEvent::parse(&event.to_body()).and_then(|event| event.to_envelope());
                prop_assert_eq!(read, Ok(wanted));
            }
        }

        #[test]
        fn a_later_row_of_an_aggregate_has_the_later_sequence(one in 1_u64.., other in 1_u64..) {
            let at = |seq| CloudEvent::of(&envelope(seq, &[]), all).remove(0).sequence;
            prop_assert_eq!(at(one).cmp(&at(other)), one.cmp(&other));
        }

        /// So an event that may be committed may also leave, with all its versions in one request.
        #[test]
        fn what_the_mapping_adds_to_an_envelope_has_a_bound(sent in any_envelope(), types in 0..limits::PRIOR_TYPES) {
            let longest = |text: &str, bytes: usize| text.repeat(bytes);
            let names = (0..types).map(|at| (format!("{}.{at:031}", longest("a", 32)).parse().unwrap(), Seq::ZERO));
            let sent = Envelope {
                tenant_id: longest("t", TenantId::MAX_BYTES).parse().unwrap(),
                aggregate_type: longest("a", 32).parse().unwrap(),
                aggregate_id: longest("i", 128).parse().unwrap(),
                event_type: format!("{}.{}", longest("a", 32), longest("p", 31)).parse().unwrap(),
                correlation_id: longest("c", 128).parse().unwrap(),
                causation_id: longest("c", 128).parse().unwrap(),
                prior: names.collect(),
                ..sent
            };
            let (bytes, events) = (sent.to_body().len(), CloudEvent::of(&sent, all));
            let whole: usize = events.iter().map(|event| event.to_body().len() + event.kind.len()).sum();
            prop_assert!(whole <= bytes + events.len() * limits::BUS_OVERHEAD_BYTES, "{} of {}", whole, bytes);
        }

        #[test]
        fn any_body_is_read_or_refused_without_panic(body in "\\PC{0,300}", at in 0_usize..600, byte in 0x20_u8..0x7f) {
            let _ = CloudEvent::parse(&body).map(|event| event.to_envelope());
            let mut bytes = CloudEvent::of(&envelope(2, &[("order.placed", 1)]), all)[0].to_body().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = CloudEvent::parse(std::str::from_utf8(&bytes).unwrap()).map(|event| event.to_envelope());
        }
    }
}
