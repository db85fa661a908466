//! P5: a saga goes on by answers and by timers, over real queues. Here nobody carries out payments: their mapping is off, as no
//! provider is deployed. That everything is fulfilled or undone is shown by `make run` and by the simulator.

use anyhow::{Result, ensure};
use serde_json::Value;
use towpath::AggregateKey;

use crate::Test;
use crate::p7_commands::towpath;
use crate::p15_traces::{header, shows, way_of};
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p5_a_step_that_nobody_answers_is_asked_about_when_its_time_is_over", asked),
    ("p5_a_checkout_that_a_person_refuses_ends_with_nothing_ordered", refused),
];

fn submit(stack: &Stack, tenant: &str, cents: u64, traceparent: &str) -> Result<AggregateKey> {
    let line = format!(r#"{{"sku":"tea","quantity":1,"unit_price_cents":{cents}}}"#);
    let body = format!(r#"{{"customer_id":"c-1","lines":[{line}]}}"#);
    let headers = [("idempotency-key", "k-1"), ("content-type", "application/json"), ("traceparent", traceparent)];
    let answer = stack.ask_with("POST", "/checkouts", tenant, &headers, body.as_bytes())?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(format!("{tenant}#fulfilment#{}", answer.field("checkout_id")?).parse()?)
}

async fn rows(stack: &Stack, saga: &AggregateKey) -> Result<Vec<String>> {
    Ok(stack.journal(saga).await?.iter().map(|row| row.envelope.event_type.to_string()).collect())
}

/// Is an event of this type in these trees, as JSON?
fn says(trees: &Value, event_type: &str) -> bool {
    match trees {
        Value::Array(of) => of.iter().any(|of| says(of, event_type)),
        Value::Object(of) => {
            of.get("event_type").is_some_and(|of| of == event_type) || of.values().any(|of| says(of, event_type))
        }
        _ => false,
    }
}

/// The timer's wake waits a minute in the queue; then the saga asks. Its trace goes on from there (P15).
fn asked(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p5-asked", "tea", 10)?;
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4735_u128;
        let saga = submit(stack, "p5-asked", 450, &header(trace, "01"))?;
        let ordered = ["stock.reserve", "payment.authorise"];
        let asked = ["fulfilment.timer_fired", "payment.inquire"];
        until("the saga asks about its payment", async || {
            let rows = rows(stack, &saga).await?;
            Ok((rows.len() >= 4).then_some(rows))
        })
        .await
        .and_then(|rows| {
            ensure!(rows[..4] == [ordered, asked].concat(), "{rows:?}");
            Ok(())
        })?;
        // The command shows the same to people.
        let of = format!("fulfilment/{}", saga.id);
        let (code, shown) = towpath(stack, &["trace", &of, "--tenant", "p5-asked"])?;
        let missing: Vec<&str> =
            [ordered, asked].concat().into_iter().filter(|step| !says(&shown["trees"], step)).collect();
        ensure!(code == 0 && missing.is_empty(), "the timeline does not name {missing:?}: {shown}");
        let fired = [("fulfilment", "record fulfilment.timer_fired"), ("relay", "publish payment.inquire")];
        let spans = shows(stack, trace, &fired).await?;
        let way = [
            fired[1],
            fired[0],
            ("fulfilment", "process reservation.made"),
            ("inventory", "process stock.reserve"),
            ("fulfilment", "process checkout.submitted"),
            ("orders-api", "POST checkout.submitted"),
        ];
        let found = way_of(&spans, fired[1])?;
        ensure!(found == way, "the timer's step goes on from the one that set it: {found:?}");
        Ok(())
    })
}

fn refused(stack: &Stack) -> Result<()> {
    wait(async {
        let saga = submit(stack, "p5-refused", 150_000, "")?;
        until("the saga waits for a person", async || Ok((!rows(stack, &saga).await?.is_empty()).then_some(())))
            .await?;
        let path = format!("/checkouts/{}/decision", saga.id);
        let answer = stack.ask("POST", &path, "p5-refused", "k-2", r#"{"decision":"refuse"}"#)?;
        ensure!(answer.status == 200, "{answer:?}");
        until("the saga has ended", async || {
            Ok((rows(stack, &saga).await? == ["fulfilment.noted", "fulfilment.compensated"]).then_some(()))
        })
        .await
    })
}
