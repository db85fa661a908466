//! A poison event among a thousand neighbours of its tenant, in the same batches: how long are the neighbours held up?
//! Must not know: how the poison is got rid of.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use commerce::order::OrderPlaced;
use deployed::Deployed;
use towpath::batch::handle_batch;
use towpath::{Consumer, Context, Failure, OrReject, Received, Tx};
use towpath_aws::LambdaHost;

use crate::Row;
use crate::shop::{Queues, message, placed, ports};

const NEIGHBOURS: usize = 1_000;
/// One message of each batch of ten is poison.
const EACH: usize = 10;
const BOUND: Duration = Duration::from_secs(1);
const ON_PURPOSE: &str = "on purpose";

#[derive(Clone, Copy)]
enum Poison {
    Error,
    Reject,
    Panic,
}

fn consumer(poison: Poison) -> Consumer {
    let handle = async move |_: &Context<'_>, order: Received<OrderPlaced>| -> Result<Tx, Failure> {
        if !order.order_id.as_str().starts_with("poison") {
            return Ok(Tx::new());
        }
        match poison {
            Poison::Error => Err("no number".parse::<u8>().err().map_or(Failure::retry("?", "?"), Failure::from)),
            Poison::Reject => None.or_reject("it never works"),
            Poison::Panic => panic!("{ON_PURPOSE}"),
        }
    };
    Consumer::new("poisoned").on(handle)
}

pub(crate) async fn measure(stack: &Deployed) -> Result<Vec<Row>> {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(ON_PURPOSE) {
            loud(panic);
        }
    }));
    towpath::panics::record();
    let mut rows = Vec::new();
    for (name, poison) in [("error", Poison::Error), ("reject", Poison::Reject), ("panic", Poison::Panic)] {
        let p99 = held_up(stack, name, poison).await?;
        let what = format!("poison ({name}) among {NEIGHBOURS} neighbours: their delay, p99");
        rows.push(Row::new(what, "< 1 s", format!("{} ms", p99.as_millis()), p99 < BOUND));
    }
    Ok(rows)
}

/// A neighbour's delay is the time from its batch's delivery to the answer that acknowledges it.
async fn held_up(stack: &Deployed, name: &str, poison: Poison) -> Result<Duration> {
    let (store, _) = stack.counted_store()?;
    let (consumer, producer) = (consumer(poison), "numbers@1".parse()?);
    let tenant = format!("n{}-{name}", std::process::id());
    let mut delays = Vec::new();
    for batch in 0..NEIGHBOURS / (EACH - 1) + 1 {
        let mut messages = vec![message(&placed(&tenant, &format!("poison-{batch}"))?)];
        for neighbour in 1..EACH {
            messages.push(message(&placed(&tenant, &format!("o-{batch}-{neighbour}"))?));
        }
        let (host, queues) = (LambdaHost::ending_in(Duration::from_secs(30)), Queues::default());
        let begun = Instant::now();
        let report = handle_batch(&consumer, ports(&store, &host, &queues, &producer), &messages).await;
        delays.extend(std::iter::repeat_n(begun.elapsed(), EACH - 1));
        let counts = &report.counts;
        ensure!(report.failed.is_empty() && counts.applied == 9 && counts.handed_over == 1, "{report:?}");
        ensure!(queues.0.borrow().len() == 1, "the poison was not handed over to a wake");
    }
    ensure!(delays.len() >= NEIGHBOURS, "only {} neighbours", delays.len());
    delays.sort();
    Ok(delays[(delays.len() * 99).div_ceil(100) - 1])
}
