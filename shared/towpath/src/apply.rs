//! Applying one event: runs its handler and turns what it returns into writes, with the cursor among them. Also the
//! draft that several events share until they are committed. Both ways in, batch and wake, apply events here.
//! Must not know: messages, wakes, when to try again.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::batch::{ConsumerPorts, MARGIN, failure_of};
use crate::commit::{Cause, Commit, Read, heads_needed, plan};
use crate::consumer::Run;
use crate::effect::{LEAST, key_of};
use crate::group::{Group, Overlay};
use crate::limits::{self, HINT_AHEAD};
use crate::panics::caught;
use crate::planted::is_on;
use crate::ports::{CommitError, Consistency, CursorKey, Head, Host, Position, Stored, Unavailable, Write};
use crate::sourced::{Snapshots, keep};
use crate::tx::TxError;
use crate::{
    AggregateKey, CausationId, CloudEvent, Consumer, ConsumerName, Context, Counts, Cursor, Envelope, EventType,
    Failure, Happened, Holds, Seq, Storage, TenantId, Then, Traceparent, Wake,
};

/// How often a call to the store is made again when what has happened outside is to be written down.
const AGAIN: u32 = 4;

/// A consumer at work: its handlers and its world.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'a> {
    pub(crate) consumer: &'a Consumer,
    /// Whose cursors are moved: the consumer's own, or those of a replay.
    pub(crate) cursors: &'a ConsumerName,
    pub(crate) ports: ConsumerPorts<'a>,
    /// Has an operator stopped the tenant whose events these are?
    pub(crate) held: bool,
}

/// What one event comes to.
pub(crate) struct Applied {
    writes: Vec<Write>,
    snapshots: Snapshots,
    lag: u64,
    /// May something have happened outside?
    pub(crate) reached_out: bool,
    /// Where the consumer will be.
    pub(crate) position: Position,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(consumer: &'a Consumer, ports: ConsumerPorts<'a>) -> Self {
        Self { consumer, cursors: consumer.name(), ports, held: false }
    }

    /// Which of these tenants are stopped. What a copy says may be old: nothing is kept back before the row itself says so.
    pub(crate) async fn held_of(&self, copy: &Holds, of: &[&TenantId]) -> Result<BTreeSet<TenantId>, Unavailable> {
        let stopped = |holds: &Holds| of.iter().filter(|it| holds.has(it)).map(|it| (*it).clone()).collect();
        let held: BTreeSet<TenantId> = stopped(copy);
        if held.is_empty() {
            return Ok(held);
        }
        Ok(stopped(&self.ports.store.holds(self.consumer.name(), Consistency::Strong).await?))
    }

