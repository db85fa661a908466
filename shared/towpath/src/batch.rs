//! The consumer machine: a batch of messages in, effects committed, and the list of messages to deliver again out.
//! Must not know: SQS, Lambda, DynamoDB. It reaches the world through `ports`, so the simulator drives it too.
//!
//! The transport is a hint. Each message is decided by the cursor of its aggregate; whatever is missing before it is
//! read from the journal. A failed message and all later ones of its group are reported, so that the queue keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::commit::{Cause, Commit, heads_needed, plan};
use crate::consumer::{Consumer, Run};
use crate::cursor::{Cursor, Decision, decide};
use crate::ports::{CommitError, Consistency, CursorKey, DeadLetters, Host, JournalRow, Position, Store, Wakes, Write};
use crate::tx::TxError;
use crate::{AggregateKey, CausationId, Context, Counts, Envelope, Era, Failed, Failure, Producer, Seq, Then};

/// How often one event is decided again after somebody else's write got in between.
const DECISIONS: u32 = 5;
/// Rows read from the journal at a time to fill a gap.
const GAP_ROWS: usize = 100;

/// A message as the queue delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By which the queue is told that it failed.
    pub id: String,
    /// `tenant#lane`.
    pub group: String,
    /// How often it was delivered, this time included.
    pub receives: u32,
    /// An envelope, if it is one.
    pub body: String,
}

/// What a consumer needs of the world.
#[derive(Clone, Copy)]
pub struct ConsumerPorts<'a> {
    /// The tables.
    pub store: &'a dyn Store,
    /// Time and randomness.
    pub host: &'a dyn Host,
    /// Where unreadable messages are kept.
    pub dead_letters: &'a dyn DeadLetters,
    /// This consumer's wake queue.
    pub wakes: &'a dyn Wakes,
    /// Who this is, for the events that it records.
    pub producer: &'a Producer,
    /// The current history.
    pub era: Era,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct BatchReport {
    /// Messages to deliver again: those that failed and all later ones of their groups.
    pub failed: Vec<String>,
    /// What was done.
    pub counts: Counts,
}

/// Handles one batch. It never fails as a whole: what could not be done is in the report.
pub async fn handle_batch(consumer: &Consumer, ports: ConsumerPorts<'_>, messages: &[Message]) -> BatchReport {
    let mut machine = Machine { consumer, ports, positions: BTreeMap::new(), report: BatchReport::default() };
    machine.report.counts.received = messages.len() as u64;
    let bodies: Vec<Result<Rc<Envelope>, String>> = messages.iter().map(read).collect();
    let first_look = machine.look(&bodies).await;
    let mut stopped = BTreeSet::new();
    for (message, body) in messages.iter().zip(bodies) {
        let handled = match (&first_look, stopped.contains(&message.group)) {
            (_, true) => Err(None),
            (Err(failure), false) => Err(Some((body.ok(), failure.clone()))),
            (Ok(()), false) => machine.handle(message, body).await.map_err(Some),
        };
        if let Err(failure) = handled {
            stopped.insert(message.group.clone());
            machine.report.failed.push(message.id.clone());
            machine.report.counts.failures.extend(failure.map(|(envelope, failure)| Failed {
                aggregate: envelope.as_ref().map(|envelope: &Rc<Envelope>| envelope.aggregate()),
                envelope,
                failure,
                then: Then::Again,
            }));
        }
    }
    machine.report
}

/// Reads one body by itself: one bad message says nothing about the others.
fn read(message: &Message) -> Result<Rc<Envelope>, String> {
    let envelope = Envelope::parse(&message.body).map_err(|error| error.to_string())?;
    let tenant = message.group.split_once('#').map(|(tenant, _lane)| tenant);
    if tenant != Some(envelope.tenant_id.as_str()) {
        return Err("the message's group is of another tenant than its envelope".to_owned());
    }
    Ok(Rc::new(envelope))
}

struct Machine<'a> {
    consumer: &'a Consumer,
    ports: ConsumerPorts<'a>,
    positions: BTreeMap<AggregateKey, Option<Position>>,
    report: BatchReport,
}

type Broken = (Option<Rc<Envelope>>, Failure);

