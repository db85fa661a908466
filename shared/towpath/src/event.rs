//! What an author declares: aggregates, the entities that hold their state, the events that they record, and the
//! rows that read models keep.
//! Must not know: how any of it is stored or sent.

use std::ops::Deref;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{AggregateId, Envelope, Visibility};

/// Where an aggregate's state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In one entity row, replaced in the same transaction that records the event.
    State,
    /// Nowhere but in its events: one event is one conditional put.
    Events,
}

/// The unit of consistency and of order; the author picks it as the unit in which order matters.
pub trait Aggregate: 'static {
    /// First part of its event types: `order`.
    const TYPE: &'static str;
    /// Where its state lives.
    const STORAGE: Storage;
}

/// An aggregate whose state is stored as one row.
pub trait Entity: Aggregate + Serialize + DeserializeOwned {
    /// Which one of its type.
    fn id(&self) -> AggregateId;
}

/// An immutable fact about one aggregate, named in the past tense.
pub trait Event: Serialize + DeserializeOwned + 'static {
    /// The aggregate that it is a fact about.
    type Of: Aggregate;
    /// `order.placed`.
    const TYPE: &'static str;
    /// Version of its schema, from 1.
    const VERSION: u32;
    /// Who may see it: the consumers of this pipeline, if it does not say otherwise.
    const VISIBILITY: Visibility = Visibility::Internal;
    /// Which aggregate of its type.
    fn aggregate_id(&self) -> AggregateId;

    /// Data of version `from` as version `from + 1` has it; the steps lead from any version to this one. `None`: there is no
    /// such step. The journal keeps every version for ever, so a step that was released stays.
    fn upcast(from: u32, data: Value) -> Option<Value> {
        drop((from, data));
        None
    }

    /// This event as the earlier version `to` had it, for consumers that do not know this version yet. It is written beside
    /// this one, in the same row, while the parameter `AlsoWrites` names it. `None`: it is no longer written.
    fn downcast(&self, to: u32) -> Option<Value> {
        let _ = to;
        None
    }
}

/// A command: an imperative, addressed to one consumer, which answers by recording an event. A business "no" is such an
/// answer too, never a `Reject`.
pub trait Command: Serialize + DeserializeOwned + 'static {
    /// The aggregate that sends it; the command is a row of its journal.
    type From: Aggregate;
    /// The answer when an operator passes the command over. Its aggregate is event-sourced: nobody decides anything then.
    type Skipped: Event;
    /// `payment.authorise`: an aggregate of the one who carries it out, and what to do.
    const TYPE: &'static str;
    /// Version of its schema, from 1.
    const VERSION: u32;
    /// The one consumer that carries it out.
    const TO: &'static str;
    /// Which aggregate of its type sends it.
    fn sender_id(&self) -> AggregateId;
    /// What the sender is told when an operator passes the command over: it was not carried out, and never will be.
    fn skipped(&self) -> Self::Skipped;

    /// As [`Event::upcast`].
    fn upcast(from: u32, data: Value) -> Option<Value> {
        drop((from, data));
        None
    }
}

/// A row of a read model, found by partition and sort key within its tenant.
///
/// Both are made of the event, never of the time or an id of this attempt: an event that is handled again must name the
/// same row. `#` may join several parts, as no id and no [`Timestamp`](crate::Timestamp) has one in it.
pub trait View: Serialize + DeserializeOwned {
    /// The read model: `crm-timeline`.
    const NAME: &'static str;
    /// Rows of one partition are read together, in the order of their sort keys.
    fn partition(&self) -> String;
    /// Place within the partition, not empty and unique there: a second row with the same place replaces the first.
    /// The order is that of the text. A [`Timestamp`](crate::Timestamp) sorts by time, as it is always equally long; a
    /// number does so only with leading zeros: `{:010}`.
    fn sort(&self) -> String;
}

/// A row of a read model that belongs to exactly one aggregate, and so can keep its cursor in itself.
///
/// Its version is the `seq` of the last event that was folded, so it stays behind the aggregate's version when some of
/// the aggregate's events have no fold.
pub trait Summary: Serialize + DeserializeOwned + 'static {
    /// The aggregate that it summarises.
    type Of: Aggregate;
}

/// An event or a command as a handler receives it: its own fields by `.`, the envelope by [`Received::envelope`].
#[derive(Debug)]
pub struct Received<E> {
    event: E,
    envelope: Rc<Envelope>,
}

impl<E> Received<E> {
    /// Pairs an event or a command with the envelope that it came in.
    pub fn new(event: E, envelope: Rc<Envelope>) -> Self {
        Self { event, envelope }
    }

    /// What the event carries besides its data.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

impl<E> Deref for Received<E> {
    type Target = E;
    fn deref(&self) -> &E {
        &self.event
    }
}
