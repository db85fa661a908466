//! Returns: goods of a fulfilled checkout come back. Nobody directs what follows: payments refunds, inventory takes the goods
//! in and closes the return, the CRM notes it. Each hears the event of the one before.
//! Must not know: who hears its events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Event, Redacted, Storage};

use crate::order::Lines;
use crate::payment::Payment;
use crate::{Cents, CheckoutId, CustomerId};

/// The return of one checkout, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    checkout_id: CheckoutId,
    customer_id: CustomerId,
    lines: Lines,
    total_cents: Cents,
    closed: bool,
}

impl Return {
    /// Goods have come back.
    pub fn receive(
        checkout_id: CheckoutId,
        customer_id: CustomerId,
        lines: Lines,
        total_cents: Cents,
    ) -> (Self, ReturnReceived) {
        let received =
            ReturnReceived { checkout_id: checkout_id.clone(), customer_id: customer_id.clone().into(), total_cents };
        (Self { checkout_id, customer_id, lines, total_cents, closed: false }, received)
    }

    /// The money is given back and the goods are for sale again.
    pub fn close(self) -> (Self, ReturnClosed) {
        let closed = ReturnClosed {
            checkout_id: self.checkout_id.clone(),
            customer_id: self.customer_id.clone().into(),
            total_cents: self.total_cents,
        };
        (Self { closed: true, ..self }, closed)
    }

    /// What came back.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Aggregate for Return {
    const TYPE: &'static str = "return";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Return {
    fn id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// Goods have come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnReceived {
    /// Of which checkout.
    pub checkout_id: CheckoutId,
    /// From whom.
    pub customer_id: Redacted<CustomerId>,
    /// What they had cost.
    pub total_cents: Cents,
}

impl Event for ReturnReceived {
    type Of = Return;
    const TYPE: &'static str = "return.received";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// The customer has the money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// For which checkout.
    pub checkout_id: CheckoutId,
    /// How much.
    pub amount_cents: Cents,
}

impl Event for PaymentRefunded {
    type Of = Payment;
    const TYPE: &'static str = "payment.refunded";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}

/// The money is given back and the goods are for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnClosed {
    /// Of which checkout.
    pub checkout_id: CheckoutId,
    /// Whose.
    pub customer_id: Redacted<CustomerId>,
    /// What was given back.
    pub total_cents: Cents,
}

impl Event for ReturnClosed {
    type Of = Return;
    const TYPE: &'static str = "return.closed";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}
