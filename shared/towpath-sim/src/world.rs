//! The world that a machine runs in: tables, a clock, random bits, a dead-letter queue, and one fault at one call.
//! Must not know: any one domain, what a machine is for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, pending, ready};
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::commit::Commit;
use towpath::ports::{
    Answer, CommitError, Consistency, CursorHome, CursorKey, DeadLetters, Head, Host, JournalRow, KeptAnswer, Position,
    Store, Stored, Unavailable, Wakes,
};
use towpath::wake::{Outcome, handle_wake};
use towpath::{
    AggregateKey, Builds, Consumer, ConsumerName, Era, IdempotencyKey, Producer, Seq, Skipped, TenantId, Ticket,
    Timestamp, Wake,
};

use crate::Tables;
use crate::dice::millis;

/// Deliveries of wakes at a time.
const WAKES: usize = 20;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process dies before the call is made.
    CrashBefore,
    /// The call is carried out, then the process dies.
    CrashAfter,
    /// The call is carried out, its answer is lost.
    AnswerLost,
    /// The call is sent twice, and the second answer is taken: what a retry inside the SDK does.
    Duplicated,
    /// The caller gives up; the call is carried out later, just before the next one.
    Delayed,
    /// The call is refused: throttled, reset.
    Refused,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 6] =
        [Self::CrashBefore, Self::CrashAfter, Self::AnswerLost, Self::Duplicated, Self::Delayed, Self::Refused];
}

type Late = Box<dyn FnOnce(&mut Tables)>;

/// A world in which calls of one's choice are broken.
#[derive(Default)]
pub struct World {
    tables: RefCell<Tables>,
    late: RefCell<Option<Late>>,
    kept: RefCell<Vec<(Message, String)>>,
    faults: RefCell<Vec<(usize, Fault)>>,
    calls: Cell<usize>,
    ticks: Cell<u64>,
}

impl World {
    /// A world that begins with these tables, an hour after they were written.
    pub fn new(tables: Tables) -> Self {
        Self { tables: RefCell::new(tables), ticks: Cell::new(3_600_000), ..Self::default() }
    }

    /// Breaks the calls with these numbers, counted from 0.
    pub fn break_calls(&self, faults: &[(usize, Fault)]) {
        self.calls.set(0);
        self.faults.replace(faults.to_vec());
    }

    /// Has every call that was to be broken been made?
    pub fn is_broken(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// The tables as they are, what was delayed included.
    pub fn tables(&self) -> Tables {
        self.settle();
        self.tables.borrow().clone()
    }

    /// Calls made so far.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Messages in the dead-letter queue.
    pub fn kept(&self) -> Vec<(Message, String)> {
        self.kept.borrow().clone()
    }

    /// This world as everything that a consumer needs.
    pub fn consumer_ports<'a>(&'a self, producer: &'a Producer) -> ConsumerPorts<'a> {
        ConsumerPorts { store: self, host: self, dead_letters: self, wakes: self, producer, era: Era::FIRST }
    }

    /// Does what the queues do: delivers all messages in one batch, then wakes, until nothing is left or time has been
    /// given often enough. `true` when nothing is left.
    pub async fn work(&self, consumer: &Consumer) -> bool {
        let producer = "sim@1".parse().expect("it is name@version");
        let ports = self.consumer_ports(&producer);
        let messages = {
            let messages = &mut self.tables.borrow_mut().messages;
            messages.iter_mut().for_each(|message| message.receives += 1);
            messages.clone()
        };
        if !messages.is_empty() {
            let failed = handle_batch(consumer, ports, &messages).await.failed;
            self.tables.borrow_mut().messages.retain(|message| failed.contains(&message.id));
        }
        for _ in 0..WAKES {
            let Some(delivered) = self.next_wake() else { break };
            let (_, wake, receives) = &delivered;
            match handle_wake(consumer, ports, wake, *receives).await.outcome {
                Outcome::Again(wait) => self.pass(wait),
                Outcome::Done => {
                    let wakes = &mut self.tables.borrow_mut().wakes;
                    let at = wakes.iter().position(|waiting| *waiting == delivered);
                    at.map(|at| wakes.remove(at));
                }
            }
        }
        let tables = self.tables.borrow();
        tables.messages.is_empty() && tables.wakes.is_empty()
    }

    /// Puts every ticket back into the queue, as the console does.
    pub fn redrive(&self) {
        let tables = &mut *self.tables.borrow_mut();
        let message = |ticket: Ticket| Message {
            id: ticket.deduplication_id(),
            group: ticket.group(),
            receives: 0,
            body: ticket.to_body(),
        };
        tables.messages.extend(std::mem::take(&mut tables.tickets).into_iter().map(message));
    }

    /// Delivers the wake that was not delivered for the longest time.
    fn next_wake(&self) -> Option<(ConsumerName, Wake, u32)> {
        let wakes = &mut self.tables.borrow_mut().wakes;
        if wakes.is_empty() {
            return None;
        }
        let (to, wake, receives) = wakes.remove(0);
        wakes.push((to, wake, receives + 1));
        wakes.last().cloned()
    }

    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        self.ticks.set(self.ticks.get() + millis(time));
    }

