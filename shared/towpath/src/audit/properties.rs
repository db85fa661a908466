//! The auditor over time: its windows leave no hole, whenever it runs; what is missing is woken, what is not is left alone.

use std::cell::{Cell, RefCell};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::commit::Commit;
use crate::ports::{Answer, DueTimer, Handled, Head, JournalRow, KeptAnswer, Stored};
use crate::{Builds, ConsumerName, Cursor, Era, IdempotencyKey, Rev, Seq, Skipped, Start, TenantId};

const BEGIN: u64 = 1_795_255_200_000;
const ROWS: usize = 8;

/// One consumer; one event of each of some aggregates, of which some are applied.
#[derive(Default)]
struct World {
    now: Cell<u64>,
    state: RefCell<AuditState>,
    windows: RefCell<Vec<(Timestamp, Timestamp)>>,
    /// By aggregate: when its event was committed, and whether it is applied.
    events: Vec<(u64, bool)>,
    woken: RefCell<BTreeSet<usize>>,
}

fn number_of(key: &AggregateKey) -> usize {
    key.id.as_str()[2..].parse().unwrap()
}

impl World {
    fn row(&self, number: usize) -> IndexRow {
        IndexRow {
            aggregate: format!("acme#order#o-{number}").parse().unwrap(),
            seq: Seq(1),
            event_id: EventId::new(Timestamp::from_millis(self.events[number].0), number as u128),
            event_type: "order.placed".parse().unwrap(),
            weight: None,
        }
    }

    fn tick(&self) -> AuditReport {
        let ports = AuditPorts { ledger: self, store: self, wakes: self, host: self, meters: None };
        tick(ports, AuditOptions::default()).now_or_never().unwrap().unwrap()
    }
}

impl Ledger for World {
    fn consumers(&self) -> Answer<'_, Vec<Registered>> {
        let handles = vec![Handled { event_type: "order.placed".parse().unwrap(), start: Start::Beginning, added: 1 }];
        let name = "inventory".parse().unwrap();
        ready(Ok(vec![Registered { name, home: CursorHome::Progress, handles, generation: 1 }])).boxed_local()
    }

    fn committed<'a>(
        &'a self,
        since: Timestamp,
        until: Timestamp,
        _: Option<&'a str>,
    ) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        self.windows.borrow_mut().push((since, until));
        let within = |number: &usize| (since..=until).contains(&Timestamp::from_millis(self.events[*number].0));
        let rows = (0..self.events.len()).filter(within).map(|number| self.row(number)).collect();
        ready(Ok((rows, None))).boxed_local()
    }

    fn sweep<'a>(&'a self, _: Option<&'a str>) -> Answer<'a, (Vec<IndexRow>, Option<String>)> {
        ready(Ok((Vec::new(), None))).boxed_local()
    }

    fn due(&self, _: CursorHome, _: Timestamp, _: usize) -> Answer<'_, Vec<CursorKey>> {
        ready(Ok(Vec::new())).boxed_local()
    }

    fn timers(&self, _: Timestamp, _: usize) -> Answer<'_, Vec<DueTimer>> {
        ready(Ok(Vec::new())).boxed_local()
    }

    fn all_holds(&self) -> Answer<'_, AllHolds> {
        ready(Ok(AllHolds::new())).boxed_local()
    }

    fn keep_holds<'a>(&'a self, _: &'a ConsumerName, _: &'a crate::Holds, _: Rev) -> Answer<'a, (), CommitError> {
        unreachable!("nothing is held")
    }

    fn held<'a>(&'a self, _: CursorHome, _: &'a ConsumerName, _: &'a TenantId, _: usize) -> Answer<'a, Vec<CursorKey>> {
        unreachable!("nothing is held")
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        ready(Ok(self.state.borrow().clone())).boxed_local()
    }

    fn keep_audit_state<'a>(&'a self, state: &'a AuditState, _: Rev) -> Answer<'a, (), CommitError> {
        *self.state.borrow_mut() = state.clone();
        ready(Ok(())).boxed_local()
    }
}

impl Store for World {
    fn positions<'a>(
        &'a self,
        _: CursorHome,
        keys: &'a [CursorKey],
        _: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>> {
        let cursor = Cursor { seq: Seq(1), ..Cursor::start(Era::FIRST, 1) };
        let at =
            |key: &CursorKey| self.events[number_of(&key.aggregate)].1.then(|| Position::new(cursor.clone(), None));
        ready(Ok(keys.iter().map(at).collect())).boxed_local()
    }

