//! How the relay shares messages out: nothing is lost, nothing overtakes, every request fits.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::row;
use super::*;

/// Messages of some tenants and aggregates, in any order, with bodies of any size.
fn messages() -> impl Strategy<Value = Vec<Numbered>> {
    vec((0_usize..5, 0_usize..4, 1_u64..30, 0_usize..90_000, any::<bool>()), 0..120).prop_map(|picks| {
        let message = |(index, (tenant, aggregate, seq, bytes, command))| {
            let mut message = publication(row(tenant, aggregate, seq, Visibility::Internal), 4);
            message.body = "x".repeat(bytes);
            message.topic = if command { crate::Kind::Command } else { crate::Kind::Event };
            (index, message)
        };
        picks.into_iter().enumerate().map(message).collect()
    })
}

proptest! {
    #[test]
    fn every_request_fits_and_together_they_are_all_messages_in_order(messages in messages()) {
        let mut waiting: VecDeque<Numbered> = messages.clone().into();
        let mut sent = Vec::new();
        while let Some(batch) = next_batch(&mut waiting) {
            let bytes: usize = batch.iter().map(|(_, it)| it.body.len() + limits::PUBLISH_OVERHEAD_BYTES).sum();
            prop_assert!((1..=limits::PUBLISH_ENTRIES).contains(&batch.len()));
            prop_assert!(bytes <= limits::PUBLISH_BYTES);
            prop_assert!(batch.iter().all(|(_, it)| it.topic == batch[0].1.topic));
            sent.extend(batch);
        }
        prop_assert_eq!(sent, messages);
    }

    #[test]
    fn a_group_is_one_workers_and_keeps_its_order_and_nothing_is_lost(messages in messages()) {
        let mut owners: BTreeMap<(bool, String), usize> = BTreeMap::new();
        let mut shared = Vec::new();
        for (worker, share) in share_out(messages.clone()).into_iter().enumerate() {
            let mut last: BTreeMap<(bool, String), usize> = BTreeMap::new();
            for (index, message) in &share {
                let group = (message.topic == crate::Kind::Command, message.group.clone());
                prop_assert_eq!(*owners.entry(group.clone()).or_insert(worker), worker);
                prop_assert!(last.insert(group, *index).is_none_or(|before| before < *index));
            }
            shared.extend(share.into_iter().map(|(index, _)| index));
        }
        shared.sort_unstable();
        prop_assert_eq!(shared, (0..messages.len()).collect::<Vec<_>>());
    }

    #[test]
    fn putting_rows_in_order_moves_each_only_among_the_places_of_its_aggregate(messages in messages()) {
        let mut sorted = messages.clone();
        restore_order(&mut sorted);
        let mut last: BTreeMap<AggregateKey, Seq> = BTreeMap::new();
        for ((_, before), (_, after)) in messages.iter().zip(&sorted) {
            prop_assert_eq!(&before.place.0, &after.place.0);
            prop_assert!(last.insert(after.place.0.clone(), after.place.1).is_none_or(|seq| seq <= after.place.1));
        }
        sorted.sort_by_key(|(index, _)| *index);
        prop_assert_eq!(sorted, messages);
    }

    #[test]
    fn a_group_is_its_tenants_in_a_lane_that_exists(
        tenant in "[A-Za-z0-9._-]{1,64}", id in "[A-Za-z0-9._-]{1,128}", lanes in any::<u16>(),
    ) {
        let key = AggregateKey { tenant: tenant.parse().unwrap(), kind: "order".parse().unwrap(), id: id.parse().unwrap() };
        let group = group_of(&key, lanes);
        let (owner, lane) = group.split_once('#').unwrap();
        prop_assert_eq!(owner, tenant);
        prop_assert!(lane.parse::<u16>().unwrap() < lanes.max(1));
        prop_assert!(group.len() <= limits::GROUP_ID_CHARS);
    }

    #[test]
    fn a_pause_is_at_least_its_step_and_less_than_twice_that(tried in any::<u32>(), random in any::<u128>()) {
        let step = Duration::from_millis(25 << tried.min(6));
        prop_assert!((step..2 * step).contains(&backoff(tried, random)));
    }
}