    fn settle(&self) {
        if let Some(late) = self.late.take() {
            late(&mut self.tables.borrow_mut());
        }
    }

    /// One call: `act` is what AWS does, `lost` what the caller sees when there is no answer.
    pub(crate) fn call<'a, T: 'a, E: 'a>(
        &'a self,
        act: impl Fn(&mut Tables) -> Result<T, E> + 'static,
        lost: impl Fn(Unavailable) -> E,
    ) -> Answer<'a, T, E> {
        self.settle();
        let number = self.calls.replace(self.calls.get() + 1);
        let fault = self.faults.borrow_mut().extract_if(.., |(at, _)| *at == number).next().map(|(_, fault)| fault);
        let no_answer = || lost(Unavailable { call: "a call", why: "no answer".to_owned() });
        let tables = &self.tables;
        match fault {
            None => ready(act(&mut tables.borrow_mut())).boxed_local(),
            Some(Fault::CrashBefore) => pending().boxed_local(),
            Some(Fault::CrashAfter) => {
                let _ = act(&mut tables.borrow_mut());
                pending().boxed_local()
            }
            Some(Fault::AnswerLost) => {
                let _ = act(&mut tables.borrow_mut());
                ready(Err(no_answer())).boxed_local()
            }
            Some(Fault::Duplicated) => {
                let _ = act(&mut tables.borrow_mut());
                ready(act(&mut tables.borrow_mut())).boxed_local()
            }
            Some(Fault::Delayed) => {
                self.late.replace(Some(Box::new(move |tables| drop(act(tables)))));
                ready(Err(no_answer())).boxed_local()
            }
            Some(Fault::Refused) => ready(Err(no_answer())).boxed_local(),
        }
    }

    pub(crate) fn read<'a, T: 'a>(&'a self, look: impl Fn(&Tables) -> T + 'static) -> Answer<'a, T> {
        self.call(move |tables| Ok(look(tables)), |error| error)
    }
}

impl Store for World {
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        _: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        let keys = keys.to_vec();
        self.read(move |tables| keys.iter().map(|key| tables.home(home).get(key).cloned()).collect())
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        let key = key.clone();
        self.read(move |tables| tables.entities.get(&key).cloned())
    }

    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        let key = key.clone();
        self.read(move |tables| tables.head(&key))
    }

    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        let key = key.clone();
        self.read(move |tables| tables.journal(&key, after, through).take(limit).cloned().collect())
    }

    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        let key = key.clone();
        self.read(move |tables| tables.skipped_by(&key))
    }

    fn builds<'a>(&'a self, consumer: &'a ConsumerName, _: Consistency) -> Answer<'a, Builds> {
        let consumer = consumer.clone();
        self.read(move |tables| tables.builds.get(&consumer).copied().unwrap_or_default())
    }

    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>> {
        let (tenant, view, partition) = (tenant.clone(), view.to_owned(), partition.to_owned());
        self.read(move |tables| tables.view(&tenant, &view, &partition))
    }

    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        let at = (tenant.clone(), key.to_string());
        self.read(move |tables| tables.answers.get(&at).cloned())
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError> {
        let writes = commit.writes().to_vec();
        self.call(move |tables| tables.commit(&writes), CommitError::Unavailable)
    }
}

impl Host for World {
    /// Every look at the clock is a millisecond later than the one before.
    fn now(&self) -> Timestamp {
        self.ticks.set(self.ticks.get() + 1);
        Timestamp::from_millis(1_795_255_200_000 + self.ticks.get())
    }

    fn random(&self) -> u128 {
        self.ticks.set(self.ticks.get() + 1);
        u128::from(self.ticks.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn remaining(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

impl DeadLetters for World {
    fn keep<'a>(&'a self, message: &'a Message, reason: &'a str) -> Answer<'a, ()> {
        self.kept.borrow_mut().push((message.clone(), reason.to_owned()));
        ready(Ok(())).boxed_local()
    }

    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Answer<'a, ()> {
        let ticket = ticket.clone();
        self.call(
            move |tables| {
                tables.tickets.push(ticket.clone());
                Ok(())
            },
            |error| error,
        )
    }
}

impl Wakes for World {
    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Answer<'a, u64> {
        ready(Ok(0)).boxed_local()
    }

    fn wake<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()> {
        let (to, wake) = (to.clone(), wake.clone());
        self.call(
            move |tables| {
                tables.wakes.push((to.clone(), wake.clone(), 0));
                Ok(())
            },
            |error| error,
        )
    }
}
