//! A state does not depend on snapshots, pages or the code that made a snapshot; and no state is made of half the events.

use std::cell::{Cell, RefCell};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::commit::Commit;
use crate::envelope::tests::envelope;
use crate::ports::{
    Answer, CommitError, Consistency, CursorHome, CursorKey, KeptAnswer, Position, Stored, Unavailable,
};
use crate::{AggregateId, Data, IdempotencyKey, OrReject, Skipped, TenantId, Visibility};

/// What was counted on a meter, and how often it was read. The order of events matters to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meter {
    total: u64,
    mixed: u64,
}

impl Aggregate for Meter {
    const TYPE: &'static str = "meter";
    const STORAGE: Storage = Storage::Events;
}

impl EventSourced for Meter {
    const SHAPE: u32 = 1;
    const SNAPSHOT_EVERY: u64 = 7;
    fn folds() -> Folds<Self> {
        Folds::new().fold(count).fold(reset)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Counted(u64);

#[derive(Debug, Serialize, Deserialize)]
struct Reset;

impl Event for Counted {
    type Of = Meter;
    const TYPE: &'static str = "meter.counted";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        "m-1".parse().unwrap()
    }
}

impl Event for Reset {
    type Of = Meter;
    const TYPE: &'static str = "meter.reset";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        "m-1".parse().unwrap()
    }
}

fn count(state: Option<Meter>, counted: &Received<Counted>) -> Result<Meter, Failure> {
    let meter = state.unwrap_or(Meter { total: 0, mixed: 0 });
    Ok(Meter { total: meter.total + counted.0, mixed: meter.mixed.wrapping_mul(31) + counted.0 })
}

fn reset(state: Option<Meter>, _: &Received<Reset>) -> Result<Meter, Failure> {
    let meter = state.or_reject("a meter counts before it is reset")?;
    Ok(Meter { total: 0, mixed: meter.mixed.wrapping_mul(31) })
}

/// A journal that gives pages of any size, and a snapshot.
#[derive(Default)]
struct Shelf {
    rows: Vec<JournalRow>,
    page: usize,
    snapshot: RefCell<Option<Snapshot>>,
    read: Cell<usize>,
    forgets: bool,
}

impl Store for Shelf {
    fn journal<'a>(
        &'a self,
        _: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>> {
        let within = |row: &&JournalRow| row.envelope.seq > after && row.envelope.seq <= through;
        let page: Vec<JournalRow> = self.rows.iter().filter(within).take(limit.min(self.page)).cloned().collect();
        self.read.set(self.read.get() + page.len());
        ready(Ok(page))
    }
    fn holds<'a>(&'a self, _: &'a crate::ConsumerName, _: Consistency) -> Answer<'a, crate::Holds> {
        unreachable!("a fold asks for no holds")
    }
    fn builds<'a>(&'a self, _: &'a crate::ConsumerName, _: Consistency) -> Answer<'a, crate::Builds> {
        unreachable!("a fold has no builds")
    }
    fn snapshot<'a>(&'a self, _: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        ready(Ok(self.snapshot.borrow().clone()))
    }
    fn keep_snapshot<'a>(&'a self, _: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        self.snapshot.replace(Some(snapshot.clone()));
        std::future::ready(()).boxed_local()
    }
    fn forgets(&self) -> bool {
        self.forgets
    }
    fn positions<'a>(&'a self, _: CursorHome, _: &'a [CursorKey], _: Consistency) -> Answer<'a, Vec<Option<Position>>> {
        unreachable!("a load reads no cursor")
    }
    fn entity<'a>(&'a self, _: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        unreachable!("a load reads no entity")
    }
    fn head<'a>(&'a self, _: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        unreachable!("a load knows the head from the last row")
    }
    fn skipped<'a>(&'a self, _: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        unreachable!("a load reads no skips")
    }
    fn view<'a>(&'a self, _: &'a TenantId, _: &'a str, _: &'a str) -> Answer<'a, Vec<String>> {
        unreachable!("a load reads no view")
    }
    fn kept_answer<'a>(&'a self, _: &'a TenantId, _: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        unreachable!("a load reads no answer")
    }
    fn commit<'a>(&'a self, _: &'a Commit) -> Answer<'a, (), CommitError> {
        unreachable!("a load commits nothing")
    }
}

fn ready<'a, T: 'a>(answer: Result<T, Unavailable>) -> Answer<'a, T> {
    std::future::ready(answer).boxed_local()
}

fn key() -> AggregateKey {
    "acme#meter#m-1".parse().unwrap()
}

