//! Payments: the money of one checkout, as the provider has told us.
//! Must not know: the provider.

use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Storage};

use crate::returns::PaymentRefunded;
use crate::step::{PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided, Step};
use crate::{Cents, CheckoutId};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The bank said no to holding it.
    Declined,
    /// The bank holds it.
    Authorised,
    /// The bank holds it, and said no to giving it.
    CaptureDeclined,
    /// It is ours.
    Captured,
    /// It is the customer's again.
    Voided,
    /// It was ours, and is the customer's again.
    Refunded,
}

/// The payment of one checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    checkout_id: CheckoutId,
    amount_cents: Cents,
    status: PaymentStatus,
    /// The provider's name for it.
    authorisation: Option<String>,
}

impl Payment {
    /// The bank holds the money.
    pub fn authorised(
        checkout_id: CheckoutId,
        amount_cents: Cents,
        authorisation: String,
    ) -> (Self, PaymentAuthorised) {
        let event =
            PaymentAuthorised { checkout_id: checkout_id.clone(), amount_cents, authorisation: authorisation.clone() };
        let status = PaymentStatus::Authorised;
        (Self { checkout_id, amount_cents, status, authorisation: Some(authorisation) }, event)
    }

    /// The bank does not hold the money.
    pub fn declined(checkout_id: CheckoutId, amount_cents: Cents) -> (Self, PaymentDeclined) {
        let event = PaymentDeclined { checkout_id: checkout_id.clone(), amount_cents, step: Step::Authorise };
        (Self { checkout_id, amount_cents, status: PaymentStatus::Declined, authorisation: None }, event)
    }

    /// The money is ours.
    pub fn captured(self) -> (Self, PaymentCaptured) {
        let event = PaymentCaptured { checkout_id: self.checkout_id.clone(), amount_cents: self.amount_cents };
        (Self { status: PaymentStatus::Captured, ..self }, event)
    }

    /// The bank does not give the money.
    pub fn capture_declined(self) -> (Self, PaymentDeclined) {
        let (checkout_id, amount_cents) = (self.checkout_id.clone(), self.amount_cents);
        let event = PaymentDeclined { checkout_id, amount_cents, step: Step::Capture };
        (Self { status: PaymentStatus::CaptureDeclined, ..self }, event)
    }

    /// The money is the customer's again.
    pub fn voided(self) -> (Self, PaymentVoided) {
        let event = PaymentVoided { checkout_id: self.checkout_id.clone(), amount_cents: self.amount_cents };
        (Self { status: PaymentStatus::Voided, ..self }, event)
    }

    /// What was ours is the customer's again.
    pub fn refunded(self) -> (Self, PaymentRefunded) {
        let event = PaymentRefunded { checkout_id: self.checkout_id.clone(), amount_cents: self.amount_cents };
        (Self { status: PaymentStatus::Refunded, ..self }, event)
    }

    /// Where it stands.
    pub fn status(&self) -> PaymentStatus {
        self.status
    }

    /// How much it is.
    pub fn amount_cents(&self) -> Cents {
        self.amount_cents
    }

    /// The provider's name for it, if the bank ever held it.
    pub fn authorisation(&self) -> Option<&str> {
        self.authorisation.as_deref()
    }
}

impl Aggregate for Payment {
    const TYPE: &'static str = "payment";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Payment {
    fn id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}
