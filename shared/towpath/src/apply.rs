//! Applying one event: runs its handler and turns what it returns into writes, with the cursor among them. Also the
//! draft that several events share until they are committed. Both ways in, batch and wake, apply events here.
//! Must not know: messages, wakes, when to try again.

use std::rc::Rc;

use crate::batch::ConsumerPorts;
use crate::commit::{Cause, Commit, heads_needed, plan};
use crate::consumer::Run;
use crate::group::{Group, Overlay};
use crate::panics::caught;
use crate::planted::is_on;
use crate::ports::{CommitError, CursorKey, Position, Write};
use crate::tx::TxError;
use crate::{AggregateKey, CausationId, Consumer, ConsumerName, Context, Counts, Cursor, Envelope, EventType, Failure};

/// A consumer at work: its handlers and its world.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'a> {
    pub(crate) consumer: &'a Consumer,
    /// Whose cursors are moved: the consumer's own, or those of a replay.
    pub(crate) cursors: &'a ConsumerName,
    pub(crate) ports: ConsumerPorts<'a>,
}

/// What one event comes to.
pub(crate) struct Applied {
    writes: Vec<Write>,
    lag: u64,
    /// Where the consumer will be.
    pub(crate) position: Position,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(consumer: &'a Consumer, ports: ConsumerPorts<'a>) -> Self {
        Self { consumer, cursors: consumer.name(), ports }
    }

    /// Runs the handler of `envelope` on what `overlay` adds to the store. `before` is where the consumer is.
    pub(crate) async fn apply(
        &self,
        overlay: &Overlay,
        before: Option<&Position>,
        envelope: &Rc<Envelope>,
    ) -> Result<Applied, Failure> {
        let now = self.ports.host.now();
        let handler = self.consumer.handler(envelope)?;
        caught(async { self.consumer.interrupted(envelope) }).await?;
        let (mut writes, (state, beside)) = match &handler.run {
            Run::Fold(fold) => (Vec::new(), self.fold(fold, before, envelope).await?),
            Run::Effects(run) => {
                let cx = Context::new(self.ports.store, self.ports.host, &envelope.tenant_id).on(overlay);
                let tx = caught(async { run(&cx, Rc::clone(envelope)).await }).await?;
                let tx = tx.keep_older(|event_type, version| self.ports.host.also_writes(event_type, version));
                let mut heads = cx.into_reads();
                for key in heads_needed(&tx, &envelope.tenant_id, &heads) {
                    let head = match overlay.head(&key) {
                        Some(head) => Some(head.clone()),
                        None => self.ports.store.head(&key).await?,
                    };
                    heads.insert(key, head);
                }
                (plan(tx, &heads, &self.cause(envelope), || self.ports.host.random()).map_err(author)?, (None, None))
            }
        };
        let cursor = before.map(|position| &position.cursor);
        let after = Cursor::after(cursor, envelope, self.consumer.current_generation());
        let position = Position { cursor: after, state, beside };
        writes.push(self.cursor_write(envelope.aggregate(), position.clone(), cursor));
        // Alone it must fit, or it can never be written.
        let commit = Commit::new(writes).map_err(author)?;
        let lag = now.millis_since(envelope.occurred_at);
        Ok(Applied { writes: commit.into_writes(), lag, position })
    }

    /// The write that moves a cursor, if it is still `from`.
    pub(crate) fn cursor_write(&self, aggregate: AggregateKey, to: Position, from: Option<&Cursor>) -> Write {
        let expect = from.map(|cursor| cursor.rev);
        Write::Cursor { home: self.consumer.home(), key: self.key(aggregate), position: to, expect }
    }

    pub(crate) fn key(&self, aggregate: AggregateKey) -> CursorKey {
        if is_on("19 cursor without its consumer") {
            return CursorKey { aggregate, consumer: ConsumerName::parse("anyone").expect("it is a name") };
        }
        CursorKey { aggregate, consumer: self.cursors.clone() }
    }

    /// The cursor of an aggregate of which nothing was handled.
    pub(crate) fn start(&self, row: &Envelope) -> Cursor {
        Cursor::start(row.era, self.consumer.current_generation())
    }

