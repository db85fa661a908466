//! Rows of `progress` that belong to no aggregate: which consumers there are, whom they hold, and how far the auditor is.
//! Must not know: expressions, clients.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use towpath::ports::{AuditState, CursorHome};
use towpath::{Builds, ConsumerName, EventType, FORMAT, Hold, Holds, Hour, Metered, Rev, Start, TenantId, Timestamp};

use super::{RowKey, UnreadableRow, check_format};

/// Partition of the rows that say which consumers there are.
pub(crate) const REGISTRY: &str = "~registry";

/// A consumer as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistryItem {
    pub(crate) pk: String,
    pub(crate) sk: ConsumerName,
    pub(crate) format: u16,
    #[serde(serialize_with = "serde_dynamo::string_set::serialize")]
    pub(crate) handles: BTreeSet<EventType>,
    /// From when on each type is handled; rows from before there were starts begin at the beginning.
    #[serde(default)]
    pub(crate) starts: BTreeMap<EventType, Start>,
    /// The generation in which each type was added; 1 in rows from before this was kept.
    #[serde(default)]
    pub(crate) added: BTreeMap<EventType, u32>,
    pub(crate) storage: HomeName,
    pub(crate) generation: u32,
    #[serde(default)]
    pub(crate) replayable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wake_queue_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_queue_url: Option<String>,
}

impl RegistryItem {
    /// A type that was added after `there` was deployed, as if it had been there before: it is of no later generation.
    pub(crate) fn unseen_by(&self, there: &Self) -> Option<EventType> {
        let is_new = |kind: &&EventType| !there.handles.contains(*kind);
        let added = |kind: &EventType| self.added.get(kind).copied().unwrap_or(1);
        self.handles.iter().filter(is_new).find(|kind| added(kind) <= there.generation).cloned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HomeName {
    Progress,
    Views,
}

impl From<CursorHome> for HomeName {
    fn from(home: CursorHome) -> Self {
        match home {
            CursorHome::Progress => Self::Progress,
            CursorHome::Views => Self::Views,
        }
    }
}

impl From<HomeName> for CursorHome {
    fn from(home: HomeName) -> Self {
        match home {
            HomeName::Progress => Self::Progress,
            HomeName::Views => Self::Views,
        }
    }
}

/// How far the auditor is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditItem {
    format: u16,
    rev: Rev,
    audited_until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sweep: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    swept: Option<Timestamp>,
    /// Hours since 1970: the first with a row, the next to be folded, and those that were folded again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metered: Option<(u64, u64, Option<u32>)>,
}

impl AuditItem {
    pub(crate) fn new(state: &AuditState) -> Self {
        Self {
            format: FORMAT,
            rev: state.rev,
            audited_until: state.audited_until,
            sweep: state.sweep.clone(),
            swept: state.swept,
            metered: state.metered.map(|of| (of.first.0, of.next.0, of.again)),
        }
    }

    pub(crate) fn into_state(self) -> Result<AuditState, UnreadableRow> {
        check_format(self.format)?;
        let metered = |(first, next, again)| Metered { first: Hour(first), next: Hour(next), again };
        Ok(AuditState {
            rev: self.rev,
            audited_until: self.audited_until,
            sweep: self.sweep,
            swept: self.swept,
            metered: self.metered.map(metered),
        })
    }
}

/// Which builds of a projection there are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BuildsItem {
    format: u16,
    live: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<u32>,
    last: u32,
    rev: Rev,
}

impl BuildsItem {
    pub(crate) fn new(builds: &Builds) -> Self {
        Self { format: FORMAT, live: builds.live, other: builds.other, last: builds.last, rev: builds.rev }
    }

    pub(crate) fn into_builds(self) -> Result<Builds, UnreadableRow> {
        check_format(self.format)?;
        Ok(Builds { live: self.live, other: self.other, last: self.last, rev: self.rev })
    }
}

/// Which tenants are stopped at a consumer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HoldsItem {
    /// Whose it is; it is written as the key.
    #[serde(default, skip_serializing)]
    sk: Option<ConsumerName>,
    format: u16,
    tenants: BTreeMap<TenantId, HoldItem>,
    rev: Rev,
}

#[derive(Debug, Serialize, Deserialize)]
struct HoldItem {
    since: Timestamp,
    who: String,
    why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resumed: Option<Timestamp>,
}

impl HoldsItem {
    pub(crate) fn new(holds: &Holds) -> Self {
        let item = |(tenant, hold): (&TenantId, &Hold)| {
            let Hold { since, who, why, resumed } = hold.clone();
            (tenant.clone(), HoldItem { since, who, why, resumed })
        };
        Self { sk: None, format: FORMAT, tenants: holds.tenants.iter().map(item).collect(), rev: holds.rev }
    }

    pub(crate) fn consumer(&self) -> Option<ConsumerName> {
        self.sk.clone()
    }

