//! The second way into a consumer: a wake advances one aggregate to the end of its journal. Retries, redeliveries that
//! look suspicious, redrives, skips, timers and audits all come in here.
//! Must not know: SQS, Lambda, DynamoDB.
//!
//! A wake is deleted only when a read of the journal that began after the last commit found nothing more. An attempt
//! that may kill the process is counted before it runs. The row decides, never the message.

use std::rc::Rc;
use std::time::Duration;

use crate::apply::{Draft, Worker, invalid};
use crate::batch::{ConsumerPorts, failure_of};
use crate::commit::Commit;
use crate::cursor::Status;
use crate::effect::LEAST;
use crate::journal::{Gone, Walk};
use crate::planted::is_on;
use crate::ports::{CommitError, Consistency, Position, Unavailable};
use crate::rebuild::rebuild_aggregate;
use crate::replay::replay_aggregate;
use crate::trouble::{BACKLOG, LADDER, Trouble};
use crate::{
    AggregateKey, Consumer, Counts, Cursor, Envelope, Failed, Failure, Instruction, Seq, TenantId, Then, Verb, Wake,
};

/// Times that somebody else may write in between before a wake steps aside.
const DECISIONS: u32 = 8;
/// Rows of the journal read at a time.
const PAGE: usize = 100;
/// Events in one commit of a catch-up.
const SLICE: usize = 50;

/// What a wake came to.
#[derive(Debug, PartialEq)]
pub struct WakeReport {
    /// What to do with the message.
    pub outcome: Outcome,
    /// What was done.
    pub counts: Counts,
}

/// What to do with a wake's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Delete it.
    Done,
    /// Leave it in the queue and let it come back after this time.
    Again(Duration),
}

/// Handles one wake; `receives` is how often it was delivered, this time included.
pub async fn handle_wake(consumer: &Consumer, ports: ConsumerPorts<'_>, wake: &Wake, receives: u32) -> WakeReport {
    // A rebuild applies nothing that was not applied before.
    if let Verb::Rebuild(rebuild) = wake.verb {
        return rebuild_aggregate(consumer, ports, &wake.aggregate, rebuild, receives).await;
    }
    let worker = Worker::new(consumer, ports);
    let held = match is_held(&worker, &wake.aggregate.tenant).await {
        Ok(held) => held,
        Err(error) => return put_off(&wake.aggregate, error),
    };
    match &wake.verb {
        Verb::Replay(_) if held => left(Outcome::Again(LADDER[LADDER.len() - 1])),
        // It is still set, and overdue when its tenant goes on: then the auditor sends the next one.
        Verb::Timer(_) if held => left(Outcome::Done),
        Verb::Replay(replay) => replay_aggregate(consumer, ports, &wake.aggregate, replay, receives).await,
        Verb::Timer(firing) => timer::fire(consumer, ports, &wake.aggregate, firing, receives).await,
        _ => advance(Worker { held, ..worker }, wake, receives).await,
    }
}

async fn is_held(worker: &Worker<'_>, tenant: &TenantId) -> Result<bool, Unavailable> {
    let copy = worker.ports.store.holds(worker.consumer.name(), Consistency::Eventual).await?;
    Ok(!worker.held_of(&copy, &[tenant]).await?.is_empty())
}

fn left(outcome: Outcome) -> WakeReport {
    WakeReport { outcome, counts: Counts { received: 1, ..Counts::default() } }
}

fn put_off(aggregate: &AggregateKey, error: Unavailable) -> WakeReport {
    let mut report = left(Outcome::Again(LADDER[1]));
    report.counts.failures.push(failure_of(Some(aggregate.clone()), error.into(), Then::Again));
    report
}

async fn advance(worker: Worker<'_>, wake: &Wake, receives: u32) -> WakeReport {
    let mut advance = Advance {
        worker,
        wake,
        counts: Counts { received: 1, ..Counts::default() },
        // Before this delivery something may have killed the process: no slices, and count before running.
        wary: receives > 1,
        passed: false,
        token: None,
        spent: false,
        refusals: 0,
    };
    let outcome = match advance.run().await {
        Ok(outcome) => outcome,
        Err(error) => {
            advance.fail(None, error.into(), Then::Again);
            advance.take_back_somehow().await;
            Outcome::Again(LADDER[1])
        }
    };
    WakeReport { outcome, counts: advance.counts }
}

struct Advance<'a> {
    worker: Worker<'a>,
    wake: &'a Wake,
    counts: Counts,
    wary: bool,
    /// Has this invocation got past an event? Then what may have killed the one before it lies behind.
    passed: bool,
    /// The attempt that this invocation has marked on the row.
    token: Option<u64>,
    /// May that attempt have done something outside, of which nothing is written yet? Then it is never made again.
    spent: bool,
    refusals: u32,
}

