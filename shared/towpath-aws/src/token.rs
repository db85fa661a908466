//! A bearer token, as a JSON Web Token: who signed it, for whom, until when, and which tenant it names.
//! Must not know: where keys come from, HTTP.
//!
//! The key says which algorithm a token must have; the token's own word must agree and decides nothing. So there is no
//! unsigned token, and no signature with a public key taken for a secret. RS256 and ES256 only.

use std::collections::HashMap;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use towpath::TenantId;

use crate::config::TokenRules;

/// Longest token that is looked at, in bytes. API Gateway takes 10 KB of headers.
pub(crate) const TOKEN_BYTES: usize = 8 * 1024;
/// Clocks of issuer and function may differ by so much, in seconds.
pub(crate) const LEEWAY_SECONDS: u64 = 30;

/// Why a token is not taken. It says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is its sentence")]
pub(crate) enum InvalidToken {
    #[error("it is no signed JSON Web Token that names its key")]
    Form,
    #[error("its key is none of the issuer's")]
    Key,
    #[error("its algorithm is not that of its key")]
    Algorithm,
    #[error("its signature is not by its key")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it lacks iss, aud or exp, or one of its times is no number")]
    Claims,
    #[error("its tenant claim is missing, or is no tenant id")]
    Tenant,
}

/// One key of the issuer, and the one algorithm that it is for.
#[derive(Clone)]
pub(crate) struct Key {
    key: DecodingKey,
    algorithm: Algorithm,
}

/// The issuer's keys, by their ids.
#[derive(Clone, Default)]
pub(crate) struct Keys(HashMap<String, Key>);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a set of JSON Web Keys. Keys without an id, for encryption or for other algorithms are passed over.
    ///
    /// # Errors
    /// It is no set of keys at all.
    pub(crate) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let set: KeySet = serde_json::from_slice(text)?;
        Ok(Self(set.keys.into_iter().filter_map(|key| usable(&serde_json::from_value(key).ok()?)).collect()))
    }

    /// The key of this id.
    pub(crate) fn get(&self, id: &str) -> Option<Key> {
        self.0.get(id).cloned()
    }
}

fn usable(key: &Jwk) -> Option<(String, Key)> {
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(of) if of.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let says_so = key.common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let id = key.common.key_id.clone().filter(|_| says_so && signs)?;
    Some((id, Key { key: DecodingKey::from_jwk(key).ok()?, algorithm }))
}

/// A token that has the form of one. Nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    text: &'a str,
    key_id: String,
}

impl<'a> Token<'a> {
    /// Looks at its head, which must name its key and nothing that this code does not know but must.
    pub(crate) fn read(text: &'a str) -> Result<Self, InvalidToken> {
        if text.len() > TOKEN_BYTES {
            return Err(InvalidToken::Form);
        }
        let head = decode_header(text).map_err(|_| InvalidToken::Form)?;
        let key_id = head.kid.filter(|_| head.crit.is_none()).ok_or(InvalidToken::Form)?;
        Ok(Self { text, key_id })
    }

    /// Which of the issuer's keys it says it is signed with.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The tenant that it names, if it is signed with this key and all that it says is as it must be.
    pub(crate) fn tenant(&self, key: &Key, rules: &TokenRules) -> Result<TenantId, InvalidToken> {
        let mut must = Validation::new(key.algorithm);
        must.leeway = LEEWAY_SECONDS;
        must.validate_nbf = true;
        must.set_required_spec_claims(&["iss", "aud", "exp"]);
        must.set_issuer(&[&rules.issuer]);
        must.set_audience(&[&rules.audience]);
        let said = decode::<Map<String, Value>>(self.text, &key.key, &must).map_err(|error| why(error.kind()))?;
        let tenant = said.claims.get(&rules.tenant_claim).and_then(Value::as_str).ok_or(InvalidToken::Tenant)?;
        TenantId::parse(tenant).map_err(|_| InvalidToken::Tenant)
    }
}

