//! What becomes of a state when nothing goes wrong any more: the promises that begin with "in the end" are about that.
//! One order of steps is enough here, as the search begins such a calm in every state that it comes to.
//! Must not know: how a state was come to.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::act::{Action, How};
use crate::book::hash;
use crate::call::{Call, Verb};
use crate::journal::Code;
use crate::play::Next;
use crate::row::Due;
use crate::state::{Faults, Hold, State};
use crate::world::World;

/// More steps than any calm needs.
const STEPS: usize = 400;

/// Who looks after what is parked, or what the next event is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Console,
    CommandLine {
        skips: bool,
    },
    /// Nobody, and the next event ends the process each time.
    Poison(u8),
}

/// What becomes of a state in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// All is applied, or passed over on record, or waits behind a parked row.
    pub drained: bool,
    /// A row that is parked then has a ticket that holds.
    pub ticket: bool,
    /// With the console alone, all is applied.
    pub by_console: bool,
    /// With the command line alone, all is applied.
    pub by_retry: bool,
    /// The same when the parked event is passed over.
    pub by_skip: bool,
    /// An event that ends its process each time is parked.
    pub poison_parked: bool,
}

/// Fates that were found out.
#[derive(Default)]
pub struct Forecast {
    fates: RwLock<HashMap<u64, Fate>>,
}

impl World {
    /// What becomes of a state in which no process is at work.
    pub fn fate(&self, state: &State) -> Fate {
        let mut calm = State { left: Faults::default(), orders: Vec::new(), before: None, ..state.clone() };
        calm.tidy();
        let number = hash(&calm);
        let known = self.forecast.fates.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied();
        known.unwrap_or_else(|| {
            let fate = self.find_out(&calm);
            self.forecast.fates.write().unwrap_or_else(PoisonError::into_inner).insert(number, fate);
            fate
        })
    }

    fn find_out(&self, state: &State) -> Fate {
        let journal = &self.bounds.journal;
        let all = |end: Option<State>| end.is_some_and(|end| end.is_done(journal));
        let alone = self.calm(state, Who::Nobody);
        let holds = |end: &State| !end.is_parked() || end.row.is_some_and(|row| end.tickets.contains(&row.rev));
        let next = (state.cursor() + 1..=state.head).find(|seq| journal[usize::from(*seq) - 1].is_wanted());
        let poisoned = next.filter(|_| !state.is_parked());
        let (skips, retries) = (Who::CommandLine { skips: true }, Who::CommandLine { skips: false });
        Fate {
            drained: alone.as_ref().is_some_and(|end| end.is_done(journal) || end.is_parked()),
            ticket: alone.as_ref().is_some_and(holds),
            by_console: all(self.calm(state, Who::Console)),
            by_retry: all(self.calm(state, retries)),
            by_skip: all(self.calm(state, skips)),
            poison_parked: poisoned
                .is_none_or(|seq| self.calm(state, Who::Poison(seq)).is_some_and(|end| end.is_parked() && holds(&end))),
        }
    }

    /// How it ends; `None` if it does not.
    fn calm(&self, state: &State, who: Who) -> Option<State> {
        let mut state = state.clone();
        // A handler that may fail takes a step of its own.
        state.left.failures = u8::from(matches!(who, Who::Poison(_)));
        for _ in 0..STEPS {
            let Some(action) = self.next_in_calm(&state, who) else { return Some(state) };
            self.acts().act(&mut state, action);
        }
        None
    }

    fn next_in_calm(&self, state: &State, who: Who) -> Option<Action> {
        let due = state.row.and_then(|row| row.held).map(|held| held.due);
        if let Some(slot) = (0..2).find(|slot| state.workers[*slot].is_some()) {
            return Some(self.step_in_calm(state, slot, who));
        }
        if !state.fifo.is_empty() {
            return Some(Action::Batch(1, Code::New));
        }
        // A wake that stands aside comes back when it is due.
        if due == Some(Due::Soon) {
            return Some(Action::Minutes);
        }
        if !state.wakes.is_empty() {
            return Some(Action::Wake(0, Code::New));
        }
        if state.hold == Hold::Ordered {
            return Some(Action::Hold(Hold::Over));
        }
        if self.bounds.auditor && self.ticks(state) {
            return Some(Action::Tick);
        }
        let row = state.row.filter(|row| row.is_parked())?;
        match who {
            Who::Nobody | Who::Poison(_) => None,
            Who::Console if !state.tickets.is_empty() => Some(Action::Redrive(0)),
            Who::Console => (due == Some(Due::Far)).then_some(Action::Days),
            Who::CommandLine { skips } => Some(match state.orders.first() {
                Some(_) => Action::Order(0, true),
                None => Action::Look { skip: skips && row.held.is_some() },
            }),
        }
    }

    fn step_in_calm(&self, state: &State, slot: usize, who: Who) -> Action {
        let page = state.workers[slot].map(|worker| self.book.page(worker.page));
        let runs = page.and_then(|page| if let Next::Asks(Call::Run(seq)) = page.next { Some(seq) } else { None });
        match (runs, who) {
            (Some(seq), Who::Poison(poison)) if seq == poison => Action::Crash(slot),
            _ => Action::Step(slot, How::Well),
        }
    }

    /// Would the auditor wake somebody?
    pub(crate) fn ticks(&self, state: &State) -> bool {
        self.book.ticks(state.row, state.head, state.hold)
    }

    /// Is a wake of this kind waiting?
    pub(crate) fn waits(state: &State, verb: Verb) -> bool {
        state.wakes.iter().any(|wake| wake.body == verb)
    }
}
