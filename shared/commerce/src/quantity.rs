//! Numbers of pieces that cannot be wrong: parsed within bounds. Must not know: money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number that is no amount of this shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAmount(pub(crate) &'static str);

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantity_is_1_to_a_million_also_as_json(pieces in prop_oneof![0_u64..2_000_000, any::<u64>()]) {
            let allowed = (1..=1_000_000).contains(&pieces);
            prop_assert_eq!(Quantity::try_from(pieces).map(Quantity::pieces).ok(), allowed.then_some(pieces));
            let as_json = serde_json::from_str::<Quantity>(&pieces.to_string());
            prop_assert_eq!(as_json.map(Quantity::pieces).ok(), allowed.then_some(pieces));
        }
    }
}
