//! The model's services one by one, without mishaps, on a clock that a test moves: so that they can be asked what AWS is
//! asked. Must not know: Towpath's machines, the simulator.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use towpath::commit::Commit;
use towpath::ports::{
    Answer, AuditState, CommitError, Consistency, CursorHome, CursorKey, DueTimer, Head, IndexRow, JournalRow,
    KeptAnswer, Ledger, Position, Publication, Publisher, Registered, Snapshot, Store, Stored, Write,
};
use towpath::{
    AggregateKey, AllHolds, Builds, ConsumerName, EventType, Holds, IdempotencyKey, Kind, Rev, Seq, Skipped, TenantId,
    Timestamp,
};

use crate::dice::{Clock, Dice, Millis, millis};
use crate::model::fifo::Fifo;
use crate::model::standard::Standard;
use crate::model::store::{DynamoDb, STALE};
use crate::model::topic::{self, fits};

/// How long an index does not show a new row.
const INDEX_LAG: Millis = 1_000;
/// Rows of a page of an index.
const PAGE_ROWS: usize = 500;
/// Deliveries before a queue without a redrive policy gives a message away.
const FOR_EVER: u32 = u32::MAX;

/// Virtual time, chance and the tables; queues and topics are made from it.
#[derive(Debug, Clone)]
pub struct Services(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    dice: RefCell<Dice>,
    db: RefCell<DynamoDb>,
}

impl Services {
    /// Empty tables at the beginning of time.
    pub fn new(seed: u64) -> Self {
        let (dice, db) = (RefCell::new(Dice::new(seed)), RefCell::default());
        Self(Rc::new(Shared { clock: Clock::default(), dice, db }))
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        self.0.clock.set(self.now() + millis(time));
    }

    /// A FIFO queue; with a redrive policy, a message goes to another one after so many deliveries.
    pub fn fifo_queue(&self, redrive: Option<(&FifoQueue, u32)>) -> FifoQueue {
        let redrive = redrive.map(|(to, after)| (Rc::clone(&to.queue), after));
        FifoQueue { services: self.clone(), queue: Rc::default(), coming: Rc::default(), redrive }
    }

    /// A standard queue.
    pub fn standard_queue(&self) -> StandardQueue {
        StandardQueue { services: self.clone(), queue: RefCell::default() }
    }

    /// A FIFO topic without subscriptions.
    pub fn topic(&self) -> Topic {
        Topic { services: self.clone(), topic: RefCell::default(), subscriptions: RefCell::default() }
    }

    /// One transaction, unchecked by [`Commit`].
    pub fn transact(&self, writes: &[Write]) -> Result<(), CommitError> {
        self.0.db.borrow_mut().commit(writes, self.now(), INDEX_LAG)
    }

    fn now(&self) -> Millis {
        self.0.clock.millis()
    }

    fn read<'a, T: 'a>(&'a self, look: impl FnOnce(&DynamoDb, Millis) -> T) -> Answer<'a, T> {
        ready(Ok(look(&self.0.db.borrow(), self.now()))).boxed_local()
    }
}

/// A message as a receiver gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Names it in its queue.
    pub id: u64,
    /// Its group; a standard queue knows none.
    pub group: String,
    /// What was sent.
    pub body: String,
    /// Which delivery it is; with the id it is the receipt.
    pub receives: u32,
}

/// A FIFO queue.
#[derive(Debug)]
pub struct FifoQueue {
    services: Services,
    queue: Rc<RefCell<Fifo>>,
    coming: Rc<RefCell<Vec<Coming>>>,
    redrive: Option<(Rc<RefCell<Fifo>>, u32)>,
}

/// On its way from a topic.
#[derive(Debug)]
struct Coming {
    at: Millis,
    group: String,
    deduplication: String,
    body: String,
}

impl FifoQueue {
    /// Sends a message; a repetition is accepted, too.
    pub fn send(&self, group: &str, deduplication: &str, body: &str) {
        let now = self.services.now();
        self.queue.borrow_mut().send(group, deduplication, body.to_owned(), now);
    }

    /// Receives up to `most` messages, and moves those that were received too often.
    pub fn receive(&self, most: usize, visibility: Duration) -> Vec<Delivered> {
        self.arrive();
        let (now, dice) = (self.services.now(), &mut *self.services.0.dice.borrow_mut());
        let most_receives = self.redrive.as_ref().map_or(FOR_EVER, |(_, after)| *after);
        let (batch, worn) = self.queue.borrow_mut().receive(most, millis(visibility), most_receives, now, dice);
        if let Some((to, _)) = &self.redrive {
            worn.into_iter().for_each(|message| to.borrow_mut().move_here(message, true));
        }
        let delivered =
            batch.into_iter().map(|of| Delivered { id: of.id, group: of.group, body: of.body, receives: of.receives });
        delivered.collect()
    }

    /// Deletes a message, if its receipt still holds.
    pub fn delete(&self, of: &Delivered) {
        self.queue.borrow_mut().delete(of.id, of.receives, self.services.now());
    }

    /// Changes the visibility of a message, if its receipt still holds.
    pub fn show(&self, of: &Delivered, after: Duration) {
        self.queue.borrow_mut().show(of.id, of.receives, self.services.now() + millis(after));
    }

    /// Deletes all messages.
    pub fn purge(&self) {
        self.queue.borrow_mut().take_all();
    }

    fn arrive(&self) {
        let now = self.services.now();
        let mut here: Vec<Coming> = self.coming.borrow_mut().extract_if(.., |coming| coming.at <= now).collect();
        here.sort_by_key(|coming| coming.at);
        for Coming { at, group, deduplication, body } in here {
            self.queue.borrow_mut().send(&group, &deduplication, body, at);
        }
    }
}

