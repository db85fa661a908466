//! An HTTP API as a Lambda function: an API Gateway request in, checked; a reply out. Routes are the author's.
//! Must not know: any one route, any one tenant's data.

mod refusal;

use std::cell::Cell;
use std::str::FromStr;
use std::sync::Arc;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::query_map::QueryMap;
use base64::Engine;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use towpath::command::{CommandError, CommandPorts, Reply, Request, Verdict, execute, request_hash};
use towpath::limiter::{Leases, Limiter, Throttled};
use towpath::ports::{Consistency, CursorHome, CursorKey, Host};
use towpath::{
    Aggregate, AggregateId, AggregateKey, AggregateType, ConsumerName, Context, CorrelationId, Era, EventId,
    EventSourced, Failure, IdempotencyKey, Seq, Summary, TenantId, Timestamp, Traceparent, View, state_at,
};

use crate::issuer::Issuer;
pub use crate::lambda::http::refusal::HttpError;
use crate::lambda::http::refusal::{refusal, response};
use crate::lambda::{Exit, Problem, caller, host, opened, plant, producer, run};
use crate::spans::Tracer;
use crate::watch::Watches;
use crate::{AwsStore, EventBus, clients, config, spans, telemetry};

/// Largest request body, in bytes.
pub const BODY_BYTES: usize = 128 * 1024;
/// The header by which a caller says which version it has seen.
const SEEN: &str = "if-match";

/// One request, its tenant and correlation known.
#[derive(Debug)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Path without the stage.
    pub path: String,
    /// Whose request.
    pub tenant: TenantId,
    /// Shared by all that follows from it.
    pub correlation_id: CorrelationId,
    traceparent: Option<Traceparent>,
    query: QueryMap,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HttpRequest {
    fn new(event: ApiGatewayV2httpRequest, tenant: TenantId, fresh: EventId) -> Result<Self, HttpError> {
        let correlation_id = match event.headers.get("x-correlation-id") {
            Some(given) => CorrelationId::parse(given.to_str().unwrap_or("\u{fffd}")),
            None => CorrelationId::parse(fresh.to_string()),
        };
        let correlation_id = correlation_id.map_err(|error| bad(format!("the header x-correlation-id: {error}")))?;
        let body = event.body.unwrap_or_default();
        let body = if event.is_base64_encoded {
            let decoded = base64::engine::general_purpose::STANDARD.decode(body);
            decoded.map_err(|_| bad("the body is not valid base64"))?
        } else {
            body.into_bytes()
        };
        if body.len() > BODY_BYTES {
            return Err(HttpError::new(413, "too_large", format!("a body has at most {BODY_BYTES} bytes")));
        }
        let method = event.request_context.http.method.to_string();
        let path = event.raw_path.unwrap_or_default();
        let (query, headers) = (event.query_string_parameters, event.headers);
        caller::stays_with(&tenant, &headers, &query, &body)?;
        let traceparent = traceparent(&headers);
        Ok(Self { method, path, tenant, correlation_id, traceparent, query, headers, body })
    }

    /// The same in the span that is kept of it, if one is.
    fn within(self, span: Option<Traceparent>) -> Self {
        Self { traceparent: span.or(self.traceparent), ..self }
    }

    /// The body as JSON of this shape: 415 for another content type, 400 naming the path and never the value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            return Err(HttpError::new(415, "unsupported_media_type", "send content-type: application/json"));
        }
        let text = std::str::from_utf8(&self.body).map_err(|_| bad("the body is not UTF-8"))?;
        if text.trim().is_empty() {
            return Err(bad("the body is empty: send a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let message = error.inner().to_string();
            bad(format!("the body at {}: {}", place_in_body(&error), without_values(&message)))
        })?;
        json.end().map_err(|_| bad("the body has more after its JSON value"))?;
        Ok(value)
    }

    /// A parameter of the query, if it is there: 400 when it is not of this type.
    pub fn query<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, HttpError> {
        let value = self.query.first(name).map(str::parse).transpose();
        value.map_err(|rule: T::Err| bad(format!("the parameter {name}: {rule}")))
    }

    /// The caller's name for this command: 400 when it is missing.
    pub fn idempotency_key(&self) -> Result<IdempotencyKey, HttpError> {
        let key = self.headers.get("idempotency-key").ok_or_else(|| {
            bad("the header idempotency-key is missing: send a new one with each command, and the same one when you send it again")
        })?;
        let key = IdempotencyKey::parse(key.to_str().unwrap_or("\u{fffd}"));
        key.map_err(|error| bad(format!("the header idempotency-key: {error}")))
    }

    /// 409 with the current version, if the caller says by `if-match: "2"` that it has seen another one. Who says nothing
    /// decides on any version; 400 when the header is no version.
    pub fn saw(&self, current: Seq) -> Result<(), HttpError> {
        let Some(seen) = self.headers.get(SEEN) else { return Ok(()) };
        let seen = seen.to_str().ok().and_then(|seen| seen.trim_matches('"').parse().ok());
        let seen = seen.map(Seq).ok_or_else(|| bad("the header if-match: write the version that you saw, as \"2\""))?;
        if seen == current {
            return Ok(());
        }
        let how = "it has changed since you saw it: look at it again, and ask under a new idempotency key";
        Err(HttpError::new(409, "stale_version", how).at_version(current))
    }

    /// What is asked, for the hash: who saw another version asks for something else.
    fn operation(&self) -> String {
        let seen = self.headers.get(SEEN).map(|seen| format!(" {}", String::from_utf8_lossy(seen.as_bytes())));
        format!("{} {}{}", self.method, self.path, seen.unwrap_or_default())
    }
}

