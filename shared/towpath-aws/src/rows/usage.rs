//! Rows of `progress` that say what a tenant used in an hour. The auditor writes them, and nobody else.
//! Must not know: expressions, clients, how usage is folded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath::{ConsumerName, FORMAT, Hour, Rev, TenantId, Usage};

use super::{RowKey, UnreadableRow, check_format};

/// What a tenant used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UsageItem {
    pub(crate) sk: TenantId,
    format: u16,
    rev: Rev,
    events: u64,
    commands: u64,
    bytes: u64,
    runs: BTreeMap<ConsumerName, u64>,
}

impl UsageItem {
    pub(crate) fn new(tenant: &TenantId, usage: &Usage, rev: Rev) -> Self {
        let Usage { events, commands, bytes, runs } = usage.clone();
        Self { sk: tenant.clone(), format: FORMAT, rev, events, commands, bytes, runs }
    }

    pub(crate) fn into_usage(self) -> Result<(TenantId, (Usage, Rev)), UnreadableRow> {
        check_format(self.format)?;
        let Self { sk, rev, events, commands, bytes, runs, .. } = self;
        Ok((sk, (Usage { events, commands, bytes, runs }, rev)))
    }
}

/// The partition of an hour: all tenants lie in it, so that its fold reads them with one query, and the auditor's role can be
/// held to such partitions.
pub(crate) fn usage_of(hour: Hour) -> String {
    format!("~usage#{}", hour.start().hour())
}

/// Where a tenant's row lies.
pub(crate) fn usage_key(hour: Hour, tenant: &TenantId) -> RowKey {
    RowKey { partition: ("pk", usage_of(hour)), sort: ("sk", tenant.to_string()) }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

    use super::*;
    use crate::store::Item;

    #[test]
    fn usage_is_read_as_it_was_written_and_lies_with_its_hour() {
        let runs = [("inventory".parse().unwrap(), 3)].into();
        let usage = Usage { events: 5, commands: 1, bytes: 4_096, runs };
        let tenant: TenantId = "acme".parse().unwrap();
        let item: Item = to_item(UsageItem::new(&tenant, &usage, Rev(2))).unwrap();
        let read = from_item::<UsageItem>(item).unwrap().into_usage().unwrap();
        assert_eq!(read, (tenant.clone(), (usage, Rev(2))));
        assert_eq!(usage_key(Hour(1), &tenant).partition.1, "~usage#1970-01-01T01");
    }
}
