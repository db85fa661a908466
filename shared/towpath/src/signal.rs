//! Messages without payload: a wake says "look at this row", a ticket stands for a parked one. The row is the truth.
//! Must not know: queues, stores.

use serde::{Deserialize, Serialize};

use crate::build::Rebuild;
use crate::envelope::place_of;
use crate::{AggregateKey, ConsumerName, EventId, EventType, InvalidId, Producer, Rev, Seq, Timestamp};

/// "Advance this aggregate to the end of its journal."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Which aggregate: `tenant#type#id`.
    #[serde(with = "as_text")]
    pub aggregate: AggregateKey,
    /// What to do before advancing.
    pub verb: Verb,
}

/// What a wake is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Go on where the cursor is, unless the row is parked or held.
    Advance,
    /// Try the event of a parked row again.
    Retry(Instruction),
    /// Pass over the event of a parked row, on record.
    Skip(Instruction),
    /// Apply events again that were applied before, beside the live cursor.
    Replay(Replay),
    /// One step of a projection's rebuild, in this aggregate's row.
    Rebuild(Rebuild),
    /// A timer's time has come, or nearly; the saga's row says whether it is still set.
    Timer(Firing),
}

/// Names one setting of one timer of a saga.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Firing {
    /// The timer.
    pub name: String,
    /// Which setting of it: a timer that was set again since is another one.
    pub nonce: Seq,
}

/// Which events of an aggregate are applied again. A replay has a cursor of its own, so that twice is once, and a crash
/// in the middle goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Tells this replay's cursors from those of others.
    pub id: u64,
    /// The rows after this one …
    pub after: Seq,
    /// … up to and with this one, as far as the live cursor is.
    pub through: Seq,
    /// … of these types; empty: all that the consumer handles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<EventType>,
}

impl Replay {
    /// The name under which a replay keeps its cursors: `crm-timeline@1795255200`.
    pub fn cursors_of(&self, consumer: &ConsumerName) -> Result<ConsumerName, InvalidId> {
        ConsumerName::parse(format!("{consumer}@{}", self.id))
    }
}

/// Somebody's order about a parked row. It holds only while the row is parked at `rev`, so that it is carried out once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The row that was looked at.
    pub rev: Rev,
    /// Who orders it; `ticket` when a ticket came back to the queue.
    pub who: String,
    /// Why.
    pub why: String,
}

impl Instruction {
    /// A ticket came back to the queue: somebody wants its row tried again.
    pub(crate) fn by_ticket(rev: Rev) -> Self {
        Self { rev, who: "ticket".to_owned(), why: "redriven".to_owned() }
    }

    pub(crate) fn is_by_ticket(&self) -> bool {
        *self == Self::by_ticket(self.rev)
    }
}

impl Wake {
    /// A plain wake.
    pub fn advance(aggregate: AggregateKey) -> Self {
        Self { aggregate, verb: Verb::Advance }
    }

    /// The time of a saga's timer has come, or comes soon.
    pub fn timer(aggregate: AggregateKey, name: String, nonce: Seq) -> Self {
        Self { aggregate, verb: Verb::Timer(Firing { name, nonce }) }
    }

    /// As a message's body.
    pub fn to_body(&self) -> String {
        serde_json::to_string(self).expect("a wake has string keys only")
    }

    /// From a message's body; or where that goes wrong, without a word of the body.
    pub fn parse(body: &str) -> Result<Self, String> {
        serde_json::from_str(body).map_err(|error| place_of(&error))
    }
}

/// What lies in the dead-letter queue for a parked row: for people and alarms. Its body is never executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Who cannot advance.
    pub consumer: ConsumerName,
    /// What cannot be advanced: `tenant#type#id`.
    #[serde(with = "as_text")]
    pub aggregate: AggregateKey,
    /// The row's rev while it is parked.
    pub rev: Rev,
    /// The event that failed.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Its place.
    pub seq: Seq,
    /// Groups failures of one kind.
    pub class: String,
    /// The error and its causes.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first.
    pub since: Timestamp,
    /// When it was parked, or the ticket renewed.
    pub parked_at: Timestamp,
    /// Which version of the code failed.
    pub producer: Producer,
}

impl Ticket {
    /// As a message's body.
    pub fn to_body(&self) -> String {
        serde_json::to_string(&Marked { ticket: 1, of: self }).expect("a ticket has string keys only")
    }

    /// From a message's body, if it is a ticket.
    pub fn parse(body: &str) -> Option<Self> {
        serde_json::from_str::<Marked<Self>>(body).ok().map(|marked| marked.of)
    }

    /// The message group that it travels in: the tenant, and a hash, so that two tickets do not wait for each other.
    pub fn group(&self) -> String {
        let hash = self.aggregate.to_string().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
        format!("{}#t{:x}", self.aggregate.tenant, hash)
    }

    /// The same ticket sent twice is one message. Another one for the same row is not: the first may have been redriven
    /// less than five minutes ago, when the queue still remembers its id and would drop the second.
    pub fn deduplication_id(&self) -> String {
        format!("{}-{}-{}", self.event_id, self.rev, self.parked_at.as_millis())
    }
}

#[derive(Serialize, Deserialize)]
struct Marked<T> {
    ticket: u8,
    #[serde(flatten)]
    of: T,
}

/// An event that an operator passed over; written with the cursor that passes it, and never removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its place.
    pub seq: Seq,
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Who ordered it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it was carried out.
    pub at: Timestamp,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{AggregateKey, InvalidId};

    pub(super) fn serialize<S: Serializer>(key: &AggregateKey, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AggregateKey, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: InvalidId| serde::de::Error::custom(error))
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::envelope;

    #[test]
    fn a_wake_round_trips_and_reads_as_what_it_is() {
        let aggregate: AggregateKey = "acme#order#o-1".parse().unwrap();
        let plain = Wake::advance(aggregate.clone());
        assert_eq!(plain.to_body(), r#"{"aggregate":"acme#order#o-1","verb":"advance"}"#);
        let order = Instruction { rev: Rev(4), who: "ann".into(), why: "fixed".into() };
        for verb in [Verb::Retry(order.clone()), Verb::Skip(order)] {
            let wake = Wake { aggregate: aggregate.clone(), verb };
            assert_eq!(Wake::parse(&wake.to_body()).unwrap(), wake);
        }
        assert!(Wake::parse(r#"{"aggregate":"acme#order","verb":"advance"}"#).is_err());
    }

    #[test]
    fn a_ticket_is_told_from_an_envelope() {
        let event = envelope(3, &[]);
        let ticket = Ticket {
            consumer: "inventory".parse().unwrap(),
            aggregate: event.aggregate(),
            rev: Rev(7),
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            seq: event.seq,
            class: "rejected".into(),
            message: "unknown sku".into(),
            attempts: 2,
            since: event.occurred_at,
            parked_at: event.occurred_at,
            producer: event.producer.clone(),
        };
        assert_eq!(Ticket::parse(&ticket.to_body()), Some(ticket.clone()));
        assert!(Ticket::parse(&event.to_body()).is_none());
        assert!(crate::Envelope::parse(&ticket.to_body()).is_err());
        let later = Ticket { parked_at: ticket.parked_at.plus(std::time::Duration::from_millis(1)), ..ticket.clone() };
        assert_ne!(later.deduplication_id(), ticket.deduplication_id());
        assert!(ticket.group().starts_with(&format!("{}#t", event.tenant_id)));
    }
}
