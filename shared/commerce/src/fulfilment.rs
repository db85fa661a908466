//! The saga that fulfils a checkout: reserve stock, authorise the payment, send a parcel, capture the payment; when a step
//! fails, the steps before it are undone in reverse. One pure decision.
//! Must not know: who carries a step out, how answers travel.
//!
//! A step whose time is over is asked about, never guessed: it is undone only once it is known to be done.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::planted::is_on;
use towpath::{Aggregate, AggregateId, Entity, Event, Next, Saga, Stage, Storage};

use crate::checkout::CheckoutSubmitted;
use crate::order::Lines;
use crate::step::{
    AuthorisePayment, CancelShipment, CapturePayment, CreateShipment, InquirePayment, InquireShipment, InquireStock,
    ReleaseStock, ReserveStock, Step, VoidPayment,
};
use crate::{Cents, CheckoutId};

/// From this total on a person decides.
pub const APPROVAL_FROM_CENTS: u64 = 100_000;
/// How long a person may take.
pub const APPROVAL_TIME: Duration = Duration::from_secs(3_600);
/// How long a step may take before it is asked about; then twice as long, and so on up to an hour.
pub const STEP_TIME: Duration = Duration::from_secs(60);
/// After so many doublings the time stays as it is.
const DOUBLINGS: u32 = 6;
/// How long all steps may take before what is done is undone.
pub const WHOLE_TIME: Duration = Duration::from_secs(3_600);

const APPROVAL: &str = "approval";
const STEP: &str = "step";
const WHOLE: &str = "whole";

/// The saga of one checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilment {
    checkout_id: CheckoutId,
    lines: Lines,
    total_cents: Cents,
    phase: Phase,
    /// Steps that are done and not undone, in their order.
    done: Vec<Step>,
    /// The whole took too long: what comes now is undone.
    late: bool,
    /// Why it is undone.
    why: Option<String>,
    /// What an operator passed over, to be settled by people.
    by_hand: Vec<String>,
    /// How often the time of what is ordered now was over.
    waits: u32,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Approving,
    Doing(Step),
    Undoing,
    Completed,
    Compensated,
}

/// What the saga hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It begins.
    Submitted(CheckoutSubmitted),
    /// A person has decided.
    Decided(bool),
    /// A step is done.
    Done(Step),
    /// A step is not done, and will not be.
    Refused(Step),
    /// A step is undone.
    Undone(Step),
    /// An operator has passed a command over.
    PassedOver(String),
    /// A timer's time has come.
    Time(String),
}

type Decided = Next<Fulfilment>;

impl Saga for Fulfilment {
    type Input = Heard;

    fn decide(state: Option<Self>, heard: Heard) -> Decided {
        let Some(saga) = state else {
            return match heard {
                Heard::Submitted(checkout) => Self::begin(checkout),
                _ => Next::stay(),
            };
        };
        match (saga.phase, heard) {
            (Phase::Approving, Heard::Decided(true)) => {
                saga.next(Step::Reserve).forget(APPROVAL).timer(WHOLE, WHOLE_TIME)
            }
            (Phase::Approving, Heard::Decided(false)) => saga.undo("a person refused it"),
            (Phase::Approving, Heard::Time(timer)) if timer == APPROVAL => saga.undo("nobody approved it in time"),
            (Phase::Doing(step), Heard::Done(done)) if done == step => saga.did(step),
            (Phase::Doing(step), Heard::Refused(refused)) if refused == step => {
                saga.undo(&format!("{} was refused", name(step)))
            }
            (Phase::Doing(step), Heard::PassedOver(command)) if command == order_of(step) => {
                saga.undo(&format!("an operator passed over {command}"))
            }
            (Phase::Doing(step), Heard::Time(_)) if is_on("45 undone though nobody knows whether it was done") => {
                saga.undo(&format!("{} took too long", name(step)))
            }
            (Phase::Doing(step), Heard::Time(timer)) => Self { late: saga.late || timer == WHOLE, ..saga }.ask(step),
            (Phase::Undoing, Heard::Undone(step)) => saga.undid(step, None),
            (Phase::Undoing, Heard::PassedOver(command)) => match saga.done.last().copied() {
                Some(step) if undo_of(step) == Some(command.as_str()) => saga.undid(step, Some(command)),
                _ => Next::stay(),
            },
            // Nothing is set aside: an answer to a question, whose order came first.
            (Phase::Undoing, Heard::Refused(Step::Reserve)) => saga.undid(Step::Reserve, None),
            (Phase::Undoing, Heard::Time(timer)) if timer == STEP => match saga.done.last().copied() {
                Some(step) => saga.ask(step),
                None => Next::stay(),
            },
            _ => Next::stay(),
        }
    }

