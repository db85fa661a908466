//! Does the time grow as the events do? On the deployed functions, and on the machines alone in memory.
//! Must not know: where the time goes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use deployed::Deployed;
use futures_util::FutureExt;
use towpath::batch::handle_batch;
use towpath::commit::Commit;
use towpath::ports::{Consistency, CursorHome, CursorKey, JournalRow, Store, Write};
use towpath::{AggregateKey, Kind, Visibility};
use towpath_aws::AwsStore;
use towpath_sim::{Tables, World};

use crate::Row;
use crate::cpu::Functions;
use crate::shop::{message, placed};

/// Steepest line through the measured points, on logarithmic axes.
const SLOPE: f64 = 1.05;
const DEPLOYED: [u64; 4] = [2_500, 5_000, 10_000, 20_000];
const MODEL: [u64; 4] = [12_500, 25_000, 50_000, 100_000];
/// Orders in one transaction while the journal is filled.
const FILL: u64 = 50;
/// Orders on their way at once: what is measured is the pipeline, and not how an emulator searches a long queue.
const ON_THE_WAY: usize = 200;
const PATIENCE: Duration = Duration::from_secs(900);

/// Events through relay, topic, queues and the deployed functions, until every consumer has applied them: the functions'
/// processor time, which no other program on the machine and no emulator adds to.
pub(crate) async fn deployed(stack: &Deployed, stack_file: &Path) -> Result<Row> {
    let (store, counter) = stack.counted_store()?;
    let (mut functions, tenant) = (Functions::of(stack_file)?, format!("n{}-slope", std::process::id()));
    functions.look()?;
    let before = functions.seconds();
    let begun = Instant::now();
    let (mut points, mut on_the_way, mut placed) = (Vec::new(), Vec::new(), 0);
    for events in DEPLOYED {
        // Two events each: placed, and rejected.
        while placed < events / 2 {
            on_the_way.extend(place(&store, &tenant, placed..(placed + FILL)).await?);
            placed += FILL;
            let old = on_the_way.len().saturating_sub(ON_THE_WAY);
            everywhere(&store, on_the_way.drain(..old).collect()).await?;
            functions.look()?;
        }
        everywhere(&store, std::mem::take(&mut on_the_way)).await?;
        functions.look()?;
        points.push((events, functions.seconds() - before));
        ensure!(functions.seconds() > before, "no function was seen at work");
        crate::say(&format!("… {events} events after {:.0} s", begun.elapsed().as_secs_f64()));
        counter.take();
    }
    Ok(row("processor time of the deployed relay and consumers against events", &points))
}

/// Nothing is in stock, so inventory records another event for each: it is rejected.
async fn place(store: &AwsStore, tenant: &str, numbers: std::ops::Range<u64>) -> Result<Vec<AggregateKey>> {
    let mut writes = Vec::new();
    let mut orders = Vec::new();
    for number in numbers {
        let envelope = placed(tenant, &format!("o-{number}"))?;
        orders.push(envelope.aggregate());
        let (kind, visibility) = (Kind::Event, Visibility::Internal);
        writes.push(Write::Append(JournalRow { envelope, kind, visibility, to: None }));
    }
    store.commit(&Commit::new(writes)?).await?;
    Ok(orders)
}

/// Waits until every consumer has applied these orders.
async fn everywhere(store: &AwsStore, orders: Vec<AggregateKey>) -> Result<()> {
    let consumers = [
        ("crm-timeline", CursorHome::Progress),
        ("order-summary", CursorHome::Views),
        ("inventory", CursorHome::Progress),
    ];
    for (consumer, home) in consumers {
        applied(store, consumer, home, &orders).await?;
    }
    Ok(())
}

async fn applied(store: &AwsStore, consumer: &str, home: CursorHome, orders: &[AggregateKey]) -> Result<()> {
    let begun = Instant::now();
    let key = |order: &AggregateKey| -> Result<CursorKey> {
        Ok(CursorKey { aggregate: order.clone(), consumer: consumer.parse()? })
    };
    let mut waiting: Vec<CursorKey> = orders.iter().map(key).collect::<Result<_>>()?;
    while !waiting.is_empty() {
        if begun.elapsed() > PATIENCE {
            bail!("{consumer} has not applied {} of {} orders", waiting.len(), orders.len());
        }
        // The last ones come last: look at them first, and at the others when they are there.
        let part = waiting.split_off(waiting.len().saturating_sub(100));
        let positions = store.positions(home, &part, Consistency::Strong).await?;
        let missing = part.into_iter().zip(positions).filter(|(_, at)| at.is_none()).map(|(key, _)| key);
        let before = waiting.len();
        waiting.extend(missing);
        if waiting.len() > before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Batches of ten into the consumer's machine, over tables in memory: no network, no emulator.
pub(crate) fn model() -> Result<Row> {
    let mut points = Vec::new();
    for events in MODEL {
        let messages = (0..events)
            .map(|order| Ok(message(&placed("acme", &format!("o-{order}"))?)))
            .collect::<Result<Vec<_>>>()?;
        let (world, timeline, producer) =
            (World::new(Tables::default()), crm_timeline::consumer(), "numbers@1".parse()?);
        let ports = world.consumer_ports(&producer);
        let begun = Instant::now();
        for batch in messages.chunks(10) {
            let report = handle_batch(&timeline, ports, batch).now_or_never();
            ensure!(
                report.is_some_and(|report| report.counts.applied == batch.len() as u64),
                "a batch was not applied"
            );
        }
        points.push((events, begun.elapsed().as_secs_f64()));
    }
    Ok(row("time against events, the machine on the model", &points))
}

fn row(what: &str, points: &[(u64, f64)]) -> Row {
    let slope = slope(points);
    let (least, most) = (points[0], points[points.len() - 1]);
    let is = format!("slope {slope:.2}: {} in {:.1} s … {} in {:.1} s", least.0, least.1, most.0, most.1);
    Row::new(what, format!("slope ≤ {SLOPE}"), is, slope <= SLOPE)
}

/// Least squares on logarithms.
#[allow(clippy::cast_precision_loss, reason = "events are far below 2^52")]
fn slope(points: &[(u64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(events, time)| ((*events as f64).ln(), time.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), at| (x + at.0 / count, y + at.1 / count));
    let (above, below) = logs
        .iter()
        .fold((0.0, 0.0), |(above, below), at| (above + (at.0 - x) * (at.1 - y), below + (at.0 - x) * (at.0 - x)));
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_one_and_of_a_square_is_two() {
        let line: Vec<(u64, f64)> = [10, 20, 40].map(|n| (n, 0.5 * n as f64)).to_vec();
        let square: Vec<(u64, f64)> = [10, 20, 40].map(|n| (n, (n * n) as f64)).to_vec();
        assert!((slope(&line) - 1.0).abs() < 1e-9 && (slope(&square) - 2.0).abs() < 1e-9);
    }
}
