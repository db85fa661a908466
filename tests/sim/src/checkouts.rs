//! The saga in the simulator: checkouts, a bank that fails in every way that a bank can, and what must hold when all is over.
//! Must not know: how the saga decides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use commerce::checkout::{Checkout, Decision};
use commerce::fulfilment::{APPROVAL_FROM_CENTS, Fulfilment};
use commerce::payment::Payment;
use commerce::returns::{Return, ReturnReceived};
use commerce::shipment::Shipment;
use commerce::step::VoidPayment;
use commerce::{Cents, order::Line};
use payments::provider::{Answer, Payment as Held, PaymentProvider, Status};
use serde_json::Value;
use towpath::command::{CommandPorts, Reply, Verdict, execute};
use towpath::ports::JournalRow;
use towpath::{
    Aggregate, AggregateId, AggregateKey, Command as _, Context, Effect, EffectKey, Envelope, Event, Kind,
    ProviderError, Tx,
};
use towpath_sim::{Command, Dice, Subject, Tables};

use crate::plan::command;
use crate::returns;
use crate::shop::{self, Told, code, id, request};

/// What becomes of a checkout's payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Paid,
    Declined,
    CaptureDeclined,
    /// The capture is declined, and the provider refuses to void until it is mended.
    Stubborn,
    /// The provider answers only after this many tries.
    Silent(u32),
}

/// The provider, with idempotency keys. It is shared by all processes and remembers everything.
#[derive(Debug, Default)]
pub struct Bank {
    held: RefCell<BTreeMap<AggregateId, Held>>,
    answered: RefCell<BTreeMap<EffectKey, Answer>>,
    tries: RefCell<BTreeMap<EffectKey, u32>>,
    /// How often it has paid back what was captured.
    refunds: RefCell<BTreeMap<AggregateId, usize>>,
    /// Does nothing go wrong at all?
    calm: bool,
    repaired: Rc<Cell<bool>>,
}

/// A handle that a process has.
#[derive(Debug, Clone)]
pub struct Teller(pub Rc<Bank>);

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn fate(payment: &AggregateId) -> Fate {
    match hash(payment.as_str()) % 10 {
        0 => Fate::Declined,
        1 => Fate::CaptureDeclined,
        2 => Fate::Stubborn,
        3 => Fate::Silent(5),
        _ => Fate::Paid,
    }
}

/// Does the provider refuse to pay this back until it is mended?
fn keeps(payment: &AggregateId) -> bool {
    hash(("keeps", payment.as_str())).is_multiple_of(3)
}

impl Bank {
    /// A bank at which nothing goes wrong but what a payment's name says.
    pub fn calm() -> Self {
        Self { calm: true, ..Self::default() }
    }

    fn is_poison(&self, row: &Envelope) -> bool {
        let refused = match row.event_type.as_str() {
            VoidPayment::TYPE => fate(&row.aggregate_id) == Fate::Stubborn,
            ReturnReceived::TYPE => keeps(&row.aggregate_id),
            _ => false,
        };
        refused && !self.calm
    }

    /// How often what this payment had brought was paid back.
    pub fn refunds(&self, payment: &AggregateId) -> usize {
        self.refunds.borrow().get(payment).copied().unwrap_or_default()
    }

    /// Pays back what this payment had brought.
    pub fn pay_back(&self, payment: &AggregateId) -> Answer {
        *self.refunds.borrow_mut().entry(payment.clone()).or_default() += 1;
        self.change(payment, Status::Refunded)
    }

