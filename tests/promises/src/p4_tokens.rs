//! P4 at the HTTP boundary: the tenant of a request is the one that a token of the issuer names, and no other word counts.
//! The emulator has no authorizer here (ApiAuthorizer=false): what is refused is refused by the function itself.
//! Must not know: how a token is verified; every rule of that is in the unit tests of towpath-aws.

use anyhow::{Context as _, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use serde_json::{Value, json};

use crate::Test;
use crate::stack::{Answer, Stack, order_of, send, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p4_a_token_that_the_issuer_would_not_give_is_401_and_writes_nothing", bad_tokens),
    ("p4_a_request_that_names_another_tenant_than_its_token_is_403_and_writes_nothing", other_tenant),
    ("p4_a_tenant_cannot_see_or_change_what_is_anothers", others_data),
    ("p4_a_rotation_of_the_issuers_keys_is_seen_without_a_deploy", rotation),
];

impl Stack {
    /// Asks with this header `authorization` and nothing that the stack would add.
    fn ask_as(&self, authorization: &str, method: &str, path: &str, body: &str) -> Result<Answer> {
        let headers =
            [("authorization", authorization), ("idempotency-key", "k-bad"), ("content-type", "application/json")];
        send(&format!("{}{path}", self.output("ApiUrl")?), method, &headers, body.as_bytes())
    }
}

fn now() -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap_or_default()
}

/// Its own tenant's token with its head and signature changed.
fn forged(good: &str, public_keys: &str) -> Result<Vec<(&'static str, String)>> {
    let [head, said, signature] = good.split('.').collect::<Vec<_>>()[..] else { anyhow::bail!("no token: {good}") };
    let key_id = decode_header(good)?.kid.context("the issuer names its key")?;
    let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "kid": key_id }).to_string());
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said)?)?;
    let of_hmac = Header { kid: Some(key_id), ..Header::new(Algorithm::HS256) };
    let with_public = encode(&of_hmac, &claims, &EncodingKey::from_secret(public_keys.as_bytes()))?;
    let other = URL_SAFE_NO_PAD.encode(claims.to_string().replace("p4-bad", "p4-evil"));
    Ok(vec![
        ("unsigned", format!("{none}.{said}.")),
        ("unsigned, with a signature", format!("{none}.{said}.{signature}")),
        ("signed with the public key as a secret", with_public),
        ("changed after it was signed", format!("{head}.{other}.{signature}")),
        ("cut off", format!("{head}.{said}")),
        ("no token", "let-me-in".to_owned()),
    ])
}

fn bad_tokens(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p4-bad", "k-1", "tea")?;
        let keys = send(&format!("{}/.well-known/jwks.json", stack.issuer), "GET", &[], b"")?.text;
        let mut tokens = forged(&stack.token("p4-bad")?, &keys)?;
        for (what, claims) in [
            ("another issuer", json!({ "iss": "https://issuer.example" })),
            ("no issuer", json!({ "iss": null })),
            ("another audience", json!({ "aud": "another-api" })),
            ("no audience", json!({ "aud": null })),
            ("expired", json!({ "exp": now() - 60 })),
            ("without an end", json!({ "exp": null })),
            ("not valid yet", json!({ "nbf": now() + 60 })),
            ("without a tenant", json!({ "tenant_id": null })),
            ("a tenant that could forge a key", json!({ "tenant_id": "p4-bad#order" })),
            ("a tenant that is no text", json!({ "tenant_id": ["p4-bad"] })),
        ] {
            tokens.push((what, stack.token_with("p4-bad", &claims)?));
        }
        let path = format!("/orders/{}/cancel", order.id);
        for (what, token) in &tokens {
            for (method, path, body) in [("POST", path.as_str(), "{}"), ("POST", "/orders", &order_of("tea"))] {
                let answer = stack.ask_as(&format!("Bearer {token}"), method, path, body)?;
                ensure!(answer.status == 401 && answer.field("error")? == "invalid_token", "{what}: {answer:?}");
                ensure!(answer.challenge.as_deref() == Some(r#"Bearer error="invalid_token""#), "{what}: {answer:?}");
                ensure!(!answer.text.contains("p4-bad") && !answer.text.contains(token), "{what}: {answer:?}");
            }
        }
        for nobody in ["", "Basic cDQtYmFkOng=", &stack.token("p4-bad")?] {
            let answer = stack.ask_as(nobody, "POST", &path, "{}")?;
            ensure!(answer.status == 401 && answer.challenge.as_deref() == Some("Bearer"), "{nobody}: {answer:?}");
        }
        ensure!(stack.journal(&order).await?.len() == 1, "a bad token has changed an order");
        // The key of those requests is still free: nothing was kept under it.
        let cancelled = stack.ask("POST", &path, "p4-bad", "k-bad", "{}")?;
        ensure!(cancelled.status == 200 && !cancelled.replayed, "{cancelled:?}");
        Ok(())
    })
}