    pub(crate) fn into_holds(self) -> Result<Holds, UnreadableRow> {
        check_format(self.format)?;
        let hold = |(tenant, HoldItem { since, who, why, resumed })| (tenant, Hold { since, who, why, resumed });
        Ok(Holds { tenants: self.tenants.into_iter().map(hold).collect(), rev: self.rev })
    }
}

/// Partition of the rows that say whom a consumer holds.
pub(crate) const HOLDS: &str = "~holds";

/// Where a consumer's row lies.
pub(crate) fn holds_key(consumer: &ConsumerName) -> RowKey {
    RowKey { partition: ("pk", HOLDS.to_owned()), sort: ("sk", consumer.to_string()) }
}

/// Where they lie.
pub(crate) fn builds_key(consumer: &ConsumerName) -> RowKey {
    RowKey { partition: ("pk", "~builds".to_owned()), sort: ("sk", consumer.to_string()) }
}

/// Where it lies.
pub(crate) fn audit_key() -> RowKey {
    RowKey { partition: ("pk", "~audit".to_owned()), sort: ("sk", "state".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

    use super::*;
    use crate::store::Item;

    #[test]
    fn holds_round_trip() {
        let since = Timestamp::from_millis(5);
        let hold = Hold { since, who: "ann".into(), why: "a migration".into(), resumed: None };
        let on = Hold { resumed: Some(Timestamp::from_millis(7)), ..hold.clone() };
        let tenants = [("acme".parse().unwrap(), hold), ("globex".parse().unwrap(), on)].into();
        let holds = Holds { tenants, rev: Rev(3) };
        let item: Item = to_item(HoldsItem::new(&holds)).unwrap();
        assert_eq!(from_item::<HoldsItem>(item).unwrap().into_holds().unwrap(), holds);
    }

    #[test]
    fn a_registry_row_from_before_there_were_starts_is_read() {
        let placed: EventType = "order.placed".parse().unwrap();
        let item = RegistryItem {
            pk: REGISTRY.to_owned(),
            sk: "inventory".parse().unwrap(),
            format: FORMAT,
            handles: [placed.clone()].into(),
            starts: [(placed.clone(), Start::Beginning)].into(),
            added: [(placed, 1)].into(),
            storage: HomeName::Progress,
            generation: 1,
            replayable: true,
            queue_url: None,
            wake_queue_url: Some("https://sqs/wake".into()),
            dead_letter_queue_url: None,
        };
        let mut row: Item = to_item(&item).unwrap();
        assert_eq!(from_item::<RegistryItem>(row.clone()).unwrap(), item);
        row.retain(|name, _| !["starts", "added", "wake_queue_url", "replayable"].contains(&name.as_str()));
        let old: RegistryItem = from_item(row).unwrap();
        assert!(old.starts.is_empty() && old.added.is_empty() && old.wake_queue_url.is_none() && !old.replayable);
    }

    #[test]
    fn a_type_that_is_added_without_a_generation_is_seen() {
        let kinds = |kinds: &[(&str, u32)]| -> BTreeMap<EventType, u32> {
            kinds.iter().map(|(kind, added)| (kind.parse().unwrap(), *added)).collect()
        };
        let of = |generation: u32, added: BTreeMap<EventType, u32>| RegistryItem {
            pk: REGISTRY.to_owned(),
            sk: "inventory".parse().unwrap(),
            format: FORMAT,
            handles: added.keys().cloned().collect(),
            starts: BTreeMap::new(),
            added,
            storage: HomeName::Progress,
            generation,
            replayable: false,
            queue_url: None,
            wake_queue_url: None,
            dead_letter_queue_url: None,
        };
        let deployed = of(1, kinds(&[("order.placed", 1)]));
        let moved = Some("order.moved".parse().unwrap());
        assert_eq!(of(1, kinds(&[("order.placed", 1), ("order.moved", 1)])).unseen_by(&deployed), moved);
        assert_eq!(of(2, kinds(&[("order.placed", 1), ("order.moved", 1)])).unseen_by(&deployed), moved);
        assert_eq!(of(2, kinds(&[("order.placed", 1), ("order.moved", 2)])).unseen_by(&deployed), None);
        assert_eq!(of(1, kinds(&[])).unseen_by(&deployed), None);
    }

    #[test]
    fn the_builds_of_a_projection_round_trip() {
        for builds in [Builds::default(), Builds { live: 2, other: Some(3), last: 3, rev: Rev(9) }] {
            let row: Item = to_item(BuildsItem::new(&builds)).unwrap();
            assert_eq!(from_item::<BuildsItem>(row).unwrap().into_builds().unwrap(), builds);
        }
    }

    #[test]
    fn the_auditors_place_round_trips() {
        let at = Timestamp::from_millis(5);
        let state =
            AuditState { rev: Rev(3), audited_until: at, sweep: Some("{}".into()), swept: Some(at), metered: None };
        let row: Item = to_item(AuditItem::new(&state)).unwrap();
        assert_eq!(from_item::<AuditItem>(row).unwrap().into_state().unwrap(), state);
    }
}