    /// One request: it may not arrive, its answer may be lost, and a second one under the same key changes nothing.
    fn ask(
        &self,
        key: &EffectKey,
        payment: &AggregateId,
        act: impl FnOnce(&Self) -> Answer,
    ) -> Result<Answer, ProviderError> {
        let tries = { *self.tries.borrow_mut().entry(key.clone()).and_modify(|tries| *tries += 1).or_insert(1) };
        let silent = matches!(fate(payment), Fate::Silent(least) if tries < least);
        let luck = if self.calm || tries > 3 { 9 } else { hash((key, tries)) % 10 };
        if !self.calm && silent || luck == 0 {
            return Err(ProviderError::NotReached("nobody is there".into()));
        }
        if luck == 1 {
            return Err(ProviderError::Unknown("it did not arrive, which nobody knows".into()));
        }
        let before = self.answered.borrow().get(key).cloned();
        let answer = before.unwrap_or_else(|| act(self));
        self.answered.borrow_mut().insert(key.clone(), answer.clone());
        if luck == 2 { Err(ProviderError::Unknown("the answer was lost".into())) } else { Ok(answer) }
    }

    fn change(&self, payment: &AggregateId, to: Status) -> Answer {
        match self.held.borrow_mut().get_mut(payment) {
            Some(held) => {
                held.status = to;
                Answer::Done(held.clone())
            }
            None => Answer::No("unknown_payment".into()),
        }
    }
}

impl PaymentProvider for Teller {
    async fn authorise(&self, effect: &Effect, payment: &AggregateId, amount: Cents) -> Result<Answer, ProviderError> {
        self.0.ask(&effect.key, payment, |bank| {
            if fate(payment) == Fate::Declined {
                return Answer::No("card_declined".into());
            }
            let held = Held { receipt: format!("r-{payment}"), status: Status::Authorised, amount_cents: amount };
            bank.held.borrow_mut().insert(payment.clone(), held.clone());
            Answer::Done(held)
        })
    }

    async fn capture(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        self.0.ask(&effect.key, payment, |bank| match fate(payment) {
            Fate::CaptureDeclined | Fate::Stubborn => Answer::No("expired".into()),
            _ => bank.change(payment, Status::Captured),
        })
    }

    async fn void(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        if !self.0.calm && fate(payment) == Fate::Stubborn && !self.0.repaired.get() {
            return Ok(Answer::No("closed".into()));
        }
        self.0.ask(&effect.key, payment, |bank| bank.change(payment, Status::Voided))
    }

    async fn refund(&self, effect: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        if !self.0.calm && keeps(payment) && !self.0.repaired.get() {
            return Ok(Answer::No("closed".into()));
        }
        self.0.ask(&effect.key, payment, |bank| bank.pay_back(payment))
    }

    async fn find(&self, _: &Effect, payment: &AggregateId) -> Result<Option<Held>, ProviderError> {
        Ok(self.0.held.borrow().get(payment).cloned())
    }
}

/// The consumers that fulfil checkouts and follow returns, and the bank.
pub fn subjects(repaired: &Rc<Cell<bool>>) -> (Vec<Subject>, Rc<Bank>) {
    let bank = Rc::new(Bank { repaired: Rc::clone(repaired), ..Bank::default() });
    let sound = |consumer| Subject { consumer, is_poison: Box::new(|_| false), older: None, was_done: None };
    let poison = Rc::clone(&bank);
    let pays = Subject {
        consumer: payments::consumer(Teller(Rc::clone(&bank))),
        is_poison: Box::new(move |row| poison.is_poison(row)),
        older: None,
        was_done: None,
    };
    let told = sound(crm_timeline::consumer());
    (vec![sound(fulfilment::consumer()), sound(inventory::consumer()), pays, sound(shipping::consumer()), told], bank)
}

