//! The world as a stateright model: which steps are possible where, and what is checked in every state.
//! Must not know: how a step is carried out.

use stateright::{Model, Property};

use crate::act::{Action, Acts, How, Queue};
use crate::book::Book;
use crate::call::{Call, End, Job, Verb};
use crate::calm::Forecast;
use crate::journal::{Code, Mood, Type};
use crate::play::Next;
use crate::promises::{properties, reached};
use crate::row::Due;
use crate::state::{Bounds, Hold, State};

/// A known mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// One that the code can be built with, by its name there: see `towpath::planted`.
    InTheCode(&'static str),
    /// Messages are acknowledged when they are delivered.
    AcknowledgedOnDelivery,
    /// A wake is deleted when it is delivered.
    DeletedOnDelivery,
    /// The row is written whatever its rev is.
    Unconditional,
}

impl Bug {
    pub(crate) fn in_the_code(self) -> Option<&'static str> {
        if let Self::InTheCode(name) = self { Some(name) } else { None }
    }
}

/// A world within bounds, with or without a mistake.
pub struct World {
    pub(crate) bounds: Bounds,
    pub(crate) book: Book,
    pub(crate) bug: Option<Bug>,
    pub(crate) forecast: Forecast,
}

impl World {
    /// As the code is.
    pub fn new(bounds: Bounds) -> Self {
        Self::with_bug(bounds, None)
    }

    /// With one mistake.
    pub fn with_bug(bounds: Bounds, bug: Option<Bug>) -> Self {
        let book = Book::new(bounds.journal.clone(), bounds.faults.holds > 0, bug.and_then(Bug::in_the_code));
        Self { bounds, book, bug, forecast: Forecast::default() }
    }

    /// How many moments of how many invocations were played.
    pub fn pages(&self) -> usize {
        self.book.len()
    }

