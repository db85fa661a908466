//! Amounts that cannot be wrong: parsed within bounds, added without overflow.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number that is no amount of this shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAmount(&'static str);

/// How many pieces: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("minimum" = 1, "maximum" = Self::MAX))]
pub struct Quantity(u32);

impl Quantity {
    /// The most pieces that one line or one receipt may name.
    pub const MAX: u32 = 1_000_000;

    /// The number of pieces.
    pub fn pieces(self) -> u64 {
        u64::from(self.0)
    }
}

impl TryFrom<u64> for Quantity {
    type Error = InvalidAmount;
    fn try_from(pieces: u64) -> Result<Self, InvalidAmount> {
        match u32::try_from(pieces) {
            Ok(pieces) if (1..=Self::MAX).contains(&pieces) => Ok(Self(pieces)),
            _ => Err(InvalidAmount("a quantity must be 1 to 1000000")),
        }
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> u64 {
        quantity.pieces()
    }
}

/// Money in the shop's smallest coin: 0 to 10^15, so that sums of orders stay exact everywhere, JSON included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("maximum" = Self::MAX))]
pub struct Cents(u64);

impl Cents {
    /// The most that an amount may be.
    pub const MAX: u64 = 1_000_000_000_000_000;

    /// The price of `quantity` pieces; `None` when it is more than an amount may be.
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(quantity.pieces()).and_then(|cents| Self::try_from(cents).ok())
    }

    /// The sum; `None` when it is more than an amount may be.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|cents| Self::try_from(cents).ok())
    }
}

impl TryFrom<u64> for Cents {
    type Error = InvalidAmount;
    fn try_from(cents: u64) -> Result<Self, InvalidAmount> {
        if cents <= Self::MAX { Ok(Self(cents)) } else { Err(InvalidAmount("an amount must be at most 10^15 cents")) }
    }
}

impl From<Cents> for u64 {
    fn from(cents: Cents) -> u64 {
        cents.0
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cents() -> impl Strategy<Value = Cents> {
        prop_oneof![0..=Cents::MAX, 0..=10_000_u64, Just(Cents::MAX)].prop_map(|cents| Cents::try_from(cents).unwrap())
    }

    proptest! {
        #[test]
        fn a_quantity_is_1_to_a_million_also_as_json(pieces in prop_oneof![0_u64..2_000_000, any::<u64>()]) {
            let allowed = (1..=1_000_000).contains(&pieces);
            prop_assert_eq!(Quantity::try_from(pieces).map(Quantity::pieces).ok(), allowed.then_some(pieces));
            let as_json = serde_json::from_str::<Quantity>(&pieces.to_string());
            prop_assert_eq!(as_json.map(Quantity::pieces).ok(), allowed.then_some(pieces));
        }

        #[test]
        fn a_sum_is_exact_in_any_order_or_refused(a in cents(), b in cents(), c in cents()) {
            let exact = u128::from(a.0) + u128::from(b.0) + u128::from(c.0);
            let sums = [(a, b, c), (c, b, a), (b, c, a)].map(|(x, y, z)| x.plus(y).and_then(|sum| sum.plus(z)));
            for sum in sums {
                prop_assert_eq!(sum.map(|sum| u128::from(sum.0)), (exact <= u128::from(Cents::MAX)).then_some(exact));
            }
        }

        #[test]
        fn a_price_is_that_many_times_the_price_of_one_or_refused(each in cents(), pieces in 1_u64..=1_000_000) {
            let exact = u128::from(each.0) * u128::from(pieces);
            let price = each.times(pieces.try_into().unwrap());
            prop_assert_eq!(price.map(|price| u128::from(price.0)), (exact <= u128::from(Cents::MAX)).then_some(exact));
        }

        #[test]
        fn an_amount_as_text_is_the_amount(cents in cents()) {
            let text = cents.to_string();
            let (whole, rest) = text.split_once('.').unwrap();
            prop_assert_eq!(rest.len(), 2);
            prop_assert_eq!(whole.parse::<u64>().unwrap() * 100 + rest.parse::<u64>().unwrap(), cents.0);
        }
    }
}
