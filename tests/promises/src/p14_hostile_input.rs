//! P14 at the HTTP boundary: every row of the table of bad input gets its answer, names the place, never the value.

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, order_of};

pub(crate) const TESTS: &[Test] = &[
    ("p14_a_body_that_is_not_as_it_should_be_is_400_and_names_the_place", bodies),
    ("p14_a_body_that_is_too_large_is_413_and_another_type_415", size_and_type),
    ("p14_ids_that_could_forge_a_key_are_400", ids),
    ("p14_a_missing_idempotency_key_is_400", no_key),
    ("p14_an_unknown_route_is_404", route),
];

fn bodies(stack: &Stack) -> Result<()> {
    let line = r#"{"sku":"tea","quantity":2,"unit_price_cents":450}"#;
    let order = |lines: &str| format!(r#"{{"customer_id":"c-1","lines":[{lines}]}}"#);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "the body is empty"),
        ("\u{feff}{}".into(), "expected value"),
        ("{".into(), "EOF while parsing"),
        (r#"{"SECRET" 1}"#.into(), "the body at its top: there is a field that this request does not have"),
        (order_of("tea") + "x", "more after its JSON value"),
        (r#"{"customer_id":"c-1"}"#.into(), "missing field `lines`"),
        (r#"{"customer_id":"c-1","customer_id":"c-2","lines":[]}"#.into(), "duplicate field `customer_id`"),
        (order_of("tea").replace("\"lines\"", "\"SECRET\":1,\"lines\""), "a field that this request does not have"),
        (order_of("tea").replace("\"lines\"", "\"SECRET.1\":1,\"lines\""), "a field that this request does not have"),
        (r#"{"customer_id":"SECRET\u0000","lines":[]}"#.into(), "the body at customer_id: an id must be"),
        (r#"{"customer_id":"SECRET#1","lines":[]}"#.into(), "the body at customer_id: an id must be"),
        (order(""), "an order has 1 to 20 lines"),
        (order(&format!("{line},{line}")), "a sku in one line only"),
        (order(&line.replace('2', "0")), "a quantity must be 1 to 1000000"),
        (order(&line.replace('2', "1e400")), "out of range"),
        (order(&line.replace('2', "\"SECRET\"")), "lines[0].quantity: the value has the wrong type"),
        (order(&line.replace("450", "-450")), "wrong type"),
        (deep, "wrong type"),
    ];
    for (index, (body, sentence)) in cases.iter().enumerate() {
        let answer = stack.ask("POST", "/orders", "p14-body", &format!("k-{index}"), body)?;
        ensure!(answer.status == 400 && answer.text.contains(sentence), "{sentence}: {answer:?}");
        ensure!(!answer.text.contains("SECRET"), "{answer:?}");
    }
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    let answer = stack.ask_with("POST", "/orders", "p14-body", &headers, b"{\"customer_id\":\"\xff\xfe\"}")?;
    ensure!(answer.status == 400, "{answer:?}");
    Ok(())
}

fn size_and_type(stack: &Stack) -> Result<()> {
    let large = order_of(&"x".repeat(200_000));
    let answer = stack.ask("POST", "/orders", "p14-size", "k-1", &large)?;
    ensure!(answer.status == 413, "{} {}", answer.status, answer.text);
    let headers = [("idempotency-key", "k-2"), ("content-type", "text/plain")];
    let answer = stack.ask_with("POST", "/orders", "p14-size", &headers, order_of("tea").as_bytes())?;
    ensure!(answer.status == 415, "{answer:?}");
    Ok(())
}

fn ids(stack: &Stack) -> Result<()> {
    let long = "x".repeat(129);
    for id in ["a%23b", "a%00b", "a%0d%0ab", "%E2%80%AEa", "a%20b", long.as_str()] {
        let answer = stack.ask("GET", &format!("/orders/{id}"), "p14-ids", "", "")?;
        ensure!(answer.status == 400, "{id}: {answer:?}");
    }
    for (header, value) in [("idempotency-key", "a#b"), ("x-correlation-id", "a/b")] {
        let mut headers = vec![("idempotency-key", "k"), ("content-type", "application/json")];
        headers.retain(|(name, _)| *name != header);
        headers.push((header, value));
        let answer = stack.ask_with("POST", "/orders", "p14-ids", &headers, order_of("tea").as_bytes())?;
        ensure!(answer.status == 400 && answer.text.contains(header), "{header}: {answer:?}");
        ensure!(!answer.text.contains(value), "{answer:?}");
    }
    Ok(())
}

fn no_key(stack: &Stack) -> Result<()> {
    let answer = stack.ask("POST", "/orders", "p14-key", "", &order_of("tea"))?;
    ensure!(answer.status == 400 && answer.text.contains("idempotency-key is missing"), "{answer:?}");
    Ok(())
}

fn route(stack: &Stack) -> Result<()> {
    let answer = stack.ask("DELETE", "/orders/o-1", "p14-route", "k", "")?;
    ensure!(answer.status == 404 && answer.field("error")? == "no_such_route", "{answer:?}");
    Ok(())
}
