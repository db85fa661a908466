//! Rows of cursors, and of the events that they passed over: in `progress`, or with the read model's row in `views`.
//! Must not know: expressions, clients, what a trouble means.

use serde::{Deserialize, Serialize};
use towpath::ports::{CursorHome, CursorKey, JournalRow, Position};
use towpath::trouble::Trouble;
use towpath::{
    Beside, ConsumerName, Cursor, Era, EventId, EventType, FORMAT, Rev, Seq, Skipped, Status, TenantId, Timestamp,
};

use super::{RowKey, UnreadableRow, check_format, hash, unreadable};

/// The index of rows that must be looked at by a time.
pub(crate) const BY_DUE: &str = "by_due";
/// Partitions of that index. It may grow, never shrink: readers look at all of them.
pub(crate) const DUE_SHARDS: u64 = 4;
const _: () = assert!(DUE_SHARDS >= 4, "rows lie in 4 partitions: a reader of fewer would never wake some");

/// A cursor: in a row of its own, or with the read model's row that it lies in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CursorItem {
    format: u16,
    cursor: Seq,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    era: Era,
    #[serde(default = "first_generation")]
    generation: u32,
    status: StatusName,
    attempt: u32,
    rev: Rev,
    /// The core's `Trouble` as JSON: nothing here looks into it but [`Signature`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Milliseconds since 1970. Only rows that are not ready have it and the shard, so that the index holds no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// The row in another build; rows of a projection that is not being rebuilt have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<BesideItem>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct BesideItem {
    build: u32,
    seq: Seq,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl From<&Beside> for BesideItem {
    fn from(beside: &Beside) -> Self {
        Self { build: beside.build, seq: beside.seq, state: beside.state.clone() }
    }
}

/// Rows that were written before there were generations are of the first.
fn first_generation() -> u32 {
    1
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusName {
    Ready,
    Retrying,
    Parked,
    Held,
}

impl CursorItem {
    pub(crate) fn new(key: &CursorKey, position: &Position) -> Result<Self, UnreadableRow> {
        let cursor = &position.cursor;
        let status = match cursor.status {
            Status::Ready => StatusName::Ready,
            Status::Retrying => StatusName::Retrying,
            Status::Parked => StatusName::Parked,
            Status::Held => StatusName::Held,
        };
        let due = cursor.trouble.as_ref().filter(|_| cursor.status != Status::Ready).map(|trouble| trouble.due);
        Ok(Self {
            format: FORMAT,
            cursor: cursor.seq,
            event_id: cursor.event_id,
            era: cursor.era,
            generation: cursor.generation,
            status,
            attempt: cursor.attempt,
            rev: cursor.rev,
            trouble: cursor.trouble.as_ref().map(serde_json::to_string).transpose().map_err(unreadable)?,
            due: due.map(Timestamp::as_millis),
            due_shard: due.map(|_| due_shard(key, cursor.status)),
            state: position.state.clone(),
            beside: position.beside.as_ref().map(BesideItem::from),
        })
    }

    pub(crate) fn into_position(self) -> Result<Position, UnreadableRow> {
        check_format(self.format)?;
        let status = match self.status {
            StatusName::Ready => Status::Ready,
            StatusName::Retrying => Status::Retrying,
            StatusName::Parked => Status::Parked,
            StatusName::Held => Status::Held,
        };
        let cursor = Cursor {
            seq: self.cursor,
            event_id: self.event_id,
            era: self.era,
            generation: self.generation,
            status,
            attempt: self.attempt,
            rev: self.rev,
            trouble: self.trouble.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?,
        };
        let beside = self.beside.map(|it| Beside { build: it.build, seq: it.seq, state: it.state });
        Ok(Position { cursor, state: self.state, beside })
    }
}

/// Rows that are held are in shards of their own, where nobody looks until their tenant goes on.
fn due_shard(key: &CursorKey, status: Status) -> String {
    let shard = hash(&format!("{}#{}", key.aggregate, key.consumer)) % DUE_SHARDS;
    match status {
        Status::Held => held_shard(&key.consumer, &key.aggregate.tenant, shard),
        _ => shard.to_string(),
    }
}

/// One of the shards in which the rows are that a consumer holds of a tenant.
pub(crate) fn held_shard(consumer: &ConsumerName, tenant: &TenantId, shard: u64) -> String {
    format!("held#{consumer}#{tenant}#{shard}")
}

/// By which a write that stands alone knows itself, when its answer was lost and the SDK sent it again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Signature {
    #[serde(default)]
    event_id: Option<EventId>,
    #[serde(default)]
    rev: Option<Rev>,
    /// The token of the attempt that was begun: two workers that mark the same row differ in nothing else.
    #[serde(default, rename = "trouble", deserialize_with = "running")]
    running: Option<u64>,
    /// How far another build is in the row: a step of a rebuild changes nothing else.
    #[serde(default)]
    beside: Option<BuiltTo>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct BuiltTo {
    build: u32,
    seq: Seq,
}

impl Signature {
    /// Of a journal row: its event's id is drawn anew for each attempt to commit it.
    pub(crate) fn of_row(row: &JournalRow) -> Self {
        Self { event_id: Some(row.envelope.event_id), rev: None, running: None, beside: None }
    }

    /// Of a cursor.
    pub(crate) fn of_cursor(position: &Position) -> Self {
        let cursor = &position.cursor;
        let beside = position.beside.as_ref().map(|beside| BuiltTo { build: beside.build, seq: beside.seq });
        let running = cursor.trouble.as_ref().and_then(|trouble| trouble.running);
        Self { event_id: cursor.event_id, rev: Some(cursor.rev), running, beside }
    }
}

fn running<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let trouble: Trouble = serde_json::from_str(&String::deserialize(from)?).map_err(serde::de::Error::custom)?;
    Ok(trouble.running)
}

