//! The world of a simulated run: virtual time, processes that await its answers, and every service's state. Each call of
//! a process takes effect at one moment of its own, so processes interleave at every call.
//! Must not know: what the services do with each other; that stands in `transport`, `lambda` and `people`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use futures_util::future::LocalBoxFuture;
use towpath::ports::{Snapshot, Unavailable};
use towpath::{AggregateKey, EventId};

use crate::Fault;
use crate::dice::{Clock, Dice, Millis};
use crate::instance::{Instance, NO_SKEW};
use crate::lambda::{Deployed, Done, Role};
use crate::mishap::{Mishap, Odds, Part};
use crate::model::store::DynamoDb;
use crate::model::stream::Shard;
use crate::model::topic::Topic;
use crate::people::Client;
use crate::plan::Settings;
use crate::seen::{Seen, Sight};
use crate::slot::Slot;
use crate::trace::Trace;
use crate::watch::Watch;

/// Names a process: one invocation of a function, one request of a client, one operator at work.
pub(crate) type ProcessId = u64;
type Event = Box<dyn FnOnce(&mut Cloud)>;

/// A promise that was not kept.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) why: String,
    pub(crate) about: Option<AggregateKey>,
}

/// Everything outside of the processes, and the processes.
pub(crate) struct Cloud {
    this: Weak<RefCell<Cloud>>,
    pub(crate) clock: Clock,
    pub(crate) dice: Dice,
    pub(crate) odds: Odds,
    pub(crate) settings: Settings,
    pub(crate) trace: Trace,
    pub(crate) seen: Seen,
    pub(crate) watch: Watch,
    pub(crate) broken: Option<Broken>,
    agenda: BTreeMap<(Millis, u64, u64), Event>,
    number: u64,
    processes: BTreeMap<ProcessId, Process>,
    ready: VecDeque<ProcessId>,
    pub(crate) db: DynamoDb,
    pub(crate) shards: Vec<Shard>,
    pub(crate) topic: Topic,
    /// What was ever published.
    pub(crate) published: BTreeSet<EventId>,
    /// What has left over the integration bus, by source and id.
    pub(crate) left: BTreeSet<(String, String)>,
    /// Events that the topic never takes.
    pub(crate) unpublishable: BTreeSet<EventId>,
    pub(crate) consumers: Vec<Deployed>,
    pub(crate) clients: Vec<Client>,
}

struct Process {
    role: Role,
    who: Rc<str>,
    /// Absent while it runs.
    future: Option<LocalBoxFuture<'static, Done>>,
}

/// A call as the timeline names it.
pub(crate) struct Call<S> {
    /// AWS's name for it.
    pub(crate) name: &'static str,
    /// What it is made to.
    pub(crate) part: Part,
    /// What it is about.
    pub(crate) say: S,
}

