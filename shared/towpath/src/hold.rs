//! Holds: tenants that an operator has stopped at a consumer, and how such a stop ends.
//! Must not know: queues, stores, rows.
//!
//! A consumer reads its holds from a copy that is seconds old, so a stop begins a moment after the order. A copy that says
//! "held" is not believed: the row itself is read before anything is kept back. What was kept back is marked `held`; when
//! the order ends, the auditor wakes the marked rows, so many a minute, and its sweep finds any that were marked too late.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{ConsumerName, Rev, TenantId, Timestamp, limits};

/// So long after the order to go on the auditor looks for rows that are marked late. What comes later still is found by its
/// sweep: no event depends on this time.
pub const LATE_MARKS: Duration = Duration::from_secs(900);

/// A tenant that is stopped, or that was until lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// Who ordered it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When somebody ordered to go on: then its rows are being woken.
    pub resumed: Option<Timestamp>,
}

/// Which tenants are stopped at a consumer: one row per consumer, none for one that never was told to stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// By tenant.
    pub tenants: BTreeMap<TenantId, Hold>,
    /// How often this was written; every write is conditional on the one that was read.
    pub rev: Rev,
}

/// The holds of every consumer that has some.
pub type AllHolds = BTreeMap<ConsumerName, Holds>;

/// Why a tenant cannot be stopped too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} tenants are held there, which is the most: resume some, or stop the whole consumer by disabling the mapping of its queue",
    limits::HELD_TENANTS
)]
pub struct TooManyHolds;

impl Holds {
    /// Is this tenant stopped?
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.tenants.get(tenant).is_some_and(|hold| hold.resumed.is_none())
    }

    /// With this tenant stopped; `None` if it is already.
    pub fn with(&self, tenant: &TenantId, hold: Hold) -> Result<Option<Self>, TooManyHolds> {
        if self.has(tenant) {
            return Ok(None);
        }
        let mut next = self.next();
        next.tenants.insert(tenant.clone(), hold);
        if next.tenants.len() > limits::HELD_TENANTS { Err(TooManyHolds) } else { Ok(Some(next)) }
    }

    /// With this tenant's rows being woken; `None` unless it is stopped.
    pub fn resumed(&self, tenant: &TenantId, at: Timestamp) -> Option<Self> {
        let mut next = self.next();
        next.tenants.get_mut(tenant).filter(|hold| hold.resumed.is_none())?.resumed = Some(at);
        Some(next)
    }

    /// Without those whose rows are awake.
    pub(crate) fn without(&self, over: &[TenantId]) -> Self {
        let mut next = self.next();
        next.tenants.retain(|tenant, _| !over.contains(tenant));
        next
    }

    fn next(&self) -> Self {
        Self { tenants: self.tenants.clone(), rev: self.rev.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold() -> Hold {
        Hold { since: Timestamp::from_millis(1), who: "ann".into(), why: "a migration".into(), resumed: None }
    }

    #[test]
    fn ordering_it_twice_is_ordering_it_once() {
        let (acme, at) = ("acme".parse().unwrap(), Timestamp::from_millis(9));
        let held = Holds::default().with(&acme, hold()).unwrap().unwrap();
        assert!(held.has(&acme) && held.with(&acme, hold()).unwrap().is_none());
        let resumed = held.resumed(&acme, at).unwrap();
        assert!(!resumed.has(&acme) && resumed.resumed(&acme, at).is_none());
        let again = resumed.with(&acme, hold()).unwrap().unwrap();
        assert!(again.has(&acme) && again.rev > resumed.rev && resumed.rev > held.rev);
        assert!(resumed.without(&[acme]).tenants.is_empty());
    }

    #[test]
    fn a_row_takes_only_so_many() {
        let mut holds = Holds::default();
        for number in 0..limits::HELD_TENANTS {
            holds = holds.with(&format!("t-{number}").parse().unwrap(), hold()).unwrap().unwrap();
        }
        assert_eq!(holds.with(&"one-more".parse().unwrap(), hold()), Err(TooManyHolds));
    }
}
