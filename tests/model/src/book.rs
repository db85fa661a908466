//! What each invocation has been answered so far and what it does next, each found out once. The number of an entry is
//! made of its content, so that a state that holds it is the same in every run.
//! Must not know: the state of the world.
//!
//! A wake begins anew with each look at its row: all that it carries over is in [`Carried`]. Ways that come to a look
//! with the same of it are one entry, and go on with the answers of the first. That this forgets nothing is checked all
//! the time: some of the other ways are played along with it, and must do the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use towpath::Status;

use crate::call::{Answer, Call, Invocation, Job, Said, Verb};
use crate::journal::{Code, Type};
use crate::play::{Next, play, tick_wakes};
use crate::row::{Due, Row, Running};
use crate::state::Hold;

/// Other ways that are played along with an entry.
const OTHERS: usize = 3;

/// How far an invocation is.
#[derive(Debug)]
pub struct Page {
    /// Which one.
    pub of: Invocation,
    /// What it was answered.
    pub answers: Vec<Answer>,
    /// What it does next.
    pub next: Next,
    /// Has it committed effects?
    pub committed: bool,
    /// Was any of its writes refused?
    pub refused: bool,
    carried: Carried,
    others: RwLock<Vec<Vec<Answer>>>,
}

/// What a wake carries from one look at its row to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Carried {
    /// Has it got past an event?
    passed: bool,
    /// Refusals since then.
    refusals: u8,
    /// Has it marked an attempt, or tried to, and not yet said how that ended?
    marked: bool,
    /// Did a call stay unanswered, or time run out? Then it comes to an end another way.
    disturbed: bool,
    /// Was the tenant stopped when it began?
    held: bool,
}

impl Carried {
    fn and(&self, call: &Call, answer: Answer) -> Self {
        let mut carried = self.clone();
        carried.disturbed |= answer.late || answer.said == Said::Away;
        carried.held |= answer.said == Said::Held(true);
        let Call::Commit(change) = call else { return carried };
        if answer.said == Said::Done && !change.effects.is_empty() {
            return Self { passed: true, refusals: 0, ..carried };
        }
        carried.refusals += u8::from(answer.said == Said::Refused);
        if let Some(row) = change.to {
            let failed = row.status() == Status::Retrying
                && row.held.is_some_and(|held| !held.backlog && held.due == Due::Soon && held.running == Running::No);
            carried.marked = (carried.marked || row.running() == Running::OWN) && !failed;
        }
        carried
    }
}

/// What a tick of the auditor finds: the row, the length of the journal, whether the tenant is stopped.
type Tick = (Option<Row>, u8, Hold);

/// All of them.
pub struct Book {
    types: Vec<Type>,
    holds: bool,
    bug: Option<&'static str>,
    pages: RwLock<HashMap<u64, Arc<Page>>>,
    ticks: RwLock<HashMap<Tick, bool>>,
}

impl Book {
    /// For a journal of these types, where the tenant may be stopped or not; `bug` is switched on in the machines.
    pub fn new(types: Vec<Type>, holds: bool, bug: Option<&'static str>) -> Self {
        Self { types, holds, bug, pages: RwLock::default(), ticks: RwLock::default() }
    }

    /// The entry with this number.
    pub fn page(&self, number: u64) -> Arc<Page> {
        self.known(number).expect("a worker's entry is in the book")
    }

    fn known(&self, number: u64) -> Option<Arc<Page>> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// An invocation that begins.
    pub fn begin(&self, of: Invocation) -> u64 {
        let number = hash(&of);
        if let Some(page) = self.known(number) {
            return page.place(number);
        }
        let next = self.play(&of, &[]);
        let page = Page {
            of,
            answers: Vec::new(),
            next,
            committed: false,
            refused: false,
            carried: Carried::default(),
            others: RwLock::default(),
        };
        self.enter(number, page)
    }

