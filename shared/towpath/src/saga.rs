//! Sagas: a process over several aggregates, as a state and one pure decision. What it hears are events; what it does are
//! commands; what it waits for has a time, kept in the saga's own row.
//! Must not know: queues, stores, how a timer comes back.
//!
//! State, commands and timers of a step are one commit. Events of different aggregates may come in any order.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::planted::is_on;
use crate::ports::Stored;
use crate::{
    AggregateId, CausationId, Command, Consumer, ConsumerName, CorrelationId, Entity, Envelope, Event, Failure,
    OrReject, Received, Seq, Timestamp, Traceparent, Tx,
};

/// A process over several aggregates, as the author declares it.
pub trait Saga: Entity {
    /// What it hears: answers, decisions of people, times that have come.
    type Input;
    /// What an input means. `None`: there is no such saga yet. It sees no clock; the same always decides the same.
    fn decide(state: Option<Self>, input: Self::Input) -> Next<Self>;
    /// What it hears when the time of this timer has come.
    fn timed_out(timer: &str) -> Self::Input;
    /// Where it stands, for people and for `towpath status`.
    fn stage(&self) -> Stage;
}

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for something, and some timer is set.
    Running(&'static str),
    /// Nothing will happen any more; timers that are still set are forgotten.
    Ended(&'static str),
}

/// What a decision comes to: `Next::to(state).send(command).timer("payment", 30 s)`.
#[derive(Debug)]
pub struct Next<S> {
    state: Option<S>,
    tx: Tx,
    timers: Vec<(&'static str, Option<Duration>)>,
}

impl<S> Next<S> {
    /// The input changes nothing: it came late, or is for somebody else.
    #[must_use]
    pub fn stay() -> Self {
        Self { state: None, tx: Tx::new(), timers: Vec::new() }
    }

    /// The saga's new state.
    #[must_use]
    pub fn to(state: S) -> Self {
        Self { state: Some(state), ..Self::stay() }
    }

    /// Sends a command, in the order of the calls.
    #[must_use]
    pub fn send<C: Command<From = S>>(mut self, command: C) -> Self
    where
        S: Entity,
    {
        self.tx = self.tx.send(command);
        self
    }

    /// Records an event of the saga.
    #[must_use]
    pub fn record<E: Event<Of = S>>(mut self, event: E) -> Self
    where
        S: Entity,
    {
        self.tx = self.tx.record(event);
        self
    }

    /// Sets a timer, so long from the commit on; one that was set under the same name is forgotten.
    #[must_use]
    pub fn timer(mut self, name: &'static str, after: Duration) -> Self {
        self.timers.push((name, Some(after)));
        self
    }

    /// Forgets a timer, if it is set.
    #[must_use]
    pub fn forget(mut self, name: &'static str) -> Self {
        self.timers.push((name, None));
        self
    }

    /// The new state, for tests of a decision. `None`: nothing changes.
    pub fn state(&self) -> Option<&S> {
        self.state.as_ref()
    }

    /// The types of the events and commands, in their order, for tests of a decision.
    pub fn rows(&self) -> Vec<String> {
        self.tx.row_types().map(ToString::to_string).collect()
    }

    /// The timers that are set, for tests of a decision.
    pub fn timers(&self) -> Vec<&'static str> {
        self.timers.iter().filter(|(_, after)| after.is_some()).map(|(name, _)| *name).collect()
    }
}

/// What the row of a saga says besides its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRow {
    /// Whose wake queue its timers come back on.
    pub consumer: ConsumerName,
    /// Where it stands.
    pub stage: String,
    /// Will nothing happen any more?
    pub ended: bool,
    /// What is set, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timers: BTreeMap<String, Timer>,
}

/// One timer that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// When its time comes.
    pub due: Timestamp,
    /// Tells this setting from others under the same name: the place of the first row of the commit that set it.
    pub nonce: Seq,
    /// Shared by all that one request set in motion.
    pub correlation_id: CorrelationId,
    /// The event that set it.
    pub causation_id: CausationId,
    /// Place in a distributed trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Traceparent>,
    /// How many consumers the chain of causes has passed.
    pub hops: u8,
}

impl SagaRow {
    /// When the next timer comes.
    pub fn due(&self) -> Option<Timestamp> {
        self.timers.values().map(|timer| timer.due).min()
    }

    /// Its size as JSON, estimated from above.
    pub(crate) fn bytes(&self) -> usize {
        const EACH: usize = 512;
        EACH * (1 + self.timers.len())
    }
}

/// A saga as a consumer: what it hears, and of which saga that is.
pub struct Orchestrator<S: Saga> {
    consumer: Consumer,
    saga: PhantomData<S>,
}

impl<S: Saga> Orchestrator<S> {
    /// A saga that hears nothing yet.
    ///
    /// # Panics
    /// As [`Consumer::new`].
    pub fn new(name: &str) -> Self {
        let mut consumer = Consumer::new(name);
        let of = consumer.name().clone();
        consumer.fires::<S>(Box::new(move |stored, name, timer, now| {
            let cause = Cause {
                id: of_aggregate::<S>(stored)?,
                correlation_id: timer.correlation_id.clone(),
                causation_id: timer.causation_id.clone(),
                traceparent: timer.traceparent.clone(),
                hops: timer.hops,
                now,
            };
            step::<S>(&of, Some(stored), S::timed_out(name), &cause, Some(name))
        }));
        Self { consumer, saga: PhantomData }
    }

