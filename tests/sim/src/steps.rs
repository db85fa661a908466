//! The saga with each call broken: every step, every compensation, every question, what a person decides or does not, and a
//! command that is passed over.
//! Must not know: which calls break.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use commerce::Cents;
use commerce::checkout::Decision;
use commerce::fulfilment::{APPROVAL_FROM_CENTS, STEP_TIME};
use futures_util::FutureExt;
use payments::provider::{Answer, Payment, PaymentProvider, Status};
use towpath::command::CommandPorts;
use towpath::ports::Wakes;
use towpath::{
    AggregateId, Consumer, Effect, EffectKey, Era, Instruction, ProviderError, SagaRow, Seq, Status as RowStatus, Verb,
    Wake,
};
use towpath_sim::{Tables, World};

use crate::begin::with;
use crate::checkouts::{decide, submit};
use crate::shop;

/// What happens to the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// All goes well.
    Well,
    /// The last step fails: all the others are undone.
    CaptureDeclined,
    /// Each step is asked about, as its time is over before it is known to be done.
    Asked,
    /// The provider refuses to void; an operator passes the command over.
    PassedOver,
    /// It is too big to go through alone: a person decides.
    Decided(Decision),
    /// It is too big to go through alone, and nobody decides in time.
    NobodyDecides,
}

impl Course {
    /// What the saga calls its end.
    fn end(self) -> &'static str {
        match self {
            Self::Well | Self::Asked | Self::Decided(Decision::Approve) => "completed",
            _ => "compensated",
        }
    }
}

/// A provider that remembers only under which keys it was asked for money: it says the same whenever it is asked.
#[derive(Debug, Clone)]
pub struct Provider {
    course: Course,
    pub refunds: Rc<RefCell<BTreeSet<EffectKey>>>,
}

impl Provider {
    /// That lets a checkout take this course.
    pub fn of(course: Course) -> Self {
        Self { course, refunds: Rc::default() }
    }
}

impl PaymentProvider for Provider {
    async fn authorise(&self, _: &Effect, payment: &AggregateId, amount: Cents) -> Result<Answer, ProviderError> {
        Ok(done(payment, Status::Authorised, amount))
    }

    async fn capture(&self, _: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        Ok(match self.course {
            Course::CaptureDeclined | Course::PassedOver => Answer::No("expired".into()),
            _ => done(payment, Status::Captured, Cents::default()),
        })
    }

    async fn void(&self, _: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        Ok(match self.course {
            Course::PassedOver => Answer::No("closed".into()),
            _ => done(payment, Status::Voided, Cents::default()),
        })
    }

    async fn refund(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        self.refunds.borrow_mut().insert(effect.key.clone());
        Ok(done(payment, Status::Refunded, Cents::default()))
    }

    async fn find(&self, _: &Effect, _: &AggregateId) -> Result<Option<Payment>, ProviderError> {
        Ok(None)
    }
}

fn done(payment: &AggregateId, status: Status, amount_cents: Cents) -> Answer {
    Answer::Done(Payment { receipt: format!("r-{payment}"), status, amount_cents })
}

/// A shop with ten pieces of tea, and a checkout of two.
pub fn begin(course: Course) -> Tables {
    let cents = if matches!(course, Course::Decided(_) | Course::NobodyDecides) { APPROVAL_FROM_CENTS } else { 450 };
    let world = World::default();
    let producer = "sim@1".parse().unwrap();
    let ports = CommandPorts { store: &world, host: &world, producer: &producer, era: Era::FIRST, limiter: None };
    let steps = async {
        shop::receive(ports, "acme", "tea", "tea", 10).await == Some(201)
            && submit(ports, "acme", "k-1", 2, cents).await == Some(201)
    };
    assert_eq!(steps.now_or_never(), Some(true));
    world.tables()
}

