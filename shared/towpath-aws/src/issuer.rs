//! The issuer of tokens: its keys are fetched when a token needs them, kept, and fetched again when they may have changed.
//! Must not know: what is done for whom.
//!
//! | the key | and the issuer | then |
//! |---|---|---|
//! | is known, fetched within [`FRESH`] | | the token is looked at |
//! | is not known, or is older | answers | its keys now count: a new key is taken and a withdrawn one gone, without a deploy |
//! | is known, fetched within [`OLDEST`] | is away | the token is looked at |
//! | is not known, or is older | is away | nobody can say: come back later |
//!
//! Between two fetches lies [`PAUSE`], so that forged key ids do not become requests to the issuer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use serde::Deserialize;
use towpath::TenantId;

use crate::config::TokenRules;
use crate::https::{self, chain};
use crate::token::{InvalidToken, Key, Keys, Token};

/// Keys are looked up anew after this: so long may a key that the issuer has withdrawn still be taken.
pub(crate) const FRESH: Duration = Duration::from_secs(10 * 60);
/// Longest use of keys whose issuer is away.
pub(crate) const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Least time between two fetches of one function instance. The very first one does not count.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the issuer.
const WAIT: Duration = Duration::from_secs(3);
/// Longest answer of the issuer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why it is not known whose token this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is no token of the issuer's.
    Invalid(InvalidToken),
    /// The issuer is away and its key is not here.
    IssuerAway,
}

/// One issuer.
pub(crate) struct Issuer {
    rules: TokenRules,
    client: https::Client,
    kept: Mutex<Kept>,
}

/// What the issuer says about itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// The issuer of these rules. Nothing is sent yet.
    pub(crate) fn new(rules: TokenRules) -> Result<Self, std::io::Error> {
        Ok(Self { rules, client: https::client()?, kept: Mutex::default() })
    }

    /// Whose token this is. Asks the issuer when its key is not known, at most for `within`.
    pub(crate) async fn tenant_of(&self, text: &str, within: Duration) -> Result<TenantId, Unknown> {
        let token = Token::read(text).map_err(Unknown::Invalid)?;
        let looked = self.kept().look(token.key_id(), Instant::now());
        let key = match looked {
            Some(known) => known,
            None => {
                let fetched = self.fetch(within.min(WAIT)).await;
                if let Err(why) = &fetched {
                    tracing::error!(issuer = self.rules.issuer, reason = why, "the issuer's keys cannot be read");
                }
                self.kept().after(fetched.ok(), token.key_id(), Instant::now())
            }
        };
        token.tenant(&key?, &self.rules).map_err(Unknown::Invalid)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, within: Duration) -> Result<Keys, String> {
        let fetch = async {
            let about = format!("{}/.well-known/openid-configuration", self.rules.issuer.trim_end_matches('/'));
            let about: Discovery =
                serde_json::from_slice(&self.get(&about).await?).map_err(|error| error.to_string())?;
            if about.issuer != self.rules.issuer {
                return Err(format!("it calls itself {}", about.issuer));
            }
            Keys::read(&self.get(&about.jwks_uri).await?).map_err(|error| error.to_string())
        };
        let late = |_| format!("no answer within {} ms", within.as_millis());
        tokio::time::timeout(within, fetch).await.map_err(late)?
    }

    async fn get(&self, address: &str) -> Result<Bytes, String> {
        let uri: Uri = address.parse().map_err(|_| format!("{address} is no address"))?;
        if !https::is_safe(&uri) {
            return Err(format!("{address} is not https"));
        }
        let request = hyper::Request::get(uri).body(Full::default()).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("{address} answered {status}"));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        Ok(body.map_err(|error| format!("{address}: the answer broke off: {error}"))?.to_bytes())
    }
}

/// The keys that were fetched last, and when the next fetch may be.
#[derive(Default)]
struct Kept {
    keys: Keys,
    fetched: Option<Instant>,
    next: Option<Instant>,
    is_away: bool,
}

impl Kept {
    /// The key, or why there is none; nothing if the issuer has to be asked.
    fn look(&self, id: &str, now: Instant) -> Option<Result<Key, Unknown>> {
        if self.known(id, FRESH, now).is_none() && self.next.is_none_or(|next| next <= now) {
            return None;
        }
        Some(self.settle(id, now))
    }

    /// The same after the issuer was asked: its keys, or nothing if it is away.
    fn after(&mut self, fetched: Option<Keys>, id: &str, now: Instant) -> Result<Key, Unknown> {
        let is_first = self.fetched.is_none();
        self.is_away = fetched.is_none();
        self.next = (!is_first || self.is_away).then(|| now + PAUSE);
        if let Some(keys) = fetched {
            (self.keys, self.fetched) = (keys, Some(now));
        }
        self.settle(id, now)
    }

    fn settle(&self, id: &str, now: Instant) -> Result<Key, Unknown> {
        let nobody = if self.is_away { Unknown::IssuerAway } else { Unknown::Invalid(InvalidToken::Key) };
        self.known(id, OLDEST, now).ok_or(nobody)
    }