fn why(kind: &ErrorKind) -> InvalidToken {
    match kind {
        ErrorKind::InvalidSignature => InvalidToken::Signature,
        ErrorKind::InvalidAlgorithm => InvalidToken::Algorithm,
        ErrorKind::InvalidIssuer => InvalidToken::Issuer,
        ErrorKind::InvalidAudience => InvalidToken::Audience,
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::NotYet,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => InvalidToken::Claims,
        _ => InvalidToken::Form,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
    use base64::Engine;
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::json;

    use super::*;

    static RSA: LazyLock<EncodingKey> = LazyLock::new(|| {
        let wrapped = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
        EncodingKey::from_rsa_der(&wrapped.as_ref()[26..]) // PKCS #1, without the 26 bytes that PKCS #8 puts before it
    });
    static EC: LazyLock<EncodingKey> = LazyLock::new(|| {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
    });

    /// The set of the two public keys, `rsa` and `ec`.
    pub(crate) static PUBLIC: LazyLock<Value> = LazyLock::new(|| {
        let public = |id: &str, algorithm, key: &EncodingKey| {
            let mut key = Jwk::from_encoding_key(key, algorithm).unwrap();
            key.common.key_id = Some(id.to_owned());
            key
        };
        json!({ "keys": [public("rsa", Algorithm::RS256, &RSA), public("ec", Algorithm::ES256, &EC)] })
    });

    pub(crate) fn rules() -> TokenRules {
        TokenRules {
            issuer: "https://issuer.example".into(),
            audience: "shop".into(),
            tenant_claim: "tenant_id".into(),
        }
    }

    fn keys(set: &Value) -> Keys {
        Keys::read(set.to_string().as_bytes()).unwrap()
    }

    fn claims() -> Value {
        let now = get_current_timestamp();
        json!({ "iss": "https://issuer.example", "aud": "shop", "exp": now + 60, "nbf": now, "tenant_id": "acme" })
    }

    /// Signs claims: as told, whatever the key is for.
    fn signed(id: &str, algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
        let head = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
        encode(&head, claims, key).unwrap()
    }

    pub(crate) fn good(id: &str) -> String {
        match id {
            "ec" => signed("ec", Algorithm::ES256, &EC, &claims()),
            id => signed(id, Algorithm::RS256, &RSA, &claims()),
        }
    }

    fn tenant_of(text: &str) -> Result<TenantId, InvalidToken> {
        let token = Token::read(text)?;
        let key = keys(&PUBLIC).get(token.key_id()).ok_or(InvalidToken::Key)?;
        token.tenant(&key, &rules())
    }

    #[test]
    fn a_token_of_the_issuer_names_its_tenant() {
        for id in ["rsa", "ec"] {
            assert_eq!(tenant_of(&good(id)).unwrap().as_str(), "acme", "{id}");
        }
        let mut many = claims();
        many["aud"] = json!(["other", "shop"]);
        assert!(tenant_of(&signed("ec", Algorithm::ES256, &EC, &many)).is_ok());
    }

    #[test]
    fn a_claim_that_is_not_as_it_must_be_refuses_the_token() {
        let now = get_current_timestamp();
        let beyond = LEEWAY_SECONDS + 5;
        let table = [
            ("iss", json!("https://issuer.example/"), InvalidToken::Issuer),
            ("iss", Value::Null, InvalidToken::Claims),
            ("aud", json!("shop2"), InvalidToken::Audience),
            ("aud", json!(["other"]), InvalidToken::Audience),
            ("aud", json!([]), InvalidToken::Audience),
            ("aud", Value::Null, InvalidToken::Claims),
            ("exp", json!(now - beyond), InvalidToken::Expired),
            ("exp", Value::Null, InvalidToken::Claims),
            ("exp", json!("tomorrow"), InvalidToken::Claims),
            ("nbf", json!(now + beyond), InvalidToken::NotYet),
            ("nbf", json!("yesterday"), InvalidToken::Claims),
            ("tenant_id", Value::Null, InvalidToken::Tenant),
            ("tenant_id", json!(7), InvalidToken::Tenant),
            ("tenant_id", json!(["acme"]), InvalidToken::Tenant),
            ("tenant_id", json!(""), InvalidToken::Tenant),
            ("tenant_id", json!("a#b"), InvalidToken::Tenant),
            ("tenant_id", json!("acme\u{202e}"), InvalidToken::Tenant),
        ];
        for (claim, value, expected) in table {
            let mut said = claims();
            said[claim] = value.clone();
            let token = signed("ec", Algorithm::ES256, &EC, &said);
            assert_eq!(tenant_of(&token), Err(expected), "{claim}: {value}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let now = get_current_timestamp();
        for (claim, at) in [("exp", now - LEEWAY_SECONDS + 5), ("nbf", now + LEEWAY_SECONDS - 5)] {
            let mut said = claims();
            said[claim] = json!(at);
            assert!(tenant_of(&signed("ec", Algorithm::ES256, &EC, &said)).is_ok(), "{claim}");
        }
    }

    #[test]
    fn the_key_and_not_the_token_says_how_it_is_signed() {
        for public in [PUBLIC.to_string().as_str(), PUBLIC["keys"][0]["n"].as_str().unwrap()] {
            let secret = EncodingKey::from_secret(public.as_bytes());
            let token = signed("rsa", Algorithm::HS256, &secret, &claims());
            assert_eq!(tenant_of(&token), Err(InvalidToken::Algorithm));
        }
        // The right key, another algorithm; the other key; a key that the issuer does not have.
        for (id, algorithm, key, expected) in [
            ("rsa", Algorithm::RS512, &RSA, InvalidToken::Algorithm),
            ("rsa", Algorithm::PS256, &RSA, InvalidToken::Algorithm),
            ("rsa", Algorithm::ES256, &EC, InvalidToken::Algorithm),
            ("other", Algorithm::RS256, &RSA, InvalidToken::Key),
        ] {
            assert_eq!(tenant_of(&signed(id, algorithm, key, &claims())), Err(expected), "{id} {algorithm:?}");
        }
    }

    #[test]
    fn what_is_unsigned_or_changed_or_no_token_is_refused() {
        let encoded = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
        let token = good("rsa");
        let [head, said, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let none = encoded(r#"{"alg":"none","kid":"rsa"}"#);
        for unsigned in [format!("{none}.{said}."), format!("{none}.{said}.{signature}"), format!("{none}.{said}")] {
            assert_eq!(tenant_of(&unsigned), Err(InvalidToken::Form));
        }
        let other = encoded(&claims().to_string().replace("acme", "evil"));
        for changed in [format!("{head}.{other}.{signature}"), format!("{head}.{said}.")] {
            assert_eq!(tenant_of(&changed), Err(InvalidToken::Signature));
        }
        let critical = encoded(r#"{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}"#);
        let nameless = encoded(r#"{"alg":"RS256"}"#);
        let long = format!("{token}{}", "A".repeat(TOKEN_BYTES));
        let no_tokens = [critical, nameless].map(|head| format!("{head}.{said}.{signature}"));
        for no_token in no_tokens.into_iter().chain([long, format!("{token}.{token}"), "..".into(), String::new()]) {
            assert_eq!(tenant_of(&no_token), Err(InvalidToken::Form), "{} bytes", no_token.len());
        }
    }

    #[test]
    fn keys_for_anything_else_are_passed_over() {
        let mut set = PUBLIC.clone();
        let usable = |set: &Value, id: &str| keys(set).get(id).is_some();
        assert!(usable(&set, "rsa") && usable(&set, "ec"));
        set["keys"].as_array_mut().unwrap().extend([
            json!({ "kty": "oct", "kid": "secret", "k": "AAAA" }),
            json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "AAAA" }),
            json!({ "kty": "new", "kid": "new" }),
            json!("no key"),
        ]);
        for (field, value) in [("use", "enc"), ("alg", "RS512"), ("alg", "HS256")] {
            let mut other = set.clone();
            other["keys"][0][field] = json!(value);
            assert!(!usable(&other, "rsa") && usable(&other, "ec"), "{field} {value}");
        }
        assert!(!["secret", "ed", "new"].iter().any(|id| usable(&set, id)));
        assert!(Keys::read(b"{}").is_err() && Keys::read(b"<html>").is_err());
    }
}