    pub(crate) fn acts(&self) -> Acts<'_> {
        Acts { bounds: &self.bounds, book: &self.book, bug: self.bug }
    }

    fn deliveries(&self, state: &State, actions: &mut Vec<Action>) {
        if state.workers.iter().all(Option::is_some) {
            return;
        }
        let batches = self.pages_at_work(state).into_iter().zip(state.workers.iter().flatten());
        let blocked =
            batches.filter(|(page, worker)| !page.is_wake() && !worker.expired).count() >= self.bounds.batches;
        let codes: &[Code] = if state.left.old_code > 0 && (self.bounds.rash || !state.has_moved(&self.bounds.journal))
        {
            &[Code::Old, Code::New]
        } else {
            &[Code::New]
        };
        for code in codes {
            for set in 1_u8..if blocked { 1 } else { 1 << state.fifo.len().min(7) } {
                let doubled = (1..state.fifo.len())
                    .any(|at| state.fifo[at] == state.fifo[at - 1] && set & 1 << at != 0 && set & 1 << (at - 1) == 0);
                if set.count_ones() as usize <= self.bounds.batch && !doubled {
                    actions.push(Action::Batch(set, *code));
                }
            }
            for index in distinct(&state.wakes) {
                actions.push(Action::Wake(index, *code));
            }
        }
    }

    fn steps(&self, state: &State, slot: usize, actions: &mut Vec<Action>) {
        let Some(worker) = state.workers[slot] else { return };
        if slot == 1 && state.workers[0] == state.workers[1] && state.row.is_none_or(|row| !row.running().is_alive()) {
            return; // it would do what the other one does
        }
        let (left, page) = (&state.left, self.book.page(worker.page));
        let mut step = |how| actions.push(Action::Step(slot, how));
        match &page.next {
            Next::Asks(call) => {
                if let Call::Run(_) = call {
                    step(How::Ends(Mood::Works));
                    if left.failures > 0 {
                        step(How::Ends(Mood::Fails));
                    }
                    if left.rejections > 0 {
                        step(How::Ends(Mood::Rejects));
                    }
                } else {
                    step(How::Well);
                }
                if left.lost_answers > 0 && call.writes() {
                    step(How::AnswerLost);
                }
                if left.refusals > 0 {
                    step(How::Refused);
                }
                if left.timeouts > 0 && matches!(call, Call::Look { .. } | Call::Commit(_)) {
                    step(How::AtTheLastMoment);
                }
                if left.old_reads > 0 && matches!(call, Call::Look { strong: false }) {
                    step(How::Old);
                }
                if left.crashes > 0 && call.writes() {
                    actions.push(Action::Crash(slot));
                }
            }
            Next::Ends(end) => {
                step(How::Well);
                let deleted = *end == (End::Wake { again: false });
                if deleted && worker.expired && self.bug.is_none() && is_waiting(state, &page.of.job) {
                    step(How::DeletedAll);
                }
                if left.crashes > 0 {
                    actions.push(Action::Crash(slot));
                }
            }
        }
        if left.expiries > 0 && !worker.expired {
            actions.push(Action::Expire(slot));
        }
    }

    fn mishaps(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        let queues = [
            (Queue::Fifo, distinct(&state.fifo), left.losses),
            (Queue::Wakes, distinct(&state.wakes), left.losses),
            (Queue::Tickets, distinct(&state.tickets), left.lost_tickets),
        ];
        for (queue, messages, losses) in queues {
            for index in messages {
                if losses > 0 {
                    actions.push(Action::Lose(queue, index));
                }
                if left.copies > 0 {
                    actions.push(Action::Copy(queue, index));
                }
            }
        }
        if let Some(held) = state.row.and_then(|row| row.held) {
            match held.due {
                Due::Soon if !held.running.is_alive() => actions.push(Action::Minutes),
                // Its invocation is ended before that; but clocks differ.
                Due::Soon if left.expiries > 0 => actions.push(Action::Minutes),
                Due::Far if left.days > 0 => actions.push(Action::Days),
                _ => {}
            }
            if left.days > 0 && !held.old && !state.is_parked() {
                actions.push(Action::Day);
            }
        }
    }

    fn people(&self, state: &State, actions: &mut Vec<Action>) {
        if state.left.redrives > 0 {
            actions.extend(distinct(&state.tickets).into_iter().map(Action::Redrive));
        }
        if state.left.orders > 0 && state.is_parked() {
            actions.extend([Action::Look { skip: false }, Action::Look { skip: true }]);
        }
        match state.hold {
            Hold::No | Hold::Over if state.left.holds > 0 => actions.push(Action::Hold(Hold::Ordered)),
            Hold::Ordered => actions.push(Action::Hold(Hold::Over)),
            Hold::No | Hold::Over => {}
        }
        if state.hold == Hold::Over {
            actions.push(Action::Hold(Hold::No));
        }
        for index in distinct(&state.orders) {
            actions.push(Action::Order(index, true));
            if state.left.crashes > 0 {
                actions.push(Action::Order(index, false));
            }
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if let Some(next) = self.bounds.journal.get(usize::from(state.head)) {
            let old = || self.pages_at_work(state).iter().any(|page| page.of.code == Code::Old);
            if self.bounds.rash || *next != Type::Moved || !old() {
                actions.push(Action::Produce);
            }
        }
        self.deliveries(state, actions);
        self.steps(state, 0, actions);
        self.steps(state, 1, actions);
        self.mishaps(state, actions);
        self.people(state, actions);
        if self.bounds.auditor && !Self::waits(state, Verb::Advance) && self.ticks(state) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        self.acts().act(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = properties();
        all.extend(reached(&self.bounds));
        all
    }
}

/// The first of each: equal messages are equal.
fn distinct<T: PartialEq>(sorted: &[T]) -> Vec<usize> {
    (0..sorted.len()).filter(|at| *at == 0 || sorted[*at] != sorted[at - 1]).collect()
}

fn is_waiting(state: &State, job: &Job) -> bool {
    matches!(job, Job::Wake(wake) if state.wakes.iter().any(|waiting| waiting.body == wake.body && waiting.again))
}
