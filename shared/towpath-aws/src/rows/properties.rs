//! Rows of every kind: written and read again, and never in each other's place.

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use towpath::ports::{AuditState, CursorHome, CursorKey, Handled, Position, Registered, Snapshot};
use towpath::trouble::{TicketState, Trouble};
use towpath::{Beside, Cursor, Rev, Start, Status};

use super::*;
use crate::operate::{Blocked, Deed, Order};
use crate::registry::Registration;
use crate::store::Item;

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0..=Timestamp::MAX.as_millis()).prop_map(Timestamp::from_millis)
}

fn any_event_id() -> impl Strategy<Value = EventId> {
    (0_u64..1 << 47, any::<u128>()).prop_map(|(millis, random)| EventId::new(Timestamp::from_millis(millis), random))
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    let numbers = (1..=i64::MAX.unsigned_abs(), any::<Option<u64>>(), any::<u32>(), 0_usize..3);
    (numbers, any_event_id(), any_time(), any_time(), ".{0,40}").prop_map(|(numbers, event_id, since, due, message)| {
        let (seq, running, deaths, ticket) = numbers;
        Trouble {
            seq: Seq(seq),
            event_id,
            event_type: "order.placed".parse().unwrap(),
            since,
            due,
            class: "panic".into(),
            message,
            producer: "inventory@1.0.0".parse().unwrap(),
            running,
            deaths,
            ticket: [None, Some(TicketState::Sent), Some(TicketState::Missing)][ticket],
        }
    })
}

fn any_position() -> impl Strategy<Value = Position> {
    let status = prop_oneof![Just(Status::Ready), Just(Status::Retrying), Just(Status::Parked), Just(Status::Held)];
    let ids =
        (proptest::option::of(any_event_id()), proptest::option::of(any_trouble()), proptest::option::of(".{0,20}"));
    (any::<(u64, u32, u32, u32, u64)>(), status, ids).prop_map(|(numbers, status, (event_id, trouble, state))| {
        let (seq, era, generation, attempt, rev) = numbers;
        let (seq, era, rev) = (Seq(seq), Era(era), Rev(rev));
        let beside = (attempt % 3 == 0).then(|| Beside { build: attempt, seq, state: state.clone() });
        Position { cursor: Cursor { seq, event_id, era, generation, status, attempt, rev, trouble }, state, beside }
    })
}

fn any_key() -> impl Strategy<Value = CursorKey> {
    ("[a-z]{1,3}", "[a-z_]{1,3}", "[a-z.-]{1,3}", "[a-z]{1,3}(@[0-9])?").prop_map(|(tenant, kind, id, consumer)| {
        let aggregate = format!("{tenant}#{kind}#{id}").parse().unwrap();
        CursorKey { aggregate, consumer: consumer.parse().unwrap() }
    })
}