    fn known(&self, id: &str, within: Duration, now: Instant) -> Option<Key> {
        let is_young = self.fetched.is_some_and(|at| now.saturating_duration_since(at) < within);
        self.keys.get(id).filter(|_| is_young)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::{PUBLIC, good, rules};

    const SECOND: Duration = Duration::from_secs(1);
    const NO_KEY: Unknown = Unknown::Invalid(InvalidToken::Key);

    /// The issuer's keys while it has only those of these ids.
    fn only(ids: &[&str]) -> Option<Keys> {
        let mut set = PUBLIC.clone();
        set["keys"].as_array_mut().unwrap().retain(|key| ids.contains(&key["kid"].as_str().unwrap()));
        Some(Keys::read(set.to_string().as_bytes()).unwrap())
    }

    /// What was found about a key, as far as it can be compared.
    fn said(looked: Option<Result<Key, Unknown>>) -> Option<Result<(), Unknown>> {
        looked.map(|found| found.map(|_| ()))
    }

    #[test]
    fn a_new_key_is_asked_for_once_and_then_known() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        assert_eq!(said(kept.look("rsa", now)), None);
        assert!(kept.after(only(&["rsa"]), "rsa", now).is_ok());
        assert_eq!(said(kept.look("rsa", now + SECOND)), Some(Ok(())));
        // The keys are rotated a second later, and again: without a pause first, then after it.
        assert_eq!(said(kept.look("ec", now + SECOND)), None);
        assert!(kept.after(only(&["rsa", "ec"]), "ec", now + SECOND).is_ok());
        assert_eq!(said(kept.look("ec", now + SECOND)), Some(Ok(())));
        assert_eq!(said(kept.look("third", now + 2 * SECOND)), Some(Err(NO_KEY)));
        assert_eq!(said(kept.look("third", now + SECOND + PAUSE)), None);
    }

    #[test]
    fn forged_key_ids_make_one_request_to_the_issuer_in_each_pause() {
        let (mut kept, begun) = (Kept::default(), Instant::now());
        assert!(kept.after(only(&["rsa"]), "rsa", begun).is_ok());
        let mut asked = 0;
        for tenth in 0..600 {
            let now = begun + tenth * SECOND / 10;
            if kept.look(&format!("forged-{tenth}"), now).is_none() {
                asked += 1;
                assert_eq!(kept.after(only(&["rsa"]), "forged", now).err(), Some(NO_KEY));
            }
            assert_eq!(said(kept.look("rsa", now)), Some(Ok(())));
        }
        assert_eq!(asked, 60 / PAUSE.as_secs());
    }

    #[test]
    fn an_issuer_that_is_away_makes_nobody_a_stranger() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        assert_eq!(kept.after(None, "rsa", now).err(), Some(Unknown::IssuerAway));
        assert_eq!(said(kept.look("rsa", now + SECOND)), Some(Err(Unknown::IssuerAway)));
        assert_eq!(said(kept.look("rsa", now + PAUSE)), None);
        assert!(kept.after(only(&["rsa"]), "rsa", now + PAUSE).is_ok());
        // Known keys go on for a day, an unknown one has to wait.
        let later = now + PAUSE + FRESH;
        assert_eq!(said(kept.look("rsa", later)), None);
        assert!(kept.after(None, "rsa", later).is_ok());
        assert_eq!(said(kept.look("ec", later + SECOND)), Some(Err(Unknown::IssuerAway)));
        let day = now + PAUSE + OLDEST;
        assert_eq!(said(kept.look("rsa", day)), None);
        assert_eq!(kept.after(None, "rsa", day).err(), Some(Unknown::IssuerAway));
    }

    #[test]
    fn a_key_that_the_issuer_has_withdrawn_is_refused_when_the_keys_are_looked_up_anew() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        assert!(kept.after(only(&["rsa", "ec"]), "rsa", now).is_ok());
        assert_eq!(said(kept.look("rsa", now + FRESH)), None);
        assert_eq!(kept.after(only(&["ec"]), "rsa", now + FRESH).err(), Some(NO_KEY));
    }

    #[tokio::test]
    async fn a_token_is_looked_at_only_with_the_keys_of_the_configured_issuer() {
        let away = TokenRules { issuer: "http://127.0.0.1:1".into(), ..rules() };
        let issuer = Issuer::new(away).unwrap();
        assert_eq!(issuer.tenant_of(&good("rsa"), SECOND).await, Err(Unknown::IssuerAway));
        assert_eq!(issuer.tenant_of("no token", SECOND).await, Err(Unknown::Invalid(InvalidToken::Form)));
        assert!(issuer.get("http://issuer.example/keys").await.unwrap_err().contains("is not https"));
        issuer.kept().after(only(&["rsa"]), "rsa", Instant::now()).map(|_| ()).unwrap();
        assert_eq!(issuer.tenant_of(&good("rsa"), SECOND).await, Err(Unknown::Invalid(InvalidToken::Issuer)));
    }
}
