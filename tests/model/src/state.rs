//! The whole world at one moment: the row, its effects, the queues, the workers, and what may still go wrong.
//! Must not know: what a machine does.

use std::cmp::Reverse;

use towpath::Status;

use crate::call::{Body, Message, Verb};
use crate::journal::Type;
use crate::row::{Due, Held, Row, Running};

/// How often each thing may go wrong, or be done by people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A process ends between two steps.
    pub crashes: u8,
    /// A message or a wake is lost.
    pub losses: u8,
    /// A ticket is lost.
    pub lost_tickets: u8,
    /// A message, a wake or a ticket is there twice.
    pub copies: u8,
    /// What is being handled is delivered again.
    pub expiries: u8,
    /// A write happens and its answer is lost.
    pub lost_answers: u8,
    /// A call does not happen, and says so.
    pub refusals: u8,
    /// A read that need not be the latest is not.
    pub old_reads: u8,
    /// An invocation's time is over.
    pub timeouts: u8,
    /// A handler fails.
    pub failures: u8,
    /// A handler rejects.
    pub rejections: u8,
    /// A day goes by, or thirteen.
    pub days: u8,
    /// Somebody moves a ticket back to the queue.
    pub redrives: u8,
    /// Somebody looks at a parked row and orders something.
    pub orders: u8,
    /// The code of before runs, beside the new one.
    pub old_code: u8,
    /// Somebody stops the tenant.
    pub holds: u8,
}

impl Faults {
    /// Has somebody looked after a parked row, when so much was possible before?
    pub(crate) fn resumed(&self, before: &Self) -> bool {
        self.orders < before.orders || self.redrives < before.redrives
    }
}

/// The bounds of one search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The journal, row by row; each is committed at any moment after the one before.
    pub journal: Vec<Type>,
    /// Are all of its rows committed before anything else happens?
    pub committed: bool,
    /// Does old code run beside rows of a type that it does not know? It should not: first the code is deployed
    /// everywhere, then the producer.
    pub rash: bool,
    /// Most batches at a time, but for those whose visibility has expired: a FIFO queue gives one of a group.
    pub batches: usize,
    /// Most messages of one batch.
    pub batch: usize,
    /// Most equal wakes that wait; one more would do nothing that these do not.
    pub wakes: usize,
    /// Does the auditor tick?
    pub auditor: bool,
    /// What may go wrong.
    pub faults: Faults,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            journal: vec![Type::Added; 3],
            committed: true,
            rash: false,
            batches: 1,
            batch: 1,
            wakes: 1,
            auditor: false,
            faults: Faults::default(),
        }
    }
}

/// Whether the tenant is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hold {
    /// It is not, and the auditor does not look for rows that were.
    #[default]
    No,
    /// It is.
    Ordered,
    /// It is not any more, and the auditor wakes the rows that were.
    Over,
}

/// A process at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// How far it is: an entry of the book.
    pub page: u64,
    /// Is what it handles in the queue again?
    pub expired: bool,
}

/// An operator has read the row and decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Order {
    /// What, and at which rev.
    pub verb: Verb,
    /// The event that was looked at.
    pub seq: u8,
}

/// The world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Rows of the journal.
    pub head: u8,
    /// The row of (aggregate, consumer).
    pub row: Option<Row>,
    /// What it was before the last write, while a read may still see that.
    pub before: Option<Option<Row>>,
    /// Effects, by the places of their events, in the order in which they happened.
    pub applied: Vec<u8>,
    /// Events on record as passed over: bit `seq`.
    pub skipped: u8,
    /// Events that an operator ordered, on record, to pass over: bit `seq`.
    pub asked: u8,
    /// The FIFO queue, in no order: nothing rests on one.
    pub fifo: Vec<Message<Body>>,
    /// The wake queue.
    pub wakes: Vec<Message<Verb>>,
    /// The dead-letter queue: the revs of tickets.
    pub tickets: Vec<u8>,
    /// The revs of tickets that were ever sent, but for those that no longer hold.
    pub sent: Vec<u8>,
    /// Is the tenant stopped?
    pub hold: Hold,
    /// What operators are about to order.
    pub orders: Vec<Order>,
    /// The processes.
    pub workers: [Option<Worker>; 2],
    /// What may still go wrong.
    pub left: Faults,
}

/// The rev of a row about which nobody remembers anything.
const REST: u8 = 8;

impl State {
    /// Nothing has happened.
    pub fn new(bounds: &Bounds) -> Self {
        let mut state = Self {
            head: 0,
            row: None,
            before: (bounds.faults.old_reads > 0).then_some(None),
            applied: Vec::new(),
            skipped: 0,
            asked: 0,
            fifo: Vec::new(),
            wakes: Vec::new(),
            tickets: Vec::new(),
            sent: Vec::new(),
            hold: Hold::No,
            orders: Vec::new(),
            workers: [None; 2],
            left: bounds.faults,
        };
        if bounds.committed {
            bounds.journal.iter().for_each(|_| state.produce(&bounds.journal));
        }
        state
    }

    /// The next row of the journal is committed.
    pub(crate) fn produce(&mut self, journal: &[Type]) {
        self.head += 1;
        if journal[usize::from(self.head) - 1].is_wanted() {
            self.fifo.push(Message { body: Body::Event(self.head), again: false });
        }
    }

    /// Does the journal have a row of a type that the old code does not know?
    pub fn has_moved(&self, journal: &[Type]) -> bool {
        journal[..usize::from(self.head)].contains(&Type::Moved)
    }