/// A standard queue.
#[derive(Debug)]
pub struct StandardQueue {
    services: Services,
    queue: RefCell<Standard<String>>,
}

impl StandardQueue {
    /// Sends a message.
    pub fn send(&self, body: &str) {
        self.queue.borrow_mut().send(body.to_owned());
    }

    /// Receives one message, any.
    pub fn receive(&self, visibility: Duration) -> Option<Delivered> {
        let (now, dice) = (self.services.now(), &mut *self.services.0.dice.borrow_mut());
        let of = self.queue.borrow_mut().receive(millis(visibility), now, dice)?;
        Some(Delivered { id: of.id, group: String::new(), body: of.body, receives: of.receives })
    }

    /// Deletes a message, unless it was delivered again meanwhile.
    pub fn delete(&self, of: &Delivered) {
        self.queue.borrow_mut().delete(of.id, of.receives);
    }

    /// Changes the visibility of a message that is in flight.
    pub fn show(&self, of: &Delivered, after: Duration) {
        let now = self.services.now();
        self.queue.borrow_mut().show(of.id, of.receives, now + millis(after), now);
    }

    /// Deletes all messages.
    pub fn purge(&self) {
        self.queue.borrow_mut().clear();
    }
}

/// A FIFO topic.
#[derive(Debug)]
pub struct Topic {
    services: Services,
    topic: RefCell<topic::Topic>,
    subscriptions: RefCell<Vec<Subscription>>,
}

#[derive(Debug)]
struct Subscription {
    types: Vec<EventType>,
    coming: Rc<RefCell<Vec<Coming>>>,
}

impl Topic {
    /// Delivers messages of these types to a queue from now on.
    pub fn subscribe(&self, queue: &FifoQueue, types: &[EventType]) {
        let subscription = Subscription { types: types.to_vec(), coming: Rc::clone(&queue.coming) };
        self.subscriptions.borrow_mut().push(subscription);
    }

    fn deliver(&self, message: &Publication) {
        let now = self.services.now();
        if !self.topic.borrow_mut().accept(message, now) {
            return;
        }
        for (number, of) in self.subscriptions.borrow().iter().enumerate() {
            if of.types.contains(&message.event_type) {
                let wait = self.services.0.dice.borrow_mut().between(1, 80);
                let at = self.topic.borrow_mut().arrival(number, &message.group, now, wait);
                let (group, body) = (message.group.clone(), message.body.clone());
                of.coming.borrow_mut().push(Coming { at, group, deduplication: message.event_id.to_string(), body });
            }
        }
    }
}

impl Publisher for Topic {
    fn publish<'a>(&'a self, _: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>> {
        let answer = fits(batch).map(|()| {
            batch.iter().for_each(|message| self.deliver(message));
            vec![Ok(()); batch.len()]
        });
        ready(answer).boxed_local()
    }
}

impl Store for Services {
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        let age = if consistency == Consistency::Eventual { STALE } else { 0 };
        self.read(|db, now| keys.iter().map(|key| db.position(home, key, age, now)).collect())
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        self.read(|db, _| db.tables.entities.get(key).cloned())
    }

    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        self.read(|db, _| db.tables.head(key))
    }

    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        self.read(|db, _| db.tables.journal(key, after, through).take(limit).cloned().collect())
    }

    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        self.read(|db, _| db.tables.skipped_by(key))
    }

    fn builds<'a>(&'a self, consumer: &'a ConsumerName, _: Consistency) -> Answer<'a, Builds> {
        self.read(|db, _| db.tables.builds.get(consumer).copied().unwrap_or_default())
    }

    fn holds<'a>(&'a self, consumer: &'a ConsumerName, _: Consistency) -> Answer<'a, Holds> {
        self.read(|db, _| db.tables.holds.get(consumer).cloned().unwrap_or_default())
    }

    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>> {
        self.read(|db, _| db.tables.view(tenant, view, partition))
    }

    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        self.read(|db, _| db.tables.answers.get(&(tenant.clone(), key.to_string())).cloned())
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError> {
        ready(self.transact(commit.writes())).boxed_local()
    }

    fn snapshot<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        self.read(|db, _| db.tables.snapshot(key))
    }

    fn keep_snapshot<'a>(&'a self, key: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        self.0.db.borrow_mut().tables.keep_snapshot(key, snapshot);
        ready(()).boxed_local()
    }
}

impl Ledger for Services {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        self.read(|_, _| Vec::new())
    }

    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.read(|db, now| db.committed((since, until), after, PAGE_ROWS, now))
    }

    fn sweep<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.read(|db, _| db.sweep(after, PAGE_ROWS))
    }

    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>> {
        self.read(|db, now| db.due(home, before, limit, STALE, now))
    }

    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>> {
        self.read(|db, _| db.tables.timers(before, limit))
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        self.read(|db, _| db.tables.holds.clone())
    }

    fn keep_holds<'a>(&'a self, of: &'a ConsumerName, to: &'a Holds, expect: Rev) -> Answer<'a, (), CommitError> {
        ready(self.0.db.borrow_mut().tables.keep_holds(of, to, expect)).boxed_local()
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>> {
        self.read(|db, _| db.tables.held(home, of, tenant, limit))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        self.read(|db, _| db.audit_state())
    }

    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, expect: Rev) -> Answer<'a, (), CommitError> {
        ready(self.0.db.borrow_mut().keep_audit_state(state, expect)).boxed_local()
    }
}