/// A row of a type, with data; a command if it has no data.
fn row(seq: u64, event_type: &str, data: Option<&str>) -> JournalRow {
    let (key, kind) = (key(), if data.is_some() { Kind::Event } else { Kind::Command });
    let envelope = Envelope {
        event_type: event_type.parse().unwrap(),
        aggregate_type: key.kind,
        aggregate_id: key.id,
        occurred_at: Timestamp::from_millis(1_000 * (seq / 2)), // two rows share a time
        data: Data::parse(data.unwrap_or("{}").to_owned()).unwrap(),
        ..envelope(seq, &[])
    };
    JournalRow { envelope, kind, visibility: Visibility::Internal, to: None }
}

/// Rows that count, with resets and commands among them.
fn rows(numbers: &[u64]) -> Vec<JournalRow> {
    let one = |(index, number): (usize, &u64)| match number {
        0 if index > 0 => row(index as u64 + 1, Reset::TYPE, Some("null")),
        1 => row(index as u64 + 1, "meter.inspect", None),
        number => row(index as u64 + 1, Counted::TYPE, Some(&number.to_string())),
    };
    numbers.iter().enumerate().map(one).collect()
}

fn shelf(rows: Vec<JournalRow>, page: usize) -> Shelf {
    Shelf { rows, page, ..Shelf::default() }
}

fn now(shelf: &Shelf) -> Result<Option<(Meter, Seq)>, Failure> {
    state_at(shelf, &key(), None).now_or_never().unwrap()
}

fn at(shelf: &Shelf, time: Timestamp) -> Result<Option<(Meter, Seq)>, Failure> {
    state_at(shelf, &key(), Some(time)).now_or_never().unwrap()
}

/// The state after the first rows, one by one.
fn by_hand(rows: &[JournalRow]) -> Option<Meter> {
    rows.iter().filter(|row| row.kind == Kind::Event).fold(None, |state, row| {
        let number: u64 = row.envelope.data.as_str().parse().unwrap_or(0);
        let before = state.unwrap_or(Meter { total: 0, mixed: 0 });
        let total = if row.envelope.event_type.as_str() == Reset::TYPE { 0 } else { before.total + number };
        Some(Meter { total, mixed: before.mixed.wrapping_mul(31) + number })
    })
}

fn snapshot_at(rows: &[JournalRow], seq: usize) -> Snapshot {
    Snapshot {
        seq: Seq(seq as u64),
        event_id: rows[seq - 1].envelope.event_id,
        folds: Meter::folds().fingerprint(),
        state: serde_json::to_string(&by_hand(&rows[..seq])).unwrap(),
    }
}

