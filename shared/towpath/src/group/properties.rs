//! Merging the writes of several events: the commit is one that DynamoDB accepts, and leaves behind what the events would
//! have left one after the other.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ports::{CursorHome, Position};
use crate::{Cursor, Era, Prior, Rev, Timestamp};

/// What one event writes: an entity or a look at one, a row of a read model, and the cursor of its aggregate.
#[derive(Debug, Clone)]
struct Step {
    entity: (u8, bool),
    place: (u8, bool),
    aggregate: u8,
    bytes: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = ((0_u8..4, any::<bool>()), (0_u8..4, any::<bool>()), 0_u8..4, 0_usize..2_000);
    let step = step.prop_map(|(entity, place, aggregate, bytes)| Step { entity, place, aggregate, bytes });
    vec(step, 1..60)
}

fn key(kind: &str, number: u8) -> AggregateKey {
    format!("acme#{kind}#x-{number}").parse().unwrap()
}

/// A store as far as conditions matter: the version of each entity and cursor, and what lies in each place.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    versions: BTreeMap<AggregateKey, (Seq, Option<String>)>,
    cursors: BTreeMap<AggregateKey, (Rev, Seq)>,
    places: BTreeMap<Place, String>,
}

impl Model {
    /// What an event's handler returns, planned on what is there.
    fn writes(&self, step: &Step, number: u64) -> Vec<Write> {
        let tenant: TenantId = "acme".parse().unwrap();
        let entity = key("stock", step.entity.0);
        let expect = self.versions.get(&entity).map(|(seq, _)| *seq);
        let seq = expect.unwrap_or(Seq::ZERO).next();
        let head = Head { seq, prior: Prior::default(), era: Era::FIRST, occurred_at: Timestamp::default() };
        let state = Some(format!("{number}{}", "x".repeat(step.bytes)));
        let first = match step.entity.1 {
            true => Write::Entity { key: entity, stored: Stored { head, state: state.clone(), saga: None }, expect },
            false => Write::CheckEntity { key: entity, expect },
        };
        let place = Place { view: "v".into(), partition: "p".into(), sort: step.place.0.to_string() };
        let second = match step.place.1 {
            true => Write::Put { tenant, place, state: number.to_string() },
            false => Write::Remove { tenant, place },
        };
        let aggregate = key("order", step.aggregate);
        let before = self.cursors.get(&aggregate).copied();
        let rev = before.map_or(Rev::ZERO, |(rev, _)| rev).next();
        let cursor = Cursor { seq: Seq(number), rev, ..Cursor::start(Era::FIRST, 1) };
        let key = CursorKey { aggregate, consumer: "inventory".parse().unwrap() };
        let position = Position::new(cursor, None);
        let third = Write::Cursor { home: CursorHome::Progress, key, position, expect: before.map(|(rev, _)| rev) };
        vec![first, second, third]
    }

    /// `false`: a condition does not hold.
    fn commit(&mut self, writes: &[Write]) -> bool {
        let holds = writes.iter().all(|write| match write {
            Write::Entity { key, expect, .. } | Write::CheckEntity { key, expect } => {
                self.versions.get(key).map(|(seq, _)| *seq) == *expect
            }
            Write::Cursor { key, expect, .. } => self.cursors.get(&key.aggregate).map(|(rev, _)| *rev) == *expect,
            _ => true,
        });
        for write in writes.iter().filter(|_| holds) {
            match write {
                Write::Entity { key, stored, .. } => {
                    self.versions.insert(key.clone(), (stored.head.seq, stored.state.clone()));
                }
                Write::Cursor { key, position, .. } => {
                    self.cursors.insert(key.aggregate.clone(), (position.cursor.rev, position.cursor.seq));
                }
                Write::Put { place, state, .. } => {
                    self.places.insert(place.clone(), state.clone());
                }
                Write::Remove { place, .. } => drop(self.places.remove(place)),
                _ => {}
            }
        }
        holds
    }
}

proptest! {
    #[test]
    fn events_in_few_commits_leave_behind_what_they_leave_one_by_one(steps in steps(), cuts in vec(any::<bool>(), 60)) {
        let (mut single, mut grouped) = (Model::default(), Model::default());
        let mut group = Group::default();
        for (number, (step, cut)) in steps.iter().zip(cuts).enumerate() {
            // Each is planned on what the ones before it will have left, as a handler on the overlay is.
            let writes = single.writes(step, number as u64 + 1);
            prop_assert!(single.commit(&writes));
            if cut || !group.has_room_for(&writes) {
                prop_assert!(grouped.commit(group.take().unwrap().writes()), "a merged condition does not hold");
            }
            group.add(writes);
        }
        prop_assert!(grouped.commit(group.take().unwrap().writes()));
        prop_assert_eq!(grouped, single);
    }

    #[test]
    fn the_overlay_shows_the_last_state_of_each_entity_also_after_a_commit(steps in steps(), cuts in vec(any::<bool>(), 60)) {
        let (mut model, mut group) = (Model::default(), Group::default());
        for (number, (step, cut)) in steps.iter().zip(cuts).enumerate() {
            let writes = model.writes(step, number as u64 + 1);
            model.commit(&writes);
            group.add(writes);
            if cut {
                let _ = group.take();
            }
        }
        for (key, (seq, state)) in &model.versions {
            let seen = group.overlay().entity(key).unwrap();
            prop_assert_eq!((&seen.head.seq, &seen.state), (seq, state));
        }
    }

    #[test]
    fn what_a_group_has_room_for_is_a_commit_that_dynamodb_accepts(sizes in vec(0_usize..390_000, 1..130)) {
        let mut group = Group::default();
        for (sort, bytes) in sizes.into_iter().enumerate() {
            let place = Place { view: "v".into(), partition: "p".into(), sort: sort.to_string() };
            let writes = vec![Write::Put { tenant: "acme".parse().unwrap(), place, state: "x".repeat(bytes) }];
            if !group.has_room_for(&writes) {
                let commit = group.take();
                prop_assert!(commit.is_ok(), "{:?}", commit.map(|_| ()));
            }
            group.add(writes);
        }
        prop_assert!(group.take().is_ok());
    }
}
