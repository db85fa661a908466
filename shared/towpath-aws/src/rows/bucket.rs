//! The row of `progress` that holds a tenant's bucket, and its own limit if it has one.
//! Must not know: expressions, clients, how a bucket fills.

use serde::{Deserialize, Serialize};
use towpath::{Bucket, FORMAT, Limit, Rev, TenantId, Timestamp};

use super::{RowKey, UnreadableRow, check_format};

/// A bucket as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BucketItem {
    format: u16,
    rev: Rev,
    /// Thousandths of tokens.
    tokens: u64,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Timestamp>,
}

impl BucketItem {
    pub(crate) fn new(bucket: &Bucket) -> Self {
        let Bucket { milli, at, own, told, rev } = *bucket;
        Self { format: FORMAT, rev, tokens: milli, at, limit: own, told }
    }

    pub(crate) fn into_bucket(self) -> Result<Bucket, UnreadableRow> {
        check_format(self.format)?;
        Ok(Bucket { milli: self.tokens, at: self.at, own: self.limit, told: self.told, rev: self.rev })
    }
}

/// Where a tenant's bucket lies.
pub(crate) fn bucket_key(tenant: &TenantId) -> RowKey {
    RowKey { partition: ("pk", format!("{tenant}#~limit")), sort: ("sk", "bucket".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

    use super::*;
    use crate::store::Item;

    #[test]
    fn a_bucket_is_read_as_it_was_written_and_has_no_limit_of_its_own_unless_somebody_set_one() {
        let limit = Limit { rate: "0.5".parse().unwrap(), burst: 20 };
        let full = Bucket::full(limit, Timestamp::from_millis(5_000));
        for bucket in [full, full.limited(Some(limit)), full.telling(Timestamp::from_millis(9_000)).unwrap()] {
            let item: Item = to_item(BucketItem::new(&bucket)).unwrap();
            assert_eq!(item.contains_key("limit"), bucket.own.is_some());
            assert_eq!(from_item::<BucketItem>(item).unwrap().into_bucket().unwrap(), bucket);
        }
        assert_eq!(bucket_key(&"acme".parse().unwrap()).partition.1, "acme#~limit");
    }
}
