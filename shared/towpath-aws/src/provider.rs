//! Calls one provider outside: JSON over HTTP with an idempotency key. What went wrong comes back sorted by the one question
//! that counts: may it have happened?
//! Must not know: any one provider, its words, when a call is made.
//!
//! One attempt per call, within the time that it is given: the consumer's own ladder is the only one that tries again. A
//! connection that has been idle is not used again, for it may have died while the function was frozen.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use towpath::{Effect, ProviderError};

use crate::https::{self, chain};

/// The longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;
/// The longest word of a provider's refusal that is kept.
const WORD_BYTES: usize = 64;

/// One provider.
#[derive(Debug, Clone)]
pub struct HttpProvider {
    base: String,
    client: https::Client,
}

/// A provider that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is its sentence")]
pub enum InvalidProvider {
    #[error(
        "TOWPATH_PROVIDER_URL is missing: give the stack the address of the provider, see Parameters in template.yaml"
    )]
    Missing,
    #[error(
        "the provider's address must be https://host/path without query or user; http only for 127.0.0.1 and localhost"
    )]
    Address,
    #[error("no certificates to check the provider's with: {0}")]
    Certificates(String),
}

/// A provider's refusal: `{ "code": "unknown_customer" }`.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
}

impl HttpProvider {
    /// The provider at this address, as the configuration has it. Nothing is sent yet.
    ///
    /// # Errors
    /// [`InvalidProvider`], in words for whoever deploys.
    pub fn new(address: Option<&str>) -> Result<Self, InvalidProvider> {
        let address = address.ok_or(InvalidProvider::Missing)?;
        if !https::is_base(address) {
            return Err(InvalidProvider::Address);
        }
        let client = https::client().map_err(|error| InvalidProvider::Certificates(error.to_string()))?;
        Ok(Self { base: address.trim_end_matches('/').to_owned(), client })
    }

    /// Asks the provider to do something, once.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn post<A: DeserializeOwned>(
        &self,
        effect: &Effect,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ProviderError> {
        let body = serde_json::to_vec(body).map_err(|error| ProviderError::NotReached(error.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", effect.key.as_str());
        self.ask(request, path, body, effect.within).await
    }

    /// Looks something up; `None` if the provider does not know it.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn get<A: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<Option<A>, ProviderError> {
        let request = Request::builder().method(Method::GET);
        match self.ask(request, path, Vec::new(), within).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ProviderError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        request: hyper::http::request::Builder,
        path: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<A, ProviderError> {
        let request = request
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, "application/json")
            .body(Full::from(body))
            .map_err(|error| ProviderError::NotReached(error.to_string()))?;
        match tokio::time::timeout(within, self.exchange(request)).await {
            Ok(answered) => answer(answered?),
            Err(_) => Err(ProviderError::Unknown(format!("no answer within {} ms", within.as_millis()))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ProviderError> {
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                ProviderError::NotReached(chain(&error))
            } else {
                ProviderError::Unknown(chain(&error))
            }
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| ProviderError::Unknown(format!("the answer {status} broke off: {error}")))?;
        Ok((status, body.to_bytes()))
    }
}

/// What an answer says of the one question.
fn answer<A: DeserializeOwned>((status, body): (StatusCode, Bytes)) -> Result<A, ProviderError> {
    let unreadable = |error: serde_json::Error| {
        let place = format!("line {} column {}", error.line(), error.column());
        ProviderError::Unknown(format!("the answer {status} cannot be read at {place}"))
    };
    match status.as_u16() {
        200..=299 => serde_json::from_slice(&body).map_err(unreadable),
        // 429: come back later. 425: too early. In both cases it was not looked at.
        425 | 429 => Err(ProviderError::NotReached(format!("it answered {status}"))),
        // 409: an attempt with this key is under way. 408: nobody knows how far it came.
        408 | 409 | 500.. => Err(ProviderError::Unknown(format!("it answered {status}"))),
        status => Err(ProviderError::Refused { status, word: word(&body) }),
    }
}

/// The provider's word for its refusal, if it is one: letters, digits, `_`, `-` and `.`, so that nobody's data gets into a log.
fn word(body: &[u8]) -> String {
    let code = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.code).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if code.len() <= WORD_BYTES && code.chars().all(plain) { code } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_without_an_address_that_keeps_secrets_is_not_called() {
        assert_eq!(HttpProvider::new(None).unwrap_err(), InvalidProvider::Missing);
        assert_eq!(HttpProvider::new(Some("http://mail.example")).unwrap_err(), InvalidProvider::Address);
        assert_eq!(HttpProvider::new(Some("https://mail.example/v1/")).unwrap().base, "https://mail.example/v1");
    }

    #[test]
    fn each_answer_says_whether_it_may_have_happened() {
        let said = |status: u16, body: &'static str| {
            answer::<u32>((StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes())))
        };
        assert_eq!(said(200, "7"), Ok(7));
        assert!(matches!(said(200, "<html>"), Err(ProviderError::Unknown(_))));
        for (status, unknown) in [(408, true), (409, true), (500, true), (503, true), (425, false), (429, false)] {
            assert_eq!(matches!(said(status, ""), Err(ProviderError::Unknown(_))), unknown, "{status}");
            assert_eq!(matches!(said(status, ""), Err(ProviderError::NotReached(_))), !unknown, "{status}");
        }
        for (body, word) in [(r#"{"code":"no_funds"}"#, "no_funds"), (r#"{"code":"ann@x.example"}"#, ""), ("no", "")] {
            assert_eq!(said(402, body), Err(ProviderError::Refused { status: 402, word: word.into() }));
        }
    }
}
