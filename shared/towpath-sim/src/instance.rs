//! One process's handle to the world: it answers the core's ports, each call at a moment of the simulator's choice.
//! Must not know: which machine calls, what the answers are for.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use towpath::audit::AuditPorts;
use towpath::batch::{ConsumerPorts, Message};
use towpath::command::CommandPorts;
use towpath::commit::Commit;
use towpath::ports::{
    Answer, AuditState, Bus, CommitError, Consistency, CursorHome, CursorKey, DeadLetters, DueTimer, Head, Host,
    IndexRow, JournalRow, KeptAnswer, Ledger, Position, Publication, Publisher, Registered, Snapshot, Store, Stored,
    Unavailable, Wakes,
};
use towpath::{
    AggregateKey, AllHolds, Builds, CloudEvent, ConsumerName, Era, Holds, IdempotencyKey, Kind, Producer, Rev, Seq,
    Skipped, TenantId, Ticket, Timestamp, Wake,
};

use crate::cloud::{Call, Cloud, ProcessId};
use crate::dice::{Clock, Millis, millis};
use crate::lambda::{Author, Role};
use crate::mishap::{Mishap, Part};
use crate::model::store::STALE;
use crate::seen::Sight;
use crate::slot::Slot;

/// What is added to a process's clock before the skew is taken away, so that both are counted from zero.
pub(crate) const NO_SKEW: Millis = 300_000;

/// How old may be what an instance remembers of holds.
pub(crate) const HOLDS_AGE: Millis = 5_000;

/// The handle.
pub struct Instance {
    cloud: Rc<RefCell<Cloud>>,
    clock: Clock,
    id: ProcessId,
    who: Rc<str>,
    author: Author,
    deadline: Millis,
    /// From 0 to twice [`NO_SKEW`], which is a clock that is right.
    skew: Millis,
    producer: Producer,
}

impl Instance {
    pub(crate) fn new(
        cloud: Rc<RefCell<Cloud>>,
        clock: Clock,
        (id, author, who): (ProcessId, Author, Rc<str>),
        deadline: Millis,
        skew: Millis,
    ) -> Self {
        let producer = "sim@1".parse().expect("it is name@version");
        Self { cloud, clock, id, who, author, deadline, skew, producer }
    }

    /// What a command needs.
    pub fn command_ports(&self) -> CommandPorts<'_> {
        CommandPorts { store: self, host: self, producer: &self.producer, era: Era::FIRST, limiter: None }
    }

    pub(crate) fn consumer_ports(&self) -> ConsumerPorts<'_> {
        ConsumerPorts {
            store: self,
            host: self,
            dead_letters: self,
            wakes: self,
            bus: self,
            producer: &self.producer,
            era: Era::FIRST,
        }
    }

    /// Some operators give the same order again, a while later.
    pub(crate) fn impatience(&self) -> Option<Duration> {
        let cloud = &mut *self.cloud.borrow_mut();
        let again = !cloud.odds.is_calm() && cloud.dice.chance(2_500);
        again.then(|| Duration::from_millis(cloud.dice.between(10, 90_000)))
    }

    /// Does a wake of this row run?
    pub(crate) fn is_at_work(&self, key: &CursorKey) -> bool {
        let cloud = self.cloud.borrow();
        let of = |role: &Role| match role {
            Role::Wake { consumer, message } => {
                *cloud.consumers[*consumer].subject.consumer.name() == key.consumer
                    && message.body.aggregate == key.aggregate
            }
            _ => false,
        };
        cloud.roles().any(of)
    }

    pub(crate) fn audit_ports(&self) -> AuditPorts<'_> {
        AuditPorts { ledger: self, store: self, wakes: self, host: self, meters: Some(self) }
    }

    /// Changes which builds of a projection there are, if they are what was read.
    pub(crate) async fn keep_builds(&self, of: &ConsumerName, to: Builds, expect: Rev) -> Result<(), Unavailable> {
        let (of, named) = (of.clone(), of.clone());
        let say = move || format!("{named}: {to:?}");
        let call = Call { name: "builds kept", part: Part::Store, say };
        let refused = |_| Unavailable { call: "builds kept", why: "they are others by now".to_owned() };
        let keep = move |cloud: &mut Cloud| {
            let now = cloud.now();
            let kept = cloud.db.keep_builds(&of, to, expect, now).map_err(refused);
            if kept.is_ok() && to.other.is_some() && to.live == to.last {
                cloud.seen.count(Sight::Happened("builds swapped"));
            }
            kept
        };
        self.call(call, keep, |error| error).await
    }

    pub(crate) async fn sleep_a_while(&self, most: Millis) {
        let wait = self.cloud.borrow_mut().dice.between(1, most);
        self.sleep(Duration::from_millis(wait)).await;
    }

    pub(crate) fn call<'a, T: 'static, E: 'static>(
        &'a self,
        call: Call<impl Fn() -> String + 'static>,
        act: impl Fn(&mut Cloud) -> Result<T, E> + 'static,
        lost: fn(Unavailable) -> E,
    ) -> Answer<'a, T, E> {
        async move {
            let slot = Slot::new();
            let who = (self.id, Rc::clone(&self.who));
            self.cloud.borrow_mut().place_call(who, call, slot.clone(), act, lost);
            slot.await
        }
        .boxed_local()
    }

    pub(crate) fn read<'a, T: 'static>(
        &'a self,
        name: &'static str,
        say: impl Fn() -> String + 'static,
        look: impl Fn(&mut Cloud) -> T + 'static,
    ) -> Answer<'a, T> {
        self.call(Call { name, part: Part::Store, say }, move |cloud| Ok(look(cloud)), |error| error)
    }
}