/// What a look at the row and at the journal shows.
struct View {
    position: Option<Position>,
    /// What this wake may do with a parked row.
    order: Option<Instruction>,
}

/// What the journal shows from the cursor on.
enum Page {
    /// Rows that this consumer wants; none at the end.
    Rows(Vec<Rc<Envelope>>),
    /// A row that it needs is gone.
    Gone(Gone),
    /// This row says that there are others, at or below the cursor, of types that the code did not know which moved it.
    Newer(Rc<Envelope>),
}

/// What to do next.
enum Next {
    /// Look again.
    Look,
    End(Outcome),
}

/// What became of a slice.
enum Slice {
    /// So many events are committed, and the row is this.
    Committed(usize, Box<Position>),
    Not(Next),
}

impl View {
    fn cursor(&self) -> Option<&Cursor> {
        self.position.as_ref().map(|position| &position.cursor)
    }

    fn status(&self) -> Status {
        self.cursor().map_or(Status::Ready, |cursor| cursor.status)
    }

    fn trouble(&self) -> Option<&Trouble> {
        self.cursor().and_then(|cursor| cursor.trouble.as_ref())
    }

    fn with(&self, cursor: Cursor) -> Position {
        self.position
            .as_ref()
            .map_or_else(|| Position::new(cursor.clone(), None), |position| position.moved(cursor.clone()))
    }
}

