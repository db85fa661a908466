//! What becomes a span, what it says, and what a collector may cost. Must not know: a collector that is real.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use towpath::{Failure, Then};

use super::*;
use crate::spans::export::PATIENCE;

/// The caller's place in a trace that is sampled, and in one that is not.
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

fn tracer(sampling: &str) -> Tracer {
    let collector = Collector::new("http://127.0.0.1:9", "test", "inventory").unwrap();
    Tracer { collector, sampling: sampling.parse().unwrap(), open: RefCell::default(), ended: RefCell::default() }
}

fn event(seq: u64, place: Option<&Traceparent>) -> Envelope {
    let body = format!(
        r#"{{"format":1,"event_id":"01a1fd8c-6907-7700-8000-{seq:012x}","event_type":"order.placed","event_version":1,
        "tenant_id":"acme","aggregate_type":"order","aggregate_id":"o-1","seq":{seq},"prior":{{}},"era":1,
        "occurred_at":"2026-11-21T10:00:00.000Z","correlation_id":"c","causation_id":"c","producer":"shop@1","hops":0,
        "data":{{"secret":"canary"}}}}"#
    );
    Envelope { traceparent: place.cloned(), ..Envelope::parse(&body).unwrap() }
}

/// The step that handles an event.
fn step(tracer: &Tracer, event: &Envelope) -> Traceparent {
    tracer.step(&event.event_id.into(), event.traceparent.as_ref().unwrap())
}

fn place(text: &str) -> Traceparent {
    text.parse().unwrap()
}

fn said(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_an_event_brings_about_is_a_child_of_the_span_that_recorded_it_and_links_to_it() {
    let tracer = tracer("0");
    let asked = tracer.request("POST", Some(&place(SAMPLED)), None).unwrap();
    let placed = event(1, Some(&asked));
    tracer.saw(&placed, Happened::Recorded);
    tracer.answered(201);
    let handling = step(&tracer, &placed);
    assert_eq!(step(&tracer, &placed), handling, "it is one step, however often it is asked for");
    tracer.saw(&event(2, Some(&handling)), Happened::Recorded);
    tracer.saw(&placed, Happened::Applied);
    assert!(tracer.open.borrow().is_empty());

    let ended = tracer.ended.take();
    let names: Vec<&str> = ended.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST order.placed", "process order.placed"]);
    assert_eq!(ended[0].parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!((said(&ended[0], "http.response.status_code"), ended[0].links.len()), ("201".to_owned(), 0));
    assert_eq!(ended[1].parent_span_id, ended[0].span_id);
    assert_eq!((&ended[1].links[0].trace_id, &ended[1].links[0].span_id), (&ended[0].trace_id, &ended[0].span_id));
    assert_eq!(Place::read(&handling).unwrap().span.to_be_bytes().to_vec(), ended[1].span_id);
    assert_eq!((said(&ended[1], "towpath.seq"), said(&ended[1], "towpath.outcome")), ("1".into(), "applied".into()));
    assert!(!format!("{ended:?}").contains("canary"), "no event's data is in a span");
}

#[test]
fn what_is_not_sampled_has_no_span_and_carries_its_place_on_as_it_is() {
    let tracer = tracer("1");
    assert_eq!(tracer.request("POST", Some(&place(UNSAMPLED)), Some(XRAY)), None);
    assert_eq!(tracer.request("GET", Some(&place(SAMPLED)), Some(XRAY)), None);
    let placed = event(1, Some(&place(UNSAMPLED)));
    assert_eq!(step(&tracer, &placed), place(UNSAMPLED));
    for event in [&placed, &event(2, None)] {
        tracer.saw(event, Happened::Recorded);
        tracer.saw(event, Happened::Applied);
    }
    tracer.answered(201);
    assert!(tracer.open.borrow().is_empty() && tracer.ended.borrow().is_empty());
}

#[test]
fn a_trace_begins_at_a_request_by_share_and_goes_on_from_x_rays_segment() {
    assert_eq!(tracer("0").request("POST", None, Some(XRAY)), None);
    let (with, without) = (tracer("1"), tracer("1"));
    let begun = Place::read(&with.request("POST", None, Some(XRAY)).unwrap()).unwrap();
    assert_eq!((begun.trace, begun.is_sampled()), (0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793, true));
    with.answered(500);
    let span = &with.ended.borrow()[0];
    assert_eq!(span.parent_span_id, 0x5399_5c3f_42cd_8ad8_u64.to_be_bytes());
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(StatusCode::Error.into()));
    assert!(without.request("POST", None, None).is_some());
    without.answered(422);
    let span = &without.ended.borrow()[0];
    assert!(span.parent_span_id.is_empty() && span.status.is_none() && span.name == "POST");
}

#[test]
fn a_failure_is_a_span_with_its_class_and_without_its_words() {
    let tracer = tracer("0");
    let placed = event(1, Some(&place(SAMPLED)));
    step(&tracer, &placed);
    let failure = Failure::reject("unknown sku", "canary");
    tracer.failed(&Failed { aggregate: None, envelope: Some(placed.into()), failure, then: Then::Parked });
    let ended = tracer.ended.take();
    assert_eq!((ended.len(), said(&ended[0], "towpath.outcome")), (1, "failed".to_owned()));
    assert_eq!(ended[0].status.as_ref().map(|status| status.message.as_str()), Some("unknown sku"));
    assert!(!format!("{ended:?}").contains("canary"));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_more_than_its_time_and_its_spans_are_counted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), nobody] {
        let collector = Collector::new(&format!("http://{address}"), "test", "inventory").unwrap();
        let began = Instant::now();
        assert_eq!(collector.send(vec![Span::default(), Span::default()]).await, 2, "{address}");
        let waited = began.elapsed();
        assert!(waited < PATIENCE + Duration::from_millis(150), "{address}: {waited:?}");
    }
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_too() {
    for (status, body, lost) in [("200 OK", &b""[..], 0), ("503 No", b"", 2), ("200 OK", &[0x0a, 0x02, 0x08, 0x01], 1)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Collector::new(&format!("http://{}/", listener.local_addr().unwrap()), "test", "x").unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).unwrap();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        assert_eq!(collector.send(vec![Span::default(), Span::default()]).await, lost, "{status}");
        let asked = answering.join().unwrap();
        assert!(asked.starts_with("POST /v1/traces HTTP/1.1") && asked.contains("application/x-protobuf"), "{asked}");
    }
}

#[tokio::test]
async fn a_step_that_nobody_told_the_end_of_ends_with_the_invocation() {
    let tracer = tracer("0");
    let placed = event(1, Some(&place(SAMPLED)));
    let timer = step(&tracer, &placed);
    tracer.saw(&event(2, Some(&timer)), Happened::Recorded);
    step(&tracer, &event(3, Some(&place(SAMPLED))));
    tracer.close();
    let outcomes: Vec<String> = tracer.ended.borrow().iter().map(|span| said(span, "towpath.outcome")).collect();
    assert_eq!(outcomes, ["recorded", "unknown"]);
    tracer.flush().await; // to nobody
    assert!(tracer.ended.borrow().is_empty() && tracer.open.borrow().is_empty());
}
