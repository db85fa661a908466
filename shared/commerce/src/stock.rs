//! Stock: pieces of one sku that are for sale, and pieces that are reserved for orders.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Event, Storage};

use crate::{OrderId, Quantity, Sku};

/// The stock of one sku as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    sku: Sku,
    on_hand: u64,
    reservations: BTreeMap<OrderId, u64>,
}

impl Stock {
    /// A sku that nothing was received of yet.
    pub fn new(sku: Sku) -> Self {
        Self { sku, on_hand: 0, reservations: BTreeMap::new() }
    }

    /// Pieces for sale.
    pub fn on_hand(&self) -> u64 {
        self.on_hand
    }

    /// Can this many be reserved?
    pub fn covers(&self, quantity: Quantity) -> bool {
        self.on_hand >= quantity.pieces()
    }

    /// Are pieces set aside for this order or checkout?
    pub fn is_reserved_for(&self, whose: &OrderId) -> bool {
        self.reservations.contains_key(whose)
    }

    /// Takes goods in.
    pub fn receive(mut self, quantity: Quantity) -> (Self, StockReceived) {
        self.on_hand = self.on_hand.saturating_add(quantity.pieces());
        let received = StockReceived { sku: self.sku.clone(), quantity };
        (self, received)
    }

    /// Sets pieces aside for an order; `None` when there are too few.
    pub fn reserve(mut self, order_id: &OrderId, quantity: Quantity) -> Option<(Self, StockReserved)> {
        self.on_hand = self.on_hand.checked_sub(quantity.pieces())?;
        *self.reservations.entry(order_id.clone()).or_insert(0) += quantity.pieces();
        let reserved = StockReserved { sku: self.sku.clone(), order_id: order_id.clone(), quantity: quantity.pieces() };
        Some((self, reserved))
    }

    /// Says that an order cannot be served, and with how much it could have been.
    pub fn reject(self, order_id: &OrderId, wanted: Quantity) -> (Self, StockRejected) {
        let rejected = StockRejected {
            sku: self.sku.clone(),
            order_id: order_id.clone(),
            wanted: wanted.pieces(),
            available: self.on_hand,
        };
        (self, rejected)
    }

    /// Gives back what was set aside for an order; `None` when nothing was.
    pub fn release(mut self, order_id: &OrderId) -> Option<(Self, StockReleased)> {
        let quantity = self.reservations.remove(order_id)?;
        self.on_hand = self.on_hand.saturating_add(quantity);
        let released = StockReleased { sku: self.sku.clone(), order_id: order_id.clone(), quantity };
        Some((self, released))
    }
}

impl Aggregate for Stock {
    const TYPE: &'static str = "stock";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Stock {
    fn id(&self) -> AggregateId {
        self.sku.clone()
    }
}

macro_rules! stock_event {
    ($name:ident, $event_type:literal) => {
        impl Event for $name {
            type Of = Stock;
            const TYPE: &'static str = $event_type;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                self.sku.clone()
            }
        }
    };
}

/// Goods were taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReceived {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}
stock_event!(StockReceived, "stock.received");

/// Pieces were set aside for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// Of what.
    pub sku: Sku,
    /// For which order.
    pub order_id: OrderId,
    /// How many.
    pub quantity: u64,
}
stock_event!(StockReserved, "stock.reserved");

/// An order cannot be served: a business "no", not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockRejected {
    /// The sku that is short.
    pub sku: Sku,
    /// Which order.
    pub order_id: OrderId,
    /// How many it asked for.
    pub wanted: u64,
    /// How many there were.
    pub available: u64,
}
stock_event!(StockRejected, "stock.rejected");

/// Pieces that were set aside are for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReleased {
    /// Of what.
    pub sku: Sku,
    /// For which order they had been set aside.
    pub order_id: OrderId,
    /// How many.
    pub quantity: u64,
}
stock_event!(StockReleased, "stock.released");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(number: u64) -> Quantity {
        number.try_into().unwrap()
    }

    proptest! {
        #[test]
        fn a_reservation_is_made_if_and_only_if_it_is_covered_and_its_release_undoes_it(on_hand in 1_u64..100, wanted in 1_u64..200) {
            let (before, _) = Stock::new("tea".parse().unwrap()).receive(pieces(on_hand));
            let order: OrderId = "o-1".parse().unwrap();
            match before.clone().reserve(&order, pieces(wanted)) {
                None => prop_assert!(wanted > on_hand),
                Some((reserved, event)) => {
                    prop_assert_eq!((reserved.on_hand(), event.quantity), (on_hand - wanted, wanted));
                    let (after, event) = reserved.release(&order).unwrap();
                    prop_assert_eq!(event.quantity, wanted);
                    prop_assert_eq!(after.clone(), before);
                    prop_assert_eq!(after.release(&order), None, "what is released once is not there twice");
                }
            }
        }

        /// The state is replaced, the events are the history: both must tell the same.
        #[test]
        fn the_events_tell_how_many_pieces_are_for_sale(steps in proptest::collection::vec((0_u8..3, 0_u8..5, 1_u64..50), 0..60)) {
            let mut stock = Stock::new("tea".parse().unwrap());
            let mut told = 0_i64;
            for (step, order, number) in steps {
                let order: OrderId = format!("o-{order}").parse().unwrap();
                let sale = |pieces: u64| i64::try_from(pieces).unwrap();
                stock = match step {
                    0 => {
                        let (after, event) = stock.receive(pieces(number));
                        told += sale(event.quantity.pieces());
                        after
                    }
                    1 => match stock.clone().reserve(&order, pieces(number)) {
                        Some((after, event)) => {
                            told -= sale(event.quantity);
                            after
                        }
                        None => {
                            let (after, event) = stock.reject(&order, pieces(number));
                            prop_assert!(event.available < event.wanted);
                            after
                        }
                    },
                    _ => match stock.clone().release(&order) {
                        Some((after, event)) => {
                            told += sale(event.quantity);
                            after
                        }
                        None => stock,
                    },
                };
                prop_assert_eq!(sale(stock.on_hand()), told);
            }
        }

        /// Whatever happens, pieces are for sale, or set aside, or were never received.
        #[test]
        fn pieces_are_neither_made_nor_lost(steps in proptest::collection::vec((0_u8..3, 0_u8..5, 1_u64..50), 0..60)) {
            let mut stock = Stock::new("tea".parse().unwrap());
            let mut received = 0;
            for (step, order, number) in steps {
                let order: OrderId = format!("o-{order}").parse().unwrap();
                stock = match step {
                    0 => {
                        received += number;
                        stock.receive(pieces(number)).0
                    }
                    1 => match stock.clone().reserve(&order, pieces(number)) {
                        Some((reserved, _)) => reserved,
                        None => {
                            prop_assert!(!stock.covers(pieces(number)));
                            stock.reject(&order, pieces(number)).0
                        }
                    },
                    _ => stock.clone().release(&order).map_or(stock, |(released, _)| released),
                };
                prop_assert_eq!(stock.on_hand() + stock.reservations.values().sum::<u64>(), received);
            }
        }
    }
}