impl Store for Instance {
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        let keys: Rc<[CursorKey]> = keys.into();
        let named = Rc::clone(&keys);
        let say = move || {
            let names: Vec<String> = named.iter().map(|key| key.aggregate.to_string()).collect();
            format!("{consistency:?} {}", names.join(", "))
        };
        self.read("positions", say, move |cloud| {
            let late = consistency == Consistency::Eventual && cloud.strikes(Mishap::StaleRead);
            let (age, now) = (if late { STALE } else { 0 }, cloud.now());
            keys.iter().map(|key| cloud.db.position(home, key, age, now)).collect()
        })
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        let (key, named) = (key.clone(), key.clone());
        self.read("entity", move || named.to_string(), move |cloud| cloud.db.tables.entities.get(&key).cloned())
    }

    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        let (key, named) = (key.clone(), key.clone());
        self.read("head", move || named.to_string(), move |cloud| cloud.db.tables.head(&key))
    }

    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        let (key, named) = (key.clone(), key.clone());
        self.read(
            "journal",
            move || format!("{named} after {after}"),
            move |cloud| cloud.db.tables.journal(&key, after, through).take(limit).cloned().collect(),
        )
    }

    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        let (key, named) = (key.clone(), key.clone());
        let say = move || named.aggregate.to_string();
        self.read("skipped", say, move |cloud| cloud.db.tables.skipped_by(&key))
    }

    fn builds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Builds> {
        let (consumer, named) = (consumer.clone(), consumer.clone());
        let look = move |cloud: &mut Cloud| {
            let late = consistency == Consistency::Eventual && cloud.strikes(Mishap::StaleRead);
            cloud.db.builds(&consumer, if late { STALE } else { 0 }, cloud.now())
        };
        self.read("builds", move || named.to_string(), look)
    }

    /// A copy is what this instance read some seconds ago, which costs no call.
    fn holds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Holds> {
        if consistency == Consistency::Eventual {
            let cloud = &mut *self.cloud.borrow_mut();
            if cloud.db.tables.holds.is_empty() {
                return ready(Ok(Holds::default())).boxed_local();
            }
            let (age, now) = (cloud.dice.between(0, HOLDS_AGE), cloud.now());
            return ready(Ok(cloud.db.holds(consumer, age, now))).boxed_local();
        }
        let (consumer, named) = (consumer.clone(), consumer.clone());
        let look = move |cloud: &mut Cloud| cloud.db.holds(&consumer, 0, cloud.now());
        self.read("holds", move || named.to_string(), look)
    }

    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>> {
        let (tenant, view, partition) = (tenant.clone(), view.to_owned(), partition.to_owned());
        self.read("view", String::new, move |cloud| cloud.db.tables.view(&tenant, &view, &partition))
    }

    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        let (at, named) = ((tenant.clone(), key.to_string()), key.to_string());
        let look = move |cloud: &mut Cloud| {
            let now = cloud.now();
            cloud.db.kept_answer(&at, now)
        };
        self.read("kept answer", move || named.clone(), look)
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError> {
        let (commit, by) = (Rc::new(commit.clone()), (self.id, self.author));
        let named = Rc::clone(&commit);
        let say = move || crate::say::commit(named.writes());
        let call = Call { name: "commit", part: Part::Store, say };
        self.call(call, move |cloud| cloud.commit(by, commit.writes()), CommitError::Unavailable)
    }

    /// The last snapshot, or an old one, or none: somebody has deleted it.
    fn snapshot<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        let (key, named) = (key.clone(), key.clone());
        self.read("snapshot", move || named.to_string(), move |cloud| cloud.snapshot(&key))
    }

    fn keep_snapshot<'a>(&'a self, key: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        let (key, named, snapshot) = (key.clone(), (key.clone(), snapshot.seq), snapshot.clone());
        let say = move || format!("{} at {}", named.0, named.1);
        let call = Call { name: "keep snapshot", part: Part::Store, say };
        let keep = move |cloud: &mut Cloud| {
            cloud.db.tables.keep_snapshot(&key, &snapshot);
            Ok::<_, Unavailable>(())
        };
        self.call(call, keep, |error| error).map(|_kept_or_not| ()).boxed_local()
    }
}