    /// Runs the handler of `envelope` on what `overlay` adds to the store. `before` is where the consumer is.
    pub(crate) async fn apply(
        &self,
        overlay: &Overlay,
        before: Option<&Position>,
        envelope: &Rc<Envelope>,
    ) -> Result<Applied, Failure> {
        let now = self.ports.host.now();
        step_of(self.ports.host, envelope); // it begins here
        let handler = self.consumer.handler(envelope)?;
        caught(async { self.consumer.interrupted(envelope) }).await?;
        let mut reached_out = false;
        let mut snapshots = Snapshots::new();
        let (mut writes, (state, beside)) = match &handler.run {
            Run::Fold(fold) => (Vec::new(), self.fold(fold, before, envelope).await?),
            Run::Forward => {
                self.forward(envelope).await?;
                (Vec::new(), (None, None))
            }
            Run::Effects(run) => {
                let cx = self.context(overlay, envelope);
                let ran = caught(async { run(&cx, Rc::clone(envelope)).await }).await;
                reached_out = cx.has_reached_out();
                let tx = ran.map_err(|failure| self.outcome_of(failure, reached_out))?;
                let tx = tx.keep_older(|event_type, version| self.ports.host.also_writes(event_type, version));
                let mut heads;
                (heads, snapshots) = cx.into_parts();
                for key in heads_needed(&tx, &envelope.tenant_id, &heads) {
                    let head = match overlay.head(&key) {
                        Some(head) => Some(head.clone()),
                        None => self.head(&key, reached_out).await?,
                    };
                    heads.insert(key, Read { storage: Storage::Events, head });
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
        Ok(Applied { writes: commit.into_writes(), snapshots, lag, position, reached_out })
    }

    /// Less time than this, and nothing is begun.
    pub(crate) fn margin(&self) -> Duration {
        if self.consumer.effect_policy().is_some() { MARGIN + LEAST } else { MARGIN }
    }

    fn context(&self, overlay: &'a Overlay, envelope: &'a Envelope) -> Context<'a> {
        let (name, host) = (self.consumer.name(), self.ports.host);
        let cx = Context::new(self.ports.store, host, &envelope.tenant_id).on(overlay);
        if self.consumer.effect_policy().is_none() {
            return cx;
        }
        // The consumer's own name, whoever's cursors are moved: an effect has one key for ever.
        cx.with_effect(key_of(name, envelope.event_id, || host.random()))
    }

    /// What a handler's failure means once it may have called a provider: nobody knows, unless it says that nothing happened.
    fn outcome_of(&self, failure: Failure, reached_out: bool) -> Failure {
        match failure {
            Failure::Retry(reason) if reached_out && self.consumer.holds() => {
                let failure = Failure::Retry(reason);
                if failure.did_nothing_outside() { failure } else { Failure::unknown(failure.reason()) }
            }
            failure => failure,
        }
    }

    /// The head of an aggregate. What has happened outside is to be written down, so then it is asked for more than once.
    async fn head(&self, key: &AggregateKey, reached_out: bool) -> Result<Option<Head>, Failure> {
        let mut tries = 0;
        loop {
            match self.ports.store.head(key).await {
                Ok(head) => return Ok(head),
                Err(error) if tries == AGAIN || !reached_out => return Err(self.outcome_of(error.into(), reached_out)),
                Err(_) => tries += 1,
            }
            self.pause(tries).await;
        }
    }

    /// Puts an event on the bus. 200 can carry failed entries: the event has left when all its versions have.
    async fn forward(&self, envelope: &Envelope) -> Result<(), Failure> {
        let carried = |kind: &EventType| self.consumer.forwards_type(kind) || is_on("what is not public is named");
        for entries in CloudEvent::of(envelope, carried).chunks(limits::BUS_ENTRIES) {
            let put = self.ports.bus.put(entries).await;
            // Not `Unavailable`, by which the machine knows its own store: a bus that stays away parks its events by age.
            let answers = put.map_err(|error| Failure::retry("bus away", error))?;
            let refused = answers.into_iter().find_map(Result::err);
            if let Some(why) = refused.filter(|_| !is_on("9 failed entries of the bus ignored")) {
                return Err(Failure::retry("refused by the bus", why));
            }
        }
        Ok(())
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

    pub(crate) fn cause(&self, envelope: &Envelope) -> Cause {
        Cause {
            tenant: envelope.tenant_id.clone(),
            correlation_id: envelope.correlation_id.clone(),
            causation_id: CausationId::from(envelope.event_id),
            traceparent: step_of(self.ports.host, envelope),
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
    /// May something have happened outside that only this draft knows of?
    reached_out: bool,
    snapshots: Snapshots,
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

    /// Counts a message that changes nothing: a duplicate, or one whose aggregate waits.
    pub(crate) fn acknowledge(&mut self, host: &dyn Host, row: &Envelope, why: Happened) {
        self.counts.duplicates += u64::from(why == Happened::Duplicate);
        self.counts.waiting += u64::from(why == Happened::Waiting);
        host.saw(row, why);
    }

    pub(crate) fn has_room_for(&self, applied: &Applied) -> bool {
        self.group.has_room_for(&applied.writes)
    }

    /// Adds an event; `missing`: it was read from the journal because its message had not come.
    pub(crate) fn add(&mut self, row: &Rc<Envelope>, applied: Applied, missing: bool) {
        self.rows.push(Rc::clone(row));
        self.reached_out |= applied.reached_out;
        self.counts.applied += 1;
        self.counts.gaps += u64::from(missing);
        self.counts.lags.push(applied.lag);
        let appended = applied.writes.iter().filter(|write| matches!(write, Write::Append(_))).count();
        self.counts.committed += appended as u64;
        self.snapshots.extend(applied.snapshots);
        self.group.add(applied.writes);
    }

    /// One more write in the same commit.
    pub(crate) fn with(&mut self, write: Write) {
        self.group.add(vec![write]);
    }

    /// Commits all of it or nothing, and counts it in `counts` if it happened. What says what has happened outside is written
    /// more than once if nobody knows whether it was: the condition on the rev lets it happen once.
    pub(crate) async fn commit(&mut self, worker: Worker<'_>, counts: &mut Counts) -> Result<(), CommitError> {
        let counted = std::mem::take(&mut self.counts);
        let rows = std::mem::take(&mut self.rows);
        let snapshots = std::mem::take(&mut self.snapshots);
        if !self.group.is_empty() {
            let commit = self.group.take().map_err(|error| CommitError::Invalid(error.to_string()))?;
            for part in parts(commit)? {
                let mut again = if std::mem::take(&mut self.reached_out) { AGAIN } else { 0 };
                loop {
                    match worker.ports.store.commit(&part).await {
                        Err(CommitError::Unavailable(_)) if again > 0 => again -= 1,
                        written => break written?,
                    }
                    worker.pause(AGAIN - again).await;
                }
                hint(worker.ports, part.writes(), counts).await;
                recorded(worker.ports.host, part.writes());
            }
        }
        rows.iter().for_each(|row| worker.ports.host.saw(row, Happened::Applied));
        counts.add(counted);
        keep(worker.ports.store, &snapshots).await;
        Ok(())
    }
}

/// Where in a trace the handling of an event is. One that is in none begins none.
pub(crate) fn step_of(host: &dyn Host, event: &Envelope) -> Option<Traceparent> {
    let after = event.traceparent.as_ref()?;
    Some(host.step(&CausationId::from(event.event_id), after))
}

/// Lets logs tell what was committed.
pub(crate) fn recorded(host: &dyn Host, written: &[Write]) {
    for write in written {
        if let Write::Append(row) = write {
            host.saw(&row.envelope, Happened::Recorded);
        }
    }
}

/// Timers that were set for soon get their wake now; for later ones, and for those whose wake is lost, the auditor sends one.
pub(crate) async fn hint(ports: ConsumerPorts<'_>, written: &[Write], counts: &mut Counts) {
    let now = ports.host.now();
    for write in written {
        let Write::Entity { key, stored: Stored { saga: Some(saga), .. }, expect } = write else { continue };
        for (name, timer) in saga.timers.iter().filter(|(_, timer)| timer.nonce > expect.unwrap_or(Seq::ZERO)) {
            let wait = Duration::from_millis(timer.due.millis_since(now));
            if wait > HINT_AHEAD {
                continue;
            }
            let wake = Wake::timer(key.clone(), name.clone(), timer.nonce);
            if let Err(error) = ports.wakes.wake_later(&saga.consumer, &wake, wait).await {
                counts.failures.push(failure_of(Some(key.clone()), error.into(), Then::HandedOver));
            }
        }
    }
}

/// One commit, of course.
fn parts(commit: Commit) -> Result<Vec<Commit>, CommitError> {
    let apart: fn(&Write) -> bool = if is_on("13 cursor apart from the effects") {
        |write| matches!(write, Write::Cursor { .. })
    } else if is_on("47 a saga's state apart from its commands") {
        |write| matches!(write, Write::Entity { .. })
    } else {
        return Ok(vec![commit]);
    };
    let (cursors, effects): (Vec<Write>, Vec<Write>) = commit.into_writes().into_iter().partition(apart);
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
