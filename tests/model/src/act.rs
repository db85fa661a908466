//! What can happen next, and what it does: a worker's next call with its answer, and whatever goes wrong meanwhile.
//! Must not know: what is promised.

use crate::book::Book;
use crate::call::{Answer, Body, Call, Change, End, Invocation, Job, Message, Said, Verb};
use crate::journal::{Code, Mood};
use crate::play::Next;
use crate::row::{Due, Running};
use crate::state::{Bounds, Hold, Order, State, Worker, of};
use crate::world::Bug;

/// How a worker's call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// As it should.
    Well,
    /// The same, and then the invocation has no time left.
    AtTheLastMoment,
    /// It happens, the worker believes that it may not have.
    AnswerLost,
    /// It does not happen.
    Refused,
    /// The read sees what was there before the last write.
    Old,
    /// The handler ends like this.
    Ends(Mood),
    /// The wake's deletion, though it was delivered again meanwhile, deletes it.
    DeletedAll,
}

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// First deliveries.
    Fifo,
    /// Wakes.
    Wakes,
    /// Tickets.
    Tickets,
}

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The next row of the journal is committed; its message, if the consumer wants it, is in the queue.
    Produce,
    /// A message disappears.
    Lose(Queue, usize),
    /// A message is there twice.
    Copy(Queue, usize),
    /// The messages of this bit set are delivered as one batch.
    Batch(u8, Code),
    /// A wake is delivered.
    Wake(usize, Code),
    /// A worker's call is answered, or its end acknowledged.
    Step(usize, How),
    /// A worker's process ends.
    Crash(usize),
    /// What a worker handles is visible again.
    Expire(usize),
    /// The auditor finds something to wake.
    Tick,
    /// Minutes go by: what was due soon is due.
    Minutes,
    /// A day goes by.
    Day,
    /// Thirteen days go by.
    Days,
    /// Somebody stops the tenant or lets it go on, or the auditor is done with what was held; perhaps too early.
    Hold(Hold),
    /// Somebody moves a ticket to the queue, with the console.
    Redrive(usize),
    /// An operator reads the parked row, to try it again or to pass over it.
    Look {
        /// Pass over it?
        skip: bool,
    },
    /// What was decided goes on record, and its wake is sent; or the operator's process ends in between.
    Order(usize, bool),
}

/// Carries out steps within bounds.
pub(crate) struct Acts<'a> {
    pub(crate) bounds: &'a Bounds,
    pub(crate) book: &'a Book,
    pub(crate) bug: Option<Bug>,
}

