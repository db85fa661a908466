//! Rows of `progress` that say which orders operators gave: who, when, why, about what. Written once, never removed.
//! Must not know: expressions, clients, whether an order was carried out.

use serde::{Deserialize, Serialize};
use towpath::{AggregateKey, ConsumerName, EventId, FORMAT, Limit, Rev, TenantId, Timestamp};

use super::{RowKey, UnreadableRow, check_format, unreadable};
use crate::operate::{Blocked, Deed, Order};

/// An order as it is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderItem {
    format: u16,
    at: Timestamp,
    who: String,
    why: String,
    what: What,
    consumer: ConsumerName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aggregate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rev: Option<Rev>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Retry,
    Skip,
    Replay,
    Rebuild,
    Swap,
    Drop,
    Hold,
    Limit,
    Resume,
}

impl OrderItem {
    pub(crate) fn new(order: &Order) -> Self {
        let (what, blocked, replay, build) = match &order.deed {
            Deed::Retry(blocked) => (What::Retry, Some(blocked), None, None),
            Deed::Skip(blocked) => (What::Skip, Some(blocked), None, None),
            Deed::Replay(id) => (What::Replay, None, Some(*id), None),
            Deed::Rebuild(build) => (What::Rebuild, None, None, Some(*build)),
            Deed::Swap(build) => (What::Swap, None, None, Some(*build)),
            Deed::Drop(build) => (What::Drop, None, None, Some(*build)),
            Deed::Hold => (What::Hold, None, None, None),
            Deed::Resume => (What::Resume, None, None, None),
            Deed::Limit(_) => (What::Limit, None, None, None),
        };
        let limit = if let Deed::Limit(limit) = &order.deed { *limit } else { None };
        Self {
            format: FORMAT,
            at: order.at,
            who: order.who.clone(),
            why: order.why.clone(),
            what,
            consumer: order.consumer.clone(),
            aggregate: blocked.map(|blocked| blocked.aggregate.to_string()),
            rev: blocked.map(|blocked| blocked.rev),
            event_id: blocked.map(|blocked| blocked.event_id),
            replay,
            build,
            limit,
        }
    }

    pub(crate) fn into_order(self) -> Result<Order, UnreadableRow> {
        check_format(self.format)?;
        let blocked = match (self.aggregate, self.rev, self.event_id) {
            (Some(aggregate), Some(rev), Some(event_id)) => {
                let aggregate: AggregateKey = aggregate.parse().map_err(unreadable)?;
                Some(Blocked { aggregate, rev, event_id })
            }
            _ => None,
        };
        let deed = match (self.what, blocked, self.replay, self.build) {
            (What::Retry, Some(blocked), ..) => Deed::Retry(blocked),
            (What::Skip, Some(blocked), ..) => Deed::Skip(blocked),
            (What::Replay, _, Some(id), _) => Deed::Replay(id),
            (What::Rebuild, .., Some(build)) => Deed::Rebuild(build),
            (What::Swap, .., Some(build)) => Deed::Swap(build),
            (What::Drop, .., Some(build)) => Deed::Drop(build),
            (What::Hold, ..) => Deed::Hold,
            (What::Resume, ..) => Deed::Resume,
            (What::Limit, ..) => Deed::Limit(self.limit),
            _ => return Err(UnreadableRow("it does not say what was ordered".into())),
        };
        Ok(Order { at: self.at, who: self.who, why: self.why, consumer: self.consumer, deed })
    }
}

/// Where an order is kept: those of a tenant are in the order of their times.
pub(crate) fn order_key(tenant: &TenantId, order: &Order) -> RowKey {
    let about = match &order.deed {
        Deed::Retry(blocked) | Deed::Skip(blocked) => format!("{}#{}", blocked.aggregate, blocked.rev),
        Deed::Replay(id) => format!("~replay#{id}"),
        Deed::Rebuild(build) => format!("~rebuild#{build}"),
        Deed::Swap(build) => format!("~swap#{build}"),
        Deed::Drop(build) => format!("~drop#{build}"),
        Deed::Hold => "~hold".to_owned(),
        Deed::Resume => "~resume".to_owned(),
        Deed::Limit(_) => "~limit".to_owned(),
    };
    let sort = format!("{}#{}#{about}", order.at, order.consumer);
    RowKey { partition: ("pk", orders_of(tenant)), sort: ("sk", sort) }
}

/// The partition of a tenant's orders. `~` is in no id.
pub(crate) fn orders_of(tenant: &TenantId) -> String {
    format!("{tenant}#~audit")
}

#[cfg(test)]
mod tests {
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

    use super::*;
    use crate::store::Item;

    fn order(deed: Deed) -> Order {
        let at = Timestamp::from_millis(5_000);
        Order { at, who: "ann".into(), why: "fixed".into(), consumer: "inventory".parse().unwrap(), deed }
    }

    fn blocked() -> Blocked {
        let event_id = EventId::new(Timestamp::from_millis(1), 1);
        Blocked { aggregate: "acme#order#o-1".parse().unwrap(), rev: Rev(7), event_id }
    }

    #[test]
    fn an_order_round_trips() {
        for deed in [
            Deed::Retry(blocked()),
            Deed::Skip(blocked()),
            Deed::Replay(42),
            Deed::Rebuild(2),
            Deed::Swap(2),
            Deed::Drop(1),
            Deed::Hold,
            Deed::Resume,
            Deed::Limit(None),
            Deed::Limit(Some(Limit { rate: "0.5".parse().unwrap(), burst: 9 })),
        ] {
            let item: Item = to_item(OrderItem::new(&order(deed.clone()))).unwrap();
            assert_eq!(from_item::<OrderItem>(item).unwrap().into_order().unwrap(), order(deed));
        }
    }

    #[test]
    fn an_order_lies_with_its_tenant_at_its_time() {
        let tenant = "acme".parse().unwrap();
        let key = |deed| order_key(&tenant, &order(deed));
        let retry = key(Deed::Retry(blocked()));
        assert_eq!(retry.partition.1, "acme#~audit");
        assert_eq!(retry.sort.1, "1970-01-01T00:00:05.000Z#inventory#acme#order#o-1#7");
        assert_eq!(key(Deed::Replay(42)).sort.1, "1970-01-01T00:00:05.000Z#inventory#~replay#42");
    }
}
