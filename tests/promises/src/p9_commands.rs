//! P9: a command sent again is answered and not executed again.

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, order_of, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p9_the_same_key_and_body_get_the_same_answer", same),
    ("p9_the_same_key_with_another_body_is_422", other_body),
    ("p9_a_concurrent_pair_is_executed_once", pair),
    ("p9_a_repeated_cancellation_is_answered_and_not_refused", repeated_cancel),
    ("p9_who_decides_on_a_version_that_is_gone_gets_409_with_the_current_one", stale),
    ("p9_keys_are_per_tenant", per_tenant),
];

fn same(stack: &Stack) -> Result<()> {
    let first = stack.ask("POST", "/orders", "p9-same", "k-1", &order_of("tea"))?;
    let again = stack.ask("POST", "/orders", "p9-same", "k-1", &order_of("tea"))?;
    ensure!(first.status == 201 && !first.replayed, "{first:?}");
    ensure!(again.replayed && (again.status, &again.text) == (201, &first.text), "{first:?} {again:?}");
    Ok(())
}

fn other_body(stack: &Stack) -> Result<()> {
    stack.ask("POST", "/orders", "p9-other", "k-1", &order_of("tea"))?;
    let other = stack.ask("POST", "/orders", "p9-other", "k-1", &order_of("cup"))?;
    ensure!(other.status == 422 && other.field("error")? == "idempotency_key_reused", "{other:?}");
    let other_operation = stack.ask("POST", "/stock/tea/receipts", "p9-other", "k-1", r#"{"quantity":1}"#)?;
    ensure!(other_operation.status == 422, "{other_operation:?}");
    Ok(())
}

fn pair(stack: &Stack) -> Result<()> {
    for round in 0..5 {
        let key = format!("pair-{round}");
        let ask = || stack.ask("POST", "/orders", "p9-pair", &key, &order_of("tea"));
        let (one, two) = std::thread::scope(|scope| {
            let (one, two) = (scope.spawn(ask), scope.spawn(ask));
            (one.join(), two.join())
        });
        let (Ok(one), Ok(two)) = (one, two) else { anyhow::bail!("a request panicked") };
        let (one, two) = (one?, two?);
        ensure!(one.status == 201 && one.text == two.text, "{one:?} {two:?}");
        ensure!(one.replayed != two.replayed, "{one:?} {two:?}");
    }
    Ok(())
}

fn repeated_cancel(stack: &Stack) -> Result<()> {
    let order = stack.place("p9-cancel", "k-1", "tea")?;
    let path = format!("/orders/{}/cancel", order.id);
    let first = stack.ask("POST", &path, "p9-cancel", "k-2", "{}")?;
    let again = stack.ask("POST", &path, "p9-cancel", "k-2", "{}")?;
    ensure!(first.status == 200 && again.replayed && again.text == first.text, "{first:?} {again:?}");
    let another = stack.ask("POST", &path, "p9-cancel", "k-3", "{}")?;
    ensure!(another.status == 409 && another.field("version")? == "2", "{another:?}");
    Ok(())
}

fn stale(stack: &Stack) -> Result<()> {
    let order = stack.place("p9-stale", "k-1", "tea")?;
    let path = format!("/orders/{}/cancel", order.id);
    let seeing = |version, key| {
        let headers = [("idempotency-key", key), ("content-type", "application/json"), ("if-match", version)];
        stack.ask_with("POST", &path, "p9-stale", &headers, b"{}")
    };
    let early = seeing("\"7\"", "k-2")?;
    ensure!(early.status == 409 && early.field("error")? == "stale_version", "{early:?}");
    ensure!(early.json()?["version"] == 1, "{early:?}");
    let right = seeing("\"1\"", "k-3")?;
    ensure!(right.status == 200 && right.json()?["version"] == 2, "{right:?}");
    let again = seeing("\"1\"", "k-3")?;
    ensure!(again.replayed && again.text == right.text, "{again:?}");
    Ok(())
}

fn per_tenant(stack: &Stack) -> Result<()> {
    wait(async {
        let mine = stack.place("p9-mine", "k-1", "tea")?;
        let yours = stack.place("p9-yours", "k-1", "tea")?;
        ensure!(mine.id != yours.id);
        Ok(())
    })
}