impl Acts<'_> {
    /// Does it.
    pub(crate) fn act(&self, state: &mut State, action: Action) {
        let left = &mut state.left;
        match action {
            Action::Produce => state.produce(&self.bounds.journal),
            Action::Lose(queue, index) => {
                match queue {
                    Queue::Tickets => left.lost_tickets = left.lost_tickets.saturating_sub(1),
                    _ => left.losses = left.losses.saturating_sub(1),
                }
                take(state, queue, index);
            }
            Action::Copy(queue, index) => {
                left.copies = left.copies.saturating_sub(1);
                match queue {
                    Queue::Fifo => state.fifo.push(state.fifo[index]),
                    Queue::Wakes => state.wakes.push(state.wakes[index]),
                    Queue::Tickets => state.tickets.push(state.tickets[index]),
                }
            }
            Action::Batch(set, code) => self.deliver_batch(state, set, code),
            Action::Wake(index, code) => {
                let wake = state.wakes.remove(index);
                self.start(state, code, Job::Wake(wake), self.bug == Some(Bug::DeletedOnDelivery));
            }
            Action::Step(slot, how) => {
                self.step(state, slot, how);
                self.go_on(state, slot);
            }
            Action::Crash(slot) => {
                left.crashes = left.crashes.saturating_sub(1);
                self.put_back(state, slot, &|_| true);
                state.end(slot);
            }
            Action::Expire(slot) => {
                left.expiries = left.expiries.saturating_sub(1);
                self.put_back(state, slot, &|_| true);
                state.workers[slot] = state.workers[slot].map(|worker| Worker { expired: true, ..worker });
            }
            Action::Tick => state.send_wake(Verb::Advance, self.bounds.wakes),
            Action::Minutes => {
                let early = state.row.is_some_and(|row| row.running().is_alive());
                left.expiries = left.expiries.saturating_sub(u8::from(early));
                state.minutes();
            }
            Action::Day => {
                left.days = left.days.saturating_sub(1);
                state.pass_time(|held| held.old = true);
                state.minutes();
            }
            Action::Days => {
                left.days = left.days.saturating_sub(1);
                state.pass_time(|held| (held.old, held.due) = (true, Due::Past));
            }
            Action::Hold(hold) => state.order_hold(hold),
            Action::Redrive(index) => {
                left.redrives = left.redrives.saturating_sub(1);
                let rev = state.tickets.remove(index);
                state.fifo.push(Message { body: Body::Ticket(rev), again: false });
            }
            Action::Look { skip } => {
                left.orders = left.orders.saturating_sub(1);
                if let Some((row, held)) = state.row.and_then(|row| Some((row, row.held?))) {
                    let verb = if skip { Verb::Skip(row.rev) } else { Verb::Retry(row.rev) };
                    state.orders.push(Order { verb, seq: held.seq });
                }
            }
            Action::Order(index, sent) => self.order(state, index, sent),
        }
        state.tidy();
    }

    fn deliver_batch(&self, state: &mut State, set: u8, code: Code) {
        let mut batch = Vec::new();
        for index in (0..state.fifo.len()).rev().filter(|index| set & 1 << index != 0) {
            batch.push(state.fifo.remove(index));
        }
        batch.reverse();
        self.start(state, code, Job::Batch(batch), self.bug == Some(Bug::AcknowledgedOnDelivery));
    }

    /// An invocation begins, with its first read: until then it might as well have been delivered later.
    fn start(&self, state: &mut State, code: Code, job: Job, expired: bool) {
        let Some(slot) = state.workers.iter().position(Option::is_none) else { return };
        state.left.old_code = state.left.old_code.saturating_sub(u8::from(code == Code::Old));
        let page = self.book.begin(Invocation { code, job });
        state.workers[slot] = Some(Worker { page, expired });
        let looks = matches!(&self.book.page(page).next, Next::Asks(Call::Look { .. } | Call::Holds));
        let left = &state.left;
        if looks && left.refusals + left.old_reads + left.timeouts == 0 {
            self.step(state, slot, How::Well);
        }
        self.go_on(state, slot);
    }

    /// Takes steps that can go only one way and that nobody else could see or change: they need no state of their own.
    fn go_on(&self, state: &mut State, slot: usize) {
        while let Some(worker) = state.workers[slot] {
            let left = &state.left;
            let alone = match &self.book.page(worker.page).next {
                Next::Asks(Call::Journal) => usize::from(state.head) == self.bounds.journal.len(),
                Next::Asks(Call::Run(_)) => left.failures == 0 && left.rejections == 0,
                _ => false,
            };
            if !alone || left.refusals > 0 {
                return;
            }
            self.step(state, slot, How::Well);
        }
    }

    /// First on record, then on its way.
    fn order(&self, state: &mut State, index: usize, sent: bool) {
        let order = state.orders.remove(index);
        if let Verb::Skip(_) = order.verb {
            state.asked |= 1 << order.seq;
        }
        if sent {
            state.send_wake(order.verb, self.bounds.wakes);
        }
    }

    /// Messages of a worker are in the queue again, unless they are there already.
    fn put_back(&self, state: &mut State, slot: usize, which: &dyn Fn(usize) -> bool) {
        let Some(worker) = state.workers[slot].filter(|worker| !worker.expired) else { return };
        match &self.book.page(worker.page).of.job {
            Job::Wake(wake) => state.wakes.push(Message { again: true, ..*wake }),
            Job::Batch(messages) => {
                let back = messages.iter().enumerate().filter(|(index, _)| which(*index));
                state.fifo.extend(back.map(|(_, message)| Message { again: true, ..*message }));
            }
        }
    }

    fn step(&self, state: &mut State, slot: usize, how: How) {
        let Some(worker) = state.workers[slot] else { return };
        let page = self.book.page(worker.page);
        match &page.next {
            Next::Asks(call) => {
                let late = how == How::AtTheLastMoment;
                let said = self.answer(state, slot, call, how);
                let page = self.book.answered(worker.page, Answer { said, late });
                state.workers[slot] = Some(Worker { page, ..worker });
            }
            Next::Ends(end) => {
                match end {
                    End::Wake { again: true } => self.put_back(state, slot, &|_| true),
                    End::Wake { again: false } if how == How::DeletedAll => delete(state, &page.of.job),
                    End::Wake { again: false } => {}
                    End::Batch(failed) => self.put_back(state, slot, &|index| failed[index]),
                }
                state.end(slot);
            }
        }
    }

    /// Carries out a call, and what the worker hears of it.
    fn answer(&self, state: &mut State, slot: usize, call: &Call, how: How) -> Said {
        let left = &mut state.left;
        match how {
            How::AtTheLastMoment => left.timeouts = left.timeouts.saturating_sub(1),
            How::AnswerLost => left.lost_answers = left.lost_answers.saturating_sub(1),
            How::Refused => left.refusals = left.refusals.saturating_sub(1),
            How::Old => left.old_reads = left.old_reads.saturating_sub(1),
            How::Ends(Mood::Fails) => left.failures = left.failures.saturating_sub(1),
            How::Ends(Mood::Rejects) => left.rejections = left.rejections.saturating_sub(1),
            How::Well | How::Ends(Mood::Works) | How::DeletedAll => {}
        }
        if how == How::Refused {
            return Said::Away;
        }
        let said = match call {
            Call::Look { .. } => {
                let row = if how == How::Old { state.before.flatten() } else { state.row };
                Said::Row(row.map(|row| {
                    row.run_by(|running| match running {
                        Running::No => Running::No,
                        running if running == of(slot) => Running::OWN,
                        _ => Running::Dead,
                    })
                }))
            }
            Call::Journal => Said::Rows(state.head),
            Call::Holds => Said::Held(state.hold == Hold::Ordered),
            Call::Skipped => Said::Skipped(state.skipped),
            Call::Run(_) => Said::Ends(if let How::Ends(mood) = how { mood } else { Mood::Works }),
            Call::Commit(change) => self.commit(state, slot, change),
            Call::Wake(verb) => {
                state.send_wake(*verb, self.bounds.wakes);
                Said::Done
            }
            Call::Ticket(rev) => {
                state.tickets.push(*rev);
                state.sent.push(*rev);
                Said::Done
            }
        };
        if how == How::AnswerLost { Said::Away } else { said }
    }

    /// All or nothing; a row is written only at the rev that was read.
    fn commit(&self, state: &mut State, slot: usize, change: &Change) -> Said {
        let unread = change.to.is_some() && change.expect != state.row.map(|row| row.rev);
        let recorded = change.skip.is_some_and(|seq| state.skipped & 1 << seq != 0);
        if unread && self.bug != Some(Bug::Unconditional) || recorded {
            return Said::Refused;
        }
        state.applied.extend(&change.effects);
        state.skipped |= change.skip.map_or(0, |seq| 1 << seq);
        if let Some(row) = change.to {
            let others = state.row.map_or(Running::Dead, |row| row.running());
            state.write(row.run_by(|running| match running {
                Running::OWN => of(slot),
                Running::No => Running::No,
                _ => others,
            }));
        }
        Said::Done
    }
}

fn take(state: &mut State, queue: Queue, index: usize) {
    match queue {
        Queue::Fifo => drop(state.fifo.remove(index)),
        Queue::Wakes => drop(state.wakes.remove(index)),
        Queue::Tickets => drop(state.tickets.remove(index)),
    }
}

fn delete(state: &mut State, job: &Job) {
    let Job::Wake(wake) = job else { return };
    if let Some(at) = state.wakes.iter().position(|waiting| waiting.body == wake.body && waiting.again) {
        state.wakes.remove(at);
    }
}
