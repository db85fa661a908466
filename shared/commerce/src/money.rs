//! Money that cannot be wrong: whole coins, parsed within bounds, added and subtracted without overflow.
//! Must not know: currencies. A tenant's shop has one, and amounts of two must never meet.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{InvalidAmount, Quantity};

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

    /// What is left; `None` when `other` is more.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
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
        fn a_sum_is_exact_in_any_order_or_refused(a in cents(), b in cents(), c in cents()) {
            let exact = u128::from(a.0) + u128::from(b.0) + u128::from(c.0);
            let sums = [(a, b, c), (c, b, a), (b, c, a)].map(|(x, y, z)| x.plus(y).and_then(|sum| sum.plus(z)));
            for sum in sums {
                prop_assert_eq!(sum.map(|sum| u128::from(sum.0)), (exact <= u128::from(Cents::MAX)).then_some(exact));
            }
        }

        #[test]
        fn what_is_added_can_be_taken_away_again_and_nothing_more(a in cents(), b in cents()) {
            prop_assert_eq!(a.plus(b).map(|sum| sum.minus(b)), a.plus(b).map(|_| Some(a)));
            prop_assert_eq!(a.minus(b).map(u64::from), a.0.checked_sub(b.0));
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
