//! A consumer: a name and its handlers, as an author declares them. A projection is a consumer whose handlers are
//! pure folds, and whose cursor lies in the row that they fold.
//! Must not know: queues, batches, commits.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::planted::is_on;
use crate::ports::{CursorHome, Handled, JournalRow, Registered, Stored};
use crate::saga::Timer;
use crate::versions::{decode, decode_command};
use crate::{
    Aggregate, AggregateType, Command, ConsumerName, Context, Envelope, Event, EventType, Failure, IfUnknown, Received,
    Start, Storage, Summary, Timestamp, Tx, Visibility,
};

/// A named set of handlers with its own queue, cursors and dead-letter queue.
pub struct Consumer {
    name: ConsumerName,
    home: CursorHome,
    generation: u32,
    replayable: bool,
    writes: Writes,
    effects: Option<IfUnknown>,
    handlers: BTreeMap<EventType, Handler>,
    before: Option<Box<Before>>,
    sagas: BTreeMap<AggregateType, Box<Fires>>,
}

/// What a projection saves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Write units: each row is one conditional put of its own.
    Single,
    /// Requests: the rows of a batch are one transaction, at twice the write units.
    Grouped,
}

pub(crate) struct Handler {
    pub(crate) version: u32,
    pub(crate) start: Start,
    /// The generation in which the type was added.
    added: u32,
    /// For a command: what answers it when an operator passes it over.
    skipped: Option<Box<Skipped>>,
    pub(crate) run: Run,
}

type Effects = dyn for<'a> Fn(&'a Context<'a>, Rc<Envelope>) -> LocalBoxFuture<'a, Result<Tx, Failure>>;
type Before = dyn Fn(&Envelope) -> Result<(), Failure>;
type Skipped = dyn Fn(&Envelope) -> Result<Tx, Failure>;
/// What a saga, as stored, does when the time of one of its timers has come.
pub(crate) type Fires = dyn Fn(&Stored, &str, &Timer, Timestamp) -> Result<Tx, Failure>;
pub(crate) type Fold = dyn Fn(Option<&str>, Rc<Envelope>) -> Result<String, Failure>;

pub(crate) enum Run {
    Effects(Box<Effects>),
    Fold(Box<Fold>),
    /// Puts the event on the integration bus.
    Forward,
}

impl Consumer {
    /// A consumer without handlers.
    ///
    /// # Panics
    /// If the name is not `a-z 0-9 -`, at most 64: at the first start, with the rule.
    pub fn new(name: &str) -> Self {
        let name = ConsumerName::parse(name).unwrap_or_else(|rule| panic!("Consumer::new({name:?}): {rule}"));
        Self {
            name,
            home: CursorHome::Progress,
            generation: 1,
            replayable: false,
            writes: Writes::Grouped,
            effects: None,
            handlers: BTreeMap::new(),
            before: None,
            sagas: BTreeMap::new(),
        }
    }

    /// Begins a generation: the handlers that follow were added in it, those before are older. It goes up by one when types
    /// are added to a deployed consumer, and stands in consumers.lock. Code of an older generation leaves alone what a
    /// newer one has touched; newer code sees what an older one, which did not know the new types, has gone past.
    #[must_use]
    pub fn generation(self, generation: u32) -> Self {
        Self { generation, ..self }
    }

    /// Declares that handling an event again writes the same rows again and nothing else, so that a replay is harmless.
    ///
    /// # Panics
    /// If the consumer is declared with [`Consumer::effects`]: a replay would send every mail again.
    #[must_use]
    pub fn replayable(self) -> Self {
        Self { replayable: true, ..self }.sound()
    }

    /// Declares that its handlers call a provider outside with [`Context::effect`], and what follows when nobody knows
    /// whether an effect happened. Each event is then handled and committed by itself, and a replay is refused.
    ///
    /// # Panics
    /// If the consumer is declared [`Consumer::replayable`].
    #[must_use]
    pub fn effects(self, if_unknown: IfUnknown) -> Self {
        Self { effects: Some(if_unknown), ..self }.sound()
    }