impl Cloud {
    pub(crate) fn new(
        dice: Dice,
        clock: Clock,
        (odds, settings): (Odds, Settings),
        consumers: Vec<Deployed>,
        clients: Vec<Client>,
        readable: bool,
    ) -> Rc<RefCell<Self>> {
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                this: this.clone(),
                clock,
                dice,
                odds,
                trace: Trace::new(readable),
                seen: Seen::default(),
                watch: Watch::default(),
                broken: None,
                agenda: BTreeMap::new(),
                number: 0,
                processes: BTreeMap::new(),
                ready: VecDeque::new(),
                db: DynamoDb::default(),
                shards: (0..settings.shards).map(|_| Shard::default()).collect(),
                settings,
                topic: Topic::default(),
                published: BTreeSet::new(),
                left: BTreeSet::new(),
                unpublishable: BTreeSet::new(),
                consumers,
                clients,
            })
        })
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.millis()
    }

    /// Does something later. What is due at the same time happens in an order of the seed's choice.
    pub(crate) fn after(&mut self, wait: Millis, act: impl FnOnce(&mut Cloud) + 'static) {
        self.number += 1;
        let key = (self.now().saturating_add(wait), self.dice.roll(), self.number);
        self.agenda.insert(key, Box::new(act));
    }

    /// Lets the next thing happen; `false` when nothing is left to happen.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(((at, _, _), act)) = self.agenda.pop_first() else { return false };
        self.clock.set(at);
        act(self);
        true
    }

    /// A snapshot, or an earlier one, or none.
    pub(crate) fn snapshot(&mut self, key: &AggregateKey) -> Option<Snapshot> {
        let kept = self.db.tables.snapshots.get(key)?.len();
        let at = if self.strikes(Mishap::SnapshotLost) { self.dice.index(kept + 1) } else { kept - 1 };
        self.db.tables.snapshots[key].get(at).cloned()
    }

    pub(crate) fn strikes(&mut self, mishap: Mishap) -> bool {
        let strikes = self.odds.strikes(mishap, &mut self.dice);
        if strikes {
            self.seen.count(Sight::Mishap(mishap));
        }
        strikes
    }

    pub(crate) fn is_away(&mut self, part: Part) -> bool {
        let away = self.odds.is_away(part, self.clock.millis());
        if away {
            self.seen.count(Sight::Mishap(Mishap::Outage(part)));
        }
        away
    }

    /// Keeps the first broken promise: what follows from it tells nothing.
    pub(crate) fn broken(&mut self, promise: &'static str, about: Option<&AggregateKey>, why: String) {
        self.broken.get_or_insert(Broken { promise, why, about: about.cloned() });
    }

    pub(crate) fn note(&mut self, what: &'static str, who: u64, say: impl FnOnce() -> (String, String)) {
        self.trace.note(self.clock.millis(), what, who, say);
    }

    /// Starts a process. It is killed when its time is over.
    pub(crate) fn start(
        &mut self,
        role: Role,
        timeout: Millis,
        run: impl FnOnce(Instance) -> LocalBoxFuture<'static, Done>,
    ) {
        self.number += 1;
        let id = self.number;
        let skew = if self.strikes(Mishap::ClockSkew) { self.dice.between(0, 2 * NO_SKEW) } else { NO_SKEW };
        let Some(cloud) = self.this.upgrade() else { return };
        let deadline = self.now() + timeout;
        let who: Rc<str> = format!("{id} {role}").into();
        let me = (id, role.author(), Rc::clone(&who));
        let instance = Instance::new(cloud, self.clock.clone(), me, deadline, skew);
        self.note("start", id, || (who.to_string(), format!("begins{}", role.subject())));
        self.processes.insert(id, Process { role, who, future: Some(run(instance)) });
        self.ready.push_back(id);
        self.after(timeout, move |cloud| {
            if cloud.processes.contains_key(&id) {
                cloud.seen.count(Sight::Happened("timed out"));
                cloud.kill(id, "timed out");
            }
        });
    }

    /// Ends a process where it stands. What it has sent may still take effect.
    pub(crate) fn kill(&mut self, id: ProcessId, why: &'static str) {
        if let Some(process) = self.processes.remove(&id) {
            self.note(why, id, || (process.who.to_string(), why.to_owned()));
            self.died(process.role);
        }
    }

    /// The next process that can go on.
    pub(crate) fn next_ready(&mut self) -> Option<(ProcessId, LocalBoxFuture<'static, Done>)> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(future) = self.processes.get_mut(&id).and_then(|process| process.future.take()) {
                return Some((id, future));
            }
        }
        None
    }

    pub(crate) fn put_back(&mut self, id: ProcessId, future: LocalBoxFuture<'static, Done>) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.future = Some(future);
        }
    }

    pub(crate) fn finish(&mut self, id: ProcessId, done: Done) {
        if let Some(process) = self.processes.remove(&id) {
            self.note("end", id, || (process.who.to_string(), format!("ends: {done}")));
            self.finished(process.role, done);
        }
    }

    pub(crate) fn role(&self, of: ProcessId) -> Option<&Role> {
        self.processes.get(&of).map(|process| &process.role)
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = &Role> {
        self.processes.values().map(|process| &process.role)
    }

    /// Nothing happens any more.
    pub(crate) fn stop(&mut self) {
        self.agenda.clear();
        self.processes.clear();
    }

    /// A wait of a process is over.
    pub(crate) fn rouse(&mut self, id: ProcessId) {
        if self.processes.contains_key(&id) {
            self.ready.push_back(id);
        }
    }

    /// One call of a process: `act` is what AWS does, at one moment; `lost` is what the caller sees without an answer.
    pub(crate) fn place_call<T: 'static, E: 'static>(
        &mut self,
        (id, who): (ProcessId, Rc<str>),
        call: Call<impl Fn() -> String + 'static>,
        slot: Slot<Result<T, E>>,
        act: impl Fn(&mut Cloud) -> Result<T, E> + 'static,
        lost: fn(Unavailable) -> E,
    ) {
        let (name, part) = (call.name, call.part);
        let no_answer = move |why: &str| lost(Unavailable { call: name, why: why.to_owned() });
        let refused = Rc::clone(&who);
        let act = move |cloud: &mut Cloud, how: &'static str| {
            let answer = if cloud.is_away(part) { Err(no_answer("it is away")) } else { act(cloud) };
            let end = if answer.is_ok() { "" } else { " → refused" };
            let hashed = if answer.is_ok() { name } else { "refused" };
            cloud.note(hashed, id, || (who.to_string(), format!("{name} {}{end}{how}", (call.say)())));
            answer
        };
        // Mostly slow enough for others to get in between, sometimes too slow for the process.
        let (least, most) =
            if self.strikes(Mishap::SlowCall) { (200, *self.dice.pick(&[1_000, 3_000, 60_000])) } else { (1, 20) };
        let wait = self.dice.between(least, most);
        let fault = Fault::ALL.into_iter().find(|fault| self.strikes(Mishap::Call(*fault)));
        let fill = move |cloud: &mut Cloud, slot: &Slot<Result<T, E>>, answer: Result<T, E>| {
            slot.fill(answer);
            cloud.rouse(id);
        };
        match fault {
            None => self.after(wait, move |cloud| {
                let answer = act(cloud, "");
                fill(cloud, &slot, answer);
            }),
            Some(Fault::CrashBefore) => self.kill(id, "crashed before a call"),
            Some(Fault::CrashAfter) => self.after(wait, move |cloud| {
                drop(act(cloud, " (the caller dies)"));
                cloud.kill(id, "crashed after a call");
            }),
            Some(Fault::AnswerLost) => self.after(wait, move |cloud| {
                drop(act(cloud, " (the answer is lost)"));
                fill(cloud, &slot, Err(no_answer("no answer")));
            }),
            Some(Fault::Duplicated) => {
                let again = self.dice.between(1, 2_000);
                self.after(wait, move |cloud| {
                    drop(act(cloud, " (sent twice: first)"));
                    cloud.after(again, move |cloud| {
                        let answer = act(cloud, " (sent twice: second)");
                        fill(cloud, &slot, answer);
                    });
                });
            }
            Some(Fault::Delayed) => {
                let late = self.dice.between(1, 60_000);
                self.after(wait + late, move |cloud| drop(act(cloud, " (late, the caller gave up)")));
                self.after(wait, move |cloud| fill(cloud, &slot, Err(no_answer("timed out"))));
            }
            Some(Fault::Refused) => self.after(wait, move |cloud| {
                cloud.note("throttled", id, || (refused.to_string(), format!("{name} → throttled")));
                fill(cloud, &slot, Err(no_answer("throttled")));
            }),
        }
    }
}
