//! Several processes with clocks of their own share one bucket: what comes in is bounded, and nobody is locked out.

use std::cell::Cell;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ports::Unavailable;

const BEGIN: u64 = 1_795_255_200_000;
const SKEW: u64 = 300_000;

/// One row, its store's clock in whole seconds, and what goes wrong with the next call.
#[derive(Default)]
struct Table {
    row: RefCell<Option<Bucket>>,
    /// True time.
    now: Cell<u64>,
    reads: Cell<u64>,
    writes: Cell<u64>,
    /// The next write is carried out, or not, and its answer is lost.
    lose: Cell<Option<bool>>,
    is_away: Cell<bool>,
}

fn away<T: 'static, E: From<Unavailable> + 'static>() -> Answer<'static, T, E> {
    ready(Err(Unavailable { call: "a call", why: "away".to_owned() }.into())).boxed_local()
}

impl Buckets for Table {
    fn bucket<'a>(&'a self, _: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)> {
        self.reads.set(self.reads.get() + 1);
        if self.is_away.get() {
            return away();
        }
        let at = Timestamp::from_millis((BEGIN + self.now.get()) / 1_000 * 1_000);
        ready(Ok((*self.row.borrow(), at))).boxed_local()
    }

    fn keep_bucket<'a>(&'a self, _: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError> {
        let lost = self.lose.take();
        if lost == Some(false) {
            return away();
        }
        if self.row.borrow().map_or(Rev::ZERO, |row| row.rev) != expect {
            return ready(Err(CommitError::Refused(vec![0]))).boxed_local();
        }
        self.writes.set(self.writes.get() + 1);
        self.row.replace(Some(*bucket));
        if lost.is_some() { away() } else { ready(Ok(())).boxed_local() }
    }
}

/// A process: its leases, and how wrong its clock is.
struct Process<'a> {
    table: &'a Table,
    leases: Leases,
    skew: Cell<u64>,
}

impl Host for Process<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + self.table.now.get() + self.skew.get() - SKEW)
    }
    fn random(&self) -> u128 {
        7
    }
    fn remaining(&self) -> Duration {
        Duration::from_secs(30)
    }
    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

impl Process<'_> {
    fn admit(&self, every: Limit) -> Result<bool, Throttled> {
        let limiter = Limiter { buckets: self.table, leases: &self.leases, every };
        limiter.admit(&"acme".parse().unwrap(), self).now_or_never().unwrap()
    }
}

fn limit(rate: &str, burst: u32) -> Limit {
    Limit { rate: rate.parse().unwrap(), burst }
}

fn process(table: &Table, skew: u64) -> Process<'_> {
    Process { table, leases: Leases::default(), skew: Cell::new(skew) }
}

/// Most that may come in within `millis`, without the leases that are out at its beginning.
fn most(limit: Limit, millis: u64) -> u64 {
    // The store's clock has whole seconds.
    let rate: f64 = limit.rate.to_string().parse().unwrap();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let came = (rate * (millis + 1_000) as f64 / 1_000.0).ceil() as u64;
    u64::from(limit.burst) + came
}

#[test]
fn a_busy_tenant_costs_one_write_for_a_tenth_of_its_burst() {
    let table = Table::default();
    let (one, every) = (process(&table, SKEW), limit("100", 500));
    for number in 0..5_000 {
        table.now.set(number * 10);
        assert_eq!(one.admit(every), Ok(true));
    }
    assert_eq!((table.reads.get(), table.writes.get()), (100, 100), "5,000 commands in leases of 50");
}

#[test]
fn a_bucket_that_cannot_be_reached_lets_everybody_in_and_charges_nobody() {
    let table = Table::default();
    let (one, every) = (process(&table, SKEW), limit("1", 1));
    table.is_away.set(true);
    assert_eq!([(); 9].map(|()| one.admit(every)), [Ok(false); 9]);
    table.is_away.set(false);
    assert_eq!(one.admit(every), Ok(true));
    assert!(one.admit(every).is_err());
    table.now.set(1_000);
    table.lose.set(Some(true));
    assert_eq!(one.admit(every), Ok(false), "nobody knows whether it was written");
}

#[test]
fn throttling_is_told_by_one_process_and_an_empty_bucket_is_read_once_a_second() {
    let table = Table::default();
    let (processes, every) = ([0, SKEW, 2 * SKEW].map(|skew| process(&table, skew)), limit("0.01", 1));
    assert_eq!(processes[0].admit(every), Ok(true));
    let mut told = 0;
    for second in 0..90 {
        for at in [100, 900] {
            table.now.set(second * 1_000 + at);
            told += processes.iter().filter_map(|of| of.admit(every).err()).filter(|of| of.tell).count();
        }
    }
    assert_eq!(told, 2, "in 90 s");
    assert!(table.reads.get() <= 3 * 91, "{} reads for 540 commands", table.reads.get());
}