    /// How far the consumer is.
    pub fn cursor(&self) -> u8 {
        self.row.map_or(0, |row| row.seq)
    }

    /// Is the row parked?
    pub fn is_parked(&self) -> bool {
        self.row.is_some_and(|row| row.is_parked())
    }

    /// Is the row marked as held?
    pub fn is_held(&self) -> bool {
        self.row.is_some_and(|row| row.status() == Status::Held)
    }

    /// What the row says of its ticket: was it sent?
    pub fn says_of_ticket(&self) -> Option<bool> {
        self.row.and_then(|row| row.held).and_then(|held| held.ticket)
    }

    /// Is no process at work?
    pub fn is_idle(&self) -> bool {
        self.workers.iter().all(Option::is_none)
    }

    /// Is nothing on its way either? Tickets and people do not count: they wait for somebody.
    pub fn is_at_rest(&self) -> bool {
        self.is_idle() && self.fifo.is_empty() && self.wakes.is_empty()
    }

    /// Does a row of the journal that the consumer handles lie above the cursor?
    pub fn is_behind(&self, journal: &[Type]) -> bool {
        let ahead = journal[..usize::from(self.head)].iter().skip(self.cursor().into());
        ahead.into_iter().any(|kind| kind.is_wanted())
    }

    /// Is every row of the journal applied, or passed over on record?
    pub fn is_done(&self, journal: &[Type]) -> bool {
        (1..=self.head).all(|seq| !journal[usize::from(seq) - 1].is_wanted() || self.is_accounted(seq))
    }

    /// Is this event applied, or passed over on record?
    pub fn is_accounted(&self, seq: u8) -> bool {
        self.applied.contains(&seq) || self.skipped & 1 << seq != 0
    }

    /// Writes the row.
    pub(crate) fn write(&mut self, row: Row) {
        if self.before.is_some() {
            self.before = Some(self.row);
        }
        self.row = Some(row);
    }

    /// The tenant is stopped, or goes on.
    pub(crate) fn order_hold(&mut self, hold: Hold) {
        self.left.holds = self.left.holds.saturating_sub(u8::from(hold == Hold::Ordered));
        self.hold = hold;
    }

    /// Changes what holds the row up, as time does.
    pub(crate) fn pass_time(&mut self, change: impl Fn(&mut Held)) {
        if let Some(held) = self.row.as_mut().and_then(|row| row.held.as_mut()) {
            change(held);
        }
    }

    /// Time until whatever is due soon.
    pub(crate) fn minutes(&mut self) {
        self.pass_time(|held| held.due = if held.due == Due::Soon { Due::Past } else { held.due });
    }

    /// Puts a wake into its queue. One that was delivered before is another one: it may still be deleted.
    pub(crate) fn send_wake(&mut self, verb: Verb, most: usize) {
        let wake = Message { body: verb, again: false };
        if self.wakes.iter().filter(|waiting| **waiting == wake).count() < most {
            self.wakes.push(wake);
        }
    }

    /// The process in this slot is no more.
    pub(crate) fn end(&mut self, slot: usize) {
        self.workers[slot] = None;
        self.rename(|running| if running == of(slot) { Running::Dead } else { running });
    }

    fn rename(&mut self, name: impl Fn(Running) -> Running) {
        self.row = self.row.map(|row| row.run_by(&name));
        self.before = self.before.map(|row| row.map(|row| row.run_by(&name)));
    }

    /// Equal worlds look alike: queues are sorted, workers too, and when none is at work, revs are counted anew.
    pub(crate) fn tidy(&mut self) {
        if self.left.old_reads == 0 {
            self.before = None;
        }
        if self.workers[0] > self.workers[1] {
            self.workers.swap(0, 1);
            self.rename(|running| match running {
                Running::Of(0) => Running::Of(1),
                Running::Of(1) => Running::Of(0),
                other => other,
            });
        }
        let now = self.row.map_or(0, |row| row.rev);
        self.sent.retain(|rev| *rev >= now);
        self.sent.sort_unstable();
        self.sent.dedup();
        if self.is_idle() && self.before.is_none() {
            self.count_revs_anew();
        }
        self.fifo.sort_unstable();
        self.wakes.sort_unstable();
        self.orders.sort_unstable();
        self.tickets.sort_unstable_by_key(|rev| Reverse(*rev));
    }

    /// An order holds at one rev and revs only grow: how far a rev lies behind the row's says nothing.
    fn count_revs_anew(&mut self) {
        let Some(row) = &mut self.row else { return };
        let now = row.rev;
        row.rev = REST;
        let anew = |rev: u8| if rev < now { 0 } else { REST + (rev - now) };
        let verb = |verb| match verb {
            Verb::Advance => Verb::Advance,
            Verb::Retry(rev) => Verb::Retry(anew(rev)),
            Verb::Skip(rev) => Verb::Skip(anew(rev)),
        };
        self.sent.iter_mut().for_each(|rev| *rev = anew(*rev));
        self.tickets.iter_mut().for_each(|rev| *rev = anew(*rev));
        self.tickets.sort_unstable();
        self.tickets.dedup_by(|a, b| *a == 0 && *b == 0);
        self.wakes.iter_mut().for_each(|wake| wake.body = verb(wake.body));
        self.orders.iter_mut().for_each(|order| order.verb = verb(order.verb));
        for message in &mut self.fifo {
            if let Body::Ticket(rev) = message.body {
                message.body = Body::Ticket(anew(rev));
            }
        }
    }
}

pub(crate) fn of(slot: usize) -> Running {
    Running::Of(u8::try_from(slot).unwrap_or(u8::MAX))
}