/// 400 with a sentence.
pub fn bad(message: impl std::fmt::Display) -> HttpError {
    HttpError::new(400, "bad_request", message)
}

/// Where a body goes wrong, without names that are not ours: an unknown field is named by what it lies in, and what is not
/// even JSON by its line, as any field on the way there may be unknown.
fn place_in_body(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let inner = error.inner();
    if !inner.is_data() {
        return format!("line {}, column {}", inner.line(), inner.column());
    }
    let mut path: Vec<&Segment> = error.path().iter().collect();
    if inner.to_string().starts_with("unknown field") {
        path.pop();
    }
    let mut place = String::new();
    for step in path {
        let dot = if place.is_empty() || matches!(step, Segment::Seq { .. }) { "" } else { "." };
        place = format!("{place}{dot}{step}");
    }
    if place.is_empty() { "its top".to_owned() } else { place }
}

/// A decoder's message without what the caller sent: names of unknown fields and values of the wrong type.
fn without_values(message: &str) -> String {
    let kind = message.split(" at line ").next().unwrap_or_default();
    let known = |prefix: &str| kind.starts_with(prefix);
    if known("invalid type") || known("invalid value") || known("invalid length") || known("data did not match") {
        "the value has the wrong type".to_owned()
    } else if known("unknown field") {
        "there is a field that this request does not have".to_owned()
    } else if known("unknown variant") {
        "the value is none of the allowed ones".to_owned()
    } else if known("number out of range") || known("invalid number") {
        "the number is out of range".to_owned()
    } else {
        kind.to_owned() // `missing field x`, a syntax error, or the rule of one of our own types
    }
}

/// What a route may use.
pub struct Api<'a> {
    ports: CommandPorts<'a>,
    /// Whom to tell of throttled tenants, and who tells.
    tells: Option<(&'a EventBus, &'a str)>,
}

impl<'a> Api<'a> {
    /// An API in any world: that of `run_api`, or one of a test.
    pub fn new(ports: CommandPorts<'a>) -> Self {
        Self { ports, tells: None }
    }

    /// Carries a command out, once per idempotency key.
    pub async fn execute(
        &self,
        request: &HttpRequest,
        decide: impl AsyncFn(&Context<'_>) -> Result<Verdict, Failure>,
    ) -> Result<Reply, HttpError> {
        let command = Request {
            tenant: request.tenant.clone(),
            key: Some(request.idempotency_key()?),
            hash: request_hash(&request.operation(), &request.body),
            correlation_id: request.correlation_id.clone(),
            traceparent: request.traceparent.clone(),
        };
        let recorded = Cell::new(0);
        let decide = async |cx: &Context<'_>| {
            let verdict = decide(cx).await;
            if let Ok(Verdict::Accept(tx, _)) = &verdict {
                recorded.set(tx.recorded());
            }
            verdict
        };
        let reply = match execute(self.ports, &command, decide).await {
            Err(CommandError::Throttled(throttled)) => return Err(self.throttled(&command.tenant, throttled).await),
            other => other?,
        };
        if (200..300).contains(&reply.code) && !reply.repeated {
            telemetry::count("Committed", recorded.get());
        }
        Ok(reply)
    }