impl Host for Instance {
    fn now(&self) -> Timestamp {
        let now = self.clock.now().as_millis();
        Timestamp::from_millis(now + self.skew - NO_SKEW)
    }

    fn random(&self) -> u128 {
        let dice = &mut self.cloud.borrow_mut().dice;
        u128::from(dice.roll()) << 64 | u128::from(dice.roll())
    }

    fn remaining(&self) -> Duration {
        Duration::from_millis(self.deadline.saturating_sub(self.clock.millis()))
    }

    fn sleep(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        async move {
            let (slot, id) = (Slot::new(), self.id);
            let filled = slot.clone();
            self.cloud.borrow_mut().after(millis(time), move |cloud| {
                filled.fill(());
                cloud.rouse(id);
            });
            slot.await;
        }
        .boxed_local()
    }
}

impl DeadLetters for Instance {
    fn keep<'a>(&'a self, message: &'a Message, reason: &'a str) -> Answer<'a, ()> {
        let (message, reason, author) = (message.clone(), reason.to_owned(), self.author);
        let call = Call { name: "keep", part: Part::DeadLetters, say: move || reason.clone() };
        self.call(call, move |cloud| cloud.keep(author, &message), |error| error)
    }

    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Answer<'a, ()> {
        let (ticket, named) = (ticket.clone(), ticket.clone());
        let say = move || format!("{} seq {} at rev {}", named.aggregate, named.seq, named.rev);
        let call = Call { name: "ticket", part: Part::DeadLetters, say };
        self.call(call, move |cloud| cloud.keep_ticket(&ticket), |error| error)
    }
}

impl Wakes for Instance {
    fn wake<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()> {
        let (by, to, wake, named) = (self.id, to.clone(), wake.clone(), wake.clone());
        let consumer = to.clone();
        let call =
            Call { name: "wake", part: Part::Wakes, say: move || format!("{consumer}: {}", crate::say::wake(&named)) };
        self.call(call, move |cloud| cloud.send_wake(by, &to, &wake), |error| error)
    }