fn other_tenant(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p4-named", "k-1", "tea")?;
        let path = format!("/orders/{}/cancel", order.id);
        let with = [("idempotency-key", "k-2"), ("content-type", "application/json")];
        let named = [with[0], with[1], ("x-tenant-id", "p4-victim")];
        let in_body = r#"{"tenant_id":"p4-victim","reason":"SECRET"}"#;
        for answer in [
            stack.ask_with("POST", &path, "p4-named", &named, b"{}")?,
            stack.ask_with("POST", &path, "p4-named", &with, in_body.as_bytes())?,
            stack.ask_with("POST", &format!("{path}?tenant_id=p4-victim"), "p4-named", &with, b"{}")?,
            stack.ask_with("GET", &format!("/orders/{}", order.id), "p4-named", &named, b"")?,
        ] {
            ensure!(answer.status == 403 && answer.field("error")? == "other_tenant", "{answer:?}");
            ensure!(["p4-victim", "p4-named", "SECRET"].iter().all(|word| !answer.text.contains(word)), "{answer:?}");
        }
        ensure!(stack.journal(&order).await?.len() == 1);
        let same = [with[0], with[1], ("x-tenant-id", "p4-named")];
        ensure!(stack.ask_with("POST", &path, "p4-named", &same, b"{}")?.status == 200);
        Ok(())
    })
}

fn others_data(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p4-owner", "k-1", "tea")?;
        let issued = json!({ "order_id": order.id }).to_string();
        ensure!(stack.ask("POST", "/invoices", "p4-owner", "k-2", &issued)?.status == 201);
        stack.applied("order-summary", &order, 1).await?;
        stack.applied("crm-timeline", &order, 1).await?;
        let id = &order.id;
        let paid = r#"{"amount_cents":1}"#;
        for (method, path, body) in [
            ("GET", format!("/orders/{id}"), ""),
            ("POST", format!("/orders/{id}/cancel"), "{}"),
            ("GET", format!("/invoices/{id}"), ""),
            ("POST", "/invoices".to_owned(), issued.as_str()),
            ("POST", format!("/invoices/{id}/payments"), paid),
        ] {
            let answer = stack.ask(method, &path, "p4-stranger", "k-1", body)?;
            ensure!(answer.status == 404, "{method} {path}: {answer:?}");
        }
        let (mine, strange) = ("p4-owner", "p4-stranger");
        let entries = |tenant: &str| -> Result<usize> {
            let told = stack.ask("GET", "/customers/c-1/timeline", tenant, "", "")?.json()?;
            Ok(told["entries"].as_array().context("a timeline has entries")?.len())
        };
        ensure!((entries(mine)?, entries(strange)?) == (1, 0));
        ensure!(stack.journal(&order).await?.len() == 1);
        ensure!(stack.journal(&format!("{mine}#invoice#{id}").parse()?).await?.len() == 2);
        for kind in ["order", "invoice"] {
            ensure!(stack.journal(&format!("{strange}#{kind}#{id}").parse()?).await?.is_empty());
        }
        Ok(())
    })
}

/// The only test that rotates, and the only one that has functions ask for keys that are not there: they pause afterwards.
fn rotation(stack: &Stack) -> Result<()> {
    let old = stack.token("p4-rotated")?;
    ensure!(stack.ask("POST", "/orders", "p4-rotated", "k-1", &order_of("tea"))?.status == 201);
    stack.ask_issuer("/rotate", &json!({}))?;
    let new = stack.token_with("p4-rotated", &json!({}))?;
    ensure!(decode_header(&old)?.kid != decode_header(&new)?.kid, "the issuer signs with the same key");
    let answer = stack.ask_as(&format!("Bearer {new}"), "POST", "/orders", &order_of("tea"))?;
    ensure!(answer.status == 201, "{answer:?}");
    ensure!(
        stack.ask("POST", "/orders", "p4-rotated", "k-2", &order_of("tea"))?.status == 201,
        "the old key still counts"
    );
    let [_, said, signature] = new.split('.').collect::<Vec<_>>()[..] else { anyhow::bail!("no token: {new}") };
    let foreign = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "kid": "foreign" }).to_string());
    for _ in 0..3 {
        let answer =
            stack.ask_as(&format!("Bearer {foreign}.{said}.{signature}"), "POST", "/orders", &order_of("tea"))?;
        ensure!(answer.status == 401 && answer.text.contains("none of the issuer's"), "{answer:?}");
    }
    Ok(())
}
