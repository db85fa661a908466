//! What a wake writes about a row that does not advance: an attempt begun, failed or taken back; parked, with its
//! ticket; passed over by order.
//! Must not know: which rows there are, when to look.

use std::rc::Rc;

use super::{Advance, Next, Outcome, View};
use crate::apply::{Draft, invalid};
use crate::batch::MARGIN;
use crate::commit::{Reads, plan, with_heads};
use crate::delivery::held;
use crate::planted::is_on;
use crate::ports::{Unavailable, Write};
use crate::trouble::{DEATHS, LADDER, PARK_AFTER, TICKET_RENEWAL, TICKET_RETRY, TicketState, Trouble, backoff};
use crate::{Cursor, Envelope, EventId, Failure, Instruction, Rev, Seq, Skipped, Status, Then, Ticket};

/// Times that an attempt is tried to be taken back while the store is hardly there.
const TAKE_BACKS: u32 = 3;

impl Advance<'_> {
    /// Counts the attempt before it runs: whatever it does to the process, the row knows that it was begun.
    pub(super) async fn begin_attempt(&mut self, view: &View, row: &Rc<Envelope>) -> Result<Next, Unavailable> {
        let host = self.worker.ports.host;
        let now = host.now();
        let cursor = view.cursor().cloned().unwrap_or_else(|| self.worker.start(row));
        let suspicion = Failure::retry("process ended", "the process ended while this event was handled");
        let known = view.trouble().filter(|trouble| trouble.seq == row.seq && !trouble.is_backlog()).cloned();
        let mut trouble = known.unwrap_or_else(|| Trouble::new(row, &suspicion, now, self.worker.ports.producer));
        if view.status() == Status::Held {
            trouble.since = now; // the time that it was held is not its own
        }
        if trouble.running.is_some() {
            trouble.deaths += 1;
            trouble.explain(&suspicion);
        }
        if self.worker.consumer.holds() {
            let unknown = self.unknown(row, "an attempt was begun and has not said how it ended");
            if trouble.deaths > 0 && view.order.is_none() {
                return self.park(view, row, &unknown).await;
            }
            // Also when an operator has ordered it: should the process end, the row says what has to be found out.
            trouble.explain(&unknown);
        }
        if trouble.deaths >= DEATHS && view.order.is_none() {
            let why = format!("the process ended {} times while this event was handled", trouble.deaths);
            return self.park(view, row, &Failure::reject("process ended", why)).await;
        }
        let token = u64::try_from(host.random() & u128::from(u64::MAX)).unwrap_or_default();
        trouble.running = Some(token);
        trouble.due = now.plus(host.remaining() + MARGIN);
        if is_on("14 an attempt that never expires") {
            trouble.due = now.plus(TICKET_RENEWAL);
        }
        // A parked row stays parked while it is tried; should the process end, its ticket is sent again.
        trouble.ticket = view.order.as_ref().map(|_| TicketState::Missing);
        let status = if view.order.is_some() { Status::Parked } else { Status::Retrying };
        let begun =
            Cursor { status, attempt: cursor.attempt + 1, rev: cursor.rev.next(), trouble: Some(trouble), ..cursor };
        self.token = Some(token);
        self.write(view, begun).await.map(|_| Next::Look)
    }

    /// Somebody has stopped the tenant: the row says so, and keeps what it knows of a failure, or of an attempt that never
    /// said how it ended.
    pub(super) async fn hold(&mut self, view: &View, row: &Rc<Envelope>) -> Result<Next, Unavailable> {
        let host = self.worker.ports.host;
        let cursor = view.cursor().cloned().unwrap_or_else(|| self.worker.start(row));
        let known = view.trouble().filter(|_| !is_on("a hold forgets the attempt")).cloned();
        let trouble = known.unwrap_or_else(|| Trouble::new(row, &held(), host.now(), self.worker.ports.producer));
        let marked = Cursor { status: Status::Held, rev: cursor.rev.next(), trouble: Some(trouble), ..cursor };
        if is_on("held without a mark") || self.write(view, marked).await? {
            self.counts.held += 1;
            return Ok(Next::End(Outcome::Done));
        }
        Ok(Next::Look)
    }

    /// The first row that waits has failed.
    pub(super) async fn failed(
        &mut self,
        view: &View,
        row: &Rc<Envelope>,
        failure: Failure,
    ) -> Result<Next, Unavailable> {
        let now = self.worker.ports.host.now();
        if failure.is_unavailable() {
            self.take_back(view, Some(&failure)).await?;
            self.fail(Some(row), failure, Then::Again);
            return Ok(Next::End(Outcome::Again(LADDER[1])));
        }
        let since = view.trouble().filter(|trouble| trouble.seq == row.seq).map_or(now, |trouble| trouble.since);
        let old = u128::from(now.millis_since(since)) >= PARK_AFTER.as_millis()
            || is_on("69 parked by count") && view.cursor().is_some_and(|cursor| cursor.attempt >= 5);
        let is_unknown =
            self.spent && matches!(failure, Failure::Unknown(_)) && !is_on("25 an unknown effect had again");
        let failure = if is_unknown { self.unknown(row, &failure.reason().message) } else { failure };
        if is_unknown || matches!(failure, Failure::Reject(_)) || old || view.order.is_some() {
            return self.park(view, row, &failure).await;
        }
        let cursor = view.cursor().cloned().unwrap_or_else(|| self.worker.start(row));
        let attempt = if is_on("62 counted after the run") { cursor.attempt + 1 } else { cursor.attempt.max(1) };
        let wait = backoff(attempt);
        let mut trouble = Trouble::new(row, &failure, now, self.worker.ports.producer);
        (trouble.since, trouble.due) = (since, now.plus(wait));
        let failed =
            Cursor { status: Status::Retrying, attempt, rev: cursor.rev.next(), trouble: Some(trouble), ..cursor };
        self.token = None;
        if !self.write(view, failed).await? {
            return Ok(Next::Look);
        }
        self.fail(Some(row), failure, Then::Again);
        Ok(Next::End(Outcome::Again(wait)))
    }

    /// An attempt that was begun but came to nothing through no fault of the event does not count. If it is known, the row
    /// says why.
    pub(super) async fn take_back(&mut self, view: &View, why: Option<&Failure>) -> Result<(), Unavailable> {
        if self.spent {
            return Ok(());
        }
        let ours = |cursor: &&Cursor| self.is_ours(cursor) || is_on("15 the attempt of another is ended");
        let Some(cursor) = view.cursor().filter(ours) else { return Ok(()) };
        let mut begun = cursor.clone();
        (begun.attempt, begun.rev) = (begun.attempt.saturating_sub(1), begun.rev.next());
        if let Some(trouble) = &mut begun.trouble {
            (trouble.running, trouble.due) = (None, self.worker.ports.host.now());
            why.into_iter().for_each(|why| trouble.explain(why));
        }
        self.write(view, begun).await.map(|_| ())
    }

    /// The same when the store is hardly there. If it stays away, the attempt counts as one that ended the process: such
    /// a row is parked only after several of them, and no event is lost by it.
    pub(super) async fn take_back_somehow(&mut self) {
        for tries in 0..TAKE_BACKS {
            if (self.token.is_none() || self.spent) && !is_on("15 the attempt of another is ended") {
                return;
            }
            self.worker.pause(tries + 3).await;
            if let Ok(view) = self.look().await
                && self.take_back(&view, None).await.is_ok()
            {
                return;
            }
        }
    }

    /// First the ticket, then the mark, then the acknowledgement: the row says whether the ticket was sent.
    pub(super) async fn park(&mut self, view: &View, row: &Envelope, failure: &Failure) -> Result<Next, Unavailable> {
        let now = self.worker.ports.host.now();
        let cursor = view.cursor().cloned().unwrap_or_else(|| self.worker.start(row));
        let mut trouble = Trouble::new(row, failure, now, self.worker.ports.producer);
        if let Some(known) = view.trouble().filter(|known| known.seq == row.seq) {
            let died = known.running.is_some() && !self.is_ours(&cursor);
            (trouble.since, trouble.deaths) = (known.since, known.deaths + u32::from(died));
        }
        let rev = cursor.rev.next();
        let ticket = self.ticket(&trouble, cursor.attempt.max(1), rev);
        let mark_first = is_on("60 parked before the ticket");
        if mark_first {
            (trouble.ticket, trouble.due) = (Some(TicketState::Sent), now.plus(TICKET_RENEWAL));
        } else {
            trouble = self.with_ticket(trouble, &ticket).await;
        }
        let parked = Cursor {
            status: Status::Parked,
            attempt: cursor.attempt.max(1),
            rev,
            trouble: Some(trouble.clone()),
            ..cursor
        };
        if !self.write(view, parked).await? {
            return Ok(Next::Look);
        }
        if mark_first {
            self.with_ticket(trouble, &ticket).await;
        }
        self.counts.parked += 1;
        self.fail(Some(&Rc::new(row.clone())), failure.clone(), Then::Parked);
        Ok(Next::End(Outcome::Done))
    }

    /// Sends the ticket of a row that is parked already, because it is missing or will soon be forgotten.
    pub(super) async fn renew_ticket(&mut self, view: &View) -> Result<(), Unavailable> {
        let (Some(cursor), Some(trouble)) = (view.cursor(), view.trouble()) else { return Ok(()) };
        let rev = cursor.rev.next();
        let ticket = self.ticket(trouble, cursor.attempt, rev);
        let mut trouble = self.with_ticket(trouble.clone(), &ticket).await;
        trouble.running = None;
        self.write(view, Cursor { rev, trouble: Some(trouble), ..cursor.clone() }).await.map(|_| ())
    }

    fn ticket(&self, trouble: &Trouble, attempts: u32, rev: Rev) -> Ticket {
        Ticket {
            consumer: self.worker.consumer.name().clone(),
            aggregate: self.wake.aggregate.clone(),
            rev,
            event_id: trouble.event_id,
            event_type: trouble.event_type.clone(),
            seq: trouble.seq,
            class: trouble.class.clone(),
            message: trouble.message.clone(),
            attempts,
            since: trouble.since,
            parked_at: self.worker.ports.host.now(),
            producer: trouble.producer.clone(),
        }
    }

    async fn with_ticket(&mut self, mut trouble: Trouble, ticket: &Ticket) -> Trouble {
        let now = self.worker.ports.host.now();
        (trouble.ticket, trouble.due) = match self.worker.ports.dead_letters.ticket(ticket).await {
            Ok(()) => (Some(TicketState::Sent), now.plus(TICKET_RENEWAL)),
            Err(error) => {
                self.fail(None, error.into(), Then::Parked);
                (Some(TicketState::Missing), now.plus(TICKET_RETRY))
            }
        };
        trouble
    }

    /// Passes over the event of a parked row, on record; the record and the cursor are one commit.
    pub(super) async fn skip(&mut self, view: &View, order: Instruction) -> Result<(), Unavailable> {
        let (Some(cursor), Some(trouble)) = (view.cursor(), view.trouble()) else { return Ok(()) };
        let skipped = Skipped {
            seq: trouble.seq,
            event_id: trouble.event_id,
            event_type: trouble.event_type.clone(),
            who: order.who,
            why: order.why,
            at: self.worker.ports.host.now(),
        };
        let passed = passed(cursor, trouble.seq, trouble.event_id);
        let key = self.worker.key(self.wake.aggregate.clone());
        let mut draft = Draft::default();
        if !is_on("skipped off the record") {
            draft.with(Write::Skip { key, skipped });
        }
        draft.with(self.worker.cursor_write(self.wake.aggregate.clone(), view.with(passed), Some(cursor)));
        for write in self.answer_to_skipped(trouble.seq).await? {
            draft.with(write);
        }
        match draft.commit(self.worker, &mut self.counts).await {
            Ok(()) => self.counts.skipped += 1,
            Err(error) => {
                self.fail(None, invalid(&error.to_string()), Then::Again);
                self.refused().await?;
            }
        }
        Ok(())
    }
}