impl Advance<'_> {
    async fn run(&mut self) -> Result<Outcome, Unavailable> {
        loop {
            let needed = if self.spent { LEAST } else { self.worker.margin() };
            if self.worker.ports.host.remaining() < needed {
                // An attempt that was begun and not run would count as one that ended the process.
                self.take_back_somehow().await;
                return self.go_on_later().await;
            }
            let view = self.look().await?;
            if self.refusals > DECISIONS {
                self.take_back(&view, None).await?;
                return Ok(Outcome::Again(LADDER[0]));
            }
            if let Some(outcome) = self.stand_aside(&view).await? {
                return Ok(outcome);
            }
            if let (Verb::Skip(order), Some(_)) = (&self.wake.verb, &view.order) {
                self.skip(&view, order.clone()).await?;
                continue;
            }
            let next = match self.page(&view).await? {
                Page::Rows(rows) if rows.is_empty() => self.at_the_end(&view).await?,
                Page::Rows(rows) if self.worker.held => self.hold(&view, &rows[0]).await?,
                Page::Rows(rows) => self.advance(view, &rows).await?,
                Page::Newer(row) => self.look_back(&view, &row).await?,
                Page::Gone(gone) => {
                    let mut row = (*gone.next).clone();
                    (row.seq, row.prior) = (gone.seq, crate::Prior::default());
                    self.park(&view, &row, &gone.failure()).await?
                }
            };
            if let Next::End(outcome) = next {
                return Ok(outcome);
            }
        }
    }

    async fn look(&self) -> Result<View, Unavailable> {
        let key = [self.worker.key(self.wake.aggregate.clone())];
        let home = self.worker.consumer.home();
        let consistency = if is_on("23 row read eventually") { Consistency::Eventual } else { Consistency::Strong };
        let position = self.worker.ports.store.positions(home, &key, consistency).await?.pop().flatten();
        let mut view = View { position, order: None };
        if let Verb::Retry(order) | Verb::Skip(order) = &self.wake.verb {
            let holds = view.cursor().is_some_and(|cursor| cursor.rev == order.rev || self.is_ours(cursor))
                || is_on("40 an order for any rev");
            let holds = holds && self.may_order(&view, order);
            view.order = (view.status() == Status::Parked && holds && !self.worker.held).then(|| order.clone());
        }
        Ok(view)
    }

    fn is_ours(&self, cursor: &Cursor) -> bool {
        self.token.is_some() && cursor.trouble.as_ref().is_some_and(|trouble| trouble.running == self.token)
    }

    /// Rows that this wake must leave alone, now or for good.
    async fn stand_aside(&mut self, view: &View) -> Result<Option<Outcome>, Unavailable> {
        if let Some(failure) = self.worker.outdated(view.cursor()) {
            self.fail(None, failure, Then::Again);
            return Ok(Some(Outcome::Again(LADDER[2])));
        }
        let now = self.worker.ports.host.now();
        let wait = view.trouble().map_or(0, |trouble| trouble.due.millis_since(now));
        match view.status() {
            Status::Ready if is_on("58 no-op on a ready row") => Ok(Some(Outcome::Done)),
            Status::Held if self.worker.held => Ok(Some(Outcome::Done)),
            Status::Parked if view.order.is_some() => Ok(None),
            // Nobody orders anything: a parked row waits. The sweeper comes when its ticket is missing or about to expire.
            Status::Parked => {
                if wait == 0 || self.is_ticket_put_back(view) {
                    self.renew_ticket(view).await?;
                }
                Ok(Some(Outcome::Done))
            }
            Status::Retrying if view.cursor().is_some_and(|cursor| self.is_ours(cursor)) => Ok(None),
            // Another wake is at it, or it is backing off.
            Status::Retrying if wait > 0 && view.trouble().is_some_and(|trouble| !trouble.is_backlog()) => {
                Ok(Some(Outcome::Again(Duration::from_millis(wait))))
            }
            Status::Retrying | Status::Ready | Status::Held => Ok(None),
        }
    }

    /// The next rows that this consumer wants, strongly consistent, from the cursor's own row on.
    async fn page(&mut self, view: &View) -> Result<Page, Unavailable> {
        let at = view.cursor().map_or(Seq::ZERO, |cursor| cursor.seq);
        let failed = view.trouble().filter(|trouble| !trouble.is_backlog()).map(|trouble| trouble.seq);
        let mut walk = Walk::new(self.worker.consumer, at, failed);
        let mut from = Seq(at.0.saturating_sub(1));
        loop {
            let store = self.worker.ports.store;
            let found = store.journal(&self.wake.aggregate, from, Seq(i64::MAX.unsigned_abs()), PAGE).await?;
            let Some(last) = found.last().map(|row| row.envelope.seq) else {
                return Ok(Page::Rows(Vec::new()));
            };
            let full = found.len() == PAGE;
            let mut rows = Vec::new();
            for row in found {
                if row.envelope.seq == at && self.is_other(view, &row.envelope) {
                    return Ok(Page::Rows(vec![Rc::new(row.envelope)]));
                }
                if rows.is_empty() && self.worker.may_have_passed(view.cursor(), &row.envelope) {
                    return Ok(Page::Newer(Rc::new(row.envelope)));
                }
                match walk.step(row) {
                    Ok(wanted) => rows.extend(wanted),
                    Err(gone) if rows.is_empty() => return Ok(Page::Gone(gone)),
                    Err(_) => return Ok(Page::Rows(rows)),
                }
            }
            if full && rows.len() > 1 {
                rows.pop(); // it stands for all that wait behind this page
            }
            if !rows.is_empty() {
                return Ok(Page::Rows(rows));
            }
            from = last;
        }
    }

    /// Does the journal hold another event at the cursor's place than the one that was handled?
    fn is_other(&self, view: &View, row: &Envelope) -> bool {
        view.cursor().is_some_and(|cursor| {
            cursor.seq != Seq::ZERO && (cursor.event_id != Some(row.event_id) || cursor.era != row.era)
        })
    }

    /// Nothing is left to do: the row is ready, or becomes so, and then the journal is read once more.
    async fn at_the_end(&mut self, view: &View) -> Result<Next, Unavailable> {
        let Some(cursor) = view.cursor().filter(|cursor| cursor.status != Status::Ready) else {
            return Ok(Next::End(Outcome::Done));
        };
        let ready =
            Cursor { status: Status::Ready, attempt: 0, rev: cursor.rev.next(), trouble: None, ..cursor.clone() };
        self.write(view, ready).await.map(|_| Next::Look)
    }

    async fn advance(&mut self, view: View, rows: &[Rc<Envelope>]) -> Result<Next, Unavailable> {
        let first = Rc::clone(&rows[0]);
        if view.cursor().is_some_and(|cursor| first.seq <= cursor.seq) {
            let why = "the journal holds another event at the cursor's place than the one that was handled";
            return self.park(&view, &first, &Failure::reject("another history", why)).await;
        }
        let suspect = view.trouble().is_some_and(|trouble| !trouble.is_backlog());
        let counted = view.cursor().is_some_and(|cursor| self.is_ours(cursor));
        if counted && self.spent {
            return self
                .park(&view, &first, &self.unknown(&first, "it could not be written down what came of it"))
                .await;
        }
        let marks = self.worker.consumer.holds() && !is_on("62 an effect before its mark");
        if (suspect || marks || self.wary && !self.passed) && !counted && !is_on("62 counted after the run") {
            return self.begin_attempt(&view, &first).await;
        }
        let alone = self.worker.consumer.effect_policy().is_some();
        let limit = if alone || self.wary || suspect || self.refusals > 0 { 1 } else { SLICE };
        let (mut view, mut rest) = (view, rows);
        loop {
            match self.slice(&view, rest, limit).await? {
                Slice::Committed(events, position) => {
                    rest = &rest[events..];
                    view = View { position: Some(*position), order: None };
                }
                Slice::Not(next) => return Ok(next),
            }
            if rest.is_empty() || marks || self.worker.ports.host.remaining() < self.worker.margin() {
                return Ok(Next::Look);
            }
        }
    }

    /// Applies up to `limit` events and commits them together.
    async fn slice(&mut self, view: &View, rows: &[Rc<Envelope>], limit: usize) -> Result<Slice, Unavailable> {
        let mut draft = Draft::default();
        let mut position = view.position.clone();
        let mut failed = None;
        for row in rows.iter().take(limit) {
            let ran = self.worker.apply(draft.overlay(), position.as_ref(), row).await;
            self.spent = self.worker.consumer.holds() && outside::may_have_happened(&ran);
            match ran {
                Ok(applied) if draft.has_room_for(&applied) => {
                    position = Some(applied.position.clone());
                    draft.add(row, applied, false);
                }
                Ok(_) => break,
                Err(failure) => {
                    failed = Some((Rc::clone(row), failure));
                    break;
                }
            }
        }
        let applied = draft.events();
        if let (1.., Some(position)) = (applied, position) {
            let position = self.say_what_waits(&mut draft, view, position, rows.get(applied));
            let early = is_on("59 followers read before the commit") && applied == rows.len() && self.refusals == 0;
            return Ok(match self.commit(view, draft).await? {
                None if early => Slice::Not(Next::End(Outcome::Done)),
                None => Slice::Committed(applied, Box::new(position)),
                Some(next) => Slice::Not(next),
            });
        }
        match failed {
            Some((row, failure)) => self.failed(view, &row, failure).await.map(Slice::Not),
            None => Ok(Slice::Not(Next::Look)),
        }
    }

    /// While more rows wait, the row says so: first deliveries leave them to this wake.
    fn say_what_waits(&self, draft: &mut Draft, view: &View, to: Position, next: Option<&Rc<Envelope>>) -> Position {
        let Some(next) = next else { return to };
        let backlog = Failure::retry(BACKLOG, "a wake is catching up");
        let host = self.worker.ports.host;
        let mut trouble = Trouble::new(next, &backlog, host.now(), self.worker.ports.producer);
        trouble.due = host.now().plus(host.remaining());
        let cursor = Cursor { status: Status::Retrying, trouble: Some(trouble), ..to.cursor };
        let waiting = Position { cursor, ..to };
        draft.with(self.worker.cursor_write(self.wake.aggregate.clone(), waiting.clone(), view.cursor()));
        waiting
    }

    /// `None` if it is committed, else what to do next.
    async fn commit(&mut self, view: &View, mut draft: Draft) -> Result<Option<Next>, Unavailable> {
        let row = draft.last();
        match draft.commit(self.worker, &mut self.counts).await {
            Ok(()) => {
                (self.refusals, self.passed, self.spent) = (0, true, false);
                Ok(None)
            }
            Err(CommitError::Invalid(why)) => match row {
                // More than one event: the guilty one shows itself when each stands alone.
                Some(row) if self.wary || self.refusals > 0 => self.failed(view, &row, invalid(&why)).await.map(Some),
                _ => self.refused().await.map(Some),
            },
            Err(CommitError::Refused(_) | CommitError::Unavailable(_)) => self.refused().await.map(Some),
        }
    }

    async fn refused(&mut self) -> Result<Next, Unavailable> {
        self.refusals += 1;
        self.counts.refused += 1;
        self.worker.pause(self.refusals).await;
        Ok(Next::Look)
    }

    /// Writes the row if it is as it was read. `false`: it is not, or nobody knows; look again.
    async fn write(&mut self, view: &View, to: Cursor) -> Result<bool, Unavailable> {
        let write = self.worker.cursor_write(self.wake.aggregate.clone(), view.with(to), view.cursor());
        let commit = Commit::new(vec![write])
            .map_err(|error| Unavailable { call: "writing a cursor", why: error.to_string() })?;
        match self.worker.ports.store.commit(&commit).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(_)) => {
                self.refused().await?;
                Ok(false)
            }
            Err(CommitError::Unavailable(error)) => Err(error),
            Err(CommitError::Invalid(why)) => Err(Unavailable { call: "writing a cursor", why }),
        }
    }

    /// The invocation's time is over: a fresh wake goes on, so that a long catch-up never looks like a failure.
    async fn go_on_later(&self) -> Result<Outcome, Unavailable> {
        if is_on("32 a wake out of time is deleted") {
            return Ok(Outcome::Done);
        }
        self.worker.ports.wakes.wake(self.worker.consumer.name(), self.wake).await?;
        Ok(Outcome::Done)
    }

    fn fail(&mut self, row: Option<&Rc<Envelope>>, failure: Failure, then: Then) {
        let failed = failure_of(Some(self.wake.aggregate.clone()), failure, then);
        self.counts.failures.push(Failed { envelope: row.cloned(), ..failed });
    }
}

mod blocked;
mod older;
mod outside;
mod timer;
