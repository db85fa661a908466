//! A collector of spans: takes what functions send as OTLP over HTTP, and keeps it.
//! Must not know: what the spans should be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// Largest request that is read, in bytes.
const REQUEST_BYTES: usize = 8 << 20;

/// A span, and the function or consumer that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) by: String,
    pub(crate) span: Span,
}

/// A collector that runs until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    kept: Arc<Mutex<Vec<Kept>>>,
}

impl Collector {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let collector = Self { endpoint: format!("http://{}", listener.local_addr()?), kept: Arc::default() };
        let here = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let here = here.clone();
                // A connection that breaks off is a function that ended.
                std::thread::spawn(move || while let Ok(true) = here.answer(&stream) {});
            }
        });
        Ok(collector)
    }

    /// What was sent so far.
    pub(crate) fn spans(&self) -> Vec<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads one request. `false`: there is none any more.
    fn answer(&self, mut stream: &TcpStream) -> Result<bool> {
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        ensure!(line.starts_with("POST /v1/traces "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        ensure!(length <= REQUEST_BYTES, "{length} bytes");
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.keep(ExportTraceServiceRequest::decode(&body[..])?)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
        Ok(true)
    }

    fn keep(&self, request: ExportTraceServiceRequest) -> Result<()> {
        for of in request.resource_spans {
            let attributes = of.resource.unwrap_or_default().attributes;
            let by = attribute(&attributes, "service.name").context("a resource has a name")?;
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let spans = spans.map(|span| Kept { by: by.clone(), span });
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
        }
        Ok(())
    }
}

/// The value of an attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    match attributes.iter().find(|it| it.key == key)?.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}
