//! `inventory`: reserves stock for every placed order, and releases it when the order is cancelled.
//! Must not know: queues, tables, other functions.

use commerce::order::{Line, OrderCancelled, OrderPlaced};
use commerce::stock::Stock;
use commerce::{OrderId, order};
use towpath::{Consumer, Context, Failure, OrReject, Received, Tx};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Consumer::new("inventory").on(reserve_stock).on(release_stock)
}

/// All lines or none: when one is short, the order is rejected on that sku and nothing is reserved.
async fn reserve_stock(cx: &Context<'_>, order: Received<OrderPlaced>) -> Result<Tx, Failure> {
    let mut stocks = Vec::new();
    for line in order.lines.as_slice() {
        let stock = cx.get::<Stock>(&line.sku).await?;
        if !stock.as_ref().is_some_and(|stock| stock.covers(line.quantity)) {
            return Ok(reject(stock, &order.order_id, line));
        }
        stocks.extend(stock);
    }
    let mut tx = Tx::new();
    for (stock, line) in stocks.into_iter().zip(order.lines.as_slice()) {
        let (stock, reserved) = stock.reserve(&order.order_id, line.quantity).or_reject("the stock covers the line")?;
        tx = tx.replace(stock).record(reserved);
    }
    Ok(tx)
}

fn reject(stock: Option<Stock>, order_id: &OrderId, line: &Line) -> Tx {
    match stock {
        Some(stock) => {
            let (stock, rejected) = stock.reject(order_id, line.quantity);
            Tx::new().replace(stock).record(rejected)
        }
        None => {
            let (stock, rejected) = Stock::new(line.sku.clone()).reject(order_id, line.quantity);
            Tx::new().create(stock).record(rejected)
        }
    }
}

/// An order that was rejected has nothing to release: that is not an error.
async fn release_stock(cx: &Context<'_>, cancelled: Received<OrderCancelled>) -> Result<Tx, Failure> {
    let order = cx.peek::<order::Order>(&cancelled.order_id).await?.or_reject("a cancelled order exists")?;
    let mut tx = Tx::new();
    for line in order.lines().as_slice() {
        let Some(stock) = cx.get::<Stock>(&line.sku).await? else { continue };
        if let Some((stock, released)) = stock.release(&cancelled.order_id) {
            tx = tx.replace(stock).record(released);
        }
    }
    Ok(tx)
}
