//! Returns, which nobody directs (P5): seeds meet those of every kind, and what does not add up is seen.

#![allow(clippy::unwrap_used, reason = "a test says what it does, and stops at what cannot be")]

use std::cell::Cell;
use std::rc::Rc;

use futures_util::FutureExt;
use sim::checkouts::Bank;
use sim::plan::sagas;
use sim::returns::{check, consumers, fulfilled, kinds, received};
use sim::shop::id;
use sim::steps::{Course, Provider, behind};
use towpath::Wake;
use towpath::ports::Wakes;
use towpath_sim::{Applied, World, quietly, simulate};

/// Most checkouts stay where they are; some come back, some of them to a provider that refuses.
#[test]
fn p5_seeds_meet_returns_of_every_kind() {
    quietly();
    let met: Rc<Cell<[u32; 3]>> = Rc::default();
    for seed in 0..60 {
        let met = Rc::clone(&met);
        let run = simulate(seed, false, move |dice, _| {
            let mut plan = sagas(dice, &Rc::default());
            let at_rest = plan.at_rest;
            plan.at_rest = Box::new(move |tables, applied| {
                let (before, now) = (met.get(), kinds(tables));
                met.set([0, 1, 2].map(|kind| before[kind] + now[kind]));
                at_rest(tables, applied)
            });
            plan
        });
        assert_eq!(run.broken, None, "seed {seed}");
    }
    let [stayed, waits, closed] = met.get();
    assert!(stayed >= 100 && waits >= 3 && closed >= 40, "{:?}", met.get());
}

/// Money that was paid back twice, or for nothing, and a refund that nobody has applied.
#[test]
fn p5_what_does_not_add_up_is_seen() {
    let (applied, bank, fulfilled) = (Applied::default(), Bank::calm(), fulfilled());
    let world = World::new(fulfilled.clone());
    assert_eq!(received(&world).now_or_never(), Some(true));
    let back = world.tables();
    assert_eq!((check(&fulfilled, &applied, &bank), check(&back, &applied, &bank)), (Ok(()), Ok(())));
    bank.pay_back(&id("k-1"));
    assert!(check(&fulfilled, &applied, &bank).is_err(), "nothing has come back");
    assert_eq!(check(&back, &applied, &bank), Ok(()), "the bank has paid, and an operator passed the row over");
    bank.pay_back(&id("k-1"));
    assert!(check(&back, &applied, &bank).is_err(), "it was paid back twice");
    let [payments, ..] = consumers(&Provider::of(Course::Well));
    for (aggregate, _) in behind(&back, &payments) {
        assert!(matches!(world.wake(payments.name(), &Wake::advance(aggregate)).now_or_never(), Some(Ok(()))));
    }
    assert_eq!(world.work(&payments).now_or_never(), Some(true));
    assert!(check(&world.tables(), &applied, &Bank::calm()).is_err(), "a refund is on record that nobody has applied");
}
