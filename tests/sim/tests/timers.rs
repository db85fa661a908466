//! Timers of a saga that goes on meanwhile: one that was set before still fires, one that was set again since does not, and
//! what the auditor brings is as good as what was sent (P5).

#![allow(clippy::unwrap_used, reason = "a test says what it does, and stops at what cannot be")]

use std::time::Duration;

use commerce::fulfilment::{STEP_TIME, WHOLE_TIME};
use futures_util::FutureExt;
use serde_json::Value;
use sim::steps;
use towpath::ports::Stored;
use towpath::{Consumer, Wake};
use towpath_sim::World;

/// A saga whose stock is reserved, and whose payment nobody carries out.
fn waiting() -> World {
    let world = World::new(steps::begin(steps::Course::Well));
    for _ in 0..2 {
        for consumer in [fulfilment::consumer(), inventory::consumer()] {
            bring(&world, &consumer);
        }
    }
    bring(&world, &fulfilment::consumer());
    assert_eq!(saga(&world)["phase"]["doing"], "authorise");
    world
}

fn bring(world: &World, consumer: &Consumer) {
    for (aggregate, _) in steps::behind(&world.tables(), consumer) {
        let sent = towpath::ports::Wakes::wake(world, consumer.name(), &Wake::advance(aggregate)).now_or_never();
        assert!(sent.unwrap().is_ok());
    }
    assert_eq!(world.work(consumer).now_or_never(), Some(true));
}

fn stored(world: &World) -> Stored {
    world.tables().entities.into_iter().find(|(key, _)| key.kind.as_str() == "fulfilment").unwrap().1
}

fn saga(world: &World) -> Value {
    serde_json::from_str(stored(world).state.as_deref().unwrap()).unwrap()
}

fn fire(world: &World, after: Duration) {
    assert!(world.fire_timers(&fulfilment::consumer(), after).now_or_never().is_some());
}

#[test]
fn a_timer_that_was_set_before_the_saga_moved_fires_when_its_time_has_come() {
    let world = waiting();
    assert!(
        saga(&world)["late"] == false && stored(&world).saga.unwrap().timers["whole"].nonce < stored(&world).head.seq
    );
    // An hour ahead there is no wake yet: the auditor sends it.
    assert!(WHOLE_TIME > towpath::limits::HINT_AHEAD);
    assert_eq!(world.audit(&fulfilment::consumer()).now_or_never(), Some(true));
    fire(&world, Duration::ZERO);
    assert_eq!(saga(&world)["late"], true, "the whole took too long");
    assert!(!stored(&world).saga.unwrap().timers.contains_key("whole"), "it has fired, once");
}

#[test]
fn a_timer_that_was_set_again_does_not_fire_for_its_first_setting() {
    let world = waiting();
    let sent = world.tables().wakes.len();
    assert_eq!(sent, 2, "one for each step that was ordered");
    fire(&world, STEP_TIME + Duration::from_secs(1));
    let saga = saga(&world);
    assert_eq!(saga["waits"], 1, "asked once, though two wakes came");
}

/// The proof can fail.
#[cfg(feature = "planted")]
#[test]
#[should_panic(expected = "the whole took too long")]
fn a_timer_that_is_stale_because_its_saga_has_moved_is_found() {
    towpath::planted::switch_on("66 a timer is stale when its saga has moved");
    a_timer_that_was_set_before_the_saga_moved_fires_when_its_time_has_come();
}
