//! Limits of tenants among faults (P11): 100 seeds, and the known bugs that they find.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test says what it does, and stops at what cannot be")]

use futures_util::FutureExt;
use sim::limited::plan;
use towpath::command::{CommandError, CommandPorts, Reply, Request, Verdict, execute};
use towpath::limiter::{Leases, Limiter};
use towpath::{Era, Limit, Tx};
use towpath_sim::{Fault, Seeds, World, quietly};

const SEEDS: u64 = 100;

#[test]
fn what_a_tenant_gets_is_bounded_and_what_is_refused_is_not_written() {
    quietly();
    let all = Seeds::run(0..SEEDS, plan).unwrap_or_else(|failing| panic!("seed {}: {}", failing.seed, failing.why));
    assert_eq!(all.runs, SEEDS);
    assert!(all.events > 5_000, "{} events", all.events);
}

/// One command of this key: its status; 429 with the seconds to wait.
fn ask(world: &World, leases: &Leases, every: Limit, key: &str) -> (u16, bool, u64) {
    let producer = "sim@1".parse().unwrap();
    let limiter = Some(Limiter { buckets: world, leases, every });
    let ports = CommandPorts { store: world, host: world, producer: &producer, era: Era::FIRST, limiter };
    let request = Request {
        tenant: "acme".parse().unwrap(),
        key: Some(key.parse().unwrap()),
        hash: key.to_owned(),
        correlation_id: key.parse().unwrap(),
        traceparent: None,
    };
    let decide = async |_: &towpath::Context<'_>| {
        let lines = sim::shop::lines(&[("tea", 1)]);
        let (order, placed) = commerce::order::Order::place(key.parse().unwrap(), "c-1".parse().unwrap(), lines);
        Ok(Verdict::Accept(Tx::new().create(order).record(placed), Reply::new(201, &1)))
    };
    match execute(ports, &request, decide).now_or_never().unwrap() {
        Ok(reply) => (reply.code, reply.repeated, 0),
        Err(CommandError::Throttled(throttled)) => (429, false, throttled.wait.as_secs()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_same_key_works_later_and_a_replay_is_answered_and_costs_nothing() {
    let (world, leases) = (World::default(), Leases::default());
    let every = Limit { rate: "0.1".parse().unwrap(), burst: 20 };
    for number in 0..20 {
        let key = format!("o-{number}");
        assert_eq!(ask(&world, &leases, every, &key), (201, false, 0));
        assert_eq!(ask(&world, &leases, every, &key), (201, true, 0), "a replay is not charged");
    }
    let before = world.tables();
    assert_eq!(ask(&world, &leases, every, "o-20"), (429, false, 10));
    assert_eq!((before.outbox, before.answers), (world.tables().outbox, world.tables().answers), "nothing is written");
    assert_eq!(
        ask(&world, &leases, every, "o-3"),
        (201, true, 0),
        "what was answered is answered above the limit, too"
    );
    world.pass(std::time::Duration::from_secs(10));
    assert_eq!(ask(&world, &leases, every, "o-20"), (201, false, 0));
}

#[test]
fn a_limiter_that_is_away_keeps_nobody_out() {
    let (world, leases) = (World::default(), Leases::default());
    let every = Limit { rate: "0.1".parse().unwrap(), burst: 1 };
    assert_eq!(ask(&world, &leases, every, "o-1"), (201, false, 0));
    assert_eq!(ask(&world, &leases, every, "o-2").0, 429);
    world.pass(std::time::Duration::from_secs(2));
    world.break_calls(&[(0, Fault::Refused)]);
    assert_eq!(ask(&world, &leases, every, "o-2"), (201, false, 0), "its row could not be read");
}

/// The proof can fail.
#[cfg(feature = "planted")]
#[test]
fn each_known_bug_of_limits_is_found() {
    quietly();
    for bug in
        ["50 a limiter on the local clock", "50 a bucket read, changed and written back", "51 dropped after the commit"]
    {
        towpath::planted::switch_on(bug);
        let found = Seeds::run(0..2_000, plan);
        towpath::planted::switch_off();
        let Err(failing) = found else { panic!("{bug} survived") };
        let why = failing.why.lines().next().unwrap_or_default();
        assert!(why.contains("P11"), "{bug}: {why}");
        println!("{:>6}  {bug}: {why}", failing.runs);
    }
}
