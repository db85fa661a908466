//! `orders-api`: the shop's commands and queries over HTTP. Commands commit state and events together; queries read
//! what the projections keep.
//! Must not know: tables, conditions, who else cares about an order.

mod checkouts;
mod invoices;

use commerce::customer::TimelineEntry;
use commerce::order::{Lines, Order, OrderStatus, OrderSummary};
use commerce::stock::Stock;
use commerce::{Cents, CustomerId, OrderId, Quantity, Sku};
use serde::{Deserialize, Serialize};
use towpath::command::{Reply, Verdict};
use towpath::{AggregateId, CorrelationId, Seq, Tx};
use towpath_aws::http::{Api, HttpError, HttpRequest, bad};

/// Longest reason for a cancellation, in bytes.
const REASON_BYTES: usize = 500;

/// Every route of the API.
pub async fn route(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["orders"]) => place(api, request).await,
        ("POST", ["orders", order, "cancel"]) => cancel(api, request, id(order)?).await,
        ("GET", ["orders", order]) => look_up(api, request, id(order)?).await,
        ("POST", ["checkouts"]) => checkouts::submit(api, request).await,
        ("POST", ["checkouts", checkout, "decision"]) => checkouts::decide(api, request, id(checkout)?).await,
        ("POST", ["checkouts", checkout, "return"]) => checkouts::take_back(api, request, id(checkout)?).await,
        ("POST", ["stock", sku, "receipts"]) => receive(api, request, id(sku)?).await,
        ("POST", ["invoices"]) => invoices::issue(api, request).await,
        ("POST", ["invoices", invoice, "lines"]) => invoices::add_line(api, request, id(invoice)?).await,
        ("POST", ["invoices", invoice, "payments"]) => invoices::pay(api, request, id(invoice)?).await,
        ("POST", ["invoices", invoice, "credits"]) => invoices::credit(api, request, id(invoice)?).await,
        ("GET", ["invoices", invoice]) => invoices::look_up(api, request, id(invoice)?).await,
        ("GET", ["customers", customer, "timeline"]) => timeline(api, request, id(customer)?).await,
        _ => Err(HttpError::new(404, "no_such_route", "this API has no such method and path")),
    }
}

fn id(text: &str) -> Result<AggregateId, HttpError> {
    AggregateId::parse(text).map_err(|error| bad(format!("the path: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceOrder {
    customer_id: CustomerId,
    lines: Lines,
}

#[derive(Serialize)]
struct Placed<'a> {
    order_id: &'a OrderId,
    status: OrderStatus,
    total_cents: Cents,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

async fn place(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let body: PlaceOrder = request.json()?;
    api.execute(request, async |cx| {
        let (order, placed) = Order::place(cx.new_id(), body.customer_id.clone(), body.lines.clone());
        let said = Placed {
            order_id: &placed.order_id,
            status: order.status(),
            total_cents: placed.total_cents,
            version: Seq(1),
            correlation_id: &request.correlation_id,
        };
        let reply = Reply::new(201, &said);
        Ok(Verdict::Accept(Tx::new().create(order).record(placed), reply))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelOrder {
    reason: Option<String>,
}

#[derive(Serialize)]
struct Cancelled<'a> {
    order_id: &'a OrderId,
    status: OrderStatus,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

async fn cancel(api: &Api<'_>, request: &HttpRequest, order_id: OrderId) -> Result<Reply, HttpError> {
    let body: CancelOrder = request.json()?;
    if body.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES) {
        return Err(bad(format!("the body at reason: at most {REASON_BYTES} bytes")));
    }
    api.execute(request, async |cx| {
        let Some(order) = cx.get::<Order>(&order_id).await? else { return Ok(HttpError::not_found("order").into()) };
        let version = cx.version_of::<Order>(&order_id);
        if let Err(stale) = request.saw(version) {
            return Ok(stale.into());
        }
        let (order, cancelled) = match order.cancel(body.reason.clone()) {
            Ok(done) => done,
            Err(no) => return Ok(HttpError::new(409, "already_cancelled", no).at_version(version).into()),
        };
        let said = Cancelled {
            order_id: &order_id,
            status: order.status(),
            version: version.next(),
            correlation_id: &request.correlation_id,
        };
        let reply = Reply::new(200, &said);
        Ok(Verdict::Accept(Tx::new().replace(order).record(cancelled), reply))
    })
    .await
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    summary: OrderSummary,
    version: Seq,
}

async fn look_up(api: &Api<'_>, request: &HttpRequest, order_id: OrderId) -> Result<Reply, HttpError> {
    match api.summary::<OrderSummary>(&request.tenant, "order-summary", &order_id).await? {
        Some((summary, version)) => Ok(Reply::new(200, &Found { summary, version })),
        None => Err(HttpError::not_found("order")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiveStock {
    quantity: Quantity,
}

#[derive(Serialize)]
struct InStock<'a> {
    sku: &'a Sku,
    on_hand: u64,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

async fn receive(api: &Api<'_>, request: &HttpRequest, sku: Sku) -> Result<Reply, HttpError> {
    let body: ReceiveStock = request.json()?;
    api.execute(request, async |cx| {
        let known = cx.get::<Stock>(&sku).await?;
        let version = cx.version_of::<Stock>(&sku).next();
        let is_new = known.is_none();
        let (stock, received) = known.unwrap_or_else(|| Stock::new(sku.clone())).receive(body.quantity);
        let said = InStock { sku: &sku, on_hand: stock.on_hand(), version, correlation_id: &request.correlation_id };
        let reply = Reply::new(201, &said);
        let tx = if is_new { Tx::new().create(stock) } else { Tx::new().replace(stock) };
        Ok(Verdict::Accept(tx.record(received), reply))
    })
    .await
}

#[derive(Serialize)]
struct Timeline<'a, E> {
    customer_id: &'a CustomerId,
    entries: Vec<E>,
}

async fn timeline(api: &Api<'_>, request: &HttpRequest, customer_id: CustomerId) -> Result<Reply, HttpError> {
    let entries = api.view::<TimelineEntry>(&request.tenant, customer_id.as_str()).await?;
    Ok(Reply::new(200, &Timeline { customer_id: &customer_id, entries }))
}
