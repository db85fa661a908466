//! The one way in which a function speaks HTTP to something that is not AWS: over TLS, or in plain on this machine.
//! Must not know: whom it speaks to, what about.

use std::time::Duration;

use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;

/// The longest wait for a connection; what takes longer has done nothing.
const CONNECT: Duration = Duration::from_secs(2);
/// After this a connection is not used again: it may have died while the function was frozen.
const IDLE: Duration = Duration::from_secs(10);

/// A client with the machine's certificates. It follows no redirect.
pub(crate) type Client = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes a client; nothing is sent yet. The error says why there are no certificates.
pub(crate) fn client() -> Result<Client, std::io::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(https))
}

/// Whether an address keeps what is said: https, or http on this machine, and nobody's name or password in it.
pub(crate) fn is_safe(address: &Uri) -> bool {
    let is_here = address.host().is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host));
    let is_plain = address.authority().is_some_and(|whole| !whole.as_str().contains('@'));
    is_plain && (address.scheme_str() == Some("https") || address.scheme_str() == Some("http") && is_here)
}

/// Whether others can be named below this address: it is safe, and has no query.
pub(crate) fn is_base(address: &str) -> bool {
    address.parse::<Uri>().is_ok_and(|uri| is_safe(&uri) && uri.query().is_none())
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_keeps_secrets_is_taken() {
        for right in ["https://mail.example/v1/", "http://127.0.0.1:8025", "http://localhost", "http://[::1]:1/x"] {
            assert!(is_base(right), "{right}");
        }
        let wrong = ["", "mail.example", "http://mail.example", "ftp://127.0.0.1", "https://me:pass@x.example"];
        for wrong in wrong.into_iter().chain(["https://x/?k=1", "http://127.0.0.1.example"]) {
            assert!(!is_base(wrong), "{wrong}");
        }
        assert!(is_safe(&"https://x/keys?p=1".parse().unwrap()));
    }
}