    /// It goes on with this answer.
    pub fn answered(&self, number: u64, answer: Answer) -> u64 {
        let after = hash(&(number, answer));
        if let Some(page) = self.known(after) {
            return page.place(after);
        }
        let before = self.page(number);
        let Next::Asks(call) = &before.next else { return number };
        let answers = with(&before.answers, answer);
        let next = self.play(&before.of, &answers);
        let mut others = before.others.read().unwrap_or_else(PoisonError::into_inner).clone();
        for other in &mut others {
            other.push(answer);
            assert_eq!(self.play(&before.of, other), next, "a wake carries over more than the model knows");
        }
        let effects = matches!(call, Call::Commit(change) if !change.effects.is_empty());
        let page = Page {
            of: before.of.clone(),
            answers,
            next,
            committed: before.committed || effects && answer.said == Said::Done,
            refused: before.refused || answer.said == Said::Refused,
            carried: before.carried.and(call, answer),
            others: RwLock::new(others),
        };
        self.enter(after, page)
    }

    /// Keeps an entry under its own number and under that of all that are like it, which is the one to go on with.
    fn enter(&self, own: u64, page: Page) -> u64 {
        let place = page.place(own);
        if place != own {
            match self.known(place) {
                Some(first) => first.go_along(&page.answers),
                None => self.keep(place, page.alone()),
            }
        }
        self.keep(own, page);
        place
    }

    /// Would the auditor's tick wake somebody, when this is the row and the journal is so long?
    pub fn ticks(&self, row: Option<Row>, head: u8, hold: Hold) -> bool {
        let known = self.ticks.read().unwrap_or_else(PoisonError::into_inner).get(&(row, head, hold)).copied();
        known.unwrap_or_else(|| {
            let wakes = with_bug(self.bug, || tick_wakes(&self.types, row, head, hold));
            self.ticks.write().unwrap_or_else(PoisonError::into_inner).insert((row, head, hold), wakes);
            wakes
        })
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.pages.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Is none in it?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn play(&self, of: &Invocation, answers: &[Answer]) -> Next {
        with_bug(self.bug, || play((&self.types, self.holds), of, answers))
    }

    fn keep(&self, number: u64, page: Page) {
        self.pages.write().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert_with(|| Arc::new(page));
    }
}

impl Page {
    /// Is it a wake's?
    pub fn is_wake(&self) -> bool {
        matches!(self.of.job, Job::Wake(_))
    }

    /// Did a call stay unanswered, or time run out?
    pub fn was_disturbed(&self) -> bool {
        self.carried.disturbed
    }

    /// Has it read the journal?
    pub fn has_read_on(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer.said, Said::Rows(_)))
    }

    /// Is it old code that has seen a row that newer code wrote?
    pub fn met_newer(&self) -> bool {
        let newer = |answer: &Answer| matches!(answer.said, Said::Row(Some(row)) if row.generation > 1);
        self.of.code == Code::Old && self.answers.iter().any(newer)
    }

    /// Is it about to wake somebody because its messages were delivered before?
    pub fn hands_over_again(&self) -> bool {
        let again = |job: &Job| matches!(job, Job::Batch(all) if all.iter().all(|message| message.again));
        again(&self.of.job) && self.next == Next::Asks(Call::Wake(Verb::Advance))
    }

    /// Its number: its own, or that of all that look at the row anew with the same behind them.
    fn place(&self, own: u64) -> u64 {
        let looks = matches!(self.next, Next::Asks(Call::Look { strong: true }));
        if looks && self.is_wake() && !self.carried.disturbed { hash(&("look", &self.of, &self.carried)) } else { own }
    }

    fn alone(&self) -> Self {
        Self {
            of: self.of.clone(),
            answers: self.answers.clone(),
            next: self.next.clone(),
            carried: self.carried.clone(),
            others: RwLock::default(),
            ..*self
        }
    }

    fn go_along(&self, answers: &[Answer]) {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() < OTHERS && self.answers != answers {
            others.push(answers.to_vec());
        }
    }
}

fn with(answers: &[Answer], answer: Answer) -> Vec<Answer> {
    answers.iter().copied().chain([answer]).collect()
}

pub(crate) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(feature = "planted")]
pub(crate) fn with_bug<T>(bug: Option<&'static str>, run: impl FnOnce() -> T) -> T {
    if let Some(bug) = bug {
        towpath::planted::switch_on(bug);
    }
    let done = run();
    towpath::planted::switch_off();
    done
}

#[cfg(not(feature = "planted"))]
pub(crate) fn with_bug<T>(bug: Option<&'static str>, run: impl FnOnce() -> T) -> T {
    assert!(bug.is_none(), "a bug of the code needs the feature `planted`");
    run()
}
