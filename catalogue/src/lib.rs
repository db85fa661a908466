//! The shop's events: who answers for each, who records it, how long it is kept; all consumers; and the stories in which
//! they are seen at work. Must not know: schemas, which are made of the types.

mod shop;

use commerce::order::{OrderCancelled, OrderPlaced};
use commerce::stock::{StockReceived, StockRejected, StockReleased, StockReserved};
use serde_json::json;
use towpath::Consumer;
use towpath_catalogue::{Catalogue, event};

use shop::{cancel, place, receive};

const ACCOUNTS: &str = "10 years: accounts must be";
const STOCKTAKING: &str = "for ever: stocktaking starts from the first";

/// Every consumer of the repository.
pub fn consumers() -> Vec<Consumer> {
    vec![crm_timeline::consumer(), integration_bus::consumer(), inventory::consumer(), order_summary::consumer()]
}

/// Every event of the repository.
pub fn catalogue() -> Catalogue {
    Catalogue::new("The shop", consumers)
        .event(event!(OrderPlaced).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(OrderCancelled).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(StockReceived).owner("warehouse").kept(STOCKTAKING).by(&["orders-api"]))
        .event(event!(StockReserved).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
        .event(event!(StockRejected).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
        .event(event!(StockReleased).owner("warehouse").kept(STOCKTAKING).by(&["inventory"]))
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
        .story("cancelled-without-reason", async |stage| {
            let order = place(stage, json!([{ "sku": "tea", "quantity": 1, "unit_price_cents": 0 }])).await;
            cancel(stage, &order, json!({})).await;
        })
}
