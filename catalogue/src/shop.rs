//! The shop's commands, sent to `orders-api` as a client sends them. Must not know: what is recorded, who handles it.

use notify_customer::provider::{Answer, Mail, Mailer};
use serde_json::{Value, json};
use towpath::{Effect, ProviderError};
use towpath_aws::decode::http_request;
use towpath_aws::http::Api;
use towpath_catalogue::Stage;

/// A mail provider that takes every mail, and knows every customer but one.
pub(crate) struct Postbox;

impl Mailer for Postbox {
    async fn send(&self, _: &Effect, mail: &Mail) -> Result<Answer, ProviderError> {
        Ok(match mail.customer_id.as_str() {
            "c-404" => Answer::No("unknown_customer".to_owned()),
            _ => Answer::Sent { receipt: format!("mail-{}", mail.notification_id) },
        })
    }
}

/// Takes goods in.
pub(crate) async fn receive(stage: &Stage, sku: &str, quantity: u64) {
    post(stage, &format!("/stock/{sku}/receipts"), json!({ "quantity": quantity })).await;
}

/// Takes an order, and says its id.
pub(crate) async fn place(stage: &Stage, lines: Value) -> String {
    order_for(stage, "c-7", lines).await
}

/// Takes an order of this customer.
pub(crate) async fn order_for(stage: &Stage, customer: &str, lines: Value) -> String {
    let said = post(stage, "/orders", json!({ "customer_id": customer, "lines": lines })).await;
    said["order_id"].as_str().expect("an order has an id").to_owned()
}

/// Calls an order off.
pub(crate) async fn cancel(stage: &Stage, order: &str, body: Value) {
    post(stage, &format!("/orders/{order}/cancel"), body).await;
}

/// Wants some tea at this price, and says the checkout's id.
pub(crate) async fn check_out(stage: &Stage, pieces: u64, cents: u64) -> String {
    let lines = json!([{ "sku": "tea", "quantity": pieces, "unit_price_cents": cents }]);
    let said = post(stage, "/checkouts", json!({ "customer_id": "c-7", "lines": lines })).await;
    said["checkout_id"].as_str().expect("a checkout has an id").to_owned()
}

/// Approves a checkout, or refuses it.
pub(crate) async fn decide(stage: &Stage, checkout: &str, body: Value) {
    post(stage, &format!("/checkouts/{checkout}/decision"), body).await;
}

/// What was sent comes back.
pub(crate) async fn take_back(stage: &Stage, checkout: &str) {
    post(stage, &format!("/checkouts/{checkout}/return"), json!({})).await;
}

/// Issues an invoice, and says its id.
pub(crate) async fn issue(stage: &Stage, body: Value) -> String {
    let said = post(stage, "/invoices", body).await;
    said["invoice_id"].as_str().expect("an invoice has an id").to_owned()
}

/// Adds a line, a payment or a credit to an invoice.
pub(crate) async fn settle(stage: &Stage, invoice: &str, what: &str, body: Value) {
    post(stage, &format!("/invoices/{invoice}/{what}"), body).await;
}

async fn post(stage: &Stage, path: &str, body: Value) -> Value {
    let producer = "orders-api@0".parse().expect("it is name@version");
    let ports = stage.ports(&producer);
    let key = format!("story-{}", ports.host.now().as_millis());
    let event = json!({
        "version": "2.0",
        "rawPath": path,
        "headers": { "x-correlation-id": key, "idempotency-key": key, "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST" } },
        "body": body.to_string(),
        "isBase64Encoded": false,
    });
    let (tenant, id) = ("acme".parse().expect("it is a tenant id"), towpath::EventId::new(ports.host.now(), 0));
    let request = http_request(event, tenant, id).expect("it is an event of API Gateway");
    let request = request.unwrap_or_else(|_| panic!("{path}: refused"));
    let reply = orders_api::route(&Api::new(ports), &request).await.unwrap_or_else(|no| panic!("{path}: {no:?}"));
    assert!(reply.code < 300, "{path}: {} {}", reply.code, reply.body);
    serde_json::from_str(&reply.body).expect("an answer is JSON")
}