    fn backlog<'a>(&'a self, consumer: &'a ConsumerName) -> Answer<'a, u64> {
        let (consumer, named) = (consumer.clone(), consumer.to_string());
        let call = Call { name: "backlog", part: Part::Wakes, say: move || named.clone() };
        let count = move |cloud: &mut Cloud| {
            let of = cloud.consumer_named(&consumer).map(|consumer| &cloud.consumers[consumer]);
            Ok(of.map_or(0, |of| of.fifo.messages().len() as u64))
        };
        self.call(call, count, |error| error)
    }
}

impl Bus for Instance {
    fn put<'a>(&'a self, events: &'a [CloudEvent]) -> Answer<'a, Vec<Result<(), String>>> {
        let events: Rc<[CloudEvent]> = events.into();
        let named = Rc::clone(&events);
        let say = move || named.iter().map(|event| format!("{} {} ", event.source, event.kind)).collect();
        let call = Call { name: "put", part: Part::Bus, say };
        self.call(call, move |cloud| cloud.put(&events), |error| error)
    }
}

impl Publisher for Instance {
    fn publish<'a>(&'a self, _: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>> {
        let (by, batch, size) = (self.id, batch.to_vec(), batch.len());
        let call = Call { name: "publish", part: Part::Topic, say: move || format!("{size} messages") };
        self.call(call, move |cloud| cloud.publish(by, &batch), |error| error)
    }
}

impl Ledger for Instance {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        self.read("consumers", String::new, |cloud| {
            cloud.consumers.iter().map(|deployed| deployed.subject.consumer.registration()).collect()
        })
    }

    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        after: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        let after = after.map(str::to_owned);
        self.read(
            "committed",
            move || format!("{since} to {until}"),
            move |cloud| cloud.db.committed((since, until), after.as_deref(), cloud.settings.page, cloud.now()),
        )
    }

    fn sweep<'a>(&'a self, after: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        let after = after.map(str::to_owned);
        self.read("sweep", String::new, move |cloud| cloud.db.sweep(after.as_deref(), cloud.settings.page))
    }

    fn due(&self, home: CursorHome, before: Timestamp, limit: usize) -> Answer<'_, Vec<CursorKey>> {
        self.read(
            "due",
            move || format!("before {before}"),
            move |cloud| {
                let late = cloud.strikes(Mishap::IndexLag);
                let (age, now) = (if late { STALE } else { 0 }, cloud.now());
                cloud.db.due(home, before, limit, age, now)
            },
        )
    }

    fn timers(&self, before: Timestamp, limit: usize) -> Answer<'_, Vec<DueTimer>> {
        let say = move || format!("before {before}");
        self.read("timers", say, move |cloud| cloud.db.tables.timers(before, limit))
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        self.read("all holds", String::new, |cloud| cloud.db.tables.holds.clone())
    }

    fn keep_holds<'a>(&'a self, of: &'a ConsumerName, to: &'a Holds, expect: Rev) -> Answer<'a, (), CommitError> {
        let (of, to, named) = (of.clone(), to.clone(), of.clone());
        let call = Call { name: "keep holds", part: Part::Store, say: move || named.to_string() };
        let keep = move |cloud: &mut Cloud| {
            let now = cloud.now();
            cloud.db.keep_holds(&of, &to, expect, now)
        };
        self.call(call, keep, CommitError::Unavailable)
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        tenant: &'a TenantId,
        limit: usize,
    ) -> Answer<'a, Vec<CursorKey>> {
        let (of, tenant) = (of.clone(), tenant.clone());
        let say = {
            let named = tenant.clone();
            move || named.to_string()
        };
        self.read("held", say, move |cloud| cloud.db.tables.held(home, &of, &tenant, limit))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        self.read("audit state", String::new, |cloud| cloud.db.audit_state())
    }

    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, expect: Rev) -> Answer<'a, (), CommitError> {
        let state = state.clone();
        let call = Call { name: "keep audit state", part: Part::Store, say: String::new };
        self.call(call, move |cloud| cloud.db.keep_audit_state(&state, expect), CommitError::Unavailable)
    }
}
