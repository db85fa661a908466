//! P15: one trace shows a whole flow. Each span that handles an event links to the span in which the event was committed, so from
//! the request every step is reached; a trace that its caller does not sample leaves no span.
//! Must not know: how spans are made.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use towpath::{AggregateKey, Traceparent};

use crate::Test;
use crate::collector::{Kept, attribute};
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p15_one_trace_shows_an_order_at_each_of_its_consumers", order),
    ("p15_one_trace_shows_a_saga_over_its_commands_and_their_answers", saga),
    ("p15_what_no_caller_samples_leaves_no_span", unsampled),
];

/// What a consumer is seen to do: who, and the name of the span.
pub(crate) type Seen<'a> = (&'a str, &'a str);

/// The spans of a trace, by id.
pub(crate) type Spans = BTreeMap<Vec<u8>, Kept>;

/// The header by which a caller says in which trace it is, and the trace.
pub(crate) fn header(trace: u128, flags: &str) -> String {
    format!("00-{trace:032x}-00f067aa0ba902b7-{flags}")
}

/// Sends a command within a trace.
fn ask(stack: &Stack, path: &str, tenant: &str, key: &str, traceparent: &str, body: &str) -> Result<String> {
    let headers = [("idempotency-key", key), ("content-type", "application/json"), ("traceparent", traceparent)];
    let answer = stack.ask_with("POST", path, tenant, &headers, body.as_bytes())?;
    ensure!((200..300).contains(&answer.status), "{answer:?}");
    answer.field(if path == "/orders" { "order_id" } else { "checkout_id" })
}