    fn timed_out(timer: &str) -> Heard {
        Heard::Time(timer.to_owned())
    }

    fn stage(&self) -> Stage {
        match self.phase {
            Phase::Approving => Stage::Running("waits for a person"),
            Phase::Doing(Step::Reserve) => Stage::Running("reserves stock"),
            Phase::Doing(Step::Authorise) => Stage::Running("authorises the payment"),
            Phase::Doing(Step::Ship) => Stage::Running("sends a parcel"),
            Phase::Doing(Step::Capture) => Stage::Running("captures the payment"),
            Phase::Undoing => Stage::Running("undoes"),
            Phase::Completed => Stage::Ended("completed"),
            Phase::Compensated => Stage::Ended("compensated"),
        }
    }
}

impl Fulfilment {
    /// Are the goods paid and on their way?
    pub fn is_completed(&self) -> bool {
        self.phase == Phase::Completed
    }

    fn begin(checkout: CheckoutSubmitted) -> Decided {
        let saga = Self {
            checkout_id: checkout.checkout_id,
            lines: checkout.lines,
            total_cents: checkout.total_cents,
            phase: Phase::Approving,
            done: Vec::new(),
            late: false,
            why: None,
            by_hand: Vec::new(),
            waits: 0,
        };
        if u64::from(saga.total_cents) >= APPROVAL_FROM_CENTS {
            return Next::to(saga).timer(APPROVAL, APPROVAL_TIME);
        }
        saga.next(Step::Reserve).timer(WHOLE, WHOLE_TIME)
    }

    /// Orders a step.
    fn next(self, step: Step) -> Decided {
        let (id, lines, amount_cents) = (self.checkout_id.clone(), self.lines.clone(), self.total_cents);
        let next = Next::to(Self { phase: Phase::Doing(step), waits: 0, ..self }).timer(STEP, STEP_TIME);
        match step {
            Step::Reserve => next.send(ReserveStock { checkout_id: id, lines }),
            Step::Authorise => next.send(AuthorisePayment { checkout_id: id, amount_cents }),
            Step::Ship => next.send(CreateShipment { checkout_id: id, lines }),
            Step::Capture => next.send(CapturePayment { checkout_id: id }),
        }
    }

    /// Asks what became of a step. Its order comes first in this saga's journal, so whoever answers has dealt with it.
    fn ask(self, step: Step) -> Decided {
        let (id, lines) = (self.checkout_id.clone(), self.lines.clone());
        let next = self.wait_on();
        match step {
            Step::Reserve => next.send(InquireStock { checkout_id: id, lines }),
            Step::Authorise | Step::Capture => next.send(InquirePayment { checkout_id: id }),
            Step::Ship => next.send(InquireShipment { checkout_id: id }),
        }
    }

    /// Waits on, and longer than before: what takes long may take very long.
    fn wait_on(self) -> Decided {
        let waits = self.waits.saturating_add(1);
        Next::to(Self { waits, ..self }).timer(STEP, STEP_TIME * (1 << waits.min(DOUBLINGS)))
    }