    /// Code of an older generation leaves alone what a newer one has touched.
    pub(crate) fn outdated(&self, cursor: Option<&Cursor>) -> Option<Failure> {
        let (ours, theirs) = (self.consumer.current_generation(), cursor?.generation);
        (theirs > ours).then(|| {
            let why = format!("the cursor is of generation {theirs}, this code of {ours}: it waits for the newer code");
            Failure::retry("older generation", why)
        })
    }

    /// May code of an older generation, which did not know every type of today, have gone past rows that this code handles?
    /// `row` is one at which the consumer looks: what it says of earlier ones needs no read. The journal knows for sure.
    pub(crate) fn may_have_passed(&self, cursor: Option<&Cursor>, row: &Envelope) -> bool {
        let is_older = |cursor: &&Cursor| cursor.generation < self.consumer.current_generation();
        let Some(cursor) = cursor.filter(is_older) else { return false };
        if is_on("65 older code not noticed") {
            return false;
        }
        let is_new = |kind: &EventType| self.consumer.is_new_to(cursor.generation, kind);
        let itself = row.seq <= cursor.seq && is_new(&row.event_type) && !self.consumer.starts_after(row);
        itself || row.prior.iter().any(|(kind, seq)| seq <= cursor.seq && is_new(kind))
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

impl Applied {
    /// Does it write anything besides rows of read models and the cursor?
    pub(crate) fn is_more_than_views(&self) -> bool {
        let harmless = |write: &Write| matches!(write, Write::Put { .. } | Write::Remove { .. } | Write::Cursor { .. });
        !self.writes.iter().all(harmless)
    }
}

/// Events that were applied but not committed yet.
#[derive(Default)]
pub(crate) struct Draft {
    group: Group,
    counts: Counts,
    rows: Vec<Rc<Envelope>>,
}

impl Draft {
    pub(crate) fn overlay(&self) -> &Overlay {
        self.group.overlay()
    }

    pub(crate) fn events(&self) -> usize {
        self.rows.len()
    }

    /// The event that was added last.
    pub(crate) fn last(&self) -> Option<Rc<Envelope>> {
        self.rows.last().cloned()
    }

    /// What will count when it is committed.
    pub(crate) fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    pub(crate) fn has_room_for(&self, applied: &Applied) -> bool {
        self.group.has_room_for(&applied.writes)
    }

    /// Adds an event; `missing`: it was read from the journal because its message had not come.
    pub(crate) fn add(&mut self, row: &Rc<Envelope>, applied: Applied, missing: bool) {
        self.rows.push(Rc::clone(row));
        self.counts.applied += 1;
        self.counts.gaps += u64::from(missing);
        self.counts.lags.push(applied.lag);
        let appended = applied.writes.iter().filter(|write| matches!(write, Write::Append(_))).count();
        self.counts.committed += appended as u64;
        self.group.add(applied.writes);
    }

    /// One more write in the same commit.
    pub(crate) fn with(&mut self, write: Write) {
        self.group.add(vec![write]);
    }

    /// Commits all of it or nothing, and counts it in `counts` if it happened.
    pub(crate) async fn commit(&mut self, worker: Worker<'_>, counts: &mut Counts) -> Result<(), CommitError> {
        let counted = std::mem::take(&mut self.counts);
        self.rows.clear();
        if !self.group.is_empty() {
            let commit = self.group.take().map_err(|error| CommitError::Invalid(error.to_string()))?;
            for part in parts(commit)? {
                worker.ports.store.commit(&part).await?;
            }
        }
        counts.add(counted);
        Ok(())
    }
}

/// One commit, of course.
fn parts(commit: Commit) -> Result<Vec<Commit>, CommitError> {
    if !is_on("13 cursor apart from the effects") {
        return Ok(vec![commit]);
    }
    let (cursors, effects): (Vec<Write>, Vec<Write>) =
        commit.into_writes().into_iter().partition(|write| matches!(write, Write::Cursor { .. }));
    let some = [effects, cursors].into_iter().filter(|writes| !writes.is_empty());
    some.map(|writes| Commit::new(writes).map_err(|error| CommitError::Invalid(error.to_string()))).collect()
}

/// A `Tx` that cannot be written is the author's bug: waiting does not mend it.
fn author(error: TxError) -> Failure {
    Failure::reject("a Tx that cannot be written", error)
}

/// What a refused commit means for the event that stands alone in it.
pub(crate) fn invalid(why: &str) -> Failure {
    Failure::reject("invalid commit", why)
}
