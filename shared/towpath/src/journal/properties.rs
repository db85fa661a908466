//! Walks through journals, whole ones and such that have lost rows.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cursor::tests::journal;
use crate::{Aggregate, AggregateId, Consumer, Event, Kind, Storage, Tx, Visibility};

struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    const STORAGE: Storage = Storage::Events;
}

macro_rules! event {
    ($name:ident, $event_type:literal) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct $name;

        impl Event for $name {
            type Of = Order;
            const TYPE: &'static str = $event_type;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                "o-1".parse().unwrap()
            }
        }
    };
}
event!(First, "order.t0");
event!(Second, "order.t1");

/// It handles two of the four types that a journal has.
fn of_two_types() -> Consumer {
    Consumer::new("two").on::<First>(async |_, _| Ok(Tx::new())).on::<Second>(async |_, _| Ok(Tx::new()))
}

fn rows(kinds: &[u8]) -> Vec<JournalRow> {
    let row = |envelope| JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Internal, to: None };
    journal(kinds).into_iter().map(row).collect()
}

/// Walks on from `after`: the places of the rows that are wanted, and whether the walk came to the end.
fn walk(rows: &[JournalRow], after: Seq) -> (Vec<Seq>, Result<(), Seq>) {
    let consumer = of_two_types();
    let found = RefCell::new(Vec::new());
    let mut walk = Walk::new(&consumer, after, None);
    let end = rows.iter().try_for_each(|row| match walk.step(row.clone()) {
        Ok(wanted) => {
            found.borrow_mut().extend(wanted.map(|row: Rc<Envelope>| row.seq));
            Ok(())
        }
        Err(gone) => Err(gone.seq),
    });
    (found.into_inner(), end)
}

fn wanted(row: &JournalRow) -> bool {
    of_two_types().wants(row)
}

proptest! {
    #[test]
    fn a_walk_through_a_whole_journal_finds_each_wanted_row_after_the_cursor_once(
        kinds in vec(0_u8..4, 0..30), after in 0_u64..30,
    ) {
        let rows = rows(&kinds);
        let after = Seq(after.min(kinds.len() as u64));
        let due: Vec<Seq> =
            rows.iter().filter(|row| wanted(row) && row.envelope.seq > after).map(|row| row.envelope.seq).collect();
        prop_assert_eq!(walk(&rows, after), (due, Ok(())));
    }

    /// It may go past a row that this consumer does not want, and past a lost end of the journal, which nothing shows.
    #[test]
    fn a_walk_never_passes_over_a_wanted_row_that_is_lost(kinds in vec(0_u8..4, 1..30), lost in vec(any::<bool>(), 30)) {
        let all = rows(&kinds);
        let left: Vec<JournalRow> =
            all.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(row, _)| row.clone()).collect();
        let (found, end) = walk(&left, Seq::ZERO);
        let reached = match end {
            Ok(()) => left.last().map_or(Seq::ZERO, |row| row.envelope.seq),
            Err(gone) => Seq(gone.0 - 1),
        };
        let due: Vec<Seq> = all.iter().filter(|row| wanted(row)).map(|row| row.envelope.seq).collect();
        let before: Vec<Seq> = due.iter().copied().filter(|seq| *seq <= reached).collect();
        prop_assert!(found == before || end.is_err() && before.starts_with(&found), "{:?} of {:?}", found, before);
        if let Err(gone) = end {
            prop_assert!(lost[usize::try_from(gone.0).unwrap() - 1] && due.contains(&gone));
        }
    }
}
