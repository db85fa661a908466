//! Every condition expression as DynamoDB is sent it, without DynamoDB; what it answers to them is tested on the emulator.

use aws_sdk_dynamodb::config::{BehaviorVersion, Config};
use towpath::ports::{CursorHome, CursorKey, Head, JournalRow, KeptAnswer, Position, Stored};
use towpath::{
    AggregateKey, Cursor, Data, Envelope, Era, EventId, Kind, Older, Place, Prior, Skipped, TenantId, Timestamp,
    Visibility,
};

use super::*;
use crate::config::Tables;

fn store() -> AwsStore {
    let names = ["outbox", "entities", "views", "progress"].map(str::to_owned);
    let [outbox, entities, views, progress] = names;
    let client =
        aws_sdk_dynamodb::Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
    AwsStore::new(client, Tables { outbox, entities, views, progress }, 0)
}

fn aggregate() -> AggregateKey {
    "acme#order#o-1".parse().unwrap()
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn place() -> Place {
    Place { view: "timeline".into(), partition: "c-1".into(), sort: "1".into() }
}

fn row() -> JournalRow {
    let envelope = Envelope {
        format: FORMAT,
        event_id: EventId::new(Timestamp::default(), 1),
        event_type: "order.placed".parse().unwrap(),
        event_version: 1,
        tenant_id: tenant(),
        aggregate_type: "order".parse().unwrap(),
        aggregate_id: "o-1".parse().unwrap(),
        seq: Seq(1),
        prior: Prior::default(),
        era: Era::FIRST,
        occurred_at: Timestamp::default(),
        correlation_id: "c-1".parse().unwrap(),
        causation_id: "r-1".parse().unwrap(),
        producer: "orders-api@0.1.0".parse().unwrap(),
        traceparent: None,
        hops: 0,
        older: Older::default(),
        data: Data::parse("{}".into()).unwrap(),
    };
    JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Internal, to: None }
}

fn entity(expect: Option<Seq>) -> Write {
    let head = Head { seq: Seq(8), prior: Prior::default(), era: Era::FIRST, occurred_at: Timestamp::default() };
    Write::Entity { key: aggregate(), stored: Stored { head, state: Some("{}".into()), saga: None }, expect }
}

fn cursor(home: CursorHome, expect: Option<Rev>) -> Write {
    let key = CursorKey { aggregate: aggregate(), consumer: "inventory".parse().unwrap() };
    Write::Cursor { home, key, position: Position::new(Cursor::start(Era::FIRST, 1), None), expect }
}

fn skip() -> Write {
    let key = CursorKey { aggregate: aggregate(), consumer: "inventory".parse().unwrap() };
    let skipped = Skipped {
        seq: Seq(1),
        event_id: EventId::new(Timestamp::default(), 1),
        event_type: "order.placed".parse().unwrap(),
        who: "ann".into(),
        why: "mended".into(),
        at: Timestamp::default(),
    };
    Write::Skip { key, skipped }
}

fn answer() -> Write {
    let answer = KeptAnswer { request_hash: "hash".into(), code: 201, body: "{}".into() };
    Write::Answer { tenant: tenant(), key: "k-1".parse().unwrap(), answer }
}

/// Where a write goes and under which condition, as it is sent: `table: expression [name] [value]`.
fn sent(write: &Write) -> String {
    let item = transact_item(store().action(write).unwrap()).unwrap();
    let parts = (item.put, item.delete, item.condition_check);
    let (what, table, on, names, values) = match parts {
        (Some(put), None, None) => {
            assert!(!put.item.is_empty());
            let names = put.expression_attribute_names;
            ("put", put.table_name, put.condition_expression, names, put.expression_attribute_values)
        }
        (None, Some(delete), None) => {
            assert!(!delete.key.is_empty());
            ("delete", delete.table_name, delete.condition_expression, None, None)
        }
        (None, None, Some(check)) => {
            assert!(!check.key.is_empty());
            let names = check.expression_attribute_names;
            ("check", check.table_name, Some(check.condition_expression), names, check.expression_attribute_values)
        }
        _ => panic!("it is one of them"),
    };
    let name = names.map(|names| names["#name"].clone()).unwrap_or_default();
    let value = values.map(|values| values[":expected"].as_n().unwrap().clone()).unwrap_or_default();
    format!("{what} {table}: {} [{name}] [{value}]", on.unwrap_or_default())
}

