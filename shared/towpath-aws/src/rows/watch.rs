//! A watch as a row of the progress table. Must not know: what is watched for.

use serde::{Deserialize, Serialize};
use towpath::{FORMAT, Timestamp};

use super::{RowKey, SECONDS_A_DAY, UnreadableRow, check_format};
use crate::watch::{Watch, Watched};

/// The partition of all watches. `~` is in no id.
pub(crate) const WATCHES: &str = "~watch";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatchItem {
    pub(crate) format: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    until: Timestamp,
    who: String,
    why: String,
    /// DynamoDB deletes it a day after its end; `until` is what counts.
    expires_at: u64,
}

impl WatchItem {
    pub(crate) fn new(watch: &Watch) -> Self {
        let (tenant, correlation_id) = match &watch.whom {
            Watched::Tenant(tenant) => (Some(tenant.to_string()), None),
            Watched::Correlation(id) => (None, Some(id.to_string())),
        };
        Self {
            format: FORMAT,
            tenant,
            correlation_id,
            until: watch.until,
            who: watch.who.clone(),
            why: watch.why.clone(),
            expires_at: watch.until.as_millis() / 1_000 + SECONDS_A_DAY,
        }
    }

    pub(crate) fn into_watch(self) -> Result<Watch, UnreadableRow> {
        check_format(self.format)?;
        let wrong = |error: towpath::InvalidId| UnreadableRow(error.to_string());
        let whom = match (self.tenant, self.correlation_id) {
            (Some(tenant), None) => Watched::Tenant(tenant.parse().map_err(wrong)?),
            (None, Some(id)) => Watched::Correlation(id.parse().map_err(wrong)?),
            _ => return Err(UnreadableRow("a watch is of a tenant or of a correlation id".to_owned())),
        };
        Ok(Watch { whom, until: self.until, who: self.who, why: self.why })
    }
}

pub(crate) fn watch_key(whom: &Watched) -> RowKey {
    let sort = match whom {
        Watched::Tenant(tenant) => format!("tenant#{tenant}"),
        Watched::Correlation(id) => format!("correlation#{id}"),
    };
    RowKey { partition: ("pk", WATCHES.to_owned()), sort: ("sk", sort) }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

    use super::*;
    use crate::store::Item;

    #[test]
    fn a_watch_round_trips() {
        for whom in [Watched::Tenant("acme".parse().unwrap()), Watched::Correlation("c-1".parse().unwrap())] {
            let watch = Watch { whom, until: Timestamp::from_millis(5_000), who: "ann".into(), why: "#42".into() };
            let item: Item = to_item(WatchItem::new(&watch)).unwrap();
            assert_eq!(from_item::<WatchItem>(item).unwrap().into_watch().unwrap(), watch);
        }
    }
}