/// Goods come in, some of them too few; checkouts, some too big for one parcel or for going through alone; some come back.
pub fn commands(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let mut commands = Vec::new();
    for tenant in 1..=3 {
        let (tenant, told) = (format!("tenant-{tenant}"), Rc::clone(told));
        commands.push(command(Duration::ZERO, format!("receive 30 tea for {tenant}"), async move |world| {
            told.note(&tenant, "tea", shop::receive(world.command_ports(), &tenant, "tea", "tea", 30).await)
        }));
    }
    for number in 0..dice.between(3, 10) {
        let tenant = format!("tenant-{}", dice.between(1, 3));
        let at = Duration::from_millis(dice.between(0, 8 * 60_000));
        let (checkout, pieces) =
            (format!("{tenant}-k-{}", dice.between(0, 1_000_000) * 100 + number), dice.between(1, 12));
        let pieces = if dice.chance(1_000) { 60 } else { pieces };
        let cents = if dice.chance(2_000) { APPROVAL_FROM_CENTS } else { 450 };
        if cents >= APPROVAL_FROM_CENTS {
            let (tenant, checkout, told) = (tenant.clone(), checkout.clone(), Rc::clone(told));
            let decision = if dice.chance(7_000) { Decision::Approve } else { Decision::Refuse };
            let at = at + Duration::from_secs(dice.between(1, 400));
            commands.push(command(at, format!("{decision:?} {checkout}"), async move |world| {
                let code = decide(world.command_ports(), &tenant, &checkout, decision).await;
                // Who decides too early is told so, and then nobody decides: that is what the timer is for.
                code == Some(404) || told.note(&tenant, &format!("decide-{checkout}"), code)
            }));
        }
        commands.extend(returns::commands(&tenant, &checkout, at, told));
        let told = Rc::clone(told);
        commands.push(command(at, format!("check {checkout} out for {tenant}"), async move |world| {
            let code = submit(world.command_ports(), &tenant, &checkout, pieces, cents).await;
            told.note(&tenant, &format!("submit-{checkout}"), code)
        }));
    }
    commands
}

/// Submits a checkout.
pub async fn submit(ports: CommandPorts<'_>, tenant: &str, checkout: &str, pieces: u64, cents: u64) -> Option<u16> {
    let decide = async |_: &Context<'_>| {
        let line = Line { sku: id("tea"), quantity: pieces.try_into()?, unit_price_cents: cents.try_into()? };
        let lines = vec![line].try_into()?;
        let (checkout, submitted) = Checkout::submit(id(checkout), id("c-1"), lines);
        Ok(Verdict::Accept(Tx::new().create(checkout).record(submitted), Reply::new(201, &1)))
    };
    code(execute(ports, &request(tenant, &format!("submit-{checkout}")), decide).await)
}

/// Approves or refuses a checkout.
pub async fn decide(ports: CommandPorts<'_>, tenant: &str, checkout: &str, decision: Decision) -> Option<u16> {
    let decide = async |cx: &Context<'_>| {
        let Some(checkout) = cx.get::<Checkout>(&id(checkout)).await? else {
            return Ok(Verdict::Refuse(Reply::new(404, &0)));
        };
        Ok(match checkout.decide(decision) {
            Ok(Some((checkout, decided))) => {
                Verdict::Accept(Tx::new().replace(checkout).record(decided), Reply::new(200, &1))
            }
            Ok(None) => Verdict::Refuse(Reply::new(200, &1)),
            Err(_) => Verdict::Refuse(Reply::new(409, &0)),
        })
    };
    code(execute(ports, &request(tenant, &format!("decide-{checkout}")), decide).await)
}

const FORWARD: [&str; 4] = ["stock.reserve", "payment.authorise", "shipment.create", "payment.capture"];
const BACK: [&str; 3] = ["stock.release", "payment.void", "shipment.cancel"];

/// P5: each saga is over, or an operator sees why not; what it ordered went forward once, and back once in reverse; money,
/// stock and parcels are where the end says.
pub fn check(tables: &Tables, bank: &Bank) -> Result<(), String> {
    let sagas = tables.entities.iter().filter(|(key, _)| key.kind.as_str() == Fulfilment::TYPE);
    for (key, stored) in sagas {
        let broken = |why: String| Err(format!("P5: {key}: {why}"));
        let (state, row) = (stored.state.as_deref(), stored.saga.as_ref());
        let (Some(state), Some(row)) = (state, row) else { return broken("it has no state".into()) };
        let state: Value = serde_json::from_str(state).unwrap();
        if let Err(why) = in_order(tables, key) {
            return broken(why);
        }
        if !row.ended {
            continue; // an operator sees why: the simulator has looked
        }
        if !row.timers.is_empty() {
            return broken(format!("it is over, and these timers are set: {:?}", row.timers.keys()));
        }
        if let Err(why) = settled(tables, bank, key, &state) {
            return broken(why);
        }
    }
    Ok(())
}

