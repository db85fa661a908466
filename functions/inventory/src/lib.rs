//! `inventory`: reserves stock for every placed order, and releases it when the order is cancelled; for a checkout it does
//! so when its saga says so.
//! Must not know: queues, tables, other functions.

use commerce::order::{Line, Lines, OrderCancelled, OrderPlaced};
use commerce::returns::{PaymentRefunded, Return};
use commerce::step::{
    InquireStock, ReleaseStock, ReservationMade, ReservationRefused, ReservationReleased, ReserveStock,
};
use commerce::stock::Stock;
use commerce::{OrderId, order};
use towpath::{AggregateId, Consumer, Context, Failure, OrReject, Received, Tx};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Consumer::new("inventory")
        .on(reserve_stock)
        .on(release_stock)
        .generation(2)
        .on_command(reserve)
        .on_command(inquire)
        .on_command(release)
        .on(restock)
}

/// All lines or none: when one is short, the order is rejected on that sku and nothing is reserved.
async fn reserve_stock(cx: &Context<'_>, order: Received<OrderPlaced>) -> Result<Tx, Failure> {
    match set_aside(cx, &order.lines, &order.order_id).await? {
        Ok(tx) => Ok(tx),
        Err(Short { stock, line }) => Ok(reject(stock, &order.order_id, &line)),
    }
}

/// What is missing for a reservation.
struct Short {
    stock: Option<Stock>,
    line: Line,
}

async fn set_aside(cx: &Context<'_>, lines: &Lines, whose: &AggregateId) -> Result<Result<Tx, Short>, Failure> {
    let mut stocks = Vec::new();
    for line in lines.as_slice() {
        let stock = cx.get::<Stock>(&line.sku).await?;
        if !stock.as_ref().is_some_and(|stock| stock.covers(line.quantity)) {
            return Ok(Err(Short { stock, line: line.clone() }));
        }
        stocks.extend(stock);
    }
    let mut tx = Tx::new();
    for (stock, line) in stocks.into_iter().zip(lines.as_slice()) {
        let (stock, reserved) = stock.reserve(whose, line.quantity).or_reject("the stock does not cover the line")?;
        tx = tx.replace(stock).record(reserved);
    }
    Ok(Ok(tx))
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
    let order = cx.peek::<order::Order>(&cancelled.order_id).await?.or_reject("the cancelled order does not exist")?;
    give_back(cx, order.lines(), &cancelled.order_id).await
}

async fn give_back(cx: &Context<'_>, lines: &Lines, whose: &AggregateId) -> Result<Tx, Failure> {
    let mut tx = Tx::new();
    for line in lines.as_slice() {
        let Some(stock) = cx.get::<Stock>(&line.sku).await? else { continue };
        if let Some((stock, released)) = stock.release(whose) {
            tx = tx.replace(stock).record(released);
        }
    }
    Ok(tx)
}

async fn reserve(cx: &Context<'_>, command: Received<ReserveStock>) -> Result<Tx, Failure> {
    let checkout_id = command.checkout_id.clone();
    Ok(match set_aside(cx, &command.lines, &checkout_id).await? {
        Ok(tx) => tx.record(ReservationMade { checkout_id }),
        Err(Short { line, .. }) => Tx::new().record(ReservationRefused { checkout_id, sku: line.sku }),
    })
}

/// Says again what became of it: all lines are set aside, or none.
async fn inquire(cx: &Context<'_>, command: Received<InquireStock>) -> Result<Tx, Failure> {
    let (checkout_id, line) = (command.checkout_id.clone(), &command.lines.as_slice()[0]);
    let stock = cx.get::<Stock>(&line.sku).await?;
    Ok(if stock.is_some_and(|stock| stock.is_reserved_for(&checkout_id)) {
        Tx::new().record(ReservationMade { checkout_id })
    } else {
        Tx::new().record(ReservationRefused { checkout_id, sku: line.sku.clone() })
    })
}

async fn release(cx: &Context<'_>, command: Received<ReleaseStock>) -> Result<Tx, Failure> {
    let checkout_id = command.checkout_id.clone();
    Ok(give_back(cx, &command.lines, &checkout_id).await?.record(ReservationReleased { checkout_id }))
}

/// What was paid back is for sale again, and with that the return is closed.
async fn restock(cx: &Context<'_>, refunded: Received<PaymentRefunded>) -> Result<Tx, Failure> {
    let returned = cx.get::<Return>(&refunded.checkout_id).await?.or_reject("what is refunded was never returned")?;
    let tx = give_back(cx, returned.lines(), &refunded.checkout_id).await?;
    let (returned, closed) = returned.close();
    Ok(tx.replace(returned).record(closed))
}
