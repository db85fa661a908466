//! The steps of fulfilling a checkout as commands and answers: stock is reserved, a payment authorised and captured, a
//! parcel sent; each can be undone but the last, and each can be asked about.
//! Must not know: in which order they are done, who does them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Command, Event, Storage};

use crate::fulfilment::Fulfilment;
use crate::order::Lines;
use crate::payment::Payment;
use crate::shipment::Shipment;
use crate::{Cents, CheckoutId, Sku};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Pieces are set aside.
    Reserve,
    /// The customer's bank holds the money.
    Authorise,
    /// A parcel is on its way.
    Ship,
    /// The money is ours.
    Capture,
}

/// What is said of the stock that a checkout needs.
pub struct Reservation;

impl Aggregate for Reservation {
    const TYPE: &'static str = "reservation";
    const STORAGE: Storage = Storage::Events;
}

/// What is said of commands that an operator passed over.
pub struct PassedOver;

impl Aggregate for PassedOver {
    const TYPE: &'static str = "passed_over";
    const STORAGE: Storage = Storage::Events;
}

macro_rules! command {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $to:literal { $($(#[$field_doc:meta])* $field:ident: $of:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// For which checkout.
            pub checkout_id: CheckoutId,
            $($(#[$field_doc])* pub $field: $of,)*
        }

        impl Command for $name {
            type From = Fulfilment;
            type Skipped = CommandPassedOver;
            const TYPE: &'static str = $kind;
            const VERSION: u32 = 1;
            const TO: &'static str = $to;
            fn sender_id(&self) -> AggregateId {
                self.checkout_id.clone()
            }
            fn skipped(&self) -> CommandPassedOver {
                CommandPassedOver { checkout_id: self.checkout_id.clone(), command: $kind.to_owned() }
            }
        }
    };
}

command!(
    /// Set aside what the checkout needs, all of it or nothing.
    ReserveStock, "stock.reserve", "inventory" {
        /// What.
        lines: Lines
    }
);
command!(
    /// Say again what became of it.
    InquireStock, "stock.inquire", "inventory" {
        /// What.
        lines: Lines
    }
);
command!(
    /// Give back what was set aside.
    ReleaseStock, "stock.release", "inventory" {
        /// What.
        lines: Lines
    }
);
command!(
    /// Have the customer's bank hold the money.
    AuthorisePayment, "payment.authorise", "payments" {
        /// How much.
        amount_cents: Cents
    }
);
command!(
    /// Say again where the payment stands.
    InquirePayment, "payment.inquire", "payments" {}
);
command!(
    /// Let the money go.
    VoidPayment, "payment.void", "payments" {}
);
command!(
    /// Take the money.
    CapturePayment, "payment.capture", "payments" {}
);
command!(
    /// Send a parcel.
    CreateShipment, "shipment.create", "shipping" {
        /// What.
        lines: Lines
    }
);
command!(
    /// Say again what became of it.
    InquireShipment, "shipment.inquire", "shipping" {}
);
command!(
    /// Call the parcel back.
    CancelShipment, "shipment.cancel", "shipping" {}
);

macro_rules! answer {
    ($(#[$doc:meta])* $name:ident of $aggregate:ty, $kind:literal { $($(#[$field_doc:meta])* $field:ident: $of:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// For which checkout.
            pub checkout_id: CheckoutId,
            $($(#[$field_doc])* pub $field: $of,)*
        }

        impl Event for $name {
            type Of = $aggregate;
            const TYPE: &'static str = $kind;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                self.checkout_id.clone()
            }
        }
    };
}

answer!(
    /// All that the checkout needs is set aside.
    ReservationMade of Reservation, "reservation.made" {}
);
answer!(
    /// Nothing is set aside, as one sku is short.
    ReservationRefused of Reservation, "reservation.refused" {
        /// Which one.
        sku: Sku
    }
);
answer!(
    /// Nothing is set aside any more.
    ReservationReleased of Reservation, "reservation.released" {}
);
answer!(
    /// The bank holds the money.
    PaymentAuthorised of Payment, "payment.authorised" {
        /// How much.
        amount_cents: Cents,
        /// The provider's name for it.
        authorisation: String
    }
);
answer!(
    /// The bank said no: to hold the money, or to give it.
    PaymentDeclined of Payment, "payment.declined" {
        /// How much it was about.
        amount_cents: Cents,
        /// To which step.
        step: Step
    }
);
answer!(
    /// The money is ours.
    PaymentCaptured of Payment, "payment.captured" {
        /// How much.
        amount_cents: Cents
    }
);
answer!(
    /// The money is the customer's again.
    PaymentVoided of Payment, "payment.voided" {
        /// How much.
        amount_cents: Cents
    }
);
answer!(
    /// A parcel is on its way.
    ShipmentCreated of Shipment, "shipment.created" {
        /// So many pieces.
        pieces: u64
    }
);
answer!(
    /// No carrier takes it.
    ShipmentRefused of Shipment, "shipment.refused" {
        /// So many pieces.
        pieces: u64
    }
);
answer!(
    /// The parcel was called back.
    ShipmentCancelled of Shipment, "shipment.cancelled" {
        /// So many pieces.
        pieces: u64
    }
);
answer!(
    /// An operator has passed a command over: it was not carried out, and never will be.
    CommandPassedOver of PassedOver, "passed_over.recorded" {
        /// Which one.
        command: String
    }
);
