//! A provider of mails that fails, answers late, loses its answers, and does again whatever it is asked again without a key;
//! and consumers that send a mail for each event of an order.
//! Must not know: the simulator's clockwork.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use commerce::order::{OrderCancelled, OrderPlaced};
use notify_customer::provider::{Answer, Mail, Mailer};
use towpath::{
    Consumer, ConsumerName, Context, Effect, EffectKey, Event, EventId, Failure, IfUnknown, ProviderError, Received, Tx,
};
use towpath_sim::{Applied, Clock, Dice, Tables, call_outside, hang, wait};

use crate::diary::{Behaviour, write_down};

/// The longest that a request goes on at the provider after its sender has given up.
const LATE_MILLIS: u64 = 60_000;
/// The longest that something goes wrong.
const CALM_SECONDS: u64 = 20 * 60;

/// What a provider offers, and what a consumer makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deal {
    /// The provider knows keys, so trying again is safe.
    Keyed,
    /// It does not, and twice is better than never.
    Unkeyed,
    /// It does not, and twice is worse than late.
    Held,
}

impl Deal {
    pub const ALL: [Self; 3] = [Self::Keyed, Self::Unkeyed, Self::Held];
}

/// What was asked for.
type Asked = (String, EffectKey);

/// The provider of one run.
pub struct Provider {
    deal: Deal,
    clock: Clock,
    /// Nothing goes wrong from then on.
    calm: Duration,
    dice: RefCell<Dice>,
    /// Of 10,000 requests.
    faults: u32,
    keys: RefCell<BTreeSet<EffectKey>>,
    done: RefCell<BTreeMap<String, u32>>,
    under_way: RefCell<Vec<(Duration, Asked)>>,
}

impl Provider {
    pub fn draw(deal: Deal, dice: &mut Dice, clock: &Clock) -> Self {
        Self {
            deal,
            clock: clock.clone(),
            calm: Duration::from_secs(dice.between(60, CALM_SECONDS)),
            faults: *dice.pick(&[0, 500, 3_000, 6_000]),
            dice: RefCell::new(Dice::new(dice.roll())),
            keys: RefCell::default(),
            done: RefCell::default(),
            under_way: RefCell::default(),
        }
    }

    /// One request.
    async fn request(&self, event: String, effect: &Effect) -> Result<(), ProviderError> {
        let asked = (event, effect.key.clone());
        let within = u64::try_from(effect.within.as_millis()).unwrap_or(u64::MAX);
        let (fault, takes) = {
            let mut dice = self.dice.borrow_mut();
            let is_faulty = self.clock.elapsed() < self.calm && dice.chance(self.faults);
            (is_faulty.then(|| dice.between(0, 5)), dice.between(1, within.min(500)))
        };
        wait(Duration::from_millis(takes)).await;
        self.finish(self.clock.elapsed());
        let lost = || Err(ProviderError::Unknown("no answer".to_owned()));
        match fault {
            Some(0) => Err(ProviderError::NotReached("connection refused".to_owned())),
            Some(1) => Err(ProviderError::Refused { status: 401, word: "who_are_you".to_owned() }),
            Some(2) => lost(),
            Some(3) => {
                self.carry_out(asked);
                lost()
            }
            // It is carried out after the sender has given up.
            Some(4) => {
                let late = Duration::from_millis(self.dice.borrow_mut().between(1, LATE_MILLIS));
                self.under_way.borrow_mut().push((self.clock.elapsed() + late, asked));
                wait(effect.within.saturating_sub(Duration::from_millis(takes))).await;
                lost()
            }
            // The sender waits until it is gone itself.
            Some(_) => {
                self.carry_out(asked);
                hang().await;
                Ok(())
            }
            None => {
                self.carry_out(asked);
                Ok(())
            }
        }
    }

    fn carry_out(&self, (event, key): Asked) {
        if self.deal == Deal::Keyed && !self.keys.borrow_mut().insert(key) {
            return; // the same answer as before
        }
        *self.done.borrow_mut().entry(event).or_insert(0) += 1;
    }

    /// What was under way and is through by then.
    fn finish(&self, by: Duration) {
        let through: Vec<Asked> = {
            let mut under_way = self.under_way.borrow_mut();
            under_way.extract_if(.., |(at, _)| *at <= by).map(|(_, asked)| asked).collect()
        };
        through.into_iter().for_each(|asked| self.carry_out(asked));
    }

    /// What it tells an operator, when nothing is under way any more.
    pub fn was_done(&self, event: EventId) -> bool {
        self.finish(Duration::MAX);
        self.done.borrow().contains_key(&event.to_string())
    }

    /// P2: with keys each effect was had once; without them at least once, or at most once, as was declared.
    pub fn check(&self, tables: &Tables, applied: &Applied, consumer: &ConsumerName) -> Result<(), String> {
        self.finish(Duration::MAX);
        let done = self.done.borrow();
        let twice = done.iter().find(|(_, times)| **times > 1).filter(|_| self.deal != Deal::Unkeyed);
        if let Some((event, times)) = twice {
            return Err(format!("the mail about the event {event} was sent {times} times ({:?})", self.deal));
        }
        for (aggregate, seqs) in applied.by(consumer) {
            for row in seqs.iter().map(|seq| &tables.outbox[&(aggregate.clone(), *seq)].envelope) {
                if !done.contains_key(&row.event_id.to_string()) {
                    return Err(format!("{aggregate} row {} was applied, and its mail was not sent", row.seq));
                }
            }
        }
        Ok(())
    }
}

/// For the shop's own consumer, which names a mail after its event.
pub struct Mails(pub Rc<Provider>);

impl Mailer for Mails {
    async fn send(&self, effect: &Effect, mail: &Mail) -> Result<Answer, ProviderError> {
        call_outside();
        self.0.request(mail.notification_id.to_string(), effect).await?;
        Ok(Answer::Sent { receipt: format!("mail-{}", mail.notification_id) })
    }
}

/// A consumer that sends a mail for each event of an order, and writes down that it did.
pub fn of_orders(behaviour: &Rc<Behaviour>, provider: &Rc<Provider>) -> Consumer {
    let if_unknown = if provider.deal == Deal::Held { IfUnknown::Hold } else { IfUnknown::Retry };
    let consumer = Consumer::new(behaviour.name).effects(if_unknown);
    mailing::<OrderCancelled>(mailing::<OrderPlaced>(consumer, behaviour, provider), behaviour, provider)
}

fn mailing<E: Event>(consumer: Consumer, behaviour: &Rc<Behaviour>, provider: &Rc<Provider>) -> Consumer {
    let (behaviour, provider) = (Rc::clone(behaviour), Rc::clone(provider));
    consumer.on(async move |cx: &Context<'_>, event: Received<E>| mail(cx, &behaviour, &provider, &event).await)
}

async fn mail<E: Event>(
    cx: &Context<'_>,
    behaviour: &Behaviour,
    provider: &Provider,
    event: &Received<E>,
) -> Result<Tx, Failure> {
    let of = event.envelope();
    behaviour.meet(of).await?;
    let tx = write_down(cx, behaviour, of).await?;
    let effect = cx.effect()?;
    call_outside();
    provider.request(of.event_id.to_string(), &effect).await?;
    Ok(tx)
}
