//! `Tx`: what a handler wants written, as data. Nothing is written here; the runtime adds the cursor and commits once.
//! Must not know: versions, sequence numbers, expressions.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::envelope::Data;
use crate::limits;
use crate::saga::SagaRow;
use crate::{
    Aggregate, AggregateId, AggregateType, Command, ConsumerName, Entity, Event, EventType, InvalidId, Kind, Older,
    Storage, View, Visibility,
};

/// Writes that happen together or not at all: `Tx::new().replace(stock).record(reserved)`.
#[derive(Debug, Default)]
pub struct Tx {
    pub(crate) actions: Vec<Action>,
    pub(crate) problems: Vec<TxError>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    pub(crate) kind: AggregateType,
    pub(crate) id: AggregateId,
}

#[derive(Debug)]
pub(crate) enum Action {
    Create { target: Target, state: String, saga: Option<SagaRow> },
    Replace { target: Target, state: String, saga: Option<SagaRow> },
    Delete { target: Target },
    Check { target: Target },
    Append(Draft),
    Put { place: Place, state: String },
    Remove { place: Place },
}

/// A journal row before it has a place.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) target: Target,
    pub(crate) storage: Storage,
    pub(crate) kind: Kind,
    pub(crate) to: Option<ConsumerName>,
    pub(crate) event_type: EventType,
    pub(crate) event_version: u32,
    pub(crate) visibility: Visibility,
    pub(crate) data: Data,
    pub(crate) older: Older,
}

/// Where a read model's row lies, within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The read model.
    pub view: String,
    /// Partition within it.
    pub partition: String,
    /// Place within the partition.
    pub sort: String,
}

/// Why a `Tx` cannot be written. All of them are the author's to mend; none passes by waiting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is its sentence")]
pub enum TxError {
    #[error("{what} cannot be written as JSON: {why}")]
    Json { what: String, why: String },
    #[error("{what} has a name that is not allowed: {why}")]
    Name { what: String, why: InvalidId },
    #[error("{0} is written or checked twice in one transaction; DynamoDB allows one action on an item: merge them")]
    SameItem(String),
    #[error("the event {event_type} has {bytes} bytes; at most {limit} are allowed: store the payload and send its URL", limit = limits::EVENT_BYTES)]
    EventTooBig { event_type: EventType, bytes: usize },
    #[error("{item} has {bytes} bytes; a DynamoDB item has at most {limit}: split it", limit = limits::ITEM_BYTES)]
    ItemTooBig { item: String, bytes: usize },
    #[error("the transaction has {0} actions, Towpath's own included; DynamoDB allows {limit}: split the work over several events", limit = limits::TRANSACTION_ACTIONS)]
    TooManyActions(usize),
    #[error("the transaction has {0} bytes; DynamoDB allows {limit}: split the work over several events", limit = limits::TRANSACTION_BYTES)]
    TooManyBytes(usize),
    #[error(
        "{0} changes without an event of its own; a state change exists only with the event that says so: record one"
    )]
    ChangeWithoutEvent(String),
    #[error(
        "the event {event_type} is recorded, but the state of {item} is not written: create, replace or delete it in the same Tx"
    )]
    EventWithoutChange { event_type: EventType, item: String },
    #[error("{0} is replaced or deleted without having been read: get it first, so that the write can be guarded")]
    WriteWithoutRead(String),
    #[error("{0} is created, but it exists (or existed: ids are never reused)")]
    CreateOfExisting(String),
    #[error("{item} would have {types} types of events; at most {limit} are allowed", limit = limits::PRIOR_TYPES)]
    TooManyTypes { item: String, types: usize },
    #[error("the chain of causes has passed {limit} consumers, so it is taken for a loop", limit = limits::HOPS)]
    Loop,
}

impl Tx {
    /// No writes: the event is handled by moving the cursor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a new entity. Committing fails if it exists or ever existed.
    #[must_use]
    pub fn create<E: Entity>(self, entity: E) -> Self {
        self.entity::<E>(entity.id(), &entity, |target, state| Action::Create { target, state, saga: None })
    }

    /// Stores the new state of an entity that the handler got from its context.
    #[must_use]
    pub fn replace<E: Entity>(self, entity: E) -> Self {
        self.entity::<E>(entity.id(), &entity, |target, state| Action::Replace { target, state, saga: None })
    }

    /// Removes an entity's state; a tombstone keeps its version, and its id is never used again.
    #[must_use]
    pub fn delete<E: Entity>(self, id: AggregateId) -> Self {
        self.target::<E>(id, |target| Action::Delete { target })
    }

    /// Commits only if the entity, which the handler got, is still as it was. `get` alone already implies this.
    #[must_use]
    pub fn check<E: Entity>(self, id: AggregateId) -> Self {
        self.target::<E>(id, |target| Action::Check { target })
    }

    /// Records an event in its aggregate's journal.
    #[must_use]
    pub fn record<E: Event>(self, event: E) -> Self {
        let id = event.aggregate_id();
        let of =
            Row { kind: Kind::Event, to: None, event_type: E::TYPE, version: E::VERSION, visibility: E::VISIBILITY };
        let older = (1..E::VERSION).filter_map(|version| Some((version, event.downcast(version)?))).collect();
        self.append::<E::Of>(id, &of, &event, older)
    }

