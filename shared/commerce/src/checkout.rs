//! Checkouts: what a customer of the web shop wants to have and to pay for at once. Fulfilling it is a saga's work.
//! Must not know: stock, payments, parcels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Event, Redacted, Storage};

use crate::order::Lines;
use crate::returns::{Return, ReturnReceived};
use crate::{Cents, CheckoutId, CustomerId};

/// A checkout as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    checkout_id: CheckoutId,
    customer_id: CustomerId,
    lines: Lines,
    /// What a person said of it, if somebody was asked.
    decision: Option<Decision>,
}

/// What a person says of a checkout that is too big to go through alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Do not.
    Refuse,
}

/// It was decided before, otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the checkout was decided before, and otherwise")]
pub struct DecidedOtherwise;

impl Checkout {
    /// Takes a checkout.
    pub fn submit(checkout_id: CheckoutId, customer_id: CustomerId, lines: Lines) -> (Self, CheckoutSubmitted) {
        let submitted = CheckoutSubmitted {
            checkout_id: checkout_id.clone(),
            customer_id: customer_id.clone().into(),
            total_cents: lines.total(),
            lines: lines.clone(),
        };
        (Self { checkout_id, customer_id, lines, decision: None }, submitted)
    }

    /// Its goods have come back.
    pub fn take_back(&self) -> (Return, ReturnReceived) {
        let (id, customer, lines) = (self.checkout_id.clone(), self.customer_id.clone(), self.lines.clone());
        Return::receive(id, customer, lines, self.lines.total())
    }

    /// Writes down what a person says; `None`: the same was said before.
    pub fn decide(self, decision: Decision) -> Result<Option<(Self, CheckoutDecided)>, DecidedOtherwise> {
        match self.decision {
            None => {
                let approved = decision == Decision::Approve;
                let decided = CheckoutDecided { checkout_id: self.checkout_id.clone(), approved };
                Ok(Some((Self { decision: Some(decision), ..self }, decided)))
            }
            Some(before) if before == decision => Ok(None),
            Some(_) => Err(DecidedOtherwise),
        }
    }
}

impl Aggregate for Checkout {
    const TYPE: &'static str = "checkout";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Checkout {
    fn id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// A customer wants this, and wants to pay for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutSubmitted {
    /// Which.
    pub checkout_id: CheckoutId,
    /// For whom.
    pub customer_id: Redacted<CustomerId>,
    /// What.
    pub lines: Lines,
    /// For how much.
    pub total_cents: Cents,
}

impl Event for CheckoutSubmitted {
    type Of = Checkout;
    const TYPE: &'static str = "checkout.submitted";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// A person has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutDecided {
    /// Which.
    pub checkout_id: CheckoutId,
    /// Shall it go on?
    pub approved: bool,
}

impl Event for CheckoutDecided {
    type Of = Checkout;
    const TYPE: &'static str = "checkout.decided";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_decided_once() {
        let line = serde_json::from_str(r#"[{"sku":"tea","quantity":1,"unit_price_cents":450}]"#).unwrap();
        let (checkout, submitted) = Checkout::submit("c-1".parse().unwrap(), "ann".parse().unwrap(), line);
        assert_eq!(submitted.total_cents.to_string(), "4.50");
        let (decided, event) = checkout.decide(Decision::Approve).unwrap().unwrap();
        assert!(event.approved);
        assert_eq!(decided.clone().decide(Decision::Approve), Ok(None));
        assert_eq!(decided.decide(Decision::Refuse), Err(DecidedOtherwise));
    }
}
