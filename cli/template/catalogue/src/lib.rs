//! Every event: who answers for it, who records it, how long it is kept; all consumers; and stories that show them at work.

use helpdesk::{TicketClosed, TicketOpened};
use serde_json::{Value, json};
use towpath::Consumer;
use towpath_aws::decode::http_request;
use towpath_aws::http::Api;
use towpath_catalogue::{Catalogue, Stage, event};

/// Every consumer of the repository.
pub fn consumers() -> Vec<Consumer> {
    vec![ticket_board::consumer()]
}

/// Every event of the repository.
pub fn catalogue() -> Catalogue {
    Catalogue::new("The help desk", consumers)
        .event(event!(TicketOpened).owner("support").kept("2 years").by(&["tickets-api"]))
        .event(event!(TicketClosed).owner("support").kept("2 years").by(&["tickets-api"]))
        .story("answered", async |stage| {
            let opened = post(stage, "/tickets", json!({ "subject": "It rains in" })).await;
            let ticket = opened["ticket_id"].as_str().expect("a ticket has an id");
            post(stage, &format!("/tickets/{ticket}/close"), json!({ "answer": "mended" })).await;
        })
}

/// Sends a command to the API, as a client does.
async fn post(stage: &Stage, path: &str, body: Value) -> Value {
    let producer = "tickets-api@0".parse().expect("it is name@version");
    let ports = stage.ports(&producer);
    let key = format!("story-{}", ports.host.now().as_millis());
    let event = json!({
        "version": "2.0",
        "rawPath": path,
        "headers": {
            "x-correlation-id": key,
            "idempotency-key": key,
            "content-type": "application/json",
        },
        "requestContext": { "http": { "method": "POST" } },
        "body": body.to_string(),
        "isBase64Encoded": false,
    });
    let (tenant, id) = ("acme".parse().expect("it is a tenant id"), towpath::EventId::new(ports.host.now(), 0));
    let request = http_request(event, tenant, id).expect("it is an event of API Gateway").expect("it is a request");
    let reply = tickets_api::route(&Api::new(ports), &request).await.expect("it is accepted");
    assert!(reply.code < 300, "{path}: {} {}", reply.code, reply.body);
    serde_json::from_str(&reply.body).expect("an answer is JSON")
}
