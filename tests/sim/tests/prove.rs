//! What an adopter writes to prove a consumer: the whole test. A failure begins with the promise that is broken and the
//! aggregate that it is about; then comes the timeline of that aggregate, to be read from its last commit upwards; the
//! last line is the command that repeats the run.

#![allow(clippy::unwrap_used, reason = "a test says what it does, and stops at what cannot be")]

use commerce::order::{OrderCancelled, OrderPlaced};
use commerce::returns::ReturnClosed;
use sim::shop;
use towpath::{Consumer, Context, Failure, Received, Tx, View};
use towpath_sim::{Dice, prove};

fn order(dice: &mut Dice) -> String {
    format!("o-{}", dice.between(1, 8))
}

fn placed(dice: &mut Dice) -> OrderPlaced {
    commerce::order::Order::place(shop::id(&order(dice)), shop::id("c-1"), shop::lines(&[("tea", dice.between(1, 3))]))
        .1
}

fn cancelled(dice: &mut Dice) -> OrderCancelled {
    OrderCancelled { order_id: shop::id(&order(dice)), customer_id: shop::id("c-1").into(), reason: None }
}

fn returned(dice: &mut Dice) -> ReturnClosed {
    let total_cents = 450.try_into().unwrap();
    ReturnClosed { checkout_id: shop::id(&order(dice)), customer_id: shop::id("c-1").into(), total_cents }
}

#[test]
fn the_timeline_of_a_customer_is_proved_in_five_lines() {
    prove(crm_timeline::consumer).event(placed).event(cancelled).event(returned).seeds(500).check();
}

/// The proof can fail: this consumer's rows are others with each attempt.
#[test]
#[should_panic = "handled once more"]
fn a_consumer_that_writes_another_row_with_each_attempt_is_found() {
    prove(|| {
        let handler = async |cx: &Context<'_>, order: Received<OrderPlaced>| -> Result<Tx, Failure> {
            let text = format!("seen as {}", cx.new_id());
            Ok(Tx::new().put(commerce::customer::TimelineEntry::new(
                order.customer_id.reveal(),
                &order.order_id,
                order.envelope(),
                text,
            )))
        };
        Consumer::new("drawing-lots").on(handler).replayable()
    })
    .event(placed)
    .seeds(20)
    .check();
}

/// So can that of the order: the customer's last order is the one that comes last, and that is chance.
#[test]
#[should_panic = "depends on which aggregate comes first"]
fn a_row_of_several_aggregates_that_takes_the_last_write_is_found() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct LastOrder {
        customer_id: String,
        order_id: String,
    }
    impl View for LastOrder {
        const NAME: &'static str = "last-order";
        fn partition(&self) -> String {
            self.customer_id.clone()
        }
        fn sort(&self) -> String {
            "last".to_owned()
        }
    }
    prove(|| {
        let handler = async |_: &Context<'_>, order: Received<OrderPlaced>| -> Result<Tx, Failure> {
            let (customer_id, order_id) = (order.customer_id.reveal().to_string(), order.order_id.to_string());
            Ok(Tx::new().put(LastOrder { customer_id, order_id }))
        };
        Consumer::new("last-order").on(handler)
    })
    .event(placed)
    .seeds(20)
    .check();
}

/// It says which promise is broken, and how to see it again.
#[cfg(feature = "planted")]
#[test]
#[should_panic = "repeat it: TOWPATH_SEED="]
fn a_failure_ends_with_the_command_that_repeats_it() {
    towpath::planted::switch_on("cursor-rule-removed");
    prove(crm_timeline::consumer).event(placed).event(cancelled).seeds(100).check();
}
