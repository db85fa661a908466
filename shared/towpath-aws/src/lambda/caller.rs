//! Whose request it is: the tenant that a verified token names, and nothing else that the request says.
//! Must not know: routes, what the request asks for.
//!
//! API Gateway's authorizer turns strangers away before they cost an invocation; this does not rest on it.

use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::query_map::QueryMap;
use serde_json::Value;
use towpath::TenantId;
use towpath::ports::Host;

use crate::http::HttpError;
use crate::issuer::{Issuer, PAUSE, Unknown};
use crate::telemetry;

/// The header by which some clients name their tenant; here it may only repeat what the token says.
const TENANT_HEADER: &str = "x-tenant-id";
/// The same in a query or in a body.
const TENANT_FIELD: &str = "tenant_id";

/// The tenant of a request with these headers: 401 without a token of the issuer, 503 while nobody can tell.
pub(crate) async fn tenant_of(headers: &HeaderMap, issuer: &Issuer, host: &impl Host) -> Result<TenantId, HttpError> {
    let Some(token) = bearer(headers) else {
        let how = "send authorization: Bearer and a token of this API's issuer";
        return Err(HttpError::new(401, "unauthenticated", how).with("www-authenticate", "Bearer"));
    };
    issuer.tenant_of(token, host.remaining()).await.map_err(|unknown| match unknown {
        Unknown::Invalid(why) => {
            telemetry::count("TokensRefused", 1);
            tracing::info!(reason = %why, "a token is refused");
            HttpError::new(401, "invalid_token", format!("the token is refused: {why}"))
                .with("www-authenticate", r#"Bearer error="invalid_token""#)
        }
        Unknown::IssuerAway => {
            telemetry::count("IssuerAway", 1);
            HttpError::new(503, "unavailable", "the token cannot be verified now: try again")
                .with("retry-after", PAUSE.as_secs().to_string())
        }
    })
}

/// 403 if a request names another tenant than its token: it was built for somebody else, so nothing of it is done.
pub(crate) fn stays_with(
    tenant: &TenantId,
    headers: &HeaderMap,
    query: &QueryMap,
    body: &[u8],
) -> Result<(), HttpError> {
    let in_headers = headers.get_all(TENANT_HEADER).iter().all(|it| it.as_bytes() == tenant.as_str().as_bytes());
    let in_query = query.iter().all(|(name, value)| name != TENANT_FIELD || value == tenant.as_str());
    // A body that is no such object names nobody; whoever reads it says what is wrong with it.
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if in_headers && in_query && body.get(TENANT_FIELD).is_none_or(|named| named == tenant.as_str()) {
        return Ok(());
    }
    tracing::warn!(tenant_id = %tenant, "a request names another tenant than its token");
    telemetry::count("TenantsMismatched", 1);
    Err(HttpError::new(403, "other_tenant", "the request names another tenant than its token: leave the tenant out"))
}

/// The token of `authorization: Bearer …`, if there is one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lambda_events::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::LambdaHost;
    use crate::config::TokenRules;
    use crate::token::tests::{good, rules};

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_a_bearer_token_counts_as_one() {
        let token = |value: &str| bearer(&headers("authorization", value)).map(str::to_owned);
        assert_eq!(token("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token("bearer  a.b.c").as_deref(), Some("a.b.c"));
        for none in ["a.b.c", "Bearer", "Basic YTpi", ""] {
            assert_eq!(token(none), None, "{none}");
        }
        assert_eq!(bearer(&headers("x-tenant-id", "acme")), None);
    }

    #[tokio::test]
    async fn nobody_is_a_stranger_while_the_issuer_is_away_and_nobody_is_let_in() {
        let away = TokenRules { issuer: "http://127.0.0.1:1".into(), ..rules() };
        let (issuer, host) = (Issuer::new(away).unwrap(), LambdaHost::ending_in(Duration::from_secs(1)));
        let of = async |headers: &HeaderMap| tenant_of(headers, &issuer, &host).await.map_err(|no| no.status);
        assert_eq!(of(&headers("authorization", &format!("Bearer {}", good("rsa")))).await, Err(503));
        assert_eq!(of(&headers("authorization", "Bearer x")).await, Err(401));
        assert_eq!(of(&HeaderMap::new()).await, Err(401));
    }

    #[test]
    fn a_request_that_names_another_tenant_is_forbidden_wherever_it_does() {
        let acme = TenantId::parse("acme").unwrap();
        let said = |headers: &HeaderMap, query: &str, body: &str| {
            let query: QueryMap = query.parse().unwrap();
            stays_with(&acme, headers, &query, body.as_bytes()).map_err(|no| no.status)
        };
        let none = HeaderMap::new();
        for body in ["", "{}", "[1]", "no json", r#"{"tenant_id":"acme"}"#, r#"{"of":{"tenant_id":"globex"}}"#] {
            assert_eq!(said(&none, "tenant_id=acme&x=globex", body), Ok(()), "{body}");
        }
        assert_eq!(said(&headers("x-tenant-id", "acme"), "", ""), Ok(()));
        assert_eq!(said(&headers("x-tenant-id", "globex"), "", ""), Err(403));
        assert_eq!(said(&none, "tenant_id=globex", ""), Err(403));
        for body in [r#"{"tenant_id":"globex"}"#, r#"{"x":1,"tenant_id":["acme"]}"#, r#"{"tenant_id":7}"#] {
            assert_eq!(said(&none, "", body), Err(403), "{body}");
        }
    }
}