#[test]
fn a_tenants_own_limit_holds_from_the_next_lease_on() {
    let table = Table::default();
    let (one, every) = (process(&table, SKEW), limit("1", 1));
    assert_eq!(one.admit(every), Ok(true));
    assert_eq!(one.admit(every).map_err(|of| of.wait.as_secs()), Err(1));
    let raised = table.row.borrow().unwrap().limited(Some(limit("1000", 100)));
    table.row.replace(Some(raised));
    table.now.set(1_500);
    assert_eq!([(); 100].map(|()| one.admit(every)), [Ok(true); 100]);
    assert!(one.admit(every).is_err());
}

#[test]
fn a_process_forgets_tenants_that_do_not_come_any_more() {
    let leases = Leases::default();
    for number in 0..5_000_u64 {
        let held = Held { left: 1, since: Timestamp::from_millis(BEGIN + number * 1_000), wait: Duration::ZERO };
        leases.keep(&format!("t-{number}").parse().unwrap(), held);
    }
    assert!(leases.0.borrow().len() <= REMEMBERED);
}

/// What happens next: a process asks some time later; now and then a call breaks, a clock jumps or a process is replaced.
fn steps() -> impl Strategy<Value = Vec<(usize, u64, u8, u64)>> {
    let wait = prop_oneof![8 => 0_u64..200, 2 => 0_u64..5_000, 1 => 0_u64..90_000];
    vec((0..4_usize, wait, 0..40_u8, 0..2 * SKEW), 1..200)
}

proptest! {
    /// P11, whatever the clocks of the processes say.
    #[test]
    fn what_comes_in_is_bounded_by_the_limit_and_a_chunk_for_each_process(
        rate in 1_u32..20, burst in 1_u32..60, skews in [0..2 * SKEW, 0..2 * SKEW, 0..2 * SKEW, 0..2 * SKEW], steps in steps(),
    ) {
        let every = limit(&rate.to_string(), burst);
        let table = Table::default();
        let mut processes = skews.map(|skew| process(&table, skew));
        let (mut came, mut born, mut time) = (Vec::new(), processes.len() as u64, 0);
        for (at, wait, mishap, skew) in steps {
            time += wait;
            table.now.set(time);
            match mishap {
                0 => table.lose.set(Some(true)),
                1 => table.lose.set(Some(false)),
                2 => processes[at].skew.set(skew),
                3 => (processes[at], born) = (process(&table, skew), born + 1),
                _ => {}
            }
            if processes[at].admit(every) == Ok(true) {
                came.push(time);
            }
            table.lose.set(None);
        }
        for (first, from) in came.iter().enumerate() {
            for (last, until) in came.iter().enumerate().skip(first) {
                let leased = born * u64::from(every.chunk());
                prop_assert!((last - first + 1) as u64 <= most(every, until - from) + leased, "{} in {} ms", last - first + 1, until - from);
            }
        }
    }

    /// Nor can leases pile up: with clocks that are wrong but do not jump, a lease's life is the bound, however many processes.
    #[test]
    fn however_many_processes_there_are_a_leases_life_bounds_what_comes_in(
        rate in 1_u32..20, burst in 1_u32..60, waits in vec((0_u64..3_000, 0..2 * SKEW, 0..40_usize), 1..200),
    ) {
        let every = limit(&rate.to_string(), burst);
        let table = Table::default();
        let processes: Vec<Process<'_>> = (0..40).map(|number| process(&table, waits[number % waits.len()].1)).collect();
        let (mut came, mut time) = (Vec::new(), 0);
        for (wait, _, at) in waits {
            time += wait;
            table.now.set(time);
            if processes[at].admit(every) == Ok(true) {
                came.push(time);
            }
        }
        let life = u64::try_from(LEASE.as_millis()).unwrap();
        for (first, from) in came.iter().enumerate() {
            for (last, until) in came.iter().enumerate().skip(first) {
                prop_assert!((last - first + 1) as u64 <= most(every, until - from + life));
            }
        }
    }

    /// Whoever waits as long as it was told comes in, whatever the clocks say, if nobody else asks.
    #[test]
    fn nobody_is_locked_out_by_a_clock(rate in 1_u32..5, burst in 1_u32..30, skews in vec(0..2 * SKEW, 2..6), asks in 1_usize..200) {
        let every = limit(&rate.to_string(), burst);
        let table = Table::default();
        let processes: Vec<Process<'_>> = skews.iter().map(|skew| process(&table, *skew)).collect();
        for number in 0..asks {
            if let Err(throttled) = processes[number % processes.len()].admit(every) {
                table.now.set(table.now.get() + u64::try_from(throttled.wait.as_millis()).unwrap());
                prop_assert_eq!(processes[number % processes.len()].admit(every), Ok(true));
            }
        }
    }
}
