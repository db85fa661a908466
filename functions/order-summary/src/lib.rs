//! `order-summary`: what a customer sees of an order; one row per order, with the cursor in it.
//! Must not know: queues, tables, clocks. A fold sees the row and the event.

use commerce::order::{OrderCancelled, OrderPlaced, OrderStatus, OrderSummary};
use towpath::{Consumer, Failure, OrReject, Projection, Received};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Projection::<OrderSummary>::new("order-summary").fold(placed).fold(cancelled).into()
}

fn placed(_: Option<OrderSummary>, order: &Received<OrderPlaced>) -> Result<OrderSummary, Failure> {
    Ok(OrderSummary {
        order_id: order.order_id.clone(),
        customer_id: order.customer_id.reveal().clone(),
        status: OrderStatus::Placed,
        lines: order.lines.clone(),
        total_cents: order.total_cents,
        placed_at: order.envelope().occurred_at,
        cancelled_at: None,
        reason: None,
    })
}

fn cancelled(row: Option<OrderSummary>, order: &Received<OrderCancelled>) -> Result<OrderSummary, Failure> {
    let row = row.or_reject("an order is cancelled that was never placed")?;
    Ok(OrderSummary {
        status: OrderStatus::Cancelled,
        cancelled_at: Some(order.envelope().occurred_at),
        reason: order.reason.as_ref().map(|reason| reason.reveal().clone()),
        ..row
    })
}
