//! What AWS hands to a function: stream records, SQS events, requests, rows, places in an index.
//! Must not know: how any of them is decoded.

use commerce::CustomerId;
use commerce::order::Lines;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath::batch::handle_batch;
use towpath::command::Verdict;
use towpath::{Envelope, EventId, TenantId, Timestamp, Visibility};
use towpath_aws::config::TokenRules;
use towpath_aws::decode::{self, Row};
use towpath_aws::http::HttpError;
use towpath_sim::World;

use crate::bytes::Bytes;
use crate::machine;

/// A record of the outbox's stream: what the relay would publish is an envelope that every consumer can read.
pub fn stream_record(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Value>(data) else { return };
    let row = match decode::stream_record(&record) {
        Ok(Some(row)) => row,
        Ok(None) => return,
        Err(why) => return assert!(!why.is_empty()),
    };
    assert!(
        row.visibility == Visibility::Private || Envelope::parse(&row.envelope.to_body()).as_ref() == Ok(&row.envelope)
    );
    let again = decode::stream_record(&decode::as_stream_record(&row).unwrap());
    assert_eq!(again, Ok(Some(row)));
}

/// A row of each kind, chosen by the first byte, as DynamoDB's JSON: what is read is written the same.
pub fn row(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let kind = Row::ALL[bytes.below(Row::ALL.len())];
    let Ok(item) = serde_json::from_slice::<Value>(bytes.rest()) else { return };
    let read = decode::row(kind, &item);
    match &read {
        Ok(Some(written)) => assert_eq!(decode::row(kind, written), Ok(Some(written.clone())), "{kind:?}"),
        Ok(None) => {}
        Err(why) => assert!(!why.is_empty()),
    }
    // Whoever looks at a part of a row can read it if the whole can be read.
    let parts: &[Row] = match kind {
        Row::Journal => &[Row::Head, Row::Index, Row::Signature],
        Row::Cursor => &[Row::Signature],
        _ => &[],
    };
    for part in parts.iter().filter(|_| read.is_ok()) {
        let of_part = decode::row(*part, read.as_ref().unwrap().as_ref().unwrap());
        assert!(of_part.is_ok(), "{part:?} of {kind:?}: {of_part:?}");
    }
}

/// A place in the time index and in the sweep, as they are kept between two calls.
pub fn page_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let until = Timestamp::from_millis(1_795_255_200_000);
    if let Ok((same, next)) = decode::page_token(text, until) {
        assert_eq!(decode::page_token(&same, until).unwrap().0, same);
        let after = next.map(|next| decode::page_token(&next, until).unwrap().0);
        assert_ne!(after, Some(same), "the index is read in a circle");
    }
    let row = serde_json::from_str::<Value>(text).unwrap_or_default();
    if let (Ok(same), Some(row)) = (decode::sweep_token(text), row.as_object()) {
        // A row's key has texts and places in it, no fractions.
        let is_key = row.values().all(|value| value.is_string() || value.is_u64());
        assert!(!is_key || decode::sweep_token(&same) == Ok(same));
    }
}

/// An SQS event, and what a consumer then does with its messages: each is done with or reported, and those of another
/// tenant's group write nothing.
pub fn queue_event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
    let records = event.get("Records").and_then(Value::as_array).map_or(0, Vec::len);
    let messages = match decode::queue_event(event) {
        Ok(messages) => messages,
        Err(why) => return assert!(!why.is_empty()),
    };
    assert_eq!(messages.len(), records);
    assert!(messages.iter().all(|message| !message.id.is_empty() && message.receives > 0));
    let (world, consumer, producer) = (World::default(), machine::consumer(0, 0), "fuzz@1".parse().unwrap());
    let ports = world.consumer_ports(&producer);
    let report = handle_batch(&consumer, ports, &messages).now_or_never().expect("nothing in this world waits");
    assert!(report.failed.iter().all(|id| messages.iter().any(|message| message.id == *id)));
    assert_eq!(world.kept().len() as u64, report.counts.dead_lettered);
    for key in world.tables().progress.keys() {
        let of_tenant = |group: &str| group.split('#').next() == Some(key.aggregate.tenant.as_str());
        assert!(messages.iter().any(|message| of_tenant(&message.group)), "{key:?} is written for a forged tenant");
    }
}

/// A line that may be a token, then what may be a set of keys: read without harm, and nobody has a key to sign with.
pub fn token(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let token = bytes.line();
    let rules = TokenRules { issuer: "i".into(), audience: "a".into(), tenant_claim: "t".into() };
    let why = decode::token_tenant(&token, bytes.rest(), &rules).expect_err("a token was let in that nobody signed");
    assert!(why.is_ascii() && (10..200).contains(&why.len()), "{why}");
}

/// As the shop's order is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only whether it can be read matters")]
struct PlaceOrder {
    customer_id: CustomerId,
    lines: Lines,
}

/// Five lines of headers and flags, the rest is the body: accepted, or refused with a sentence that quotes nothing.
pub fn http_request(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let names = ["x-tenant-id", "x-correlation-id", "idempotency-key", "content-type"];
    let headers: serde_json::Map<String, Value> = (names.iter().map(|name| ((*name).to_owned(), bytes.line().into())))
        .filter(|(_, value): &(String, Value)| value != "-")
        .collect();
    let encoded = bytes.line() == "base64";
    let event = json!({
        "headers": headers, "rawPath": "/orders", "isBase64Encoded": encoded,
        "body": String::from_utf8_lossy(bytes.rest()),
        "requestContext": { "http": { "method": "POST" } },
    });
    let fresh = EventId::new(Timestamp::from_millis(1), 1);
    let tenant = TenantId::parse("acme").unwrap();
    let request = match decode::http_request(event, tenant, fresh) {
        None => return,
        Some(Err(refused)) => return polite(refused),
        Some(Ok(request)) => request,
    };
    assert_eq!(request.tenant.as_str(), "acme");
    assert!(headers.get("x-tenant-id").is_none_or(|named| named == "acme"), "another tenant was let in");
    match request.idempotency_key() {
        Ok(key) => assert_eq!(headers["idempotency-key"], key.as_str()),
        Err(refused) => polite(refused),
    }
    if let Err(refused) = request.json::<PlaceOrder>() {
        polite(refused);
    }
    if let Err(refused) = request.json::<Value>() {
        polite(refused);
    }
}

/// A no is the caller's fault, in plain words: whatever was sent in other letters would show.
fn polite(refused: HttpError) {
    let Verdict::Refuse(reply) = Verdict::from(refused) else { panic!("a no became a yes") };
    assert!([400, 403, 413, 415].contains(&reply.code), "{reply:?}");
    let said: Value = serde_json::from_str(&reply.body).unwrap();
    let message = said["message"].as_str().unwrap();
    assert!(message.is_ascii() && (10..300).contains(&message.len()), "{message}");
}
