//! Sends spans as OTLP over HTTP, and never keeps an invocation waiting for it: what a collector does not take at once is lost, and
//! counted. Must not know: what the spans are of.

use std::cell::Cell;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::https::{self, chain};
use crate::spans::text;

/// The longest that an invocation waits for the collector.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);
/// The same for a function that starts.
const START: Duration = Duration::from_secs(1);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// Where spans go.
#[derive(Debug)]
pub(super) struct Collector {
    address: Uri,
    client: https::Client,
    resource: Resource,
    /// Has it been said that spans are lost? The metric counts; a line for each would be one for each event.
    said: Cell<bool>,
}

impl Collector {
    /// A collector at this endpoint, for the spans of the function or consumer `name`. Nothing is sent yet.
    pub(super) fn new(endpoint: &str, stage: &str, name: &str) -> Result<Self, std::io::Error> {
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let address = address.parse().map_err(std::io::Error::other)?;
        let attributes = vec![
            text("service.name", name),
            text("service.namespace", "towpath"),
            text("deployment.environment.name", stage),
        ];
        let resource = Resource { attributes, ..Resource::default() };
        Ok(Self { address, client: https::client()?, resource, said: Cell::new(false) })
    }

    /// Opens the connection: an empty request.
    pub(super) async fn warm(&self) {
        if let Err(reason) = self.post(Vec::new(), START).await {
            tracing::debug!(reason, "the collector of spans does not answer yet");
        }
    }

    /// Sends spans, and says how many were lost.
    pub(super) async fn send(&self, spans: Vec<Span>) -> u64 {
        let all = spans.len() as u64;
        let (lost, reason) = match self.post(spans, PATIENCE).await {
            Ok(answer) => {
                let refused = answer.partial_success.unwrap_or_default();
                (u64::try_from(refused.rejected_spans).unwrap_or_default(), refused.error_message)
            }
            Err(reason) => (all, reason),
        };
        if lost > 0 && !self.said.replace(true) {
            tracing::warn!(reason, "spans are lost: the metric SpansLost counts them, and this is not said again");
        }
        lost
    }

    async fn post(&self, spans: Vec<Span>, within: Duration) -> Result<ExportTraceServiceResponse, String> {
        let scope = InstrumentationScope { name: "towpath".to_owned(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        let body = Full::new(Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec()));
        let request = Request::post(&self.address).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let request = request.map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| chain(&error))?;
            let status = response.status();
            if !status.is_success() {
                return Err(format!("the collector answered {status}"));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
            ExportTraceServiceResponse::decode(body).map_err(|error| format!("the answer cannot be read: {error}"))
        };
        let late = |_| format!("no answer within {} ms", within.as_millis());
        tokio::time::timeout(within, exchange).await.map_err(late)?
    }
}