fn order_of(customer: &str) -> String {
    format!(r#"{{"customer_id":"{customer}","lines":[{{"sku":"tea","quantity":2,"unit_price_cents":450}}]}}"#)
}

fn spans(stack: &Stack, trace: u128) -> Spans {
    let all = stack.collector.spans().into_iter();
    let of_it = all.filter(|kept| kept.span.trace_id == trace.to_be_bytes());
    of_it.map(|kept| (kept.span.span_id.clone(), kept)).collect()
}

/// Follows the links of a span back to the request: who has done what; `None` if it is not reached.
pub(crate) fn way_back<'a>(spans: &'a Spans, from: &'a Kept) -> Option<Vec<Seen<'a>>> {
    let (mut at, mut way) = (from, Vec::new());
    while way.len() < spans.len() {
        way.push((at.by.as_str(), at.span.name.as_str()));
        let [link] = at.span.links.as_slice() else {
            return (at.span.kind == i32::from(SpanKind::Server)).then_some(way);
        };
        let same = link.trace_id == at.span.trace_id && link.span_id == at.span.parent_span_id;
        at = spans.get(&link.span_id).filter(|_| same)?;
    }
    None
}

/// The way back from the span of this name.
pub(crate) fn way_of<'a>(spans: &'a Spans, seen: Seen<'_>) -> Result<Vec<Seen<'a>>> {
    let found = spans.values().find(|kept| (kept.by.as_str(), kept.span.name.as_str()) == seen);
    found.and_then(|kept| way_back(spans, kept)).with_context(|| format!("no way back from {seen:?}"))
}

/// Waits until a trace shows all of this, each reached from the one request.
pub(crate) async fn shows(stack: &Stack, trace: u128, wanted: &[Seen<'_>]) -> Result<Spans> {
    let last = RefCell::new(String::new());
    let looked = until("the trace shows all of it", async || {
        let spans = spans(stack, trace);
        let seen: BTreeSet<Seen<'_>> = spans.values().map(|kept| (kept.by.as_str(), kept.span.name.as_str())).collect();
        let lost: Vec<_> = spans.values().filter(|kept| way_back(&spans, kept).is_none()).collect();
        last.replace(format!("seen: {seen:?}; not reached: {lost:?}"));
        let complete = lost.is_empty() && wanted.iter().all(|each| seen.contains(each));
        Ok(complete.then_some(spans.clone()))
    });
    looked.await.with_context(|| last.borrow().clone())
}

fn order(stack: &Stack) -> Result<()> {
    wait(async {
        let (tenant, trace) = ("p15-trace", 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128);
        stack.stock_up(tenant, "tea", 10)?;
        let id = ask(stack, "/orders", tenant, "k", &header(trace, "01"), &order_of("canary"))?;
        let wanted = [
            ("orders-api", "POST order.placed"),
            ("relay", "publish order.placed"),
            ("inventory", "process order.placed"),
            ("order-summary", "process order.placed"),
            ("crm-timeline", "process order.placed"),
            ("integration-bus", "process order.placed"),
        ];
        let spans = shows(stack, trace, &wanted).await?;
        let request = spans.values().find(|kept| kept.by == "orders-api").context("there is a request")?;
        ensure!(request.span.parent_span_id == 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(), "{request:?}");

        let order: AggregateKey = format!("{tenant}#order#{id}").parse()?;
        let rows = stack.journal(&order).await?;
        let placed = rows.first().context("the order is in the journal")?;
        let carried = placed.envelope.traceparent.as_ref().context("it carries its place")?.to_string();
        let hex: String = request.span.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(carried == format!("00-{trace:032x}-{hex}-01"), "{carried}: it was committed in {hex}");
        for kept in spans.values() {
            let said = |key: &str| attribute(&kept.span.attributes, key).unwrap_or_default();
            ensure!(said("towpath.tenant_id") == tenant, "{kept:?}");
            let about_it = said("towpath.event_type") != "order.placed"
                || said("towpath.event_id") == placed.envelope.event_id.to_string();
            ensure!(about_it && !format!("{kept:?}").contains("canary"), "ids and nothing else: {kept:?}");
        }
        Ok(())
    })
}

fn saga(stack: &Stack) -> Result<()> {
    wait(async {
        let (tenant, trace) = ("p15-trace-saga", 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4737_u128);
        stack.stock_up(tenant, "tea", 10)?;
        let line = r#"{"sku":"tea","quantity":1,"unit_price_cents":450}"#;
        let body = format!(r#"{{"customer_id":"c-1","lines":[{line}]}}"#);
        ask(stack, "/checkouts", tenant, "k", &header(trace, "01"), &body)?;
        let wanted = [
            ("orders-api", "POST checkout.submitted"),
            ("fulfilment", "process checkout.submitted"),
            ("relay", "publish stock.reserve"),
            ("inventory", "process stock.reserve"),
            ("fulfilment", "process reservation.made"),
        ];
        let spans = shows(stack, trace, &wanted).await?;
        let way = [wanted[4], wanted[3], wanted[1], wanted[0]];
        let found = way_of(&spans, wanted[4])?;
        ensure!(found == way, "each names the step that committed it: {found:?}");
        Ok(())
    })
}

/// An invocation sends its spans before it ends, and a tenant's events come in order: when the last order is seen at a consumer, the
/// spans of those before it would have been, too.
fn unsampled(stack: &Stack) -> Result<()> {
    wait(async {
        let (tenant, trace) = ("p15-untraced", 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4738_u128);
        stack.stock_up(tenant, "tea", 10)?;
        let unsampled = header(trace, "00");
        for (key, given) in [("k-0", ""), ("k-1", unsampled.as_str()), ("k-2", "it is no traceparent")] {
            let id = ask(stack, "/orders", tenant, key, given, &order_of("c-1"))?;
            let rows = stack.journal(&format!("{tenant}#order#{id}").parse()?).await?;
            let carried = rows.first().context("the order is in the journal")?.envelope.traceparent.as_ref();
            let same = (key == "k-1").then_some(given);
            ensure!(carried.map(Traceparent::as_str) == same, "{key}: {carried:?}");
        }
        ask(stack, "/orders", tenant, "k-3", &header(trace + 1, "01"), &order_of("c-1"))?;
        let consumers = ["inventory", "order-summary", "crm-timeline"].map(|by| (by, "process order.placed"));
        shows(stack, trace + 1, &consumers).await?;
        let of_tenant = |kept: &Kept| attribute(&kept.span.attributes, "towpath.tenant_id").as_deref() == Some(tenant);
        let strange: Vec<Kept> = stack.collector.spans().into_iter().filter(of_tenant).collect();
        let strange: Vec<&Kept> =
            strange.iter().filter(|kept| kept.span.trace_id != (trace + 1).to_be_bytes()).collect();
        ensure!(strange.is_empty(), "{strange:?}");
        Ok(())
    })
}
