//! The stack under test: brought up with the script that a user has, reached as a user reaches it.
//! Must not know: any one promise.

use std::collections::HashMap;
use std::ops::Deref;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use deployed::Deployed;
pub(crate) use deployed::root;
use serde_json::Value;
use towpath::ports::{Consistency, CursorHome, CursorKey, JournalRow, Position, Store};
use towpath::{AggregateKey, Seq};

use crate::collector::Collector;

/// Longest wait for a condition: longer than a message's visibility after a failure.
const PATIENCE: Duration = Duration::from_secs(240);

/// A deployed stack on an emulator of its own.
pub(crate) struct Stack {
    pub(crate) name: String,
    deployed: Deployed,
    tokens: Mutex<HashMap<String, String>>,
    /// Where its functions send spans.
    pub(crate) collector: Collector,
}

impl Deref for Stack {
    type Target = Deployed;

    fn deref(&self) -> &Deployed {
        &self.deployed
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) retry_after: Option<u64>,
    /// The header `www-authenticate`.
    pub(crate) challenge: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("not JSON: {}", self.text))
    }

    pub(crate) fn field(&self, name: &str) -> Result<String> {
        let json = self.json()?;
        let value = json.get(name).with_context(|| format!("no {name} in {json}"))?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// Runs the script that `make up` and `make down` run.
pub(crate) fn script(arguments: &[&str]) -> Result<()> {
    let python = root().join(".venv/tools/bin/python");
    ensure!(python.exists(), "there is no .venv: run `make build` first");
    let done = Command::new(python).arg(root().join("tests/local/stack.py")).args(arguments).output()?;
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "stack.py {arguments:?}: {said}");
    Ok(())
}

impl Stack {
    pub(crate) fn up() -> Result<Self> {
        let name = format!("promises-{}", std::process::id());
        let collector = Collector::start()?;
        // A trace is sampled only if its caller says so, which one test does.
        let spans_go = format!("OtlpEndpoint={}", collector.endpoint);
        let told = ["--without-provider", "--parameter", &spans_go, "--parameter", "TraceSampling=0"];
        script(&[&["up", "--name", &name, "--stage", "test", "--port", "0"][..], &told].concat())?;
        Self::read(&name, collector)
    }

    /// Reads what the script wrote about a stack.
    pub(crate) fn read(name: &str, collector: Collector) -> Result<Self> {
        let file = root().join(".local").join(name).join("stack.json");
        Ok(Self { name: name.to_owned(), deployed: Deployed::read(&file)?, tokens: Mutex::default(), collector })
    }

    pub(crate) fn down(&self) -> Result<()> {
        script(&["down", "--name", &self.name])
    }

