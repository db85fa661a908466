//! `crm-timeline`: what happened to a customer, one row per event, from all orders and returns of that customer.
//! Must not know: queues, tables, clocks.

use commerce::customer::TimelineEntry;
use commerce::order::{OrderCancelled, OrderPlaced};
use commerce::returns::ReturnClosed;
use towpath::{Consumer, Context, Failure, Received, Tx};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Consumer::new("crm-timeline").on(placed).on(cancelled).generation(2).on(returned).replayable()
}

async fn placed(_: &Context<'_>, order: Received<OrderPlaced>) -> Result<Tx, Failure> {
    let lines = order.lines.as_slice().len();
    let plural = if lines == 1 { "" } else { "s" };
    let text = format!("placed an order of {lines} line{plural} for {}", order.total_cents);
    Ok(Tx::new().put(TimelineEntry::new(order.customer_id.reveal(), &order.order_id, order.envelope(), text)))
}

async fn cancelled(_: &Context<'_>, order: Received<OrderCancelled>) -> Result<Tx, Failure> {
    let text = match &order.reason {
        Some(reason) => format!("cancelled the order: {}", reason.reveal()),
        None => "cancelled the order".to_owned(),
    };
    Ok(Tx::new().put(TimelineEntry::new(order.customer_id.reveal(), &order.order_id, order.envelope(), text)))
}

async fn returned(_: &Context<'_>, closed: Received<ReturnClosed>) -> Result<Tx, Failure> {
    let text = format!("got {} back for what was returned", closed.total_cents);
    Ok(Tx::new().put(TimelineEntry::new(closed.customer_id.reveal(), &closed.checkout_id, closed.envelope(), text)))
}