/// At least one event among the first seven rows, so that there is a state.
fn numbers() -> impl Strategy<Value = Vec<u64>> {
    vec(0_u64..9, 1..120).prop_map(|mut numbers| {
        numbers[0] = numbers[0].max(2);
        numbers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Also P8 for states: with a snapshot of any place the state is what it is from the beginning, and so is the version.
    #[test]
    fn the_state_is_the_same_with_any_snapshot_or_none(
        numbers in numbers(), place in any::<prop::sample::Index>(),
    ) {
        let rows = rows(&numbers);
        let wanted = by_hand(&rows).map(|state| (state, Seq(rows.len() as u64)));
        let whole = shelf(rows.clone(), 100);
        prop_assert_eq!(&now(&whole).unwrap(), &wanted);
        let cut = shelf(rows.clone(), 100);
        cut.snapshot.replace(Some(snapshot_at(&rows, place.index(rows.len()) + 1)));
        let behind = rows.len() - place.index(rows.len());
        prop_assert_eq!(&now(&cut).unwrap(), &wanted);
        prop_assert!(cut.read.get() <= behind.max(1), "{} rows were read, {} lie behind the snapshot", cut.read.get(), behind);
    }

    #[test]
    fn the_past_is_the_state_after_the_last_row_up_to_then(
        numbers in numbers(), seconds in 0_u64..70, place in any::<prop::sample::Index>(), kept in any::<bool>(),
    ) {
        let (rows, time) = (rows(&numbers), Timestamp::from_millis(seconds * 1_000));
        let then: Vec<JournalRow> = rows.iter().filter(|row| row.envelope.occurred_at <= time).cloned().collect();
        let wanted = by_hand(&then).map(|state| (state, Seq(then.len() as u64)));
        let shelf = shelf(rows.clone(), 100);
        shelf.snapshot.replace(kept.then(|| snapshot_at(&rows, place.index(rows.len()) + 1)));
        let before = shelf.snapshot.borrow().clone();
        prop_assert_eq!(at(&shelf, time).unwrap(), wanted);
        prop_assert_eq!(shelf.snapshot.take(), before, "a look at the past keeps nothing");
    }

    /// What was kept by one load is of use to the next one, at any length.
    #[test]
    fn a_load_reads_little_more_than_lies_behind_the_last_snapshot(numbers in vec(2_u64..9, 1..300)) {
        let rows = rows(&numbers);
        let mut shelf = shelf(Vec::new(), 100);
        for row in rows {
            shelf.rows.push(row);
            shelf.read.set(0);
            now(&shelf).unwrap();
            prop_assert!(shelf.read.get() as u64 <= Meter::SNAPSHOT_EVERY + 1, "{} of {}", shelf.read.get(), shelf.rows.len());
        }
        prop_assert_eq!(now(&shelf).unwrap().map(|(state, _)| state), by_hand(&shelf.rows));
    }
}

#[test]
fn a_snapshot_of_other_folds_of_another_history_or_beyond_the_journal_is_not_believed() {
    let rows = rows(&[5; 20]);
    let wanted = now(&shelf(rows.clone(), 100)).unwrap();
    let good = Snapshot { state: r#"{"total":999,"mixed":0}"#.into(), ..snapshot_at(&rows, 10) };
    let other = EventId::new(Timestamp::from_millis(7), 7);
    for wrong in [
        Snapshot { folds: "of other code".into(), ..good.clone() },
        Snapshot { event_id: other, ..good.clone() },
        Snapshot { seq: Seq(21), ..good.clone() },
        Snapshot { seq: Seq::ZERO, ..good.clone() },
        Snapshot { state: r#"{"watts":3}"#.into(), ..good.clone() },
    ] {
        let shelf = shelf(rows.clone(), 100);
        shelf.snapshot.replace(Some(wrong.clone()));
        assert_eq!(now(&shelf).unwrap(), wanted, "{wrong:?}");
        let kept = shelf.snapshot.take().unwrap();
        assert_eq!(kept, snapshot_at(&rows, 20), "it is replaced by one that can be");
    }
    let shelf = shelf(rows, 100);
    shelf.snapshot.replace(Some(good));
    assert_eq!(now(&shelf).unwrap().unwrap().0.total, 999 + 10 * 5, "this test can fail");
}

#[test]
fn no_state_is_made_of_half_the_events() {
    let mut rows = rows(&[5; 6]);
    rows[3] = row(4, "meter.moved", Some("{}"));
    let failure = now(&shelf(rows.clone(), 100)).unwrap_err();
    assert_eq!(failure.reason().class, "unknown event type");
    assert!(matches!(failure, Failure::Retry(_)), "the code that knows it may be on its way: {failure}");
    rows[3] = row(4, Counted::TYPE, Some("5"));
    rows[3].envelope.event_version = 2;
    let failure = now(&shelf(rows.clone(), 100)).unwrap_err();
    assert_eq!(failure.reason().class, "unknown event version");
    rows[3].envelope.older.insert(1, Data::parse("6".into()).unwrap());
    assert_eq!(now(&shelf(rows.clone(), 100)).unwrap().unwrap().0.total, 31, "it brings the older version along");
    rows.remove(2);
    let failure = now(&shelf(rows, 100)).unwrap_err();
    assert!(matches!(&failure, Failure::Reject(why) if why.class == "journal trimmed"), "{failure}");
    let forgets = Shelf { forgets: true, ..shelf(Vec::new(), 100) };
    assert_eq!(now(&forgets).unwrap_err().reason().class, "journal forgets");
}

/// A query of DynamoDB ends at 1 MB, too, so a page of big rows says nothing about the end.
#[test]
fn a_page_that_was_cut_for_its_size_is_not_taken_for_the_last() {
    let big = |seq| {
        let mut row = row(seq, Counted::TYPE, Some("5"));
        row.envelope.older.insert(9, Data::parse(format!("\"{}\"", "x".repeat(190_000))).unwrap());
        row
    };
    let shelf = shelf((1..=20).map(big).collect(), 5);
    assert_eq!(now(&shelf).unwrap().map(|(state, seq)| (state.total, seq)), Some((100, Seq(20))));
}

#[test]
fn an_aggregate_that_never_was_has_no_state() {
    assert_eq!(now(&shelf(Vec::new(), 100)), Ok(None));
    assert_eq!(
        at(&shelf(rows(&[5, 5]), 100), Timestamp::default()).map(|found| found.map(|(_, seq)| seq)),
        Ok(Some(Seq(1)))
    );
}