    fn did(mut self, step: Step) -> Decided {
        self.done.push(step);
        match step {
            // Nothing is left that could fail, so being late is no reason any more.
            Step::Capture => {
                let completed =
                    FulfilmentCompleted { checkout_id: self.checkout_id.clone(), total_cents: self.total_cents };
                Next::to(Self { phase: Phase::Completed, ..self }).record(completed)
            }
            _ if self.late => self.undo("it took too long"),
            Step::Reserve => self.next(Step::Authorise),
            Step::Authorise => self.next(Step::Ship),
            Step::Ship => self.next(Step::Capture),
        }
    }

    fn undo(self, why: &str) -> Decided {
        Self { phase: Phase::Undoing, why: Some(why.to_owned()), ..self }.undo_last()
    }

    /// Orders that the last step which is done be undone; with none left, it is over.
    fn undo_last(self) -> Decided {
        let (id, lines) = (self.checkout_id.clone(), self.lines.clone());
        let undoing = |saga| Next::to(Self { waits: 0, ..saga }).forget(WHOLE).forget(APPROVAL).timer(STEP, STEP_TIME);
        match self.done.last() {
            None => {
                let why = self.why.clone().unwrap_or_default();
                let compensated = FulfilmentCompensated { checkout_id: id, why, by_hand: self.by_hand.clone() };
                Next::to(Self { phase: Phase::Compensated, ..self }).record(compensated)
            }
            Some(Step::Reserve) => undoing(self).send(ReleaseStock { checkout_id: id, lines }),
            Some(Step::Authorise) => undoing(self).send(VoidPayment { checkout_id: id }),
            Some(Step::Ship) => undoing(self).send(CancelShipment { checkout_id: id }),
            Some(Step::Capture) => unreachable!("with the capture the saga has ended"),
        }
    }

    fn undid(mut self, step: Step, by_hand: Option<String>) -> Decided {
        if self.done.last() != Some(&step) {
            return Next::stay();
        }
        self.done.pop();
        self.by_hand.extend(by_hand);
        self.undo_last()
    }
}

/// A step in words.
fn name(step: Step) -> &'static str {
    match step {
        Step::Reserve => "the stock",
        Step::Authorise => "the payment",
        Step::Ship => "the parcel",
        Step::Capture => "the capture",
    }
}

fn order_of(step: Step) -> &'static str {
    use towpath::Command;
    match step {
        Step::Reserve => ReserveStock::TYPE,
        Step::Authorise => AuthorisePayment::TYPE,
        Step::Ship => CreateShipment::TYPE,
        Step::Capture => CapturePayment::TYPE,
    }
}

fn undo_of(step: Step) -> Option<&'static str> {
    use towpath::Command;
    match step {
        Step::Reserve => Some(ReleaseStock::TYPE),
        Step::Authorise => Some(VoidPayment::TYPE),
        Step::Ship => Some(CancelShipment::TYPE),
        Step::Capture => None,
    }
}

impl Aggregate for Fulfilment {
    const TYPE: &'static str = "fulfilment";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Fulfilment {
    fn id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// All steps are done: the goods are on their way, and paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FulfilmentCompleted {
    /// Of which checkout.
    pub checkout_id: CheckoutId,
    /// For how much.
    pub total_cents: Cents,
}

impl Event for FulfilmentCompleted {
    type Of = Fulfilment;
    const TYPE: &'static str = "fulfilment.completed";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// It came to nothing, and nothing is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FulfilmentCompensated {
    /// Of which checkout.
    pub checkout_id: CheckoutId,
    /// Why.
    pub why: String,
    /// Commands that an operator passed over on the way back: what they would have undone is left to people.
    pub by_hand: Vec<String>,
}

impl Event for FulfilmentCompensated {
    type Of = Fulfilment;
    const TYPE: &'static str = "fulfilment.compensated";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

#[cfg(test)]
mod tests;
