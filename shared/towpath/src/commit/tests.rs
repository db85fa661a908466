//! What `plan` and `Commit` accept, give a place, and refuse.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Aggregate, AggregateId, Entity, Event, View};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stock {
    sku: AggregateId,
    on_hand: u64,
}

impl Aggregate for Stock {
    const TYPE: &'static str = "stock";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Stock {
    fn id(&self) -> AggregateId {
        self.sku.clone()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Reserved {
    sku: AggregateId,
    note: String,
}

impl Event for Reserved {
    type Of = Stock;
    const TYPE: &'static str = "stock.reserved";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.sku.clone()
    }
}

struct Ledger;

impl Aggregate for Ledger {
    const TYPE: &'static str = "ledger";
    const STORAGE: Storage = Storage::Events;
}

#[derive(Debug, Serialize, Deserialize)]
struct Booked {
    cents: u64,
}

impl Event for Booked {
    type Of = Ledger;
    const TYPE: &'static str = "ledger.booked";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        id("l-1")
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Line(u32);

impl View for Line {
    const NAME: &'static str = "lines";
    fn partition(&self) -> String {
        "p".into()
    }
    fn sort(&self) -> String {
        self.0.to_string()
    }
}

fn id(text: &str) -> AggregateId {
    text.parse().unwrap()
}

fn stock(on_hand: u64) -> Stock {
    Stock { sku: id("tea"), on_hand }
}

fn reserved() -> Reserved {
    Reserved { sku: id("tea"), note: String::new() }
}

fn cause() -> Cause {
    Cause {
        tenant: "acme".parse().unwrap(),
        correlation_id: "c-1".parse().unwrap(),
        causation_id: "r-1".parse().unwrap(),
        traceparent: None,
        hops: 1,
        producer: "inventory@0.1.0".parse().unwrap(),
        era: Era::FIRST,
        now: Timestamp::from_millis(5_000),
    }
}

fn tea_at(seq: u64, millis: u64) -> Reads {
    let prior = [("stock.received".parse().unwrap(), Seq(seq))].into_iter().collect();
    let occurred_at = Timestamp::from_millis(millis);
    let head = Head { seq: Seq(seq), prior, era: Era::FIRST, occurred_at };
    [("acme#stock#tea".parse().unwrap(), Read { storage: Storage::State, head: Some(head) })].into_iter().collect()
}

fn planned(tx: Tx, reads: &Reads) -> Result<Vec<Write>, TxError> {
    let mut random = 0;
    plan(tx, reads, &cause(), || {
        random += 1;
        random
    })
}

fn refusal(tx: Tx, reads: &Reads) -> String {
    planned(tx, reads).unwrap_err().to_string()
}

#[test]
fn a_replaced_entity_and_its_events_take_the_next_places() {
    let tx = Tx::new().replace(stock(3)).record(reserved()).record(reserved());
    let writes = planned(tx, &tea_at(4, 9_000)).unwrap();
    let [Write::Append(first), Write::Append(second), Write::Entity { stored, expect, .. }] = &writes[..] else {
        panic!("{writes:?}");
    };
    assert_eq!((first.envelope.seq, second.envelope.seq), (Seq(5), Seq(6)));
    assert_eq!((stored.head.seq, *expect), (Seq(6), Some(Seq(4))));
    assert_eq!(second.envelope.prior.latest_of(|kind| kind.as_str() == "stock.reserved"), Seq(5));
    assert_eq!(first.envelope.occurred_at.as_millis(), 9_000, "time never decreases within an aggregate");
    assert_eq!(first.envelope.hops, 1);
}

#[test]
fn an_event_of_an_event_sourced_aggregate_is_one_write() {
    let writes = planned(Tx::new().record(Booked { cents: 7 }), &Reads::new()).unwrap();
    assert!(matches!(&writes[..], [Write::Append(row)] if row.envelope.seq == Seq(1)), "{writes:?}");
}

#[test]
fn what_was_read_and_not_written_is_checked() {
    let writes = planned(Tx::new(), &tea_at(4, 0)).unwrap();
    assert!(matches!(&writes[..], [Write::CheckEntity { expect: Some(Seq(4)), .. }]), "{writes:?}");
    let never = Read { storage: Storage::State, head: None };
    let absent = [("acme#stock#tea".parse().unwrap(), never)].into_iter().collect();
    let writes = planned(Tx::new(), &absent).unwrap();
    assert!(matches!(&writes[..], [Write::CheckEntity { expect: None, .. }]), "{writes:?}");
}

fn ledger_at(seq: Option<u64>) -> Reads {
    let head = seq.map(|seq| Head {
        seq: Seq(seq),
        prior: Prior::default(),
        era: Era::FIRST,
        occurred_at: Timestamp::default(),
    });
    [("acme#ledger#l-1".parse().unwrap(), Read { storage: Storage::Events, head })].into_iter().collect()
}

/// No write skew with an event-sourced aggregate: its next place must still be free, taken or not.
#[test]
fn what_was_loaded_guards_the_commit_by_the_place_after_it() {
    for (seq, next) in [(None, 1), (Some(4), 5)] {
        let writes = planned(Tx::new().put(Line(1)), &ledger_at(seq)).unwrap();
        assert!(matches!(&writes[1], Write::CheckVacant { seq, .. } if *seq == Seq(next)), "{writes:?}");
        let tx = Tx::new().record(Booked { cents: 1 }).record(Booked { cents: 2 });
        let writes = planned(tx, &ledger_at(seq)).unwrap();
        let places: Vec<u64> = writes
            .iter()
            .map(|write| if let Write::Append(row) = write { row.envelope.seq.0 } else { panic!("{write:?}") })
            .collect();
        assert_eq!(places, [next, next + 1], "several events of one aggregate, and no other write");
    }
}

#[test]
fn a_tx_that_dynamodb_would_refuse_is_refused_with_a_sentence() {
    let read = tea_at(4, 0);
    let twice = Tx::new().replace(stock(1)).replace(stock(2)).record(reserved());
    assert!(refusal(twice, &read).starts_with("acme#stock#tea is written or checked twice"));
    let both = Tx::new().replace(stock(1)).check::<Stock>(id("tea")).record(reserved());
    assert!(refusal(both, &read).contains("merge them"));
    let big = Tx::new().replace(stock(1)).record(Reserved { note: "x".repeat(205_000), ..reserved() });
    assert!(refusal(big, &read).contains("at most 204800 are allowed: store the payload"));
    let many = (0..101).fold(Tx::new(), |tx, line| tx.put(Line(line)));
    let sentence = Commit::new(planned(many, &Reads::new()).unwrap()).unwrap_err().to_string();
    assert!(sentence.starts_with("the transaction has 101 actions"), "{sentence}");
    let row = |sort: u32, bytes: usize| Write::Put {
        tenant: cause().tenant,
        place: crate::Place { view: "v".into(), partition: "p".into(), sort: sort.to_string() },
        state: "x".repeat(bytes),
    };
    let heavy = Commit::new((0..12).map(|sort| row(sort, 390_000)).collect()).unwrap_err().to_string();
    assert!(heavy.contains("DynamoDB allows 4194304"), "{heavy}");
    let fat = Commit::new(vec![row(1, 410_000)]).unwrap_err().to_string();
    assert!(fat.contains("at most 409600"), "{fat}");
}

#[test]
fn a_state_change_and_its_event_exist_together_or_not_at_all() {
    assert!(refusal(Tx::new().replace(stock(1)), &tea_at(1, 0)).contains("changes without an event"));
    assert!(
        refusal(Tx::new().record(reserved()), &tea_at(1, 0)).contains("the state of acme#stock#tea is not written")
    );
    let blind = Tx::new().replace(stock(1)).record(reserved());
    assert!(refusal(blind, &Reads::new()).contains("without having been read"));
    let again = Tx::new().create(stock(1)).record(reserved());
    assert!(refusal(again, &tea_at(1, 0)).contains("it exists"));
}

#[test]
fn a_deleted_entity_keeps_its_version() {
    let tx = Tx::new().delete::<Stock>(id("tea")).record(reserved());
    let writes = planned(tx, &tea_at(4, 0)).unwrap();
    assert!(
        matches!(&writes[1], Write::Entity { stored: Stored { head, state: None, .. }, .. } if head.seq == Seq(5)),
        "{writes:?}"
    );
}

#[test]
fn a_chain_of_causes_that_loops_is_refused() {
    let far = Cause { hops: limits::HOPS + 1, ..cause() };
    let error = plan(Tx::new().record(Booked { cents: 1 }), &Reads::new(), &far, || 1).unwrap_err();
    assert_eq!(error, TxError::Loop);
}

proptest! {
    #[test]
    fn rows_of_one_commit_are_contiguous_and_prior_points_at_the_last_of_each_type(
        seq in 1_u64..1_000, count in 1_usize..20,
    ) {
        let tx = (0..count).fold(Tx::new().replace(stock(1)), |tx, _| tx.record(reserved()));
        let writes = planned(tx, &tea_at(seq, 0)).unwrap();
        let mut last = Seq(seq);
        for write in &writes {
            if let Write::Append(row) = write {
                prop_assert_eq!(row.envelope.seq, last.next());
                prop_assert_eq!(row.envelope.prior.latest_of(|_| true), last);
                last = row.envelope.seq;
            }
        }
        prop_assert_eq!(last, Seq(seq + count as u64));
    }

    #[test]
    fn time_never_decreases_within_an_aggregate_whatever_the_clock_says(head in 0_u64..9_000, now in 0_u64..9_000, count in 1_usize..5) {
        let cause = Cause { now: Timestamp::from_millis(now), ..cause() };
        let tx = (0..count).fold(Tx::new().replace(stock(1)), |tx, _| tx.record(reserved()));
        let writes = plan(tx, &tea_at(3, head), &cause, || 1).unwrap();
        let mut last = Timestamp::from_millis(head);
        for write in &writes {
            if let Write::Append(row) = write {
                prop_assert!(row.envelope.occurred_at >= last && row.envelope.occurred_at >= cause.now);
                prop_assert_eq!(row.envelope.event_id.at(), row.envelope.occurred_at, "the time index would miss it");
                last = row.envelope.occurred_at;
            }
        }
    }

    /// No write skew: each entity that was read is written under the version that was read, or checked for it.
    #[test]
    fn everything_that_was_read_is_a_condition_of_the_commit_once(versions in proptest::collection::vec(0_u64..5, 0..20), writes in any::<bool>()) {
        let mut reads = if writes { tea_at(4, 0) } else { Reads::new() };
        for (index, version) in versions.iter().enumerate() {
            let head = (*version > 0).then(|| Head {
                seq: Seq(*version), prior: Prior::default(), era: Era::FIRST, occurred_at: Timestamp::default(),
            });
            reads.insert(format!("acme#stock#s-{index}").parse().unwrap(), Read { storage: Storage::State, head });
        }
        let tx = if writes { Tx::new().replace(stock(3)).record(reserved()) } else { Tx::new() };
        let conditions: Vec<(AggregateKey, Option<Seq>)> = planned(tx, &reads).unwrap().into_iter().filter_map(|write| match write {
            Write::CheckEntity { key, expect } | Write::Entity { key, expect, .. } => Some((key, expect)),
            _ => None,
        }).collect();
        let wanted: BTreeMap<AggregateKey, Option<Seq>> =
            reads.iter().map(|(key, read)| (key.clone(), read.head.as_ref().map(|head| head.seq))).collect();
        prop_assert_eq!(conditions.len(), wanted.len());
        prop_assert_eq!(conditions.into_iter().collect::<BTreeMap<_, _>>(), wanted);
    }

    #[test]
    fn a_plan_is_refused_if_and_only_if_it_names_a_row_twice(lines in proptest::collection::vec((0_u32..12, any::<bool>()), 0..12)) {
        let tx = lines.iter().fold(Tx::new(), |tx, (line, put)| if *put { tx.put(Line(*line)) } else { tx.remove(&Line(*line)) });
        let rows: BTreeSet<u32> = lines.iter().map(|(line, _)| *line).collect();
        prop_assert_eq!(planned(tx, &Reads::new()).is_ok(), rows.len() == lines.len());
    }

    #[test]
    fn a_commit_that_is_accepted_is_within_every_limit(sizes in proptest::collection::vec(0_usize..420_000, 1..30)) {
        let writes = sizes.iter().enumerate().map(|(sort, bytes)| Write::Put {
            tenant: cause().tenant,
            place: crate::Place { view: "v".into(), partition: "p".into(), sort: sort.to_string() },
            state: "x".repeat(*bytes),
        });
        if Commit::new(writes.collect()).is_ok() {
            prop_assert!(sizes.iter().all(|bytes| *bytes < limits::ITEM_BYTES));
            prop_assert!(sizes.iter().sum::<usize>() < limits::TRANSACTION_BYTES);
        }
    }
}

/// Limits are kept by this estimate: too low, and DynamoDB refuses what was accepted; too high, and events fail for nothing.
#[test]
fn a_write_counts_for_all_its_texts_and_for_little_more() {
    let (tenant, aggregate) = (cause().tenant, crate::envelope::tests::envelope(1, &[]).aggregate());
    let key = crate::ports::CursorKey { aggregate, consumer: "inventory".parse().unwrap() };
    for bytes in [0, 1_000, 100_000] {
        let text = "x".repeat(bytes);
        let place = crate::Place { view: "v".into(), partition: "p".into(), sort: "s".into() };
        let event = crate::envelope::tests::envelope(1, &[]);
        let skipped = crate::Skipped {
            seq: Seq(1),
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            who: text.clone(),
            why: text.clone(),
            at: Timestamp::default(),
        };
        let failure = crate::Failure::retry("away", "a service is away");
        let trouble = crate::trouble::Trouble::new(&event, &failure, Timestamp::default(), &event.producer);
        let trouble = Some(crate::trouble::Trouble { message: text.clone(), ..trouble });
        let cursor = crate::Cursor { trouble, ..crate::Cursor::start(Era::FIRST, 1) };
        let position = crate::ports::Position::new(cursor, Some(text.clone()));
        let home = crate::ports::CursorHome::Views;
        let answer = crate::ports::KeptAnswer { request_hash: "h".into(), code: 200, body: text.clone() };
        let writes = [
            (1, Write::Put { tenant: tenant.clone(), place, state: text.clone() }),
            (2, Write::Skip { key: key.clone(), skipped }),
            (2, Write::Cursor { home, key: key.clone(), position, expect: None }),
            (1, Write::Answer { tenant: tenant.clone(), key: "k-1".parse().unwrap(), answer }),
        ];
        for (texts, write) in writes {
            let counted = bytes_of(&write);
            assert!(
                (texts * bytes..texts * bytes + 1_000).contains(&counted),
                "{counted} for {texts} texts of {bytes}"
            );
        }
    }
}
