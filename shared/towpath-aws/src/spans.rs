//! Spans: what an invocation did for requests and events whose trace is sampled, sent to a collector when it ends.
//! docs/traces.md says what they show. Must not know: personal data. A span names an event by its ids.
//!
//! An event's `traceparent` names the span in which it was committed. The span of whoever handles the event is a child of
//! that one, in the same trace, and links to it; what the handling commits names the handler's span. So a trace follows a flow
//! over every hop. Only an API begins a trace; an event that is in none is in none for ever.

mod export;
mod place;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use towpath::ports::JournalRow;
use towpath::{CausationId, Envelope, Failed, Happened, Traceparent, Visibility};

use crate::config::Traces;
use crate::spans::export::Collector;
use crate::spans::place::Place;
pub use crate::spans::place::{InvalidSampling, Sampling};
use crate::telemetry;

/// The flags of a trace that is sampled.
const FLAGS: u32 = 1;
/// Spans that one invocation sends: a long catch-up of sampled events shows its beginning.
const MOST: usize = 1_000;

/// The spans of one process. It runs one invocation at a time.
#[derive(Debug)]
pub(crate) struct Tracer {
    collector: Collector,
    sampling: Sampling,
    /// Steps that have begun and not ended.
    open: RefCell<Vec<Step>>,
    ended: RefCell<Vec<Span>>,
}

/// Something that is being done.
#[derive(Debug)]
struct Step {
    /// The event, or what set the timer; nothing for a request.
    cause: Option<CausationId>,
    place: Place,
    span: Span,
    /// The first event that it recorded.
    recorded: Option<String>,
}

impl Tracer {
    /// The tracer of a function, if it is told where spans go, with its connection open.
    pub(crate) async fn new(
        told: Option<&Traces>,
        stage: &str,
        name: &str,
    ) -> Result<Option<Rc<Self>>, std::io::Error> {
        let Some(told) = told else { return Ok(None) };
        let collector = Collector::new(&told.endpoint, stage, name)?;
        collector.warm().await;
        let (open, ended) = (RefCell::default(), RefCell::default());
        Ok(Some(Rc::new(Self { collector, sampling: told.sampling, open, ended })))
    }

    /// A request begins. Where it is, if its trace is sampled: as its caller says in `given`, else by share. `xray` is the header
    /// by which Lambda says which segment has called. A read sets nothing in motion, so it has no span.
    pub(crate) fn request(&self, method: &str, given: Option<&Traceparent>, xray: Option<&str>) -> Option<Traceparent> {
        if ["GET", "HEAD", "OPTIONS"].contains(&method) {
            return None;
        }
        let given = given.and_then(Place::read);
        let (place, parent) = match given {
            Some(caller) => (caller.is_sampled().then(|| caller.beside(random())), Some(caller)),
            None => {
                let segment = xray.and_then(Place::of_xray);
                let trace = segment.map_or_else(|| u128::from(random()) << 64 | u128::from(random()), |it| it.trace);
                (self.sampling.takes(trace).then(|| Place::sampled(trace, random())), segment)
            }
        };
        let place = place?;
        let span = Span { name: method.to_owned(), kind: SpanKind::Server.into(), ..begun(place, parent) };
        self.open.borrow_mut().push(Step { cause: None, place, span, recorded: None });
        Some(place.traceparent())
    }

    /// The request ends, with this status code.
    pub(crate) fn answered(&self, code: i64) {
        let Some(Step { mut span, recorded, .. }) = self.take(|step| step.cause.is_none()) else { return };
        span.attributes.push(text("http.request.method", span.name.as_str()));
        if let Some(event_type) = recorded {
            span.name = format!("{} {event_type}", span.name);
        }
        span.attributes.push(number("http.response.status_code", code));
        span.status = (code >= 500).then(|| failed(String::new()));
        self.end(span);
    }

    /// The step that `cause` brings about, which begins when it is asked for first.
    pub(crate) fn step(&self, cause: &CausationId, after: &Traceparent) -> Traceparent {
        let Some(parent) = Place::read(after).filter(|place| place.is_sampled()) else { return after.clone() };
        let mut open = self.open.borrow_mut();
        if let Some(step) = open.iter().find(|step| step.cause.as_ref() == Some(cause)) {
            return step.place.traceparent();
        }
        let place = parent.beside(random());
        let span = Span { kind: SpanKind::Consumer.into(), links: vec![link(parent)], ..begun(place, Some(parent)) };
        open.push(Step { cause: Some(cause.clone()), place, span, recorded: None });
        place.traceparent()
    }

    /// Something has happened to an event.
    pub(crate) fn saw(&self, event: &Envelope, happened: Happened) {
        match happened {
            Happened::Recorded => self.recorded(event),
            Happened::Applied => self.handled(event, "applied", None),
            Happened::Duplicate | Happened::Waiting => {}
        }
    }

    /// An event was not applied.
    pub(crate) fn failed(&self, failure: &Failed) {
        if let Some(event) = &failure.envelope {
            self.handled(event, "failed", Some(failed(failure.failure.reason().class.to_string())));
        }
    }