    fn sound(self) -> Self {
        assert!(
            !(self.replayable && self.effects.is_some()),
            "{}: a consumer with effects outside cannot be replayable, for a replay would have them again",
            self.name
        );
        self
    }

    /// For tests: asked before each event is handled; its error or panic is as one of the handler.
    #[must_use]
    pub fn before(self, check: impl Fn(&Envelope) -> Result<(), Failure> + 'static) -> Self {
        Self { before: Some(Box::new(check)), ..self }
    }

    /// Handles a type only from this time on: what was committed before stays unhandled.
    ///
    /// # Panics
    /// If `time` is not like `2026-11-21T10:00:00.000Z`, or the type has no handler yet.
    #[must_use]
    pub fn since<E: Event>(mut self, time: &str) -> Self {
        let start = time.parse().unwrap_or_else(|rule| panic!("since({time:?}): {rule}"));
        let handler = self.handlers.iter_mut().find(|(kind, _)| kind.as_str() == E::TYPE);
        let (_, handler) = handler.unwrap_or_else(|| panic!("since: {} has no handler yet", E::TYPE));
        handler.start = Start::At(start);
        self
    }

    /// Handles one type of event: `async fn reserve(cx: &Context<'_>, order: Received<OrderPlaced>) -> Result<Tx, Failure>`.
    ///
    /// # Panics
    /// If the event is private, its type is not `aggregate.past_tense`, or it is handled already.
    #[must_use]
    pub fn on<E: Event>(
        self,
        handler: impl AsyncFn(&Context<'_>, Received<E>) -> Result<Tx, Failure> + 'static,
    ) -> Self {
        let handler = Rc::new(handler);
        let run: Box<Effects> = Box::new(move |cx, envelope| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(cx, Received::new(decode::<E>(&envelope)?, envelope)).await })
        });
        self.with::<E>(Run::Effects(run))
    }

    /// Carries out one type of command: `async fn authorise(cx: &Context<'_>, command: Received<Authorise>) -> …`. What it
    /// records is the answer.
    ///
    /// # Panics
    /// If the command is addressed to another consumer, its type is not `aggregate.verb` or is handled already, or its
    /// answer to being skipped is an event of an aggregate whose state is stored.
    #[must_use]
    pub fn on_command<C: Command>(
        self,
        handler: impl AsyncFn(&Context<'_>, Received<C>) -> Result<Tx, Failure> + 'static,
    ) -> Self {
        assert!(C::TO == self.name.as_str(), "{} is addressed to {}, not to {}", C::TYPE, C::TO, self.name);
        let answer = C::Skipped::TYPE;
        assert!(
            <<C::Skipped as Event>::Of as Aggregate>::STORAGE == Storage::Events,
            "{answer} answers {} when it is skipped, so its aggregate must be event-sourced",
            C::TYPE
        );
        let handler = Rc::new(handler);
        let run: Box<Effects> = Box::new(move |cx, envelope| {
            let handler = Rc::clone(&handler);
            Box::pin(async move { handler(cx, Received::new(decode_command::<C>(&envelope)?, envelope)).await })
        });
        let skipped: Box<Skipped> = Box::new(|envelope| Ok(Tx::new().record(decode_command::<C>(envelope)?.skipped())));
        self.handled(C::TYPE, C::VERSION, Some(skipped), Run::Effects(run))
    }

    /// Forwards one type of event: puts it on the integration bus, as it is and in every version that it was written in. At
    /// least once: a receiver drops what it gets twice by its id. A failure is as one of a handler: tried again, then parked.
    ///
    /// # Panics
    /// If the event is not public, its type is not `aggregate.past_tense`, or it is handled already.
    #[must_use]
    pub fn forward<E: Event>(self) -> Self {
        assert!(E::VISIBILITY == Visibility::Public, "{} is not public, so it must not leave the pipeline", E::TYPE);
        self.with::<E>(Run::Forward)
    }

    fn with<E: Event>(self, run: Run) -> Self {
        assert!(
            E::VISIBILITY != Visibility::Private,
            "{} is private, so it is never published: no consumer can handle it",
            E::TYPE
        );
        self.handled(E::TYPE, E::VERSION, None, run)
    }

    fn handled(mut self, name: &str, version: u32, skipped: Option<Box<Skipped>>, run: Run) -> Self {
        let event_type = EventType::parse(name).unwrap_or_else(|rule| panic!("{name}: {rule}"));
        let handler = Handler { version, start: Start::Beginning, added: self.generation, skipped, run };
        let earlier = self.handlers.insert(event_type, handler);
        assert!(earlier.is_none(), "{name} has two handlers in the consumer {}", self.name);
        self
    }

    /// What the timers of the saga `S` do.
    pub(crate) fn fires<S: Aggregate>(&mut self, fires: Box<Fires>) {
        let kind = AggregateType::parse(S::TYPE).unwrap_or_else(|rule| panic!("{}: {rule}", S::TYPE));
        self.sagas.insert(kind, fires);
    }

    /// What the timers of this type of saga do, if it is one of this consumer.
    pub(crate) fn timers_of(&self, kind: &AggregateType) -> Option<&Fires> {
        self.sagas.get(kind).map(AsRef::as_ref)
    }

    /// The answer to a command that an operator passes over; `None`: it is no command.
    pub(crate) fn answer_to_skipped(&self, envelope: &Envelope) -> Option<Result<Tx, Failure>> {
        let skipped = self.handlers.get(&envelope.event_type)?.skipped.as_ref()?;
        Some(skipped(envelope))
    }

    /// Its name.
    pub fn name(&self) -> &ConsumerName {
        &self.name
    }

    /// Does it put events on the integration bus?
    pub fn forwards(&self) -> bool {
        self.handlers.keys().any(|kind| self.forwards_type(kind))
    }

    /// Does it put events of this type there?
    pub(crate) fn forwards_type(&self, event_type: &EventType) -> bool {
        self.handlers.get(event_type).is_some_and(|handler| matches!(handler.run, Run::Forward))
    }

    /// Where its cursors are.
    pub fn home(&self) -> CursorHome {
        self.home
    }

    /// Does it handle this type?
    pub fn handles(&self, event_type: &EventType) -> bool {
        self.handlers.contains_key(event_type)
    }

    /// Does it handle this row of the journal? By type, by start, and, for a command, by address.
    pub fn wants(&self, row: &JournalRow) -> bool {
        let handler = self.handlers.get(&row.envelope.event_type);
        handler.is_some_and(|handler| handler.start.includes(row.envelope.occurred_at))
            && row.to.as_ref().is_none_or(|to| *to == self.name)
    }

    /// Does it handle the type, but only from a later time on?
    pub(crate) fn starts_after(&self, envelope: &Envelope) -> bool {
        let handler = self.handlers.get(&envelope.event_type);
        handler.is_some_and(|handler| !handler.start.includes(envelope.occurred_at))
    }

    /// Is this type one that code of this generation did not know yet?
    pub(crate) fn is_new_to(&self, generation: u32, event_type: &EventType) -> bool {
        self.handlers.get(event_type).is_some_and(|handler| handler.added > generation)
    }

    /// Of which set of handlers its cursors are.
    pub fn current_generation(&self) -> u32 {
        self.generation
    }

    /// Was it declared replayable?
    pub fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// How its effects are grouped.
    pub fn writes(&self) -> Writes {
        self.writes
    }

    /// Does it call a provider outside, and what follows when nobody knows what came of it?
    pub fn effect_policy(&self) -> Option<IfUnknown> {
        self.effects
    }

    /// May each effect be tried only once without an operator?
    pub(crate) fn holds(&self) -> bool {
        self.effects == Some(IfUnknown::Hold)
    }

    /// As the registry keeps it.
    pub fn registration(&self) -> Registered {
        let handled = |(kind, handler): (&EventType, &Handler)| Handled {
            event_type: kind.clone(),
            start: handler.start,
            added: handler.added,
        };
        let handles = self.handlers.iter().map(handled).collect();
        Registered { name: self.name.clone(), home: self.home, handles, generation: self.generation }
    }

    /// The types of events that it handles, in alphabetical order.
    pub fn event_types(&self) -> impl Iterator<Item = &EventType> {
        self.handlers.iter().filter(|(_, handler)| handler.skipped.is_none()).map(|(kind, _)| kind)
    }

    /// The types of commands that it carries out, in alphabetical order.
    pub fn command_types(&self) -> impl Iterator<Item = &EventType> {
        self.handlers.iter().filter(|(_, handler)| handler.skipped.is_some()).map(|(kind, _)| kind)
    }

    /// What a test wants to happen instead of the handler.
    pub(crate) fn interrupted(&self, envelope: &Envelope) -> Result<(), Failure> {
        self.before.as_ref().map_or(Ok(()), |check| check(envelope))
    }

    /// The handler for this type. A version that is newer, and does not bring the handler's own along, is a retry: a deploy
    /// may be under way. Whether an older one can be brought up is seen when it is decoded.
    pub(crate) fn handler(&self, envelope: &Envelope) -> Result<&Handler, Failure> {
        let (name, event_type) = (&self.name, &envelope.event_type);
        let found = self.handlers.get(event_type);
        let any = || self.handlers.values().find(|_| is_on("what is not public leaves"));
        let Some(handler) = found.or_else(any) else {
            let why = format!("{name} does not handle {event_type}: its filter policy is wider than its code");
            return Err(Failure::retry("unknown event type", why));
        };
        // What only passes events on reads none of them.
        let reads = !matches!(handler.run, Run::Forward);
        if reads && handler.version < envelope.event_version && envelope.older.get(handler.version).is_none() {
            let (has, wants) = (envelope.event_version, handler.version);
            let why =
                format!("{event_type} has version {has}, {name} handles version {wants}: deploy one that handles it");
            return Err(Failure::retry("unknown event version", why));
        }
        Ok(handler)
    }
}