    fn entity<'a>(&'a self, _: &'a AggregateKey) -> Answer<'a, Option<Stored>> {
        unreachable!("the auditor reads no entity")
    }
    fn head<'a>(&'a self, _: &'a AggregateKey) -> Answer<'a, Option<Head>> {
        unreachable!("the auditor reads no head")
    }
    fn journal<'a>(&'a self, _: &'a AggregateKey, _: Seq, _: Seq, _: usize) -> Answer<'a, Vec<JournalRow>> {
        unreachable!("the auditor reads no journal")
    }
    fn skipped<'a>(&'a self, _: &'a CursorKey) -> Answer<'a, Vec<Skipped>> {
        unreachable!("the auditor reads no skips")
    }
    fn builds<'a>(&'a self, _: &'a ConsumerName, _: Consistency) -> Answer<'a, Builds> {
        unreachable!("the auditor reads no builds")
    }
    fn holds<'a>(&'a self, _: &'a ConsumerName, _: Consistency) -> Answer<'a, crate::Holds> {
        unreachable!("the auditor reads all holds at once")
    }
    fn view<'a>(&'a self, _: &'a TenantId, _: &'a str, _: &'a str) -> Answer<'a, Vec<String>> {
        unreachable!("the auditor reads no view")
    }
    fn kept_answer<'a>(&'a self, _: &'a TenantId, _: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>> {
        unreachable!("the auditor reads no answer")
    }
    fn commit<'a>(&'a self, _: &'a Commit) -> Answer<'a, (), CommitError> {
        unreachable!("the auditor commits nothing")
    }
}

impl Wakes for World {
    fn wake<'a>(&'a self, _: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()> {
        self.woken.borrow_mut().insert(number_of(&wake.aggregate));
        ready(Ok(())).boxed_local()
    }

    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Answer<'a, u64> {
        ready(Ok(0)).boxed_local()
    }
}

impl Host for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }
    fn random(&self) -> u128 {
        7
    }
    fn remaining(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

/// Waits between ticks, in seconds: mostly a minute, sometimes an outage of hours.
fn waits() -> impl Strategy<Value = Vec<u64>> {
    vec(prop_oneof![4 => 30_u64..120, 1 => 120_u64..40_000], 1..40)
}

proptest! {
    #[test]
    fn each_window_begins_before_the_last_one_ended_and_ends_before_the_grace(waits in waits()) {
        let world = World { now: Cell::new(BEGIN), ..World::default() };
        let options = AuditOptions::default();
        let mut covered: Option<Timestamp> = None;
        for wait in waits {
            world.now.set(world.now.get() + wait * 1_000);
            world.tick();
            for (since, until) in world.windows.take() {
                prop_assert!(until <= world.now().minus(options.grace));
                prop_assert!(covered.is_none_or(|end| since <= end.minus(options.overlap)), "a hole before {}", since);
                prop_assert!(covered.is_none_or(|end| until >= end), "the window went back");
                prop_assert!(until.millis_since(since) <= 1_000 * (options.window + options.overlap).as_secs());
                covered = Some(until);
            }
        }
    }

    #[test]
    fn a_missing_event_is_found_however_irregular_the_ticks_and_an_applied_one_is_left_alone(
        events in vec((0_u64..20_000, any::<bool>()), 1..ROWS), waits in waits(),
    ) {
        let events: Vec<(u64, bool)> = events.iter().map(|(at, applied)| (BEGIN + at * 1_000, *applied)).collect();
        let world = World { now: Cell::new(BEGIN), events, ..World::default() };
        world.tick();
        let (mut unaccounted, began) = (0, world.state.borrow().audited_until);
        for wait in waits.into_iter().chain([60; 30]) {
            world.now.set(world.now.get() + wait * 1_000);
            world.windows.take();
            let report = world.tick();
            let windows = world.windows.take();
            prop_assert_eq!(report.pages, windows.len() as u64 + 1, "each window and the sweep were one page");
            let found = &report.consumers[&"inventory".parse::<ConsumerName>().unwrap()];
            prop_assert!(found.woken == found.unaccounted && found.compared >= found.unaccounted);
            unaccounted += found.unaccounted;
        }
        let woken = world.woken.borrow();
        let reached = world.state.borrow().audited_until;
        prop_assert!(began >= Timestamp::from_millis(BEGIN - 3_600_000) && reached > began, "the auditor gets on");
        prop_assert!(unaccounted >= woken.len() as u64, "what is woken is counted");
        for (number, (at, applied)) in world.events.iter().enumerate() {
            let due = !applied && Timestamp::from_millis(*at) <= reached;
            prop_assert_eq!(woken.contains(&number), due, "event {} at {}", number, Timestamp::from_millis(*at));
        }
    }
}