#[test]
fn a_journal_row_keeps_earlier_versions_beside_its_data_and_has_no_attribute_without_them() {
    let body = |older: &str| {
        format!(
            r#"{{"format":1,"event_id":"00000000-03e8-7200-8000-000000000000","event_type":"order.placed","event_version":2,
            "tenant_id":"acme","aggregate_type":"order","aggregate_id":"o-1","seq":1,"prior":{{}},"era":1,
            "occurred_at":"1970-01-01T00:00:01.000Z","correlation_id":"c-1","causation_id":"r-1",
            "producer":"orders-api@0.1.0","hops":0,"data":{{"b":2}}{older}}}"#
        )
    };
    for (older, has) in [("", false), (r#","older":{"1":{"a":1}}"#, true)] {
        let envelope = Envelope::parse(&body(older)).unwrap();
        let row = JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Public, to: None };
        let item: Item = to_item(OutboxItem::new(&row, 0)).unwrap();
        assert_eq!(item.contains_key("older"), has);
        let read = from_item::<OutboxItem>(item).unwrap().into_row().unwrap();
        assert_eq!(read.envelope.older.get(1).map(Data::as_str), has.then_some(r#"{"a":1}"#));
        assert_eq!(read, row);
    }
}

proptest! {
    #[test]
    fn any_cursor_is_read_as_it_was_written_and_known_by_its_signature(key in any_key(), position in any_position()) {
        let item: Item = to_item(CursorItem::new(&key, &position).unwrap()).unwrap();
        prop_assert_eq!(from_item::<Signature>(item.clone()).unwrap(), Signature::of_cursor(&position));
        let waits = position.cursor.status != Status::Ready && position.cursor.trouble.is_some();
        prop_assert_eq!(item.contains_key("due_shard"), waits, "only a row that waits is in the index of due rows");
        prop_assert_eq!(from_item::<CursorItem>(item).unwrap().into_position().unwrap(), position);
    }

    #[test]
    fn any_registration_is_read_as_it_was_written(
        handles in btree_map("[a-z]{1,5}\\.[a-z]{1,5}", proptest::option::of(any_time()), 1..6),
        generation in any::<u32>(), flags in any::<(bool, bool)>(), url in proptest::option::of("https://[a-z]{1,9}"),
    ) {
        let start = |at: Option<Timestamp>| at.map_or(Start::Beginning, Start::At);
        let handled = |(kind, at): (String, Option<Timestamp>)| {
            Handled { added: u32::from(at.is_some()) + 1, event_type: kind.parse().unwrap(), start: start(at) }
        };
        let handles = handles.into_iter().map(handled).collect();
        let home = if flags.0 { CursorHome::Progress } else { CursorHome::Views };
        let registration = Registration {
            consumer: Registered { name: "inventory".parse().unwrap(), home, handles, generation },
            replayable: flags.1,
            queue_url: url.clone(),
            wake_queue_url: None,
            dead_letter_queue_url: url,
        };
        let item: Item = to_item(RegistryItem::from(&registration)).unwrap();
        prop_assert_eq!(Registration::from(from_item::<RegistryItem>(item).unwrap()), registration);
    }

    #[test]
    fn the_auditors_place_and_any_order_are_read_as_they_were_written(
        rev in any::<u64>(), at in any_time(), sweep in proptest::option::of(".{0,20}"), who in ".{1,20}", event_id in any_event_id(), deed in 0_usize..3,
    ) {
        let state = AuditState { rev: Rev(rev), audited_until: at, sweep, swept: Some(at), metered: (rev % 2 == 0).then_some(towpath::Metered { first: towpath::Hour(1), next: towpath::Hour(rev), again: None }) };
        let item: Item = to_item(AuditItem::new(&state)).unwrap();
        prop_assert_eq!(from_item::<AuditItem>(item).unwrap().into_state().unwrap(), state);
        let blocked = Blocked { aggregate: "acme#order#o-1".parse().unwrap(), rev: Rev(rev), event_id };
        let deed = [Deed::Retry(blocked.clone()), Deed::Skip(blocked), Deed::Replay(rev)][deed].clone();
        let order = Order { at, who: who.clone(), why: who, consumer: "inventory".parse().unwrap(), deed };
        let item: Item = to_item(OrderItem::new(&order)).unwrap();
        prop_assert_eq!(from_item::<OrderItem>(item).unwrap().into_order().unwrap(), order);
    }

    #[test]
    fn any_snapshot_is_read_as_it_was_written_and_lies_in_no_entitys_place(
        key in any_key(), other in any_key(), seq in 1..=i64::MAX.unsigned_abs(), event_id in any_event_id(), state in ".{0,40}",
    ) {
        let snapshot = Snapshot { seq: Seq(seq), event_id, folds: "of these".into(), state };
        let item: Item = to_item(SnapshotItem::new(&key.aggregate, &snapshot)).unwrap();
        prop_assert_eq!(item["aggregate"].as_s().unwrap(), &snapshot_key(&key.aggregate));
        prop_assert_eq!(&item[SnapshotItem::COUNTER], &aws_sdk_dynamodb::types::AttributeValue::N(seq.to_string()));
        prop_assert!(from_item::<EntityItem>(item.clone()).is_err(), "it is no entity");
        prop_assert_eq!(from_item::<SnapshotItem>(item).unwrap().into_snapshot().unwrap(), snapshot);
        prop_assert!(snapshot_key(&key.aggregate) != other.aggregate.to_string());
        prop_assert_eq!(snapshot_key(&key.aggregate) == snapshot_key(&other.aggregate), key.aggregate == other.aggregate);
        let mine = format!("{}#", key.aggregate.tenant);
        prop_assert!(snapshot_key(&key.aggregate).starts_with(&mine));
    }

    /// Rows of `progress` lie in one table: none may overwrite one of another kind or of another tenant.
    #[test]
    fn no_two_rows_of_progress_have_the_same_key(keys in (any_key(), any_key()), seq in any::<u64>(), command in "[a-z.-]{1,3}") {
        let of = |key: &CursorKey| {
            let tenant = &key.aggregate.tenant;
            let deed = Deed::Replay(seq);
            let order = Order { at: Timestamp::default(), who: String::new(), why: String::new(), consumer: key.consumer.clone(), deed };
            [
                cursor_key(CursorHome::Progress, key),
                skip_key(key, Seq(seq)),
                order_key(tenant, &order),
                answer_key(tenant, &command.parse().unwrap()),
                audit_key(),
            ]
        };
        let (one, two) = (of(&keys.0), of(&keys.1));
        for (a, first) in one.iter().enumerate() {
            for (b, second) in two.iter().enumerate() {
                prop_assert!(a == b || first != second, "{:?}", first);
            }
            let mine = format!("{}#", keys.0.aggregate.tenant);
            prop_assert!(a == 4 || first.partition.1.starts_with(&mine), "{:?} is not within its tenant", first);
        }
        prop_assert_eq!(one[0] == two[0], keys.0 == keys.1);
    }

    #[test]
    fn skips_are_in_the_order_of_their_events_and_those_of_one_consumer_only(key in any_key(), other in any_key(), seqs in any::<(u64, u64)>()) {
        let sort = |key: &CursorKey, seq| skip_key(key, Seq(seq)).sort.1;
        prop_assert_eq!(sort(&key, seqs.0) < sort(&key, seqs.1), seqs.0 < seqs.1);
        prop_assert_eq!(sort(&key, seqs.0).starts_with(&skips_of(&other)), key.consumer == other.consumer);
    }
}
