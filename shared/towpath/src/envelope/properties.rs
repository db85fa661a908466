//! What holds for every envelope, and for every body that is none.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::tests::envelope;
use super::*;

/// JSON of any shape that an event's data may have.
pub(crate) fn any_data() -> impl Strategy<Value = Data> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        ".{0,20}".prop_map(serde_json::Value::from),
    ];
    let tree = leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            btree_map("[a-z]{1,5}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    });
    tree.prop_map(|json| Data::parse(json.to_string()).unwrap())
}

pub(crate) fn any_envelope() -> impl Strategy<Value = Envelope> {
    let names = ("[A-Za-z0-9._-]{1,64}", "[a-z0-9_]{1,32}", "[A-Za-z0-9._-]{1,128}", "[a-z]{1,9}\\.[a-z_]{1,9}");
    let numbers = (1_u64..1_000_000, any::<u128>(), 0..=Timestamp::MAX.as_millis(), any::<u32>(), any::<u8>());
    let prior = btree_map("[a-z]{1,9}\\.[a-z_]{1,9}", any::<prop::sample::Index>(), 0..8);
    let older = btree_map(1_u32..9, any_data(), 0..3);
    (names, numbers, prior, any_data(), older, any::<bool>()).prop_map(
        |(names, numbers, prior, data, before, traced)| {
            let (seq, random, millis, version, hops) = numbers;
            let prior = prior.into_iter().map(|(kind, at)| {
                let before = at.index(usize::try_from(seq).unwrap());
                (kind.parse().unwrap(), Seq(before as u64))
            });
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let mut older = Older::default();
            before.into_iter().for_each(|(version, data)| older.insert(version, data));
            Envelope {
                event_id: EventId::new(Timestamp::from_millis(millis), random),
                tenant_id: names.0.parse().unwrap(),
                aggregate_type: names.1.parse().unwrap(),
                aggregate_id: names.2.parse().unwrap(),
                event_type: names.3.parse().unwrap(),
                event_version: version,
                prior: prior.collect(),
                occurred_at: Timestamp::from_millis(millis),
                traceparent: traced.then(|| trace.parse().unwrap()),
                hops,
                data,
                older,
                ..envelope(seq, &[])
            }
        },
    )
}

proptest! {
    #[test]
    fn any_envelope_is_read_as_it_was_written(sent in any_envelope()) {
        prop_assert_eq!(sent.check(), Ok(()));
        prop_assert_eq!(Envelope::parse(&sent.to_body()), Ok(sent));
    }

    #[test]
    fn an_envelope_is_in_order_if_and_only_if_every_prior_row_comes_before_it(
        sent in any_envelope(), seq in 0_u64..9, prior in 0_u64..9,
    ) {
        let sent = Envelope { seq: Seq(seq), prior: [("a.b".parse().unwrap(), Seq(prior))].into_iter().collect(), ..sent };
        prop_assert_eq!(Envelope::parse(&sent.to_body()).is_ok(), prior < seq);
        prop_assert_eq!(sent.check().is_ok(), prior < seq);
    }

    #[test]
    fn a_body_is_too_big_from_its_first_byte_above_the_limit_on(over in -40_i64..40) {
        let empty = Envelope { data: Data::parse("\"\"".into()).unwrap(), ..envelope(1, &[]) };
        let fits = limits::EVENT_BYTES - empty.to_body().len();
        let bytes = usize::try_from(fits as i64 + over).unwrap();
        let sent = Envelope { data: Data::parse(format!("\"{}\"", "x".repeat(bytes))).unwrap(), ..empty };
        prop_assert_eq!(Envelope::parse(&sent.to_body()).is_ok(), over <= 0);
        prop_assert_eq!(sent.check().is_ok(), over <= 0);
    }

    #[test]
    fn an_event_id_keeps_its_millisecond_and_sorts_by_it_as_text(
        one in 0_u64..1 << 47, two in 0_u64..1 << 47, random in any::<(u128, u128)>(),
    ) {
        let at = |millis| Timestamp::from_millis(millis);
        let (first, second) = (EventId::new(at(one), random.0), EventId::new(at(two), random.1));
        prop_assert_eq!(first.at(), at(one));
        prop_assert_eq!(EventId::parse(&first.to_string()).unwrap(), first);
        if at(one) != at(two) {
            prop_assert_eq!(first.to_string() < second.to_string(), at(one) < at(two));
        }
    }

    #[test]
    fn an_event_id_of_the_same_millisecond_lies_between_the_bounds_of_a_search(millis in 0_u64..1 << 47, random in any::<u128>()) {
        let at = Timestamp::from_millis(millis);
        let id = EventId::new(at, random);
        prop_assert!(EventId::new(at, 0) <= id && id <= EventId::new(at, u128::MAX));
    }

    /// A consumer that handles more types looks at later rows, never at earlier ones.
    #[test]
    fn the_latest_of_two_sets_of_types_is_the_later_of_their_latest(sent in any_envelope(), a in "[a-m]", b in "[n-z]") {
        let begins = |with: &str| {
            let last = with.as_bytes()[0];
            move |kind: &EventType| kind.as_str().as_bytes()[0] <= last
        };
        let (few, more) = (sent.prior.latest_of(begins(&a)), sent.prior.latest_of(begins(&b)));
        let rest = sent.prior.latest_of(|kind| begins(&b)(kind) && !begins(&a)(kind));
        prop_assert_eq!(more, few.max(rest));
    }
}
