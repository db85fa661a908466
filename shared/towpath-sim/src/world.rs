//! The world that a machine runs in: tables, a clock, random bits, a dead-letter queue, and one fault at one call.
//! Must not know: any one domain, what a machine is for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, pending, ready};
use towpath::batch::{ConsumerPorts, Message, handle_batch};
use towpath::commit::Commit;
use towpath::ports::{
    Answer, Bus, CommitError, Consistency, CursorHome, CursorKey, DeadLetters, Head, Host, JournalRow, KeptAnswer,
    Position, Snapshot, Store, Stored, Unavailable, Wakes,
};
use towpath::wake::{Outcome, handle_wake};
use towpath::{
    AggregateKey, Builds, CloudEvent, Consumer, ConsumerName, Era, Holds, IdempotencyKey, Producer, Seq, Skipped,
    TenantId, Ticket, Timestamp, Verb, Wake,
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
        ConsumerPorts { store: self, host: self, dead_letters: self, wakes: self, bus: self, producer, era: Era::FIRST }
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
            let Some(delivered) = self.next_wake(|to, wake| to == consumer.name() && !is_timer(wake)) else { break };
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
        let waits = |(to, wake, _): &(ConsumerName, Wake, u32)| to == consumer.name() && !is_timer(wake);
        tables.messages.is_empty() && !tables.wakes.iter().any(waits)
    }

    /// Lets so much time pass, and then brings each timer of a saga that is on its way back once. Those that are early stay.
    pub async fn fire_timers(&self, consumer: &Consumer, after: Duration) {
        self.pass(after);
        let producer = "sim@1".parse().expect("it is name@version");
        let ports = self.consumer_ports(&producer);
        for _ in 0..self.tables().wakes.len() {
            let Some(delivered) = self.next_wake(|to, wake| to == consumer.name() && is_timer(wake)) else { break };
            if handle_wake(consumer, ports, &delivered.1, delivered.2).await.outcome == Outcome::Done {
                let wakes = &mut self.tables.borrow_mut().wakes;
                let at = wakes.iter().position(|waiting| *waiting == delivered);
                at.map(|at| wakes.remove(at));
            }
        }
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

    /// Delivers the wake of these that was not delivered for the longest time.
    fn next_wake(&self, of: impl Fn(&ConsumerName, &Wake) -> bool) -> Option<(ConsumerName, Wake, u32)> {
        let wakes = &mut self.tables.borrow_mut().wakes;
        let at = wakes.iter().position(|(to, wake, _)| of(to, wake))?;
        let (to, wake, receives) = wakes.remove(at);
        wakes.push((to, wake, receives + 1));
        wakes.last().cloned()
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
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

/// Timers of sagas come only when a test lets them.
fn is_timer(wake: &Wake) -> bool {
    matches!(wake.verb, Verb::Timer(_))
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

    /// A copy is from memory: that is no call. Of what is stopped it says so at once, and is not believed.
    fn holds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Holds> {
        let of = consumer.clone();
        let look = move |tables: &Tables| tables.holds.get(&of).cloned().unwrap_or_default();
        match consistency {
            Consistency::Eventual => ready(Ok(look(&self.tables.borrow()))).boxed_local(),
            Consistency::Strong => self.read(look),
        }
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

    fn snapshot<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        let key = key.clone();
        self.read(move |tables| tables.snapshot(&key))
    }

    fn keep_snapshot<'a>(&'a self, key: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        let (key, snapshot) = (key.clone(), snapshot.clone());
        let keep = move |tables: &mut Tables| {
            tables.keep_snapshot(&key, &snapshot);
            Ok::<_, Unavailable>(())
        };
        self.call(keep, |error| error).map(|_kept_or_not| ()).boxed_local()
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

impl Bus for World {
    fn put<'a>(&'a self, events: &'a [CloudEvent]) -> Answer<'a, Vec<Result<(), String>>> {
        let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
        self.call(
            move |tables| {
                tables.left.extend(ids.iter().cloned());
                Ok(vec![Ok(()); ids.len()])
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