    /// Removes what the script wrote about a stack that nobody will look into.
    pub(crate) fn forget(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(root().join(".local").join(&self.name))?)
    }

    /// Asks the API. `key` is the idempotency key, `body` is sent as it is.
    pub(crate) fn ask(&self, method: &str, path: &str, tenant: &str, key: &str, body: &str) -> Result<Answer> {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.ask_with(method, path, tenant, &headers, body.as_bytes())
    }

    /// The same with other headers, and a token of the tenant.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        tenant: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let token = format!("Bearer {}", self.token(tenant)?);
        let headers = [&[("authorization", token.as_str())], headers].concat();
        send(&format!("{}{path}", self.output("ApiUrl")?), method, &headers, body)
    }

    /// A token of a tenant, asked for once.
    pub(crate) fn token(&self, tenant: &str) -> Result<String> {
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(tenant) {
            known.insert(tenant.to_owned(), self.token_with(tenant, &serde_json::json!({}))?);
        }
        Ok(known[tenant].clone())
    }

    /// A token with other claims than usual; null takes one away.
    pub(crate) fn token_with(&self, tenant: &str, claims: &Value) -> Result<String> {
        let asked = serde_json::json!({ "tenant": tenant, "claims": claims });
        self.ask_issuer("/token", &asked)?.field("access_token")
    }

    /// Asks the issuer.
    pub(crate) fn ask_issuer(&self, path: &str, body: &Value) -> Result<Answer> {
        let answer = send(&format!("{}{path}", self.issuer), "POST", &[], body.to_string().as_bytes())?;
        ensure!(answer.status == 200, "the issuer: {answer:?}");
        Ok(answer)
    }
    /// Takes goods in, so that orders can be served.
    pub(crate) fn stock_up(&self, tenant: &str, sku: &str, quantity: u64) -> Result<()> {
        let body = format!(r#"{{"quantity":{quantity}}}"#);
        let answer = self.ask("POST", &format!("/stock/{sku}/receipts"), tenant, &format!("stock-{sku}"), &body)?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(())
    }

    /// Places an order of two pieces of `sku` and returns its aggregate.
    pub(crate) fn place(&self, tenant: &str, key: &str, sku: &str) -> Result<AggregateKey> {
        let answer = self.ask("POST", "/orders", tenant, key, &order_of(sku))?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(format!("{tenant}#order#{}", answer.field("order_id")?).parse()?)
    }

    /// Puts a message into a queue, as the topic would.
    pub(crate) async fn send(&self, queue: &str, group: &str, dedup: &str, body: &str) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk());
        let send = sqs.send_message().queue_url(self.output(queue)?).message_body(body);
        send.message_group_id(group).message_deduplication_id(dedup).send().await?;
        Ok(())
    }

    /// Takes what is in a queue now.
    pub(crate) async fn receive(&self, queue: &str) -> Result<Vec<aws_sdk_sqs::types::Message>> {
        let sqs = aws_sdk_sqs::Client::new(&self.sdk());
        let receive = sqs.receive_message().queue_url(self.output(queue)?).max_number_of_messages(10);
        let got = receive.message_attribute_names("All").visibility_timeout(1).send().await?;
        Ok(got.messages.unwrap_or_default())
    }

    pub(crate) async fn position(&self, consumer: &str, aggregate: &AggregateKey) -> Result<Option<Position>> {
        let keys = [CursorKey { aggregate: aggregate.clone(), consumer: consumer.parse()? }];
        Ok(self.store()?.positions(home_of(consumer), &keys, Consistency::Strong).await?.pop().flatten())
    }

    /// Waits until a consumer has handled an aggregate up to `seq`.
    pub(crate) async fn applied(&self, consumer: &str, aggregate: &AggregateKey, seq: u64) -> Result<Position> {
        until(&format!("{consumer} has applied {aggregate} up to {seq}"), async || {
            let position = self.position(consumer, aggregate).await?;
            Ok(position.filter(|position| position.cursor.seq >= Seq(seq)))
        })
        .await
    }

    /// All rows of an aggregate.
    pub(crate) async fn journal(&self, aggregate: &AggregateKey) -> Result<Vec<JournalRow>> {
        Ok(self.store()?.journal(aggregate, Seq::ZERO, Seq(1_000), 1_000).await?)
    }

    /// The stock of a sku, as its entity has it.
    pub(crate) async fn stock(&self, tenant: &str, sku: &str) -> Result<Value> {
        let stored = self.store()?.entity(&format!("{tenant}#stock#{sku}").parse()?).await?;
        let state = stored.and_then(|stored| stored.state).with_context(|| format!("no stock of {sku}"))?;
        Ok(serde_json::from_str(&state)?)
    }
}

/// Sends one request; headers without a value are left out.
pub(crate) fn send(url: &str, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let mut response = if method == "GET" { agent.run(request.body(())?)? } else { agent.run(request.body(body)?)? };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (replayed, challenge) = (header("idempotent-replay").is_some(), header("www-authenticate"));
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    let (status, text) = (response.status().as_u16(), response.body_mut().read_to_string()?);
    Ok(Answer { status, replayed, retry_after, challenge, text })
}

/// Where a consumer's cursors are.
pub(crate) fn home_of(consumer: &str) -> CursorHome {
    if consumer == "order-summary" { CursorHome::Views } else { CursorHome::Progress }
}

/// A body that orders two pieces of `sku` for customer c-1.
pub(crate) fn order_of(sku: &str) -> String {
    format!(r#"{{"customer_id":"c-1","lines":[{{"sku":"{sku}","quantity":2,"unit_price_cents":450}}]}}"#)
}

/// Waits on a condition, and says which one did not come.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            bail!("waited {} s in vain until {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs a test that waits.
pub(crate) fn wait<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test)
}