/// P2, P9, P10: nothing is overwritten that somebody else has written since it was read.
#[test]
fn each_write_happens_only_under_its_condition() {
    let cases = [
        (Write::Append(row()), "put outbox: attribute_not_exists(#name) [aggregate] []"),
        (entity(None), "put entities: attribute_not_exists(#name) [aggregate] []"),
        (entity(Some(Seq(7))), "put entities: #name = :expected [version] [7]"),
        (
            Write::CheckEntity { key: aggregate(), expect: None },
            "check entities: attribute_not_exists(#name) [aggregate] []",
        ),
        (
            Write::CheckEntity { key: aggregate(), expect: Some(Seq(7)) },
            "check entities: #name = :expected [version] [7]",
        ),
        (
            Write::CheckVacant { key: aggregate(), seq: Seq(8) },
            "check outbox: attribute_not_exists(#name) [aggregate] []",
        ),
        (cursor(CursorHome::Progress, None), "put progress: attribute_not_exists(#name) [pk] []"),
        (cursor(CursorHome::Views, None), "put views: attribute_not_exists(#name) [view] []"),
        (cursor(CursorHome::Progress, Some(Rev(4))), "put progress: #name = :expected [rev] [4]"),
        (cursor(CursorHome::Views, Some(Rev(4))), "put views: #name = :expected [rev] [4]"),
        (skip(), "put progress: attribute_not_exists(#name) [pk] []"),
        (answer(), "put progress: attribute_not_exists(#name) [pk] []"),
        (Write::Put { tenant: tenant(), place: place(), state: "{}".into() }, "put views:  [] []"),
        (Write::Remove { tenant: tenant(), place: place() }, "delete views:  [] []"),
    ];
    for (write, wanted) in cases {
        assert_eq!(sent(&write), wanted, "{write:?}");
    }
}

#[test]
fn a_row_that_was_never_written_is_expected_not_to_be_there_and_no_newer_one_is_overwritten() {
    let shown = |on: Condition| (on.expression, on.name, on.value.map(|value| value.as_n().unwrap().clone()));
    assert_eq!(shown(Condition::written("pk", Rev::ZERO)), ("attribute_not_exists(#name)", "pk", None));
    assert_eq!(shown(Condition::written("pk", Rev(3))), ("#name = :expected", "rev", Some("3".to_owned())));
    let older = ("attribute_not_exists(#name) OR #name <= :expected", "generation", Some("2".to_owned()));
    assert_eq!(shown(Condition::not_newer("generation", 2)), older);
}

/// A put that was sent twice is refused the second time, and only these tell from the row that it is their own.
#[test]
fn only_a_cursor_and_a_row_of_the_journal_know_themselves_again() {
    let known = [Write::Append(row()), cursor(CursorHome::Views, None)];
    assert!(known.iter().all(|write| signature(write).is_some()));
    assert_eq!(signature(&known[0]), Some(Signature::of_row(&row())));
    assert!([entity(None), skip(), answer()].iter().all(|write| signature(write).is_none()));
}

#[test]
fn a_cancelled_transaction_is_read_reason_by_reason() {
    assert_eq!(
        cancelled_because(&["None", "ConditionalCheckFailed", "TransactionConflict"]),
        CommitError::Refused(vec![1])
    );
    assert!(matches!(cancelled_because(&["TransactionConflict", "None"]), CommitError::Unavailable(_)));
    assert!(matches!(cancelled_because(&["ThrottlingError"]), CommitError::Unavailable(_)));
    assert!(matches!(cancelled_because(&["ValidationError"]), CommitError::Invalid(_)));
}
