//! How an API says no, and how an answer is written down: a status, a code for programs, a sentence for people.
//! Must not know: any one route, requests.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use towpath::Seq;
use towpath::command::{CommandError, Reply, Verdict};
use towpath::ports::Unavailable;

/// An answer that is no: a status, a code for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// Status code.
    pub status: u16,
    code: &'static str,
    message: String,
    version: Option<Seq>,
    retry_after: Option<u64>,
    header: Option<(&'static str, String)>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Seq>,
}

impl HttpError {
    /// An error with this status, code and sentence.
    pub fn new(status: u16, code: &'static str, message: impl std::fmt::Display) -> Self {
        Self { status, code, message: message.to_string(), version: None, retry_after: None, header: None }
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "not_found", format!("there is no such {what}, or it is not visible yet"))
    }

    /// Tells the caller what version is current.
    #[must_use]
    pub fn at_version(self, version: Seq) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Has a header beside its body.
    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    fn into_reply(self) -> Reply {
        let body = ErrorBody { error: self.code, message: &self.message, version: self.version };
        Reply { retry_after: self.retry_after, ..Reply::new(self.status, &body) }
    }
}

impl From<HttpError> for Verdict {
    fn from(error: HttpError) -> Self {
        Verdict::Refuse(error.into_reply())
    }
}

impl From<Unavailable> for HttpError {
    fn from(error: Unavailable) -> Self {
        tracing::error!(reason = %error, "a read failed");
        Self::new(503, "unavailable", "the data could not be read now: try again")
    }
}

impl From<CommandError> for HttpError {
    fn from(error: CommandError) -> Self {
        match &error {
            CommandError::KeyReused => Self::new(422, "idempotency_key_reused", error),
            CommandError::Throttled(throttled) => {
                Self { retry_after: Some(throttled.wait.as_secs()), ..Self::new(429, "too_many_requests", error) }
            }
            CommandError::TryAgain(why) => {
                tracing::error!(reason = why, "a command was not committed");
                Self::new(
                    503,
                    "unavailable",
                    "the command could not be committed now: send it again with the same idempotency key",
                )
            }
            CommandError::Broken(why) => {
                tracing::error!(reason = why, "a command can never be committed");
                Self::new(500, "internal", "the command cannot be carried out: this is a fault of the service")
            }
        }
    }
}

/// The response that an error is.
pub(super) fn refusal(mut error: HttpError) -> ApiGatewayV2httpResponse {
    let header = error.header.take();
    let mut response = response(error.into_reply());
    if let Some((name, value)) = header.and_then(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))) {
        response.headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// The response that a reply is.
pub(super) fn response(reply: Reply) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
    if reply.repeated {
        headers.insert(HeaderName::from_static("idempotent-replay"), HeaderValue::from_static("true"));
    }
    if let Some(seconds) = reply.retry_after {
        headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from(seconds));
    }
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(reply.code);
    response.headers = headers;
    response.body = Some(aws_lambda_events::encodings::Body::Text(reply.body));
    response
}
