//! Lanes: into how many message groups a tenant's events are shared out. Within a group there is one batch at a time, so a
//! tenant with more lanes is worked at by more invocations at a time.
//! Must not know: queues, topics.
//!
//! The count may change at any time. For a while two groups then hold messages of one aggregate, and whichever comes first is
//! decided by the cursor: nothing rests on the order of a queue.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::TenantId;

/// The most lanes of one tenant.
pub const MOST_LANES: u16 = 1_000;

/// How many lanes each tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    /// Those without a number of their own.
    pub each: u16,
    /// The others.
    pub hot: HotLanes,
}

/// Tenants with a number of their own: `acme=8,globex=4`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HotLanes(BTreeMap<TenantId, u16>);

/// A text that names no tenants and their lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a list like acme=8,globex=4 with numbers from 1 to {MOST_LANES}, each tenant once, or empty")]
pub struct InvalidHotLanes;

impl Lanes {
    /// So many for everybody.
    pub fn all(each: u16) -> Self {
        Self { each, hot: HotLanes::default() }
    }

    /// Those of this tenant.
    pub fn of(&self, tenant: &TenantId) -> u16 {
        self.hot.0.get(tenant).copied().unwrap_or(self.each)
    }
}

impl FromStr for HotLanes {
    type Err = InvalidHotLanes;

    fn from_str(text: &str) -> Result<Self, InvalidHotLanes> {
        let mut hot = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (tenant, lanes) = part.split_once('=').ok_or(InvalidHotLanes)?;
            let tenant = TenantId::parse(tenant.trim()).map_err(|_| InvalidHotLanes)?;
            let lanes = lanes.trim().parse().ok().filter(|lanes| (1..=MOST_LANES).contains(lanes));
            if hot.insert(tenant, lanes.ok_or(InvalidHotLanes)?).is_some() {
                return Err(InvalidHotLanes);
            }
        }
        Ok(Self(hot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_tenant_has_lanes_of_its_own_and_the_others_have_theirs() {
        let lanes = Lanes { each: 2, hot: "acme=8, globex=1".parse().unwrap() };
        let of = |tenant: &str| lanes.of(&tenant.parse().unwrap());
        assert_eq!([of("acme"), of("globex"), of("initech")], [8, 1, 2]);
        assert_eq!(" ".parse(), Ok(HotLanes::default()));
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        for wrong in ["acme", "acme=", "acme=0", "acme=1001", "acme=8,", "acme=8,acme=4", "a#b=2", "=3", "acme=-1"] {
            assert_eq!(wrong.parse::<HotLanes>(), Err(InvalidHotLanes), "{wrong}");
        }
    }
}