fn in_order(tables: &Tables, key: &AggregateKey) -> Result<(), String> {
    let rows = tables.outbox.iter().filter(|((of, _), row)| of == key && row.kind == Kind::Command);
    let ordered: Vec<&str> = rows.map(|(_, row): (_, &JournalRow)| row.envelope.event_type.as_str()).collect();
    let ordered: Vec<&str> = ordered.into_iter().filter(|of| FORWARD.contains(of) || BACK.contains(of)).collect();
    let turn = ordered.iter().position(|of| BACK.contains(of)).unwrap_or(ordered.len());
    let (forward, back) = ordered.split_at(turn);
    let reverse = |steps: usize| BACK[..steps.min(3)].iter().rev().copied().collect::<Vec<_>>();
    let possible = [reverse(forward.len()), reverse(forward.len().saturating_sub(1))];
    if forward != &FORWARD[..forward.len().min(4)] || !possible.iter().any(|whole| whole.starts_with(back)) {
        return Err(format!("it ordered {ordered:?}"));
    }
    Ok(())
}

fn settled(tables: &Tables, bank: &Bank, key: &AggregateKey, state: &Value) -> Result<(), String> {
    let completed = state["phase"] == "completed";
    let by_hand = |command: &str| state["by_hand"].as_array().is_some_and(|of| of.iter().any(|of| of == command));
    let money = bank.held.borrow().get(&key.id).map(|held| held.status);
    let money_is_right = match money {
        Some(Status::Captured | Status::Refunded) => completed,
        Some(Status::Authorised) => !completed && by_hand("payment.void"),
        Some(Status::Voided) | None => !completed,
    };
    let of = |kind: &str| {
        let key = AggregateKey { kind: kind.parse().unwrap(), ..key.clone() };
        let text = tables.entities.get(&key)?.state.clone()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    let status = |kind: &str| of(kind).and_then(|state| Some(state["status"].as_str()?.to_owned()));
    let said = status(Payment::TYPE);
    // Whoever passed it over knows what the provider has done; our books do not.
    let books_are_right = by_hand("payment.void")
        || match (money, said.as_deref()) {
            (Some(Status::Captured), said) => said == Some("captured"),
            // What came back may wait for an operator; how often it was paid back is seen with the returns.
            (Some(Status::Refunded), said) => matches!(said, Some("refunded" | "captured")),
            (Some(Status::Voided), said) => said == Some("voided"),
            (Some(Status::Authorised), said) => matches!(said, Some("authorised" | "capture_declined")),
            (None, said) => matches!(said, None | Some("declined")),
        };
    let sent = status(Shipment::TYPE).as_deref() == Some("created");
    let tea = AggregateKey { kind: "stock".parse().unwrap(), id: id("tea"), ..key.clone() };
    let stock: Value = tables
        .entities
        .get(&tea)
        .and_then(|stored| stored.state.as_deref())
        .map_or(Value::Null, |state| serde_json::from_str(state).unwrap());
    let reserved = stock["reservations"].get(key.id.as_str()).is_some();
    let is_back = of(Return::TYPE).is_some_and(|state| state["closed"] == true);
    if money_is_right && books_are_right && sent == completed && reserved == (completed && !is_back) {
        return Ok(());
    }
    Err(format!(
        "completed: {completed}; the bank: {money:?}, our books: {said:?}, a parcel sent: {sent}, stock set aside: {reserved}, \
         back again: {is_back}"
    ))
}
