//! The shop's events and commands: who answers for each, who records or sends it, how long it is kept; all consumers; and the stories in which
//! they are seen at work. Must not know: schemas, which are made of the types.

mod checkout;
mod shop;

use commerce::invoice::{InvoiceCredited, InvoiceIssued, InvoiceLineAdded, InvoicePaid};
use commerce::notification::{NotificationRefused, NotificationSent};
use commerce::order::{OrderCancelled, OrderPlaced};
use commerce::stock::{StockReceived, StockRejected, StockReleased, StockReserved};
use serde_json::json;
use towpath::Consumer;
use towpath_catalogue::{Catalogue, event};

use shop::{cancel, issue, order_for, place, receive, settle};

const ACCOUNTS: &str = "10 years: accounts must be";
const CORRESPONDENCE: &str = "2 years: a customer may ask what was said";
const STOCKTAKING: &str = "for ever: stocktaking starts from the first";

/// Every consumer of the repository.
pub fn consumers() -> Vec<Consumer> {
    vec![
        crm_timeline::consumer(),
        fulfilment::consumer(),
        integration_bus::consumer(),
        inventory::consumer(),
        notify_customer::consumer(shop::Postbox),
        order_summary::consumer(),
        payments::consumer(checkout::Bank::default()),
        shipping::consumer(),
    ]
}

/// Every event of the repository.
pub fn catalogue() -> Catalogue {
    let catalogue = Catalogue::new("The shop", consumers)
        .event(event!(OrderPlaced).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(OrderCancelled).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(InvoiceIssued).owner("accounting").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(InvoiceLineAdded).owner("accounting").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(InvoicePaid).owner("accounting").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(InvoiceCredited).owner("accounting").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(StockReceived).owner("warehouse").kept(STOCKTAKING).by(&["orders-api"]))
        .event(event!(StockReserved).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
        .event(event!(StockRejected).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
        .event(event!(StockReleased).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
        .event(event!(NotificationSent).owner("customer care").kept(CORRESPONDENCE).by(&["notify-customer"]))
        .event(event!(NotificationRefused).owner("customer care").kept(CORRESPONDENCE).by(&["notify-customer"]))
        .story("served", async |stage| {
            receive(stage, "tea", 10).await;
            receive(stage, "cup", 2).await;
            place(
                stage,
                json!([{ "sku": "tea", "quantity": 2, "unit_price_cents": 450 },
                                { "sku": "cup", "quantity": 1, "unit_price_cents": 1200 }]),
            )
            .await;
        })
        .story("rejected", async |stage| {
            receive(stage, "pot", 1).await;
            place(stage, json!([{ "sku": "pot", "quantity": 3, "unit_price_cents": 2900 }])).await;
        })
        .story("cancelled", async |stage| {
            receive(stage, "tea", 10).await;
            let order = place(stage, json!([{ "sku": "tea", "quantity": 4, "unit_price_cents": 450 }])).await;
            cancel(stage, &order, json!({ "reason": "ordered twice" })).await;
        })
        .story("customer-unknown", async |stage| {
            order_for(stage, "c-404", json!([{ "sku": "tea", "quantity": 1, "unit_price_cents": 450 }])).await;
        })
        .story("cancelled-without-reason", async |stage| {
            let order = place(stage, json!([{ "sku": "tea", "quantity": 1, "unit_price_cents": 0 }])).await;
            cancel(stage, &order, json!({})).await;
        })
        .story("billed", async |stage| {
            let order = place(stage, json!([{ "sku": "tea", "quantity": 2, "unit_price_cents": 450 }])).await;
            let invoice = issue(stage, json!({ "order_id": order })).await;
            settle(stage, &invoice, "payments", json!({ "amount_cents": 900 })).await;
            settle(stage, &invoice, "credits", json!({ "amount_cents": 450, "reason": "one was broken" })).await;
        })
        .story("billed-by-hand", async |stage| {
            let invoice = issue(stage, json!({ "customer_id": "c-7" })).await;
            let line = json!({ "text": "engraving, twice", "quantity": 2, "unit_price_cents": 1500 });
            settle(stage, &invoice, "lines", line).await;
            settle(stage, &invoice, "payments", json!({ "amount_cents": 1000 })).await;
        });
    checkout::add(catalogue)
}