impl Advance<'_> {
    /// A command that is passed over is answered in the same commit: its sender waits for that. One that this code cannot
    /// read is passed over without: a saga's timer is the way out then.
    async fn answer_to_skipped(&mut self, seq: Seq) -> Result<Vec<Write>, Unavailable> {
        let store = self.worker.ports.store;
        let before = Seq(seq.0.saturating_sub(1));
        let Some(row) = store.journal(&self.wake.aggregate, before, seq, 1).await?.pop() else { return Ok(Vec::new()) };
        let tx = match self.worker.consumer.answer_to_skipped(&row.envelope) {
            None => return Ok(Vec::new()),
            Some(_) if is_on("a skipped command has no answer") => return Ok(Vec::new()),
            Some(Ok(tx)) => tx,
            Some(Err(failure)) => {
                self.fail(Some(&Rc::new(row.envelope)), failure, Then::Again);
                return Ok(Vec::new());
            }
        };
        let heads = with_heads(store, &tx, &self.wake.aggregate.tenant, Reads::new()).await?;
        let random = || self.worker.ports.host.random();
        match plan(tx, &heads, &self.worker.cause(&row.envelope), random) {
            Ok(writes) => Ok(writes),
            Err(error) => {
                self.fail(Some(&Rc::new(row.envelope)), Failure::reject("no answer", error), Then::Again);
                Ok(Vec::new())
            }
        }
    }
}

/// The cursor behind an event that was passed over. It still says which code came so far: older code may have gone past
/// others. An event that older code had gone past lies below the cursor, which then stays where it is.
fn passed(cursor: &Cursor, seq: Seq, event_id: EventId) -> Cursor {
    if seq <= cursor.seq {
        let (status, rev) = (Status::Ready, cursor.rev.next());
        return Cursor { status, rev, attempt: 0, trouble: None, ..cursor.clone() };
    }
    Cursor { seq, event_id: Some(event_id), rev: cursor.rev.next(), ..Cursor::start(cursor.era, cursor.generation) }
}
