//! Invoices, whose state is their events: decided on all that was there (P0, P9), the same with and without snapshots (P8),
//! told for any time (P10).

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use commerce::invoice::Invoice;
use serde_json::{Value, json};
use towpath::command::{CommandPorts, Reply, Request, Verdict, execute};
use towpath::ports::{JournalRow, Snapshot, Store};
use towpath::{AggregateKey, Context, Era, EventId, OrReject, Seq, Timestamp, Tx, state_at};

use crate::Test;
use crate::hands::{Row, host};
use crate::p7_commands::towpath;
use crate::stack::{Answer, Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p8_the_state_is_the_same_with_a_snapshot_without_one_and_with_a_false_one", cache),
    ("cost_a_load_is_a_snapshot_and_a_query_and_its_event_is_one_put", cost),
    ("p9_of_payments_at_once_those_are_taken_that_are_open", payments),
    ("p9_an_order_has_one_invoice_however_many_ask_at_once", one_invoice),
    ("p10_an_invoice_is_told_as_it_was_at_any_time", time_travel),
];

/// At the same time, each with a key of its own.
fn at_once(stack: &Stack, path: &str, tenant: &str, body: &str) -> Result<Vec<Answer>> {
    std::thread::scope(|scope| {
        let ask = |number: u32| stack.ask("POST", path, tenant, &format!("{path}-{number}").replace('/', "."), body);
        let asked: Vec<_> = (0..4).map(|number| scope.spawn(move || ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().map_err(|_| anyhow::anyhow!("a request panicked"))?).collect()
    })
}

fn accepted(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 201).count()
}

impl Stack {
    /// Issues an invoice for an order of two pieces at 4.50.
    fn invoice(&self, tenant: &str) -> Result<AggregateKey> {
        let order = self.place(tenant, "k-order", "tea")?;
        let body = json!({ "order_id": order.id }).to_string();
        let issued = self.ask("POST", "/invoices", tenant, "k-invoice", &body)?;
        ensure!(issued.status == 201 && issued.json()?["open_cents"] == 900, "{issued:?}");
        Ok(format!("{tenant}#invoice#{}", order.id).parse()?)
    }

    /// What is said of an invoice, now or then.
    fn told(&self, of: &AggregateKey, query: &str) -> Result<Value> {
        let answer = self.ask("GET", &format!("/invoices/{}{query}", of.id), of.tenant.as_str(), "", "")?;
        ensure!(answer.status == 200, "{query}: {answer:?}");
        answer.json()
    }
}

