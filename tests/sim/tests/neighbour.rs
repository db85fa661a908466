//! P11: one tenant at a hundred times the rate of each other one does not double the others' p99 lag; and what more lanes do
//! for that tenant itself.
//!
//! In virtual time, as the model of SQS and Lambda has it: one batch of up to 10 in flight per message group, up to 10
//! invocations at a time, a batch takes from groups at random, each call takes 1 to 20 ms, each event another 25 ms of its
//! handler. So a tenant with one lane is done with at most 40 events a second, and the noisy one falls behind all the time. What
//! is assumed: there are no more active groups than invocations, here ten of each; the relay keeps up with the sum; the backlog
//! stays below the 120,000 messages that SQS looks through for groups that are free. The lag is from the commit to the beginning
//! of the handler.
//!
//! The emulator cannot say: it gives a FIFO queue one invocation at a time, so whoever is noisy is in everybody's way there.

#![allow(clippy::print_stdout, reason = "a measurement says what it measured")]
#![allow(clippy::unwrap_used, reason = "a test says what it does, and stops at what cannot be")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use commerce::order::OrderPlaced;
use futures_util::FutureExt;
use sim::shop;
use towpath::{Consumer, Context, Failure, Lanes, Received, Tx};
use towpath_sim::{Clock, Command, Instance, Plan, Subject, in_calm_with, wait};

const QUIET: usize = 9;
/// Milliseconds between two orders of a quiet tenant.
const PACE: u64 = 1_000;
const TIMES: u64 = 100;
const SECONDS: u64 = 60;
const NOISY: &str = "noisy";

/// Milliseconds, by tenant.
type Lags = Rc<RefCell<BTreeMap<String, Vec<u64>>>>;

async fn slow(_: &Context<'_>, _: Received<OrderPlaced>) -> Result<Tx, Failure> {
    wait(Duration::from_millis(25)).await;
    Ok(Tx::new())
}

fn consumer(clock: &Clock, lags: &Lags) -> Consumer {
    let (clock, lags) = (clock.clone(), Rc::clone(lags));
    Consumer::new("slow").on(slow).before(move |event| {
        let lag = clock.now().millis_since(event.occurred_at);
        lags.borrow_mut().entry(event.tenant_id.to_string()).or_default().push(lag);
        Ok(())
    })
}

fn orders(tenant: &str, pace: u64, phase: u64) -> impl Iterator<Item = Command> {
    (0..SECONDS * 1_000 / pace).map(move |number| {
        let (tenant, order) = (tenant.to_owned(), format!("o-{number}"));
        let ask = move |instance: Rc<Instance>| {
            let (tenant, order) = (tenant.clone(), order.clone());
            let place =
                async move { shop::place(instance.command_ports(), &tenant, &order, &[("tea", 1)]).await.is_some() };
            place.boxed_local()
        };
        let at = Duration::from_millis(phase + number * pace);
        Command { at, name: format!("order {number}"), ask: Rc::new(ask) }
    })
}

/// The p99 of the quiet ones together, and of the noisy one, of several runs.
fn lags(noisy: bool, lanes: &Lanes) -> (u64, u64) {
    let (mut quiet, mut own) = (Vec::new(), Vec::new());
    for seed in [11, 12, 13] {
        let of = run(seed, noisy, lanes.clone());
        quiet.extend(of.0);
        own.extend(of.1);
    }
    quiet.sort_unstable();
    let at = |percent: usize| quiet[(quiet.len() - 1) * percent / 100];
    println!(
        "noisy {noisy}, {lanes:?}: the others' lag p50 {}, p90 {}, p99 {}, most {} ms",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    (p99(quiet), p99(own))
}

fn run(seed: u64, noisy: bool, lanes: Lanes) -> (Vec<u64>, Vec<u64>) {
    let lags = Lags::default();
    let run = in_calm_with(lanes, seed, |_, clock| {
        let consumer = consumer(clock, &lags);
        let subject = Subject { consumer, is_poison: Box::new(|_| false), older: None, was_done: None };
        let quiet = (0..QUIET).flat_map(|at| {
            let phase = at as u64 * PACE / QUIET as u64;
            orders(&format!("quiet-{at}"), PACE, phase).collect::<Vec<_>>()
        });
        let mut commands: Vec<Command> = quiet.collect();
        if noisy {
            commands.extend(orders(NOISY, PACE / TIMES, 0));
        }
        Plan { subjects: vec![subject], commands, at_rest: Box::new(|_, _| Ok(())), repaired: Rc::default() }
    });
    assert_eq!(run.broken, None);
    let mut lags = lags.take();
    let own = lags.remove(NOISY).unwrap_or_default();
    let quiet: Vec<u64> = lags.into_values().flatten().collect();
    assert_eq!(quiet.len() as u64, QUIET as u64 * SECONDS * 1_000 / PACE, "each order is handled once");
    (quiet, own)
}

fn p99(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.get(of.len() * 99 / 100).copied().unwrap_or_default()
}

#[test]
fn p11_a_tenant_at_a_hundred_times_the_rate_does_not_double_the_others_p99_lag() {
    let (alone, _) = lags(false, &Lanes::all(1));
    let (beside, noisy) = lags(true, &Lanes::all(1));
    println!(
        "p99 lag of {QUIET} quiet tenants: {alone} ms without the noisy one, {beside} ms beside it; its own {noisy} ms"
    );
    assert!(noisy > 10 * alone, "it is not noisy enough to say anything");
    assert!(beside < 2 * alone, "the others' p99 lag went from {alone} ms to {beside} ms");
}

#[test]
fn a_hot_tenant_with_more_lanes_keeps_up_and_is_in_nobodys_way_either() {
    let (alone, _) = lags(false, &Lanes::all(1));
    let (_, before) = lags(true, &Lanes::all(1));
    let (beside, noisy) = lags(true, &Lanes { each: 1, hot: format!("{NOISY}=4").parse().unwrap() });
    println!("p99 lag of the noisy tenant: {before} ms in 1 lane, {noisy} ms in 4; that of the others {beside} ms");
    assert!(noisy < before / 5, "its own p99 lag went from {before} ms to {noisy} ms");
    assert!(beside < 2 * alone, "the others' p99 lag went from {alone} ms to {beside} ms");
}