    /// Sends a command: a row of the sender's journal, with the same guarantees as an event.
    #[must_use]
    pub fn send<C: Command>(self, command: C) -> Self {
        let id = command.sender_id();
        let visibility = Visibility::Internal;
        let of = Row { kind: Kind::Command, to: Some(C::TO), event_type: C::TYPE, version: C::VERSION, visibility };
        self.append::<C::From>(id, &of, &command, Vec::new())
    }

    /// Writes a row of a read model, new or not.
    #[must_use]
    pub fn put<V: View>(mut self, row: V) -> Self {
        let place = Place { view: V::NAME.into(), partition: row.partition(), sort: row.sort() };
        match serde_json::to_string(&row) {
            Ok(state) => self.actions.push(Action::Put { place, state }),
            Err(error) => self.problem_json(V::NAME, &error),
        }
        self
    }

    /// Removes a row of a read model, if it is there.
    #[must_use]
    pub fn remove<V: View>(mut self, row: &V) -> Self {
        let place = Place { view: V::NAME.into(), partition: row.partition(), sort: row.sort() };
        self.actions.push(Action::Remove { place });
        self
    }

    /// Stores a saga's state with what waits for it.
    pub(crate) fn saga<S: Aggregate>(self, id: AggregateId, is_new: bool, state: String, saga: SagaRow) -> Self {
        self.target::<S>(id, |target| match is_new {
            true => Action::Create { target, state, saga: Some(saga) },
            false => Action::Replace { target, state, saga: Some(saga) },
        })
    }

    /// Records a row that only the aggregate itself sees.
    pub(crate) fn note<A: Aggregate>(self, id: AggregateId, event_type: &str, data: &impl Serialize) -> Self {
        let visibility = Visibility::Private;
        self.append::<A>(id, &Row { kind: Kind::Event, to: None, event_type, version: 1, visibility }, data, Vec::new())
    }

    /// The same, and then what `later` does.
    pub(crate) fn then(mut self, later: Self) -> Self {
        self.actions.extend(later.actions);
        self.problems.extend(later.problems);
        self
    }

    /// The types of what it records and sends, in order.
    pub(crate) fn row_types(&self) -> impl Iterator<Item = &EventType> {
        self.actions.iter().filter_map(|action| match action {
            Action::Append(draft) => Some(&draft.event_type),
            _ => None,
        })
    }

    /// How many events and commands it records: telemetry counts them.
    pub fn recorded(&self) -> u64 {
        self.row_types().count() as u64
    }

    /// Does it record or send anything?
    pub(crate) fn has_rows(&self) -> bool {
        self.row_types().next().is_some()
    }

    fn entity<E: Entity>(mut self, id: AggregateId, entity: &E, action: fn(Target, String) -> Action) -> Self {
        match serde_json::to_string(entity) {
            Ok(state) => self.target::<E>(id, |target| action(target, state)),
            Err(error) => {
                self.problem_json(E::TYPE, &error);
                self
            }
        }
    }

    fn target<A: Aggregate>(mut self, id: AggregateId, action: impl FnOnce(Target) -> Action) -> Self {
        if let Some(kind) = self.named(A::TYPE, AggregateType::parse(A::TYPE)) {
            self.actions.push(action(Target { kind, id }));
        }
        self
    }

    /// Of the earlier versions that events can be written in, only those stay that `keeps`.
    pub(crate) fn keep_older(mut self, keeps: impl Fn(&EventType, u32) -> bool) -> Self {
        for action in &mut self.actions {
            if let Action::Append(draft) = action {
                let event_type = &draft.event_type;
                draft.older.retain(|version| keeps(event_type, version));
            }
        }
        self
    }

    fn append<A: Aggregate>(
        mut self,
        id: AggregateId,
        row: &Row<'_>,
        data: &impl Serialize,
        versions: Vec<(u32, Value)>,
    ) -> Self {
        let kind = self.named(A::TYPE, AggregateType::parse(A::TYPE));
        let event_type = self.named(row.event_type, EventType::parse(row.event_type));
        let to = row.to.map(|to| self.named(to, ConsumerName::parse(to)));
        let data = match serde_json::to_string(data).and_then(Data::parse) {
            Ok(data) => Some(data),
            Err(error) => {
                self.problem_json(row.event_type, &error);
                None
            }
        };
        let mut older = Older::default();
        for (version, value) in versions {
            match Data::parse(value.to_string()) {
                Ok(data) => older.insert(version, data),
                Err(error) => self.problem_json(row.event_type, &error),
            }
        }
        if let (Some(kind), Some(event_type), Some(data)) = (kind, event_type, data) {
            self.actions.push(Action::Append(Draft {
                target: Target { kind, id },
                storage: A::STORAGE,
                kind: row.kind,
                to: to.flatten(),
                event_type,
                event_version: row.version,
                visibility: row.visibility,
                data,
                older,
            }));
        }
        self
    }

    fn named<T>(&mut self, what: impl Display, name: Result<T, InvalidId>) -> Option<T> {
        name.map_err(|why| self.problems.push(TxError::Name { what: what.to_string(), why })).ok()
    }

    fn problem_json(&mut self, what: &str, error: &serde_json::Error) {
        self.problems.push(TxError::Json { what: what.into(), why: error.to_string() });
    }
}

struct Row<'a> {
    kind: Kind,
    to: Option<&'a str>,
    event_type: &'a str,
    version: u32,
    visibility: Visibility,
}