    /// Counts it, and tells of it, if it is this process's turn. A hint: nobody waits for it to work.
    async fn throttled(&self, tenant: &TenantId, throttled: Throttled) -> HttpError {
        telemetry::count("Throttled", 1);
        if let Some((bus, name)) = self.tells.filter(|_| throttled.tell)
            && let Err(error) = bus.tell_throttled(name, tenant, self.ports.host.now()).await
        {
            tracing::warn!(reason = %error, "the bus was not told that a tenant is throttled");
        }
        CommandError::Throttled(throttled).into()
    }

    /// Reads the row that a projection keeps for one aggregate, and the last event in it.
    pub async fn summary<S: Summary>(
        &self,
        tenant: &TenantId,
        projection: &str,
        id: &AggregateId,
    ) -> Result<Option<(S, Seq)>, HttpError> {
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(reason = %error, projection, "a summary cannot be read");
            HttpError::new(500, "internal", "the summary cannot be read: this is a fault of the service")
        };
        let kind = AggregateType::parse(<S::Of as Aggregate>::TYPE).map_err(|error| internal(&error))?;
        let aggregate = AggregateKey { tenant: tenant.clone(), kind, id: id.clone() };
        let consumer = ConsumerName::parse(projection).map_err(|error| internal(&error))?;
        let keys = [CursorKey { aggregate, consumer }];
        let found = self.ports.store.positions(CursorHome::Views, &keys, Consistency::Eventual).await?;
        let Some(position) = found.into_iter().flatten().next() else { return Ok(None) };
        // Only while a projection is rebuilt has a row two states to choose from.
        let live = match &position.beside {
            Some(_) => self.ports.store.builds(&keys[0].consumer, Consistency::Eventual).await?.live,
            None => 1,
        };
        let Some(state) = position.shown(live) else { return Ok(None) };
        Ok(Some((serde_json::from_str(state).map_err(|error| internal(&error))?, position.cursor.seq)))
    }

    /// Folds an event-sourced aggregate, now or as it was at a time, and says at which row that is. All commits before are
    /// in it.
    pub async fn state<A: EventSourced>(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        at: Option<Timestamp>,
    ) -> Result<Option<(A, Seq)>, HttpError> {
        let kind = AggregateType::parse(A::TYPE).map_err(|error| unfolded(&Failure::reject("name", error)))?;
        let key = AggregateKey { tenant: tenant.clone(), kind, id: id.clone() };
        state_at(self.ports.store, &key, at).await.map_err(|failure| unfolded(&failure))
    }

    /// Reads one partition of a read model, in the order of its sort keys.
    pub async fn view<V: View>(&self, tenant: &TenantId, partition: &str) -> Result<Vec<V>, HttpError> {
        let rows = self.ports.store.view(tenant, V::NAME, partition).await?;
        let rows = rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<_, _>>();
        rows.map_err(|error| {
            tracing::error!(reason = %error, view = V::NAME, "a view cannot be read");
            HttpError::new(500, "internal", "the view cannot be read: this is a fault of the service")
        })
    }
}

/// The caller's place in a trace. One that cannot be read is none: no command fails for it.
fn traceparent(headers: &HeaderMap) -> Option<Traceparent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

fn unfolded(failure: &Failure) -> HttpError {
    tracing::error!(reason = %failure, "a state cannot be folded");
    match failure {
        Failure::Retry(_) | Failure::Unknown(_) => {
            HttpError::new(503, "unavailable", "the data could not be read now: try again")
        }
        Failure::Reject(_) => {
            HttpError::new(500, "internal", "the state cannot be told: this is a fault of the service")
        }
    }
}