/// Everything is brought to everybody until nothing is left to do.
pub async fn fulfil(world: &World, course: Course) -> bool {
    let pays = payments::consumer(Provider::of(course));
    let consumers = [fulfilment::consumer(), inventory::consumer(), pays, shipping::consumer()];
    for _ in 0..20 {
        let before = world.tables();
        for consumer in &consumers {
            for (aggregate, _) in behind(&world.tables(), consumer) {
                if world.wake(consumer.name(), &Wake::advance(aggregate)).await.is_err() {
                    return false;
                }
            }
            // Before anybody answers, the time is over.
            if course == Course::Asked && consumer.name().as_str() != "fulfilment" {
                world.fire_timers(&consumers[0], STEP_TIME + Duration::from_secs(1)).await;
            }
            if !world.work(consumer).await {
                return false;
            }
        }
        let others_have_acted = match course {
            Course::PassedOver => pass_over(world).await,
            Course::Decided(decision) => with(world, async |ports| decide(ports, "acme", "k-1", decision).await).await,
            Course::NobodyDecides => time_is_over(world, &consumers[0]).await,
            Course::Well | Course::CaptureDeclined | Course::Asked => true,
        };
        if !others_have_acted {
            return false;
        }
        let after = world.tables();
        if (before.outbox.len(), before.progress) == (after.outbox.len(), after.progress) {
            let end = |saga: &SagaRow| saga.ended && saga.stage == course.end();
            return after.entities.values().any(|stored| stored.saga.as_ref().is_some_and(end));
        }
    }
    false
}

/// Aggregates with a row that a consumer wants and has not passed, and that is not parked.
pub fn behind(tables: &Tables, consumer: &Consumer) -> Vec<(towpath::AggregateKey, Seq)> {
    let mut found = Vec::new();
    for ((aggregate, seq), _) in tables.outbox.iter().filter(|(_, row)| consumer.wants(row)) {
        let mut rows = tables.progress.iter().filter(|(key, _)| key.consumer == *consumer.name());
        let at = rows.find(|(key, _)| key.aggregate == *aggregate).map(|(_, at)| &at.cursor);
        let waits = at.is_some_and(|cursor| cursor.status == RowStatus::Parked || cursor.seq >= *seq);
        if !waits && found.last().is_none_or(|(last, _)| last != aggregate) {
            found.push((aggregate.clone(), *seq));
        }
    }
    found
}

/// A person's time is longer than a wake can wait: the auditor finds the timer, an hour later.
async fn time_is_over(world: &World, saga: &Consumer) -> bool {
    let through = world.audit(saga).await;
    world.fire_timers(saga, Duration::ZERO).await;
    through
}

async fn pass_over(world: &World) -> bool {
    let parked = world.tables().progress.into_iter().filter(|(_, at)| at.cursor.status == RowStatus::Parked);
    for (key, at) in parked {
        let order = Instruction { rev: at.cursor.rev, who: "ann".into(), why: "given back by hand".into() };
        let wake = Wake { aggregate: key.aggregate.clone(), verb: Verb::Skip(order) };
        if world.wake(&key.consumer, &wake).await.is_err() {
            return false;
        }
    }
    true
}

/// The same end, but for how often it was asked.
pub fn same_end(wanted: &Tables, found: &Tables) -> Result<(), String> {
    let end = |tables: &Tables| -> Vec<String> {
        let state = |(key, stored): (_, &towpath::ports::Stored)| {
            let mut state: serde_json::Value =
                stored.state.as_deref().map_or(serde_json::Value::Null, |state| serde_json::from_str(state).unwrap());
            state.as_object_mut().map(|fields| fields.remove("waits"));
            format!("{key} {state}")
        };
        tables.entities.iter().map(state).collect()
    };
    let ordered = |tables: &Tables| -> Vec<String> {
        let rows = tables.outbox.values().filter(|row| row.kind == towpath::Kind::Command);
        let rows = rows.map(|row| row.envelope.event_type.to_string());
        rows.filter(|kind| !kind.ends_with(".inquire")).collect()
    };
    if end(wanted) == end(found) && ordered(wanted) == ordered(found) {
        return Ok(());
    }
    Err(format!("expected {:#?} {:?}, found {:#?} {:?}", end(wanted), ordered(wanted), end(found), ordered(found)))
}