    /// Hears an event: of which saga, and what it says to it.
    ///
    /// # Panics
    /// As [`Consumer::on`].
    #[must_use]
    pub fn hears<E: Event>(self, says: impl Fn(&Received<E>) -> (AggregateId, S::Input) + 'static) -> Self {
        let of = self.consumer.name().clone();
        let consumer = self.consumer.on(async move |cx: &crate::Context<'_>, event: Received<E>| {
            let (id, input) = says(&event);
            let stored = cx.stored_under_guard::<S>(&id).await?;
            let cause = Cause::of(id, event.envelope(), cx.step_of(event.envelope()), cx.now());
            step::<S>(&of, stored.as_ref(), input, &cause, None)
        });
        Self { consumer, saga: PhantomData }
    }

    /// As [`Consumer::generation`].
    #[must_use]
    pub fn generation(self, generation: u32) -> Self {
        Self { consumer: self.consumer.generation(generation), saga: PhantomData }
    }

    /// As [`Consumer::since`].
    ///
    /// # Panics
    /// As [`Consumer::since`].
    #[must_use]
    pub fn since<E: Event>(self, time: &str) -> Self {
        Self { consumer: self.consumer.since::<E>(time), saga: PhantomData }
    }
}

impl<S: Saga> From<Orchestrator<S>> for Consumer {
    fn from(saga: Orchestrator<S>) -> Self {
        saga.consumer
    }
}

/// What a step's timers remember of what set them.
struct Cause {
    id: AggregateId,
    correlation_id: CorrelationId,
    causation_id: CausationId,
    traceparent: Option<Traceparent>,
    hops: u8,
    now: Timestamp,
}

impl Cause {
    fn of(id: AggregateId, envelope: &Envelope, traceparent: Option<Traceparent>, now: Timestamp) -> Self {
        Self {
            id,
            correlation_id: envelope.correlation_id.clone(),
            causation_id: CausationId::from(envelope.event_id),
            traceparent,
            hops: envelope.hops.saturating_add(1),
            now,
        }
    }

    fn timer(&self, after: Duration, nonce: Seq) -> Timer {
        Timer {
            due: self.now.plus(after),
            nonce,
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
            hops: self.hops,
        }
    }
}

/// One decision as writes: state, timers and commands together. `fired`: the timer whose time has come.
fn step<S: Saga>(
    of: &ConsumerName,
    stored: Option<&Stored>,
    input: S::Input,
    cause: &Cause,
    fired: Option<&str>,
) -> Result<Tx, Failure> {
    let version = stored.map_or(Seq::ZERO, |stored| stored.head.seq);
    let before = stored.and_then(|stored| stored.state.as_ref());
    let row = stored.and_then(|stored| stored.saga.as_ref());
    let state = before.map(|state| crate::context::decode_state::<S>(state)).transpose()?;
    let next = S::decide(state, input);
    let mut tx = Tx::new();
    if let Some(name) = fired {
        tx = tx.note::<S>(cause.id.clone(), &format!("{}.timer_fired", S::TYPE), &json!({ "timer": name }));
    }
    let (text, stage) = match (&next.state, before.zip(row)) {
        (None, _) if fired.is_none() => return Ok(tx),
        (None, None) => return Ok(Tx::new()),
        (None, Some((text, row))) => (text.clone(), (row.stage.clone(), row.ended)),
        (Some(state), _) => {
            if state.id() != cause.id {
                let why = format!("decide() returned the state of {} when it was asked about {}", state.id(), cause.id);
                return Err(Failure::reject("another saga", why));
            }
            let stage = match state.stage() {
                Stage::Running(stage) => (stage.to_owned(), false),
                Stage::Ended(stage) => (stage.to_owned(), true),
            };
            (serde_json::to_string(state)?, stage)
        }
    };
    tx = tx.then(next.tx);
    if !tx.has_rows() {
        tx = tx.note::<S>(cause.id.clone(), &format!("{}.noted", S::TYPE), &json!({ "stage": stage.0 }));
    }
    let mut timers = row.map(|row| row.timers.clone()).unwrap_or_default();
    if let Some(name) = fired {
        timers.remove(name);
    }
    for (name, after) in next.timers {
        match after {
            Some(after) => drop(timers.insert(name.to_owned(), cause.timer(after, version.next()))),
            None => drop(timers.remove(name)),
        }
    }
    if stage.1 && !is_on("44 timers outlive their saga") {
        timers.clear();
    }
    (stage.1 || !timers.is_empty()).then_some(()).or_reject(format!(
        "the saga {} would wait in `{}` without a timer, so for ever if nothing comes: set one",
        cause.id, stage.0
    ))?;
    let row = SagaRow { consumer: of.clone(), stage: stage.0, ended: stage.1, timers };
    Ok(tx.saga::<S>(cause.id.clone(), before.is_none(), text, row))
}

fn of_aggregate<S: Saga>(stored: &Stored) -> Result<AggregateId, Failure> {
    let state = stored.state.as_ref().or_reject("a saga that was deleted has no timers")?;
    Ok(crate::context::decode_state::<S>(state)?.id())
}

#[cfg(test)]
mod tests;