/// Where a cursor is, as the index of due rows shows it; other rows of that index have no such key.
#[derive(Debug, Deserialize)]
pub(crate) struct DueItem {
    #[serde(alias = "pk", alias = "view")]
    aggregate: String,
    #[serde(alias = "sk", alias = "row")]
    consumer: String,
    pub(crate) due: u64,
}

impl DueItem {
    /// The cursor's key, if it is a cursor's row.
    pub(crate) fn cursor(&self) -> Option<CursorKey> {
        Some(CursorKey { aggregate: self.aggregate.parse().ok()?, consumer: self.consumer.parse().ok()? })
    }
}

/// An event that an operator passed over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SkipItem {
    format: u16,
    seq: Seq,
    event_id: EventId,
    event_type: EventType,
    who: String,
    why: String,
    at: Timestamp,
}

impl SkipItem {
    pub(crate) fn new(skipped: &Skipped) -> Self {
        Self {
            format: FORMAT,
            seq: skipped.seq,
            event_id: skipped.event_id,
            event_type: skipped.event_type.clone(),
            who: skipped.who.clone(),
            why: skipped.why.clone(),
            at: skipped.at,
        }
    }

    pub(crate) fn into_skipped(self) -> Result<Skipped, UnreadableRow> {
        check_format(self.format)?;
        let (seq, event_id, event_type) = (self.seq, self.event_id, self.event_type);
        Ok(Skipped { seq, event_id, event_type, who: self.who, why: self.why, at: self.at })
    }
}

/// Where a consumer's cursor for an aggregate lies: everything begins with the tenant.
pub(crate) fn cursor_key(home: CursorHome, key: &CursorKey) -> RowKey {
    let (partition, sort) = match home {
        CursorHome::Progress => ("pk", "sk"),
        CursorHome::Views => ("view", "row"),
    };
    RowKey { partition: (partition, key.aggregate.to_string()), sort: (sort, key.consumer.to_string()) }
}

/// Where it is on record that an event was passed over. `~` begins no consumer's name.
pub(crate) fn skip_key(key: &CursorKey, seq: Seq) -> RowKey {
    let sort = format!("{}{:020}", skips_of(key), seq.0);
    RowKey { partition: ("pk", key.aggregate.to_string()), sort: ("sk", sort) }
}

