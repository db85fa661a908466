//! Whole requests of people who mean no good, or do not know: each gets its answer, and nothing of it is written or said again.
//! Must not know: how a request travels; the same over HTTP is in tests/promises, where its tenant comes from a token.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test says what it does, and stops at what cannot be")]

use futures_util::FutureExt;
use orders_api::route;
use serde_json::{Value, json};
use towpath::command::{CommandPorts, Reply, Verdict};
use towpath::{Era, EventId, Timestamp};
use towpath_aws::decode::http_request;
use towpath_aws::http::Api;
use towpath_sim::World;

const ORDER: &str = r#"{"customer_id":"c-1","lines":[{"sku":"tea","quantity":2,"unit_price_cents":450}]}"#;

/// Asks as a tenant; `over` is put over the event that API Gateway would send.
fn ask(world: &World, tenant: &str, (method, path): (&str, &str), body: &str, over: &Value) -> Reply {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "isBase64Encoded": false, "body": body,
        "headers": { "content-type": "application/json", "idempotency-key": "k-1" },
        "requestContext": { "http": { "method": method, "path": path } }
    });
    for (name, value) in over.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    let producer = "orders-api@1".parse().unwrap();
    let ports = CommandPorts { store: world, host: world, producer: &producer, era: Era::FIRST, limiter: None };
    let fresh = EventId::new(Timestamp::default(), 7);
    let request = http_request(event, tenant.parse().unwrap(), fresh).unwrap();
    let answer = async { route(&Api::new(ports), &request?).await };
    answer.now_or_never().unwrap().unwrap_or_else(|error| match Verdict::from(error) {
        Verdict::Refuse(reply) => reply,
        Verdict::Accept(..) => panic!("an error accepts nothing"),
    })
}

const PLACE: (&str, &str) = ("POST", "/orders");

fn is_empty(world: &World) -> bool {
    let tables = world.tables();
    tables.outbox.is_empty() && tables.entities.is_empty() && tables.answers.is_empty()
}

#[test]
fn a_body_that_is_not_as_it_should_be_is_400_names_the_place_and_writes_nothing() {
    let world = World::default();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let with = |from: &str, to: &str| ORDER.replace(from, to);
    let cases = [
        (String::new(), "the body is empty"),
        ("\u{feff}{}".into(), "expected value"),
        ("{".into(), "EOF while parsing"),
        (format!("{ORDER}x"), "more after its JSON value"),
        (r#"{"customer_id":"c-1"}"#.into(), "missing field `lines`"),
        (with(r#"{"customer_id""#, r#"{"customer_id":"c-2","customer_id""#), "duplicate field `customer_id`"),
        (with("\"lines\"", "\"SECRET\":1,\"lines\""), "a field that this request does not have"),
        (with("\"lines\"", &format!("\"SECRET\":{},\"lines\"", deep(70))), "a field that this request does not have"),
        (deep(65), "wrong type"),
        (deep(100_000 / 2), "wrong type"),
        (with("c-1", "SECRET\\u0000"), "the body at customer_id: an id must be"),
        (with("c-1", "SECRET#1"), "the body at customer_id: an id must be"),
        (with("c-1", "\\u0405ECRET"), "the body at customer_id: an id must be"),
        (with("\"quantity\":2", "\"quantity\":0"), "a quantity must be 1 to 1000000"),
        (with("\"quantity\":2", "\"quantity\":1e400"), "out of range"),
        (with("\"quantity\":2", "\"quantity\":99999999999999999999999999999999999999999"), "lines[0].quantity"),
        (with("\"quantity\":2", "\"quantity\":\"SECRET\""), "lines[0].quantity: the value has the wrong type"),
    ];
    for (body, sentence) in cases {
        let answer = ask(&world, "acme", PLACE, &body, &json!({}));
        assert!(answer.code == 400 && answer.body.contains(sentence), "{sentence}: {answer:?}");
        assert!(!answer.body.contains("SECRET") && !answer.body.contains("ECRET"), "{answer:?}");
    }
    let not_utf8 = ask(&world, "acme", PLACE, "eyJjdXN0b21lcl9pZCI6Iv/+In0=", &json!({ "isBase64Encoded": true }));
    assert!(not_utf8.code == 400 && not_utf8.body.contains("not UTF-8"), "{not_utf8:?}");
    assert!(is_empty(&world), "something was written");
}

#[test]
fn a_body_that_is_too_large_is_413_another_type_415_and_no_key_400() {
    let world = World::default();
    let large = ORDER.replace("c-1", &"x".repeat(200_000));
    assert_eq!(ask(&world, "acme", PLACE, &large, &json!({})).code, 413);
    for (headers, status) in [
        (json!({ "content-type": "text/plain", "idempotency-key": "k" }), 415),
        (json!({ "idempotency-key": "k" }), 415),
        (json!({ "content-type": "application/json" }), 400),
        (json!({ "content-type": "application/json", "idempotency-key": "a#b" }), 400),
        (json!({ "content-type": "application/json", "idempotency-key": "k", "x-correlation-id": "a/b" }), 400),
    ] {
        let answer = ask(&world, "acme", PLACE, ORDER, &json!({ "headers": headers }));
        assert_eq!(answer.code, status, "{headers} {answer:?}");
    }
    assert!(is_empty(&world), "something was written");
}

#[test]
fn an_id_in_a_path_that_could_forge_a_key_is_400_and_never_mended() {
    let world = World::default();
    let long = "x".repeat(129);
    for id in ["a#b", "a\u{0}b", "a\r\nb", "\u{202e}a", "a b", "аcme", "ﬁ", "é", long.as_str()] {
        for (method, path) in [("GET", format!("/orders/{id}")), ("POST", format!("/orders/{id}/cancel"))] {
            let answer = ask(&world, "acme", (method, &path), "{}", &json!({}));
            assert!(answer.code == 400 && !answer.body.contains(id), "{id:?}: {answer:?}");
        }
    }
    assert_eq!(ask(&world, "acme", ("GET", "/orders/a/b"), "", &json!({})).code, 404, "a slash makes another path");
    assert!(is_empty(&world), "something was written");
}

#[test]
fn another_tenants_order_is_404_a_reused_key_422_a_stale_version_409_and_nothing_is_written() {
    let world = World::default();
    let placed = ask(&world, "acme", PLACE, ORDER, &json!({}));
    assert_eq!(placed.code, 201);
    let order = serde_json::from_str::<Value>(&placed.body).unwrap()["order_id"].as_str().unwrap().to_owned();
    let path = format!("/orders/{order}/cancel");
    let before = world.tables();
    assert_eq!(ask(&world, "globex", ("POST", &path), "{}", &json!({})).code, 404);
    assert_eq!(ask(&world, "acme", PLACE, &ORDER.replace("tea", "cup"), &json!({})).code, 422);
    let stale = json!({ "content-type": "application/json", "idempotency-key": "k-2", "if-match": "\"9\"" });
    let stale = ask(&world, "acme", ("POST", &path), "{}", &json!({ "headers": stale }));
    assert!(stale.code == 409 && stale.body.contains("\"version\":1"), "{stale:?}");
    let after = world.tables();
    assert_eq!((before.outbox, before.answers), (after.outbox, after.answers));
    let again = ask(&world, "acme", PLACE, ORDER, &json!({}));
    assert!(again.repeated && again.body == placed.body, "{again:?}");
}
