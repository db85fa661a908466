//! Scenarios of effects outside: what a provider was asked for, whatever call breaks around it.
//! Must not know: which calls break.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use commerce::order::{OrderCancelled, OrderPlaced};
use notify_customer::provider::{Answer, Mail, Mailer};
use towpath::ports::Wakes;
use towpath::trouble::{LEASE, OVERDUE};
use towpath::{
    Consumer, Context, Effect, EffectKey, Event, EventId, Failure, IfUnknown, Instruction, ProviderError, Received,
    Status, Tx, Verb, Wake,
};
use towpath_sim::{Swept, Tables, World, crash_sweep, pair_sweep};

use crate::begin::{IN_ORDER, waiting};
use crate::scenarios::{Depth, deliver};

/// A provider that knows no keys, and does what it is asked for.
type Sent = Rc<RefCell<BTreeMap<EventId, u32>>>;

/// The shop's mails: each attempt names the same key.
pub fn keyed(depth: Depth) -> Swept {
    deliver(depth, || notify_customer::consumer(Steady::default()), IN_ORDER, 0)
}

#[derive(Default)]
struct Steady(RefCell<BTreeMap<String, EffectKey>>);

impl Mailer for Steady {
    async fn send(&self, effect: &Effect, mail: &Mail) -> Result<Answer, ProviderError> {
        let known = self.0.borrow_mut().entry(mail.notification_id.to_string()).or_insert(effect.key.clone()).clone();
        assert_eq!(known, effect.key, "an effect has one key");
        Ok(Answer::Sent { receipt: format!("mail-{}", effect.key) })
    }
}

/// Twice is worse than late: whatever breaks, each is done once at the end, and never more often in between; an operator asks
/// the provider about what is parked.
pub fn held(depth: Depth) -> Swept {
    let sent = Sent::default();
    let begin = waiting(IN_ORDER, 0);
    let scenario = async |world: &World| {
        if world.calls() == 0 {
            sent.borrow_mut().clear();
        }
        let consumer = mailing::<OrderCancelled>(
            mailing::<OrderPlaced>(Consumer::new("held").effects(IfUnknown::Hold), &sent),
            &sent,
        );
        let mut through = world.work(&consumer).await;
        // An order's attempt that ended with its process: the auditor finds it when its time is over, and then it may be ordered
        // again.
        if world.tables().progress.values().any(|at| at.cursor.trouble.as_ref().is_some_and(|of| of.running.is_some()))
        {
            world.pass(OVERDUE + LEASE);
            through &= world.audit(&consumer).await && world.work(&consumer).await;
        }
        for (key, at) in world.tables().progress.iter().filter(|(_, at)| at.cursor.status == Status::Parked) {
            let trouble = at.cursor.trouble.as_ref().unwrap();
            assert!(trouble.is_unknown(), "{trouble:?}");
            let order = Instruction { rev: at.cursor.rev, who: "ann".into(), why: "asked the provider".into() };
            let was_done = sent.borrow().contains_key(&trouble.event_id);
            let verb = if was_done { Verb::Skip(order) } else { Verb::Retry(order) };
            through &= world.wake(&key.consumer, &Wake { aggregate: key.aggregate.clone(), verb }).await.is_ok();
        }
        through && world.work(&consumer).await && is_at_its_end(&world.tables())
    };
    let same = |_: &Tables, found: &Tables| {
        let sent = sent.borrow();
        let once = sent.values().all(|times| *times == 1) && sent.len() == IN_ORDER.len();
        (once && is_at_its_end(found)).then_some(()).ok_or_else(|| format!("sent: {sent:?}"))
    };
    match depth {
        Depth::Single => crash_sweep(&begin, scenario, same),
        Depth::Pairs(most) => pair_sweep(&begin, scenario, same, most),
    }
}

fn is_at_its_end(tables: &Tables) -> bool {
    tables.progress.len() == 3 && tables.progress.values().all(|at| at.cursor.status == Status::Ready)
}

fn mailing<E: Event>(consumer: Consumer, sent: &Sent) -> Consumer {
    let sent = Rc::clone(sent);
    consumer.on(async move |cx: &Context<'_>, event: Received<E>| -> Result<Tx, Failure> {
        cx.effect()?;
        *sent.borrow_mut().entry(event.envelope().event_id).or_insert(0) += 1;
        Ok(Tx::new())
    })
}