fn payments(stack: &Stack) -> Result<()> {
    wait(async {
        let invoice = stack.invoice("es-pay")?;
        let answers =
            at_once(stack, &format!("/invoices/{}/payments", invoice.id), "es-pay", r#"{"amount_cents":400}"#)?;
        ensure!(
            accepted(&answers) == 2 && answers.iter().all(|answer| [201, 409].contains(&answer.status)),
            "{answers:?}"
        );
        let told = stack.told(&invoice, "")?;
        ensure!(told["paid_cents"] == 800 && told["open_cents"] == 100 && told["version"] == 4, "{told}");
        ensure!(stack.journal(&invoice).await?.len() == 4);
        Ok(())
    })
}

fn one_invoice(stack: &Stack) -> Result<()> {
    let order = stack.place("es-one", "k-1", "tea")?;
    let body = json!({ "order_id": order.id }).to_string();
    let answers = at_once(stack, "/invoices", "es-one", &body)?;
    ensure!(accepted(&answers) == 1 && answers.iter().all(|answer| [201, 409].contains(&answer.status)), "{answers:?}");
    let both = json!({ "order_id": order.id, "customer_id": "c-1" }).to_string();
    ensure!(stack.ask("POST", "/invoices", "es-one", "k-both", &both)?.status == 400);
    let unknown = stack.ask("POST", "/invoices/nobody/payments", "es-one", "k-2", r#"{"amount_cents":1}"#)?;
    ensure!(unknown.status == 404, "{unknown:?}");
    Ok(())
}

fn cache(stack: &Stack) -> Result<()> {
    wait(async {
        let invoice = stack.invoice("es-cache")?;
        stack.append((3..=120).map(|seq| line(&invoice, seq)).collect::<Result<Vec<JournalRow>>>()?).await?;
        let store = stack.store()?;
        let before = stack.told(&invoice, "")?;
        ensure!(
            before["version"] == 120 && before["lines"].as_array().is_some_and(|lines| lines.len() == 119),
            "{before}"
        );
        let kept = store.snapshot(&invoice).await?.context("a long read keeps a snapshot")?;
        ensure!(kept.seq == Seq(120));
        stack.forget_snapshot(&invoice).await?;
        ensure!(stack.told(&invoice, "")? == before, "without a snapshot it says something else");
        ensure!(store.snapshot(&invoice).await?.as_ref() == Some(&kept), "it is kept again");
        let state = kept.state.replace("12700", "1");
        let false_one = Snapshot { event_id: EventId::new(Timestamp::default(), 1), state, ..kept.clone() };
        store.keep_snapshot(&invoice, &false_one).await;
        ensure!(store.snapshot(&invoice).await? == Some(false_one));
        ensure!(stack.told(&invoice, "")? == before, "a snapshot of another history is believed");
        ensure!(store.snapshot(&invoice).await?.as_ref() == Some(&kept), "the false one is still there");
        // An older one never replaces a newer one.
        store.keep_snapshot(&invoice, &Snapshot { seq: Seq(1), ..kept.clone() }).await;
        ensure!(store.snapshot(&invoice).await? == Some(kept));
        let paid = stack.ask(
            "POST",
            &format!("/invoices/{}/payments", invoice.id),
            "es-cache",
            "k-pay",
            r#"{"amount_cents":900}"#,
        )?;
        ensure!(paid.status == 201 && paid.json()?["version"] == 121, "{paid:?}");
        Ok(())
    })
}

/// A line, as a command would have added it.
fn line(invoice: &AggregateKey, seq: u64) -> Result<JournalRow> {
    let line = json!({ "text": "tea", "quantity": 1, "unit_price_cents": 100 });
    let data = json!({ "invoice_id": invoice.id, "line": line }).to_string();
    let prior = [("invoice.issued", 1), ("invoice.line_added", seq - 1)];
    Row { of: invoice, seq, prior: &prior, event_type: "invoice.line_added", version: 1, data }.build()
}

impl Stack {
    async fn forget_snapshot(&self, of: &AggregateKey) -> Result<()> {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.sdk());
        let key = AttributeValue::S(format!("{of}#~snapshot"));
        let delete = dynamodb.delete_item().table_name(self.output("EntitiesTable")?).key("aggregate", key);
        delete.send().await?;
        ensure!(self.store()?.snapshot(of).await?.is_none());
        Ok(())
    }
}

/// Counted between the SDK and the network, with 250 rows.
fn cost(stack: &Stack) -> Result<()> {
    wait(async {
        let invoice = stack.invoice("es-cost")?;
        stack.append((3..=250).map(|seq| line(&invoice, seq)).collect::<Result<Vec<JournalRow>>>()?).await?;
        let (store, counter) = stack.counted_store()?;
        let sent = || -> Vec<String> { counter.take().into_iter().map(|sent| sent.operation).collect() };
        state_at::<Invoice>(&store, &invoice, None).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let first = sent();
        ensure!(first == ["GetItem", "Query", "Query", "Query", "PutItem"], "{first:?}");
        let (host, producer) = (host(), "promises@1".parse()?);
        let ports = CommandPorts { store: &store, host: &host, producer: &producer, era: Era::FIRST, limiter: None };
        let request = Request {
            tenant: invoice.tenant.clone(),
            key: None,
            hash: String::new(),
            correlation_id: "es-cost".parse()?,
            traceparent: None,
        };
        let pay = async |cx: &Context<'_>| {
            let invoice = cx.load::<Invoice>(&invoice.id).await?.or_reject("it was issued")?;
            let (_, paid) = invoice.pay(100.try_into()?).or_reject("it is open")?;
            Ok(Verdict::Accept(Tx::new().record(paid), Reply::new(201, &0)))
        };
        for _ in 0..2 {
            let reply = execute(ports, &request, pay).await?;
            let requests = sent();
            ensure!(reply.code == 201 && requests == ["GetItem", "Query", "PutItem"], "{requests:?}");
        }
        Ok(())
    })
}

fn time_travel(stack: &Stack) -> Result<()> {
    wait(async {
        let (tenant, invoice) = ("es-time", stack.invoice("es-time")?);
        for (what, key, body) in [
            ("payments", "k-1", r#"{"amount_cents":900}"#),
            ("credits", "k-2", r#"{"amount_cents":300,"reason":"one was broken"}"#),
        ] {
            let done = stack.ask("POST", &format!("/invoices/{}/{what}", invoice.id), tenant, key, body)?;
            ensure!(done.status == 201, "{done:?}");
        }
        let times: Vec<Timestamp> = stack.journal(&invoice).await?.iter().map(|row| row.envelope.occurred_at).collect();
        ensure!(times.len() == 4);
        let version = |at: Timestamp| times.iter().filter(|time| **time <= at).count();
        for time in times.iter().copied().chain([Timestamp::MAX]) {
            let (open, refundable) = [(900, 0), (0, 0), (0, 300)][version(time) - 2];
            let told = stack.told(&invoice, &format!("?at={time}"))?;
            ensure!(told["version"] == version(time), "{time}: {told}");
            ensure!(told["open_cents"] == open && told["refundable_cents"] == refundable, "{time}: {told}");
        }
        let ask = |at: &str| stack.ask("GET", &format!("/invoices/{}?at={at}", invoice.id), tenant, "", "");
        ensure!(ask("1970-01-01T00:00:00Z")?.status == 404);
        ensure!(ask("yesterday")?.status == 400);

        let (subject, time, then) = (format!("invoice/{}", invoice.id), times[2].to_string(), version(times[2]));
        let trace = ["trace", subject.as_str(), "--tenant", tenant, "--at", time.as_str()];
        let (code, shown) = towpath(stack, &trace)?;
        ensure!(code == 0 && shown["version"] == then && shown["later"] == (then < 4), "{shown}");
        ensure!(!shown.to_string().contains("amount_cents"), "data is shown only if it is asked for: {shown}");
        let (_, shown) = towpath(stack, &[&trace[..], &["--data"]].concat())?;
        ensure!(shown["events"][2]["data"]["amount_cents"] == 900, "{shown}");
        let (code, shown) = towpath(stack, &["trace", &invoice.to_string(), "--at", "9000d"])?;
        ensure!(code == 1 && shown["version"] == 0, "{shown}");
        Ok(())
    })
}