impl Machine<'_> {
    /// One read of all cursors of the batch. It may be a moment old; a commit built on an old one is refused.
    async fn look(&mut self, bodies: &[Result<Rc<Envelope>, String>]) -> Result<(), Failure> {
        let aggregates: BTreeSet<AggregateKey> = bodies.iter().flatten().map(|body| body.aggregate()).collect();
        self.refresh(aggregates, Consistency::Eventual).await
    }

    async fn refresh(
        &mut self,
        aggregates: impl IntoIterator<Item = AggregateKey>,
        consistency: Consistency,
    ) -> Result<(), Failure> {
        let keys: Vec<CursorKey> = aggregates.into_iter().map(|aggregate| self.key(aggregate)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let positions = self.ports.store.positions(self.consumer.home(), &keys, consistency).await?;
        self.positions.extend(keys.into_iter().map(|key| key.aggregate).zip(positions));
        Ok(())
    }

    async fn handle(&mut self, message: &Message, body: Result<Rc<Envelope>, String>) -> Result<(), Broken> {
        match body {
            Ok(envelope) => self.advance(&envelope).await.map_err(|failure| (Some(envelope), failure)),
            Err(reason) => {
                self.ports.dead_letters.keep(message, &reason).await.map_err(|error| (None, error.into()))?;
                self.report.counts.dead_lettered += 1;
                Ok(())
            }
        }
    }

    /// Brings the aggregate up to and with this event.
    async fn advance(&mut self, envelope: &Rc<Envelope>) -> Result<(), Failure> {
        let aggregate = envelope.aggregate();
        for _ in 0..DECISIONS {
            let position = self.positions.get(&aggregate).cloned().flatten();
            let cursor = position.as_ref().map(|position| &position.cursor);
            match decide(cursor, envelope, |kind| self.consumer.handles(kind)) {
                Decision::Duplicate => {
                    self.report.counts.duplicates += 1;
                    return Ok(());
                }
                Decision::Run => {
                    if self.apply(envelope, position).await? {
                        return Ok(());
                    }
                    self.refresh([aggregate.clone()], Consistency::Strong).await?;
                }
                Decision::Gap { through } => self.fill(&aggregate, through, position).await?,
                Decision::Wait(status) => {
                    let why = format!("the aggregate is {status:?}, so its events wait in the journal");
                    return Err(Failure::retry("blocked", why));
                }
                Decision::Foreign(why) => return Err(why.into()),
            }
        }
        Err(Failure::retry("contention", format!("somebody else wrote in between {DECISIONS} times")))
    }

    /// Applies what is missing before a message, from the journal.
    async fn fill(&mut self, aggregate: &AggregateKey, through: Seq, from: Option<Position>) -> Result<(), Failure> {
        let mut position = from;
        let mut after = position.as_ref().map_or(Seq::ZERO, |position| position.cursor.seq);
        while after < through {
            let rows = self.ports.store.journal(aggregate, after, through, GAP_ROWS).await?;
            let last = contiguous(after, &rows).ok_or_else(|| {
                let why = format!(
                    "the journal has no row after {after}, though a later event says that {through} was written"
                );
                Failure::retry("row missing in the journal", why)
            })?;
            after = last;
            for row in rows.into_iter().filter(|row| self.consumer.handles(&row.envelope.event_type)) {
                if !self.apply(&Rc::new(row.envelope), position).await? {
                    return self.refresh([aggregate.clone()], Consistency::Strong).await;
                }
                self.report.counts.gaps += 1;
                position = self.positions.get(aggregate).cloned().flatten();
            }
        }
        Ok(())
    }

    /// Runs the handler and commits its writes with the cursor. `false`: somebody else wrote in between, look again.
    async fn apply(&mut self, envelope: &Rc<Envelope>, position: Option<Position>) -> Result<bool, Failure> {
        let now = self.ports.host.now();
        let before = position.as_ref().map(|position| &position.cursor);
        let after = Cursor::after(before, envelope, self.consumer.current_generation());
        let handler = self.consumer.handler(envelope)?;
        let (mut writes, state) = match &handler.run {
            Run::Fold(fold) => {
                let state = position.as_ref().and_then(|position| position.state.as_deref());
                (Vec::new(), Some(fold(state, Rc::clone(envelope))?))
            }
            Run::Effects(run) => {
                let cx = Context::new(self.ports.store, self.ports.host, &envelope.tenant_id);
                let tx = run(&cx, Rc::clone(envelope)).await?;
                let mut heads = cx.into_reads();
                for key in heads_needed(&tx, &envelope.tenant_id, &heads) {
                    let head = self.ports.store.head(&key).await?;
                    heads.insert(key, head);
                }
                (plan(tx, &heads, &self.cause(envelope), || self.ports.host.random()).map_err(author)?, None)
            }
        };
        let recorded = writes.iter().filter(|write| matches!(write, Write::Append(_))).count() as u64;
        let moved = Position { cursor: after, state };
        let expect = before.map(|cursor| cursor.rev);
        writes.push(Write::Cursor {
            home: self.consumer.home(),
            key: self.key(envelope.aggregate()),
            position: moved.clone(),
            expect,
        });
        match self.ports.store.commit(&Commit::new(writes).map_err(author)?).await {
            Ok(()) => {
                self.report.counts.applied += 1;
                self.report.counts.committed += recorded;
                self.report.counts.lags.push(now.millis_since(envelope.occurred_at));
                self.positions.insert(envelope.aggregate(), Some(moved));
                Ok(true)
            }
            Err(CommitError::Refused(_)) => Ok(false),
            Err(CommitError::Unavailable(error)) => Err(error.into()),
            Err(CommitError::Invalid(why)) => Err(Failure::reject("invalid commit", why)),
        }
    }

    fn key(&self, aggregate: AggregateKey) -> CursorKey {
        CursorKey { aggregate, consumer: self.consumer.name().clone() }
    }

    fn cause(&self, envelope: &Envelope) -> Cause {
        Cause {
            tenant: envelope.tenant_id.clone(),
            correlation_id: envelope.correlation_id.clone(),
            causation_id: CausationId::from(envelope.event_id),
            traceparent: envelope.traceparent.clone(),
            hops: envelope.hops.saturating_add(1),
            producer: self.ports.producer.clone(),
            era: self.ports.era,
            now: self.ports.host.now(),
        }
    }
}

/// The seq of the last row, if `rows` go on from `after` without a hole: a journal that was trimmed is never skipped.
fn contiguous(after: Seq, rows: &[JournalRow]) -> Option<Seq> {
    rows.iter()
        .try_fold(after, |before, row| (row.envelope.seq == before.next()).then_some(row.envelope.seq))
        .filter(|last| *last > after)
}

/// A `Tx` that cannot be written is the author's bug: waiting does not mend it.
fn author(error: TxError) -> Failure {
    Failure::reject("a Tx that cannot be written", error)
}
