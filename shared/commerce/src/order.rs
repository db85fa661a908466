//! Orders: placed once, cancelled at most once.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Event, Redacted, Storage, Visibility};

use crate::{Cents, CustomerId, OrderId, Quantity, Sku};

/// Most lines of one order; with each line's stock row and event they fit one transaction.
pub const MAX_LINES: usize = 20;

/// Some pieces of one sku at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
    /// At what price each.
    pub unit_price_cents: Cents,
}

/// Lines that make an order: 1 to 20, each of another sku, with a sum that is an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Line>", into = "Vec<Line>")]
#[schemars(extend("minItems" = 1, "maxItems" = MAX_LINES))]
pub struct Lines(Vec<Line>);

/// Lines that make no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is its sentence")]
pub enum InvalidLines {
    #[error("an order has 1 to {MAX_LINES} lines")]
    Count,
    #[error("an order names a sku in one line only")]
    SkuTwice,
    #[error("the order's total is more than 10^15 cents")]
    Total,
}

impl Lines {
    /// The lines.
    pub fn as_slice(&self) -> &[Line] {
        &self.0
    }

    /// What they cost together.
    pub fn total(&self) -> Cents {
        total_of(&self.0).unwrap_or_default() // some: checked when the lines were made
    }
}

fn total_of(lines: &[Line]) -> Option<Cents> {
    lines.iter().try_fold(Cents::default(), |sum, line| sum.plus(line.unit_price_cents.times(line.quantity)?))
}

impl TryFrom<Vec<Line>> for Lines {
    type Error = InvalidLines;

    fn try_from(lines: Vec<Line>) -> Result<Self, InvalidLines> {
        if lines.is_empty() || lines.len() > MAX_LINES {
            return Err(InvalidLines::Count);
        }
        let skus: BTreeSet<&Sku> = lines.iter().map(|line| &line.sku).collect();
        if skus.len() != lines.len() {
            return Err(InvalidLines::SkuTwice);
        }
        total_of(&lines).ok_or(InvalidLines::Total)?;
        Ok(Self(lines))
    }
}

impl From<Lines> for Vec<Line> {
    fn from(lines: Lines) -> Vec<Line> {
        lines.0
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Taken.
    Placed,
    /// Called off. Final.
    Cancelled,
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    order_id: OrderId,
    customer_id: CustomerId,
    status: OrderStatus,
    lines: Lines,
    total_cents: Cents,
}

/// The order cannot be cancelled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is already cancelled")]
pub struct AlreadyCancelled;

impl Order {
    /// Takes an order.
    pub fn place(order_id: OrderId, customer_id: CustomerId, lines: Lines) -> (Self, OrderPlaced) {
        let total_cents = lines.total();
        let placed = OrderPlaced {
            order_id: order_id.clone(),
            customer_id: customer_id.clone().into(),
            lines: lines.clone(),
            total_cents,
        };
        (Self { order_id, customer_id, status: OrderStatus::Placed, lines, total_cents }, placed)
    }

    /// Calls an order off.
    pub fn cancel(self, reason: Option<String>) -> Result<(Self, OrderCancelled), AlreadyCancelled> {
        if self.status == OrderStatus::Cancelled {
            return Err(AlreadyCancelled);
        }
        let cancelled = OrderCancelled {
            order_id: self.order_id.clone(),
            customer_id: self.customer_id.clone().into(),
            reason: reason.map(Redacted::from),
        };
        Ok((Self { status: OrderStatus::Cancelled, ..self }, cancelled))
    }

    /// Who ordered.
    pub fn customer_id(&self) -> &CustomerId {
        &self.customer_id
    }

