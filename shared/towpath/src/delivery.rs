//! The messages of one tenant in a batch: decided aggregate by aggregate, committed together, and one by one if that is
//! refused. What cannot be applied is handed over to a wake.
//! Must not know: message bodies, other tenants.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::apply::{Draft, Worker, invalid};
use crate::batch::{Message, failure_of};
use crate::commit::Commit;
use crate::consumer::Writes;
use crate::cursor::{Decision, Foreign, Status, decide};
use crate::journal::Walk;
use crate::planted::is_on;
use crate::ports::{CommitError, Position, Unavailable};
use crate::trouble::{BACKLOG, Trouble};
use crate::{AggregateKey, Counts, Cursor, Envelope, Failed, Failure, Happened, Seq, Then, Wake};

/// How often one event is decided again after somebody else's write got in between.
const DECISIONS: u32 = 5;
/// Rows that may be missing before a message without a wake catching up.
const SMALL_GAP: u64 = 50;

/// One message about an aggregate.
pub(crate) struct Delivery {
    pub(crate) index: usize,
    pub(crate) receives: u32,
    pub(crate) envelope: Rc<Envelope>,
}

/// What a batch holds of one aggregate, and how far it is.
pub(crate) struct Work {
    pub(crate) aggregate: AggregateKey,
    pub(crate) deliveries: Vec<Delivery>,
    /// Where the consumer is, as read or committed.
    pub(crate) position: Option<Position>,
    /// Is that the latest, or may it be a moment old?
    pub(crate) latest: bool,
    /// Where it will be when the draft is committed.
    ahead: Option<Position>,
    /// Messages decided, those in the draft included.
    decided: usize,
    /// Messages done with.
    settled: usize,
    /// Why the rest is left to a wake.
    left: Option<Left>,
}

struct Left {
    row: Rc<Envelope>,
    failure: Failure,
    /// Later messages shall not run into it, so the row says that it is being taken care of.
    mark: bool,
}

enum Step {
    /// All messages are decided.
    Through,
    /// The draft must be committed first.
    Full,
}

impl Work {
    pub(crate) fn new(aggregate: AggregateKey) -> Self {
        Self {
            aggregate,
            deliveries: Vec::new(),
            position: None,
            latest: false,
            ahead: None,
            decided: 0,
            settled: 0,
            left: None,
        }
    }

    /// Into the order of the journal.
    pub(crate) fn sort(&mut self) {
        self.deliveries.sort_by_key(|delivery| (delivery.envelope.seq, delivery.index));
    }

    /// Messages that were not done with.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = usize> {
        self.deliveries[self.settled..].iter().map(|delivery| delivery.index)
    }

    fn here(&self) -> Option<&Position> {
        self.ahead.as_ref().or(self.position.as_ref())
    }

    fn leave(&mut self, row: &Rc<Envelope>, failure: Failure, mark: bool) -> Step {
        self.left = Some(Left { row: Rc::clone(row), failure, mark });
        Step::Through
    }

    fn committed(&mut self) {
        self.settled = self.decided;
        if let Some(ahead) = self.ahead.take() {
            self.position = Some(ahead);
            self.latest = true;
        }
    }

    fn refused(&mut self) {
        self.decided = self.settled;
        self.ahead = None;
        self.left = None;
        self.latest = false;
    }
}