    /// The place that an event names says which step has recorded it. A request or a timer is about the first one.
    fn recorded(&self, event: &Envelope) {
        let Some(place) = event.traceparent.as_ref().and_then(Place::read) else { return };
        let mut open = self.open.borrow_mut();
        if let Some(step) = open.iter_mut().find(|step| step.place == place && step.recorded.is_none()) {
            step.recorded = Some(event.event_type.to_string());
            step.span.attributes = about(event);
        }
    }

    fn handled(&self, event: &Envelope, outcome: &str, status: Option<Status>) {
        if event.traceparent.is_none() {
            return;
        }
        let cause = CausationId::from(event.event_id);
        let Some(Step { span, .. }) = self.take(|step| step.cause.as_ref() == Some(&cause)) else { return };
        let name = format!("process {}", event.event_type);
        self.end(Span { name, status, attributes: message(event, "process", outcome), ..span });
    }

    /// The relay begins to publish these rows: spans of those that are sampled, by index.
    pub(crate) fn publishing(rows: &[JournalRow]) -> Vec<(usize, Span)> {
        let spans = rows.iter().enumerate().filter_map(|(index, row)| {
            let event = &row.envelope;
            let parent = Place::read(event.traceparent.as_ref()?).filter(|place| place.is_sampled())?;
            let shown = row.visibility != Visibility::Private;
            shown.then(|| {
                let (name, links) = (format!("publish {}", event.event_type), vec![link(parent)]);
                let (kind, attributes) = (SpanKind::Producer.into(), message(event, "publish", "published"));
                (index, Span { name, kind, links, attributes, ..begun(parent.beside(random()), Some(parent)) })
            })
        });
        spans.collect()
    }

    /// The relay has published all of them but those of these indexes, which the stream offers again.
    pub(crate) fn published(&self, spans: Vec<(usize, Span)>, refused: &[usize]) {
        for (index, span) in spans {
            if !refused.contains(&index) {
                self.end(span);
            }
        }
    }

    /// What has not ended was not told of: a timer that fired, or a commit of which nobody knows.
    fn close(&self) {
        while let Some(Step { cause, mut span, recorded, .. }) = self.take(|_| true) {
            let outcome = if recorded.is_some() { "recorded" } else { "unknown" };
            span.name = recorded.map_or_else(|| "process".to_owned(), |event_type| format!("record {event_type}"));
            span.attributes.push(text("towpath.outcome", outcome));
            span.attributes.extend(cause.map(|cause| text("towpath.causation_id", cause.as_str())));
            self.end(span);
        }
    }

    async fn flush(&self) {
        self.close();
        let mut spans = self.ended.take();
        let left_out = spans.len().saturating_sub(MOST);
        spans.truncate(MOST);
        let lost = if spans.is_empty() { 0 } else { self.collector.send(spans).await };
        telemetry::count("SpansLost", lost + left_out as u64);
    }

    fn take(&self, which: impl Fn(&Step) -> bool) -> Option<Step> {
        let mut open = self.open.borrow_mut();
        let index = open.iter().position(which)?;
        Some(open.swap_remove(index))
    }

    fn end(&self, span: Span) {
        self.ended.borrow_mut().push(Span { end_time_unix_nano: now(), ..span });
    }
}

/// Sends what an invocation did, if there is a tracer.
pub(crate) async fn flush(tracer: Option<&Tracer>) {
    if let Some(tracer) = tracer {
        tracer.flush().await;
    }
}

fn begun(place: Place, parent: Option<Place>) -> Span {
    let id = |span: u64| span.to_be_bytes().to_vec();
    Span {
        trace_id: place.trace.to_be_bytes().to_vec(),
        span_id: id(place.span),
        parent_span_id: parent.map(|parent| id(parent.span)).unwrap_or_default(),
        flags: FLAGS,
        start_time_unix_nano: now(),
        ..Span::default()
    }
}

fn link(to: Place) -> Link {
    let (trace_id, span_id) = (to.trace.to_be_bytes().to_vec(), to.span.to_be_bytes().to_vec());
    Link { trace_id, span_id, flags: FLAGS, ..Link::default() }
}

/// Which event: ids that logs have too.
fn about(event: &Envelope) -> Vec<KeyValue> {
    vec![
        text("towpath.tenant_id", event.tenant_id.as_str()),
        text("towpath.event_id", event.event_id.to_string()),
        text("towpath.event_type", event.event_type.as_str()),
        number("towpath.seq", i64::try_from(event.seq.0).unwrap_or(i64::MAX)),
    ]
}

/// The same, in OpenTelemetry's words for messages.
fn message(event: &Envelope, operation: &str, outcome: &str) -> Vec<KeyValue> {
    let (system, kind) = if operation == "publish" { ("aws.sns", "send") } else { ("aws_sqs", "process") };
    let mut attributes = about(event);
    attributes.extend([
        text("messaging.system", system),
        text("messaging.operation.name", operation),
        text("messaging.operation.type", kind),
        text("messaging.message.id", event.event_id.to_string()),
        text("towpath.outcome", outcome),
    ]);
    attributes
}

fn failed(class: String) -> Status {
    Status { code: StatusCode::Error.into(), message: class }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A span's id, which is never zero.
fn random() -> u64 {
    getrandom::u64().expect("the operating system has randomness").max(1)
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