/// How the sort keys of all events begin that a consumer passed over.
pub(crate) fn skips_of(key: &CursorKey) -> String {
    format!("~skip#{}#", key.consumer)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
    use towpath::Producer;

    use super::*;
    use crate::store::Item;

    fn key() -> CursorKey {
        CursorKey { aggregate: "acme#order#o-1".parse().unwrap(), consumer: "inventory".parse().unwrap() }
    }

    fn cursor(status: Status, running: Option<u64>) -> Cursor {
        let at = Timestamp::from_millis(7_000);
        let trouble = Trouble {
            seq: Seq(3),
            event_id: EventId::new(at, 3),
            event_type: "order.placed".parse().unwrap(),
            since: at,
            due: Timestamp::from_millis(9_000),
            class: "panic".into(),
            message: "at lib.rs:1".into(),
            producer: Producer::parse("inventory@1.0.0").unwrap(),
            running,
            deaths: 0,
            ticket: None,
        };
        let (event_id, rev) = (Some(EventId::new(at, 2)), Rev(4));
        let trouble = (status != Status::Ready).then_some(trouble);
        Cursor { seq: Seq(2), event_id, rev, status, trouble, ..Cursor::start(Era::FIRST, 2) }
    }

    fn stored(cursor: &Cursor) -> Item {
        let position = Position::new(cursor.clone(), None);
        to_item(CursorItem::new(&key(), &position).unwrap()).unwrap()
    }

    #[test]
    fn a_cursor_round_trips_with_its_trouble() {
        for status in [Status::Ready, Status::Retrying, Status::Parked, Status::Held] {
            let position = Position::new(cursor(status, Some(9)), Some("{}".into()));
            let item: Item = to_item(CursorItem::new(&key(), &position).unwrap()).unwrap();
            assert_eq!(from_item::<CursorItem>(item).unwrap().into_position().unwrap(), position);
        }
    }

    #[test]
    fn only_a_row_that_waits_is_in_the_index_of_due_rows() {
        let ready = stored(&cursor(Status::Ready, None));
        assert!(!ready.contains_key("due") && !ready.contains_key("due_shard"));
        let parked = stored(&cursor(Status::Parked, None));
        assert_eq!(parked["due"], AttributeValue::N("9000".into()));
        let shard: u64 = parked["due_shard"].as_s().unwrap().parse().unwrap();
        assert!(shard < DUE_SHARDS);
        let held = stored(&cursor(Status::Held, None));
        assert_eq!(held["due_shard"], AttributeValue::S(format!("held#inventory#acme#{shard}")), "nobody looks there");
    }

    #[test]
    fn a_row_from_before_generations_and_troubles_is_read() {
        let mut item = stored(&cursor(Status::Ready, None));
        item.remove("generation");
        let position = from_item::<CursorItem>(item).unwrap().into_position().unwrap();
        assert_eq!((position.cursor.generation, position.cursor.trouble), (1, None));
    }

    #[test]
    fn a_put_that_was_sent_twice_knows_its_own_row_and_no_other() {
        let ours = cursor(Status::Retrying, Some(9));
        let there = |cursor: &Cursor| from_item::<Signature>(stored(cursor)).unwrap();
        let signature = |cursor: &Cursor| Signature::of_cursor(&Position::new(cursor.clone(), None));
        assert_eq!(there(&ours), signature(&ours));
        let ready = cursor(Status::Ready, None);
        assert_eq!(there(&ready), signature(&ready));
        let others = [
            cursor(Status::Retrying, Some(10)),
            cursor(Status::Retrying, None),
            Cursor { rev: Rev(5), ..ours.clone() },
            Cursor { event_id: None, ..ours.clone() },
            Cursor { event_id: Some(EventId::new(Timestamp::from_millis(1), 1)), ..ours.clone() },
        ];
        for other in others {
            assert_ne!(there(&other), signature(&ours), "{other:?}");
        }
        let beside = Some(Beside { build: 2, seq: Seq(2), state: None });
        assert_ne!(there(&ours), Signature::of_cursor(&Position { beside, ..Position::new(ours.clone(), None) }));
        let mut broken = stored(&ours);
        broken.insert("trouble".into(), AttributeValue::S("?".into()));
        assert!(from_item::<Signature>(broken).is_err(), "what cannot be read is not ours");
    }

    #[test]
    fn a_due_row_names_its_cursor_in_both_tables_and_other_rows_name_none() {
        for home in [CursorHome::Progress, CursorHome::Views] {
            let RowKey { partition, sort } = cursor_key(home, &key());
            let item = |sort_value: &str| {
                let texts = [(partition.0, partition.1.as_str()), (sort.0, sort_value), ("due_shard", "1")];
                let texts = texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
                texts.into_iter().chain([("due".to_owned(), AttributeValue::N("5".into()))]).collect::<Item>()
            };
            assert_eq!(from_item::<DueItem>(item(&sort.1)).unwrap().cursor(), Some(key()));
            assert_eq!(from_item::<DueItem>(item("~timer#1")).unwrap().cursor(), None);
        }
    }

    #[test]
    fn skips_of_one_consumer_are_in_the_order_of_their_events() {
        assert_eq!(skip_key(&key(), Seq(42)).sort.1, "~skip#inventory#00000000000000000042");
    }
}