impl Worker<'_> {
    /// Does what can be done for one tenant. What stays unsettled in the works must be delivered again.
    pub(crate) async fn tenant(&self, mut works: Vec<Work>, messages: &[Message]) -> (Vec<Work>, Counts) {
        let mut counts = Counts::default();
        let alone = self.consumer.effect_policy().is_some();
        let done = match self.consumer.writes() {
            Writes::Grouped if !alone => self.together(&mut works, messages, &mut counts).await,
            _ => {
                let each = works.iter_mut().map(async |work| {
                    let (mut counts, work) = (Counts::default(), std::slice::from_mut(work));
                    // No effect outside is had again because another event's commit was refused.
                    let done = match alone {
                        true => self.one_by_one(work, messages, &mut counts).await,
                        false => self.together(work, messages, &mut counts).await,
                    };
                    (done, counts)
                });
                let mut all = Ok(());
                for (one, counted) in join_all(each).await {
                    counts.add(counted);
                    all = all.and(one);
                }
                all
            }
        };
        if let Err(failure) = done {
            let aggregate = works.iter().find(|work| work.settled < work.deliveries.len());
            counts.failures.push(failure_of(aggregate.map(|work| work.aggregate.clone()), failure, Then::Again));
        }
        for work in &mut works {
            self.hand_over(work, &mut counts).await;
        }
        (works, counts)
    }

    /// All works in as few commits as possible; one by one if such a commit is refused.
    async fn together(&self, works: &mut [Work], messages: &[Message], counts: &mut Counts) -> Result<(), Failure> {
        let mut draft = Draft::default();
        let mut away = Ok(());
        for at in 0..works.len() {
            loop {
                match self.advance(&mut works[at], &mut draft, usize::MAX, messages).await {
                    Ok(Step::Through) => break,
                    Ok(Step::Full) => {
                        if !self.settle(works, &mut draft, counts).await {
                            return self.one_by_one(works, messages, counts).await;
                        }
                    }
                    Err(failure) => {
                        away = Err(failure);
                        break;
                    }
                }
            }
            if away.is_err() {
                break;
            }
        }
        if self.settle(works, &mut draft, counts).await { away } else { self.one_by_one(works, messages, counts).await }
    }

    async fn settle(&self, works: &mut [Work], draft: &mut Draft, counts: &mut Counts) -> bool {
        let result = draft.commit(*self, counts).await;
        let done = result.is_ok()
            || is_on("21 any cancelled is a duplicate") && matches!(result, Err(CommitError::Refused(_)))
            || is_on("25 unknown outcome taken for done") && matches!(result, Err(CommitError::Unavailable(_)));
        counts.refused += u64::from(!done);
        works.iter_mut().for_each(if done { Work::committed } else { Work::refused });
        done
    }

    /// Each event in a commit of its own, decided on what is there now. A refusal says that somebody else wrote; only
    /// the cursor says whether that was this event.
    async fn one_by_one(&self, works: &mut [Work], messages: &[Message], counts: &mut Counts) -> Result<(), Failure> {
        self.look(works).await?;
        for work in works {
            let mut tries = 0;
            loop {
                let mut draft = Draft::default();
                let step = self.advance(work, &mut draft, 1, messages).await?;
                let row = draft.last();
                match draft.commit(*self, counts).await {
                    Ok(()) => {
                        work.committed();
                        tries = 0;
                        if matches!(step, Step::Through) {
                            break;
                        }
                    }
                    Err(CommitError::Invalid(why)) => {
                        work.refused();
                        if let Some(row) = row {
                            work.leave(&row, invalid(&why), true);
                        }
                        break;
                    }
                    Err(error) => {
                        work.refused();
                        tries += 1;
                        if tries == DECISIONS {
                            return Err(away(&error));
                        }
                        self.pause(tries).await;
                        self.look(std::slice::from_mut(work)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A short wait, longer each time, at random: two workers that got into each other's way part.
    pub(crate) async fn pause(&self, tries: u32) {
        let most = 20_u64 << tries.min(6);
        let millis = u64::try_from(self.ports.host.random() % u128::from(most)).unwrap_or(most);
        self.ports.host.sleep(Duration::from_millis(millis)).await;
    }

    /// Decides the messages of one aggregate, in the order of the journal, until the draft holds `limit` events.
    async fn advance(
        &self,
        work: &mut Work,
        draft: &mut Draft,
        limit: usize,
        messages: &[Message],
    ) -> Result<Step, Failure> {
        let host = self.ports.host;
        let mut seen = Seq::ZERO;
        while work.left.is_none() && work.decided < work.deliveries.len() {
            if draft.events() >= limit {
                return Ok(Step::Full);
            }
            if self.ports.host.remaining() < self.margin() {
                if is_on("32 the rest not reported at the deadline") {
                    work.decided = work.deliveries.len();
                    break;
                }
                return Err(Failure::retry("deadline", "the invocation's time was over before the message's turn"));
            }
            let delivery = &work.deliveries[work.decided];
            let (row, again, index) = (Rc::clone(&delivery.envelope), delivery.receives > 1, delivery.index);
            let cursor = work.here().map(|position| &position.cursor);
            if let Some(failure) = self.outdated(cursor) {
                return Ok(work.leave(&row, failure, false));
            }
            let decision = decide(cursor, &row, |kind| self.consumer.handles(kind));
            let decision = mistaken(decision, cursor, &row, again);
            let ready = cursor.is_some_and(|cursor| cursor.status == Status::Ready);
            let passed = matches!(decision, Decision::Duplicate) && ready && self.may_have_passed(cursor, &row);
            let plain = self.is_plain(decision, again) || matches!(decision, Decision::Duplicate) && !passed;
            if !plain && !work.latest && work.ahead.is_none() {
                self.look(std::slice::from_mut(work)).await?;
                continue;
            }
            match decision {
                Decision::Run | Decision::Gap { .. } if self.held && !self.consumer.starts_after(&row) => {
                    return Ok(work.leave(&row, held(), true));
                }
                // An attempt must be on the row before it begins: that is a wake's work.
                Decision::Run | Decision::Gap { .. } if self.consumer.holds() => {
                    return Ok(work.leave(&row, alone(), false));
                }
                Decision::Duplicate if passed => return Ok(work.leave(&row, older_code(), true)),
                Decision::Duplicate => draft.acknowledge(host, &row, Happened::Duplicate),
                _ if self.consumer.starts_after(&row) => draft.acknowledge(host, &row, Happened::Duplicate),
                Decision::Wait(_) => draft.acknowledge(host, &row, Happened::Waiting),
                Decision::Foreign(why @ Foreign::OlderEra) => {
                    self.ports.dead_letters.keep(&messages[index], &why.to_string()).await?;
                    draft.counts().dead_lettered += 1;
                    let failure = Failure::reject("another history", why);
                    draft.counts().failures.push(failure_of(Some(work.aggregate.clone()), failure, Then::Kept));
                }
                Decision::Foreign(why) => {
                    return Ok(work.leave(&row, Failure::reject("another history", why), true));
                }
                Decision::Run | Decision::Gap { .. } if again && !is_on("30 redelivered ones run in the queue") => {
                    let why = "it was delivered before, and nobody said what became of it";
                    return Ok(work.leave(&row, Failure::retry("delivered again", why), true));
                }
                Decision::Gap { through } if through > seen => {
                    match self.fill(work, draft, limit, (seen, row.seq)).await? {
                        Some(reached) => seen = reached,
                        None => return Ok(if work.left.is_some() { Step::Through } else { Step::Full }),
                    }
                    continue;
                }
                Decision::Run | Decision::Gap { .. } => {
                    if !self.draft(work, draft, &row, false).await? {
                        return Ok(if work.left.is_some() { Step::Through } else { Step::Full });
                    }
                }
            }
            work.decided += 1;
        }
        Ok(Step::Through)
    }

    /// Is this decision good, though the cursor that it rests on may be a moment old?
    fn is_plain(&self, decision: Decision, again: bool) -> bool {
        let first = !again || is_on("30 redelivered ones run in the queue");
        matches!(decision, Decision::Run | Decision::Gap { .. }) && first && !self.held
            || matches!(decision, Decision::Wait(_)) && is_on("57 stale retrying believed")
    }

    /// Applies what is missing before the row at `seq`, from the journal: up to where, or `None` if something stopped it.
    async fn fill(
        &self,
        work: &mut Work,
        draft: &mut Draft,
        limit: usize,
        (seen, seq): (Seq, Seq),
    ) -> Result<Option<Seq>, Failure> {
        let at = work.here().map_or(Seq::ZERO, |position| position.cursor.seq);
        let after = at.max(seen);
        let row = Rc::clone(&work.deliveries[work.decided].envelope);
        if seq.0 - after.0 > SMALL_GAP {
            let why = format!("{} rows wait before this one", seq.0 - after.0 - 1);
            work.leave(&row, Failure::retry(BACKLOG, why), true);
            return Ok(None);
        }
        let before = Seq(seq.0 - 1);
        let rows = self.ports.store.journal(&work.aggregate, after, before, usize::try_from(SMALL_GAP)?).await?;
        let mut walk = Walk::new(self.consumer, after, None);
        let ends = rows.last().map_or(Seq::ZERO, |row| row.envelope.seq);
        for found in rows {
            match walk.step(found) {
                Ok(None) => {}
                Ok(Some(missing)) => {
                    if draft.events() >= limit || !self.draft(work, draft, &missing, true).await? {
                        return Ok(None);
                    }
                }
                Err(gone) => {
                    work.leave(&row, gone.failure(), true);
                    return Ok(None);
                }
            }
        }
        if ends <= after {
            let why = format!("the journal has no row after {after}, though a later event says that one was written");
            work.leave(&row, Failure::reject("journal trimmed", why), true);
            return Ok(None);
        }
        Ok(Some(walk.through))
    }

    /// Applies one row on top of the draft. `false`: it failed and is left to a wake, or the draft is full.
    async fn draft(
        &self,
        work: &mut Work,
        draft: &mut Draft,
        row: &Rc<Envelope>,
        missing: bool,
    ) -> Result<bool, Failure> {
        if self.may_have_passed(work.here().map(|position| &position.cursor), row) {
            work.leave(row, older_code(), true);
            return Ok(false);
        }
        match self.apply(draft.overlay(), work.here(), row).await {
            Ok(applied) if draft.has_room_for(&applied) => {
                work.ahead = Some(applied.position.clone());
                draft.add(row, applied, missing);
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(failure) if failure.is_unavailable() => Err(failure),
            Err(_) if is_on("28 going on behind a failure") => Ok(true),
            Err(failure) => {
                work.leave(row, failure, true);
                Ok(false)
            }
        }
    }

    /// First the wake, then the mark, then the acknowledgement: a crash in between leaves a wake too many, never one
    /// too few. The mark only spares later messages the same failure, so a refused one changes nothing.
    async fn hand_over(&self, work: &mut Work, counts: &mut Counts) {
        let Some(left) = work.left.take() else { return };
        if left.failure == held() && self.hold(work, &left).await {
            counts.held += 1;
            counts.waiting += (work.deliveries.len() - work.settled) as u64;
            work.settled = work.deliveries.len();
            return;
        }
        let marks_first = left.mark && is_on("55 marked before the wake");
        counts.refused += u64::from(marks_first && self.mark(work, &left).await.is_err());
        let wake = Wake::advance(work.aggregate.clone());
        if let Err(error) = self.ports.wakes.wake(self.consumer.name(), &wake).await
            && !is_on("handed over though no wake was sent")
        {
            counts.failures.push(failure_of(Some(work.aggregate.clone()), error.into(), Then::Again));
            return;
        }
        counts.refused += u64::from(left.mark && !marks_first && self.mark(work, &left).await.is_err());
        work.settled = work.deliveries.len();
        counts.handed_over += 1;
        if self.consumer.holds() && left.failure == alone() || left.failure == held() {
            return; // nothing has failed
        }
        counts.failures.push(Failed {
            aggregate: Some(work.aggregate.clone()),
            envelope: Some(left.row),
            failure: left.failure,
            then: Then::HandedOver,
        });
    }

    /// The mark alone brings a held row back when its tenant goes on. `false`: it is not there for sure, so a wake must see
    /// to it.
    async fn hold(&self, work: &Work, left: &Left) -> bool {
        is_on("held without a mark") || self.mark(work, left).await.is_ok()
    }

    async fn mark(&self, work: &Work, left: &Left) -> Result<(), CommitError> {
        let before = work.position.as_ref().map(|position| &position.cursor);
        let cursor = before.cloned().unwrap_or_else(|| self.start(&left.row));
        let trouble = Trouble::new(&left.row, &left.failure, self.ports.host.now(), self.ports.producer);
        let status = if left.failure == held() { Status::Held } else { Status::Retrying };
        let marked = Cursor { status, attempt: 0, rev: cursor.rev.next(), trouble: Some(trouble), ..cursor };
        let there = work.position.as_ref().filter(|_| !is_on("64 status written over the row"));
        let to = there.map_or_else(|| Position::new(marked.clone(), None), |there| there.moved(marked.clone()));
        let write = self.cursor_write(work.aggregate.clone(), to, before);
        let commit = Commit::new(vec![write]).map_err(|error| CommitError::Invalid(error.to_string()))?;
        self.ports.store.commit(&commit).await
    }
}

/// A wake has to look whether older code has gone past something.
fn older_code() -> Failure {
    Failure::retry(BACKLOG, "code of an older generation was here, which did not know all types of today")
}

/// Somebody has stopped the tenant: nothing is wrong with the event.
pub(crate) fn held() -> Failure {
    Failure::retry(BACKLOG, "an operator holds the tenant's events back")
}

/// An effect that is tried only once without an operator runs from a wake.
fn alone() -> Failure {
    Failure::retry(BACKLOG, "its effect is tried once, by a wake of its own")
}

/// What a known bug takes a decision for; the decision itself, of course.
fn mistaken(decision: Decision, cursor: Option<&Cursor>, row: &Envelope, again: bool) -> Decision {
    let older = cursor.is_some_and(|cursor| row.seq < cursor.seq);
    match decision {
        Decision::Duplicate if !again && is_on("12 a message with another id is another event") => Decision::Run,
        Decision::Duplicate if older && is_on("36 an older one runs behind newer ones") => Decision::Run,
        Decision::Wait(Status::Parked) if is_on("36 newer ones pass a parked one") => Decision::Run,
        decided => decided,
    }
}

/// A commit that did not get through, however often it was tried: nothing is known of the event itself.
fn away(error: &CommitError) -> Failure {
    Failure::from(Unavailable { call: "a commit", why: error.to_string() })
}
