//! Earlier versions of an event, written beside the current one for readers that do not know it yet; and which of them a
//! producer writes, as a parameter says it. Must not know: any one event, who reads.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Data, EventType};

/// An event's data as earlier versions had it, by version. One row carries all of them: it is one event, with one `seq`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Older(BTreeMap<u32, Data>);

impl Older {
    /// The data as `version` had it.
    pub fn get(&self, version: u32) -> Option<&Data> {
        self.0.get(&version)
    }

    /// Each of them, by version.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Data)> {
        self.0.iter().map(|(version, data)| (*version, data))
    }

    /// Is the current version the only one?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all data.
    pub(crate) fn bytes(&self) -> usize {
        self.0.values().map(|data| data.as_str().len()).sum()
    }

    pub(crate) fn insert(&mut self, version: u32, data: Data) {
        self.0.insert(version, data);
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        self.0.retain(|version, _| keeps(*version));
    }
}

/// The earlier versions that a producer writes beside the current ones: `order.placed@1,order.cancelled@2`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlsoWrites(BTreeSet<(EventType, u32)>);

/// A text that names no versions of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be a list like order.placed@1,order.cancelled@2, or empty")]
pub struct InvalidAlsoWrites;

impl AlsoWrites {
    /// Is this version among them?
    pub fn names(&self, event_type: &EventType, version: u32) -> bool {
        self.0.contains(&(event_type.clone(), version))
    }
}

impl FromStr for AlsoWrites {
    type Err = InvalidAlsoWrites;

    fn from_str(text: &str) -> Result<Self, InvalidAlsoWrites> {
        let one = |part: &str| {
            let (event_type, version) = part.trim().split_once('@')?;
            let version = version.parse().ok().filter(|version| *version > 0)?;
            Some((EventType::parse(event_type).ok()?, version))
        };
        let parts = text.split(',').filter(|_| !text.trim().is_empty());
        parts.map(|part| one(part).ok_or(InvalidAlsoWrites)).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_names_versions_or_is_refused() {
        let also: AlsoWrites = "order.placed@1, order.cancelled@2".parse().unwrap();
        let names = |kind: &str, version| also.names(&kind.parse().unwrap(), version);
        assert!(names("order.placed", 1) && names("order.cancelled", 2));
        assert!(!names("order.placed", 2) && !names("order.moved", 1));
        assert_eq!("".parse::<AlsoWrites>(), Ok(AlsoWrites::default()));
        for wrong in ["order.placed", "order.placed@0", "order.placed@x", "order@1", "order.placed@1,", ","] {
            assert_eq!(wrong.parse::<AlsoWrites>(), Err(InvalidAlsoWrites), "{wrong}");
        }
    }
}
