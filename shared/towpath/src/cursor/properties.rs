//! The cursor rule for rows that are not plain: blocked aggregates, other histories, consumers that handle more.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{at, journal};
use super::*;

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Ready), Just(Status::Retrying), Just(Status::Parked), Just(Status::Held)]
}

fn handles(handled: &[bool]) -> impl Fn(&EventType) -> bool + Copy {
    |kind| handled.iter().enumerate().any(|(t, yes)| *yes && kind.as_str() == format!("order.t{t}"))
}

/// A journal, one of its rows, and how far a cursor is.
fn story() -> impl Strategy<Value = (Vec<Envelope>, usize, u64)> {
    vec(0_u8..4, 1..30).prop_flat_map(|kinds| {
        let rows = journal(&kinds);
        (0..kinds.len(), 0..=kinds.len() as u64).prop_map(move |(row, cursor)| (rows.clone(), row, cursor))
    })
}

proptest! {
    #[test]
    fn a_blocked_aggregate_runs_nothing_whatever_comes(
        (rows, row, cursor) in story(), status in status(), handled in vec(any::<bool>(), 4),
    ) {
        let decision = decide(Some(&at(cursor, status)), &rows[row], handles(&handled));
        let runs = matches!(decision, Decision::Run | Decision::Gap { .. });
        prop_assert!(!runs || status == Status::Ready, "{:?}", decision);
    }

    #[test]
    fn a_row_of_another_era_is_foreign_whatever_its_place((rows, row, cursor) in story(), status in status(), era in 2_u32..9) {
        let newer = Cursor { era: Era(era), ..at(cursor, status) };
        prop_assert_eq!(decide(Some(&newer), &rows[row], |_| true), Decision::Foreign(Foreign::OlderEra));
        let later = Envelope { era: Era(era), ..rows[row].clone() };
        prop_assert_eq!(decide(Some(&at(cursor, status)), &later, |_| true), Decision::Foreign(Foreign::NewerEra));
    }

    #[test]
    fn a_gap_ends_at_a_handled_row_that_was_not_applied((rows, row, cursor) in story(), handled in vec(any::<bool>(), 4)) {
        let before = (cursor > 0).then(|| at(cursor, Status::Ready));
        if let Decision::Gap { through } = decide(before.as_ref(), &rows[row], handles(&handled)) {
            let last = rows.iter().find(|row| row.seq == through).unwrap();
            prop_assert!(Seq(cursor) < through && through < rows[row].seq && handles(&handled)(&last.event_type));
            let skipped = rows.iter().filter(|it| it.seq > through && it.seq < rows[row].seq);
            prop_assert!(skipped.into_iter().all(|it| !handles(&handled)(&it.event_type)), "a later one is missing too");
        }
    }

    #[test]
    fn who_handles_more_types_sees_no_fewer_gaps((rows, row, cursor) in story(), some in vec(any::<bool>(), 4), more in vec(any::<bool>(), 4)) {
        let all: Vec<bool> = some.iter().zip(&more).map(|(a, b)| *a || *b).collect();
        let decide = |handled: &[bool]| decide(Some(&at(cursor, Status::Ready)), &rows[row], handles(handled));
        if matches!(decide(&some), Decision::Gap { .. }) {
            let gap = matches!(decide(&all), Decision::Gap { .. });
            prop_assert!(gap);
        }
        prop_assert_eq!(decide(&some) == Decision::Duplicate, decide(&all) == Decision::Duplicate);
    }
}