/// A read model with one row per aggregate: pure folds, the cursor in the row, one conditional update per event.
pub struct Projection<S: Summary> {
    consumer: Consumer,
    row: std::marker::PhantomData<S>,
}

impl<S: Summary> Projection<S> {
    /// A projection without folds.
    ///
    /// # Panics
    /// As [`Consumer::new`].
    pub fn new(name: &str) -> Self {
        let consumer = Consumer { home: CursorHome::Views, writes: Writes::Single, ..Consumer::new(name) };
        Self { consumer, row: std::marker::PhantomData }
    }

    /// Folds one type of event into the row. A fold sees the row and the event: no clock, no attempt, no batch.
    ///
    /// # Panics
    /// As [`Consumer::on`].
    #[must_use]
    pub fn fold<E: Event<Of = S::Of>>(
        self,
        fold: impl Fn(Option<S>, &Received<E>) -> Result<S, Failure> + 'static,
    ) -> Self {
        let run: Box<Fold> = Box::new(move |state, envelope| {
            let row: Option<S> = state.map(serde_json::from_str).transpose()?;
            let event = Received::new(decode::<E>(&envelope)?, envelope);
            Ok(serde_json::to_string(&fold(row, &event)?)?)
        });
        Self { consumer: self.consumer.with::<E>(Run::Fold(run)), ..self }
    }
}

impl<S: Summary> Projection<S> {
    /// As [`Consumer::generation`].
    #[must_use]
    pub fn generation(self, generation: u32) -> Self {
        Self { consumer: self.consumer.generation(generation), ..self }
    }

    /// As [`Consumer::since`].
    ///
    /// # Panics
    /// As [`Consumer::since`].
    #[must_use]
    pub fn since<E: Event>(self, time: &str) -> Self {
        Self { consumer: self.consumer.since::<E>(time), ..self }
    }

    /// Saves requests instead of write units: the rows of a batch are one transaction. Counted in `make numbers`.
    #[must_use]
    pub fn grouped(self) -> Self {
        Self { consumer: Consumer { writes: Writes::Grouped, ..self.consumer }, ..self }
    }
}

impl<S: Summary> From<Projection<S>> for Consumer {
    fn from(projection: Projection<S>) -> Self {
        projection.consumer
    }
}