/// Runs an API: `route` answers every request whose token, tenant and size are in order.
pub fn run_api(
    name: &str,
    version: &str,
    route: impl AsyncFn(&Api<'_>, &HttpRequest) -> Result<Reply, HttpError>,
) -> Exit {
    run(async {
        let config::ApiConfig { common: config, tenant_limit, bus_name, tokens } =
            config::api(config::process_environment)?;
        let metrics = telemetry::start(&config.stage, &config.log_level, &[("function", name)]);
        plant();
        let tracer = &Tracer::new(config.traces.as_ref(), &config.stage, name).await?;
        let producer = producer(name, version)?;
        let sdk = clients::load().await;
        let bus = bus_name.map(|bus| EventBus::new(aws_sdk_eventbridge::Client::new(&sdk), bus, &config.stage));
        let store = AwsStore::new(aws_sdk_dynamodb::Client::new(&sdk), config.tables, config.outbox_retention_days);
        opened(store.warm().await);
        let (issuer, also_writes) = (&Issuer::new(tokens)?, &Arc::new(config.also_writes));
        let (store, producer, route) = (&store, &producer, &route);
        let (leases, bus, watches) = (&Leases::default(), &bus, &Watches::default());
        lambda_runtime::run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
            let host = host(&event.context).also_writing(also_writes).watching(watches.read(store).await);
            let host = host.tracing(tracer.as_ref());
            let limiter = tenant_limit.map(|every| Limiter { buckets: store, leases, every });
            let ports = CommandPorts { store, host: &host, producer, era: Era::FIRST, limiter };
            let api = Api { ports, tells: bus.as_ref().map(|bus| (bus, name)) };
            let fresh = EventId::new(host.now(), host.random());
            let span = tracer.as_ref().and_then(|tracer| {
                let (method, xray) = (event.payload.request_context.http.method.as_str(), &event.context.xray_trace_id);
                tracer.request(method, traceparent(&event.payload.headers).as_ref(), xray.as_deref())
            });
            let tenant = caller::tenant_of(&event.payload.headers, issuer, &host).await;
            let of = tenant.as_ref().ok().cloned();
            let answer = async { route(&api, &HttpRequest::new(event.payload, tenant?, fresh)?.within(span)).await };
            let answer = answer.await.map_or_else(refusal, response);
            telemetry::count("Requests", 1);
            if let Some(tracer) = tracer {
                tracer.answered(answer.status_code);
            }
            spans::flush(tracer.as_deref()).await;
            telemetry::flush_of(metrics, of.as_ref());
            Ok::<_, Diagnostic>(answer)
        }))
        .await
        .map_err(|error| -> Problem { error })
    })
}

/// A request of this tenant out of the event that `run_api` gets; `None` if it is no such event.
pub(crate) fn read_request(
    event: serde_json::Value,
    tenant: TenantId,
    fresh: EventId,
) -> Option<Result<HttpRequest, HttpError>> {
    let event: ApiGatewayV2httpRequest = serde_json::from_value(event).ok()?;
    Some(HttpRequest::new(event, tenant, fresh))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn request(headers: &serde_json::Value) -> HttpRequest {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/orders/o-1/cancel", "rawQueryString": "", "headers": headers,
            "requestContext": { "http": { "method": "POST", "path": "/orders/o-1/cancel" } }, "isBase64Encoded": false
        });
        let (tenant, fresh) = (TenantId::parse("acme").unwrap(), EventId::new(Timestamp::default(), 1));
        read_request(event, tenant, fresh).unwrap().unwrap()
    }

    #[test]
    fn a_stale_version_is_409_with_the_current_one() {
        let saw = |seen: &str| request(&json!({ "if-match": seen })).saw(Seq(3));
        assert_eq!((saw("\"3\""), saw("3"), request(&json!({})).saw(Seq(3))), (Ok(()), Ok(()), Ok(())));
        let stale = saw("\"2\"").unwrap_err();
        let answer = refusal(stale);
        assert_eq!(answer.status_code, 409);
        let Some(aws_lambda_events::encodings::Body::Text(body)) = answer.body else { panic!("no body") };
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["error"], &body["version"]), (&json!("stale_version"), &json!(3)));
        for wrong in ["*", "two", "-1", ""] {
            assert_eq!(saw(wrong).unwrap_err().status, 400, "{wrong}");
        }
        let (seen, other) = (request(&json!({ "if-match": "2" })), request(&json!({})));
        assert_ne!(seen.operation(), other.operation(), "another request, which must not get the kept answer");
    }

    #[test]
    fn above_the_limit_it_is_429_and_says_in_whole_seconds_when_to_come_back() {
        let throttled = Throttled { wait: Duration::from_secs(7), tell: false };
        let answer = refusal(CommandError::Throttled(throttled).into());
        assert_eq!((answer.status_code, answer.headers["retry-after"].to_str().unwrap()), (429, "7"));
    }
}
