//! Shipments: the parcel of one checkout.

use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Storage};

use crate::CheckoutId;
use crate::order::Lines;
use crate::step::{ShipmentCancelled, ShipmentCreated, ShipmentRefused};

/// The most pieces that a carrier takes in one parcel.
pub const MOST_PIECES: u64 = 50;

/// Where a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShipmentStatus {
    /// On its way.
    Created,
    /// No carrier takes it.
    Refused,
    /// Called back.
    Cancelled,
}

/// The parcel of one checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    checkout_id: CheckoutId,
    pieces: u64,
    status: ShipmentStatus,
}

impl Shipment {
    /// A parcel with these goods: on its way, or too big.
    pub fn pack(checkout_id: CheckoutId, lines: &Lines) -> Self {
        let pieces = lines.as_slice().iter().map(|line| line.quantity.pieces()).sum();
        let status = if pieces > MOST_PIECES { ShipmentStatus::Refused } else { ShipmentStatus::Created };
        Self { checkout_id, pieces, status }
    }

    /// Calls it back.
    #[must_use]
    pub fn cancel(self) -> Self {
        Self { status: ShipmentStatus::Cancelled, ..self }
    }

    /// Where it is.
    pub fn status(&self) -> ShipmentStatus {
        self.status
    }

    /// What there is to say when it is on its way.
    pub fn created(&self) -> ShipmentCreated {
        ShipmentCreated { checkout_id: self.checkout_id.clone(), pieces: self.pieces }
    }

    /// What there is to say when no carrier takes it.
    pub fn refused(&self) -> ShipmentRefused {
        ShipmentRefused { checkout_id: self.checkout_id.clone(), pieces: self.pieces }
    }

    /// What there is to say when it was called back.
    pub fn cancelled(&self) -> ShipmentCancelled {
        ShipmentCancelled { checkout_id: self.checkout_id.clone(), pieces: self.pieces }
    }
}

impl Aggregate for Shipment {
    const TYPE: &'static str = "shipment";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Shipment {
    fn id(&self) -> AggregateId {
        self.checkout_id.clone()
    }
}