    /// What was ordered.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Where it stands.
    pub fn status(&self) -> OrderStatus {
        self.status
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Order {
    fn id(&self) -> AggregateId {
        self.order_id.clone()
    }
}

/// An order was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// Which.
    pub order_id: OrderId,
    /// For whom.
    pub customer_id: Redacted<CustomerId>,
    /// What.
    pub lines: Lines,
    /// For how much.
    pub total_cents: Cents,
}

impl Event for OrderPlaced {
    type Of = Order;
    const TYPE: &'static str = "order.placed";
    const VERSION: u32 = 1;
    const VISIBILITY: Visibility = Visibility::Public;
    fn aggregate_id(&self) -> AggregateId {
        self.order_id.clone()
    }
}

/// An order was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// Which.
    pub order_id: OrderId,
    /// For whom.
    pub customer_id: Redacted<CustomerId>,
    /// Why, if the customer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Redacted<String>>,
}

impl Event for OrderCancelled {
    type Of = Order;
    const TYPE: &'static str = "order.cancelled";
    const VERSION: u32 = 1;
    const VISIBILITY: Visibility = Visibility::Public;
    fn aggregate_id(&self) -> AggregateId {
        self.order_id.clone()
    }
}

/// What a customer sees of an order: the read model behind `GET /orders/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSummary {
    /// Which.
    pub order_id: OrderId,
    /// For whom.
    pub customer_id: CustomerId,
    /// Where it stands.
    pub status: OrderStatus,
    /// What.
    pub lines: Lines,
    /// For how much.
    pub total_cents: Cents,
    /// Since when.
    pub placed_at: towpath::Timestamp,
    /// When it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<towpath::Timestamp>,
    /// Why it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl towpath::Summary for OrderSummary {
    type Of = Order;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_an_order_if_and_only_if_they_are_few_and_each_of_another_sku(
            skus in proptest::collection::vec(0_u8..40, 0..25), cents in 0_u64..1_000,
        ) {
            let lines: Vec<Line> = skus.iter().map(|sku| line(&format!("s-{sku}"), 2, cents)).collect();
            let different = skus.iter().collect::<BTreeSet<_>>().len() == skus.len();
            let made = Lines::try_from(lines.clone());
            prop_assert_eq!(made.is_ok(), different && (1..=MAX_LINES).contains(&skus.len()));
            if let Ok(made) = made {
                prop_assert_eq!(u64::from(made.total()), skus.len() as u64 * 2 * cents);
                let json = serde_json::to_string(&made).unwrap();
                prop_assert_eq!(serde_json::from_str::<Lines>(&json).unwrap(), made.clone());
                let backwards = Lines::try_from(lines.into_iter().rev().collect::<Vec<_>>()).unwrap();
                prop_assert_eq!(backwards.total(), made.total());
            }
        }

        #[test]
        fn an_order_and_its_events_survive_as_json_and_name_one_order(reason in proptest::option::of(".{0,20}"), pieces in 1_u64..99) {
            let lines = Lines::try_from(vec![line("tea", pieces, 450)]).unwrap();
            let (order, placed) = Order::place("o-1".parse().unwrap(), "c-1".parse().unwrap(), lines);
            let again: OrderPlaced = serde_json::from_str(&serde_json::to_string(&placed).unwrap()).unwrap();
            prop_assert_eq!((&again, again.aggregate_id()), (&placed, order.id()));
            let (after, cancelled) = order.clone().cancel(reason).unwrap();
            let again: OrderCancelled = serde_json::from_str(&serde_json::to_string(&cancelled).unwrap()).unwrap();
            prop_assert_eq!((&again, again.aggregate_id()), (&cancelled, order.id()));
            prop_assert_eq!((after.lines(), after.status()), (order.lines(), OrderStatus::Cancelled));
            let kept: Order = serde_json::from_str(&serde_json::to_string(&after).unwrap()).unwrap();
            prop_assert_eq!(kept, after);
        }
    }

    fn line(sku: &str, quantity: u64, cents: u64) -> Line {
        Line {
            sku: sku.parse().unwrap(),
            quantity: quantity.try_into().unwrap(),
            unit_price_cents: cents.try_into().unwrap(),
        }
    }

    fn order() -> Order {
        let lines = vec![line("tea", 2, 450), line("cup", 1, 100)].try_into().unwrap();
        Order::place("o-1".parse().unwrap(), "c-1".parse().unwrap(), lines).0
    }

    #[test]
    fn lines_that_make_no_order_cannot_be_built() {
        assert_eq!(Lines::try_from(vec![]), Err(InvalidLines::Count));
        let many = (0..21).map(|n| line(&format!("s{n}"), 1, 1)).collect::<Vec<_>>();
        assert_eq!(Lines::try_from(many), Err(InvalidLines::Count));
        assert_eq!(Lines::try_from(vec![line("tea", 1, 1), line("tea", 2, 1)]), Err(InvalidLines::SkuTwice));
        assert_eq!(Lines::try_from(vec![line("tea", 1_000_000, Cents::MAX)]), Err(InvalidLines::Total));
        assert!(Quantity::try_from(0).is_err() && Quantity::try_from(1_000_001).is_err());
    }

    #[test]
    fn an_order_costs_what_its_lines_cost() {
        assert_eq!(order().lines().total().to_string(), "10.00");
    }

    #[test]
    fn an_order_is_cancelled_once() {
        let (cancelled, event) = order().cancel(Some("changed my mind".into())).unwrap();
        assert_eq!(cancelled.status(), OrderStatus::Cancelled);
        assert_eq!(event.reason, Some("changed my mind".to_owned().into()));
        assert_eq!(cancelled.cancel(None), Err(AlreadyCancelled));
    }
}
