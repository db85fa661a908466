//! Requests and write units per batch, counted between the SDK and the network.
//! Must not know: how the consumer goes about it.

use anyhow::{Result, ensure};
use deployed::{Counter, Deployed};
use towpath::batch::{Message, handle_batch};
use towpath::{Consumer, Envelope, Prior, Seq};
use towpath_aws::{AwsStore, LambdaHost};

use crate::Row;
use crate::shop::{Queues, Said, envelope, grouped, message, placed, ports, two_of_five};
use crate::wire::Request;

struct Bench {
    store: AwsStore,
    counter: Counter,
    /// Part of every tenant's name, so that a stack can be measured twice.
    run: u32,
}

impl Bench {
    async fn batch(&self, consumer: &Consumer, messages: &[Message]) -> Result<Vec<Request>> {
        let (host, queues) = (LambdaHost::ending_in(std::time::Duration::from_secs(30)), Queues::default());
        let producer = "numbers@1".parse()?;
        self.counter.take();
        let report = handle_batch(consumer, ports(&self.store, &host, &queues, &producer), messages).await;
        ensure!(report.failed.is_empty() && report.counts.failures.is_empty(), "{report:?}");
        let counts = &report.counts;
        ensure!(counts.applied + counts.duplicates == messages.len() as u64, "{report:?}");
        Ok(self.counter.take().into_iter().map(Request::of).collect::<Result<_, _>>()?)
    }

    fn orders(&self, word: &str, count: usize, tenants: usize) -> Result<Vec<Envelope>> {
        (0..count).map(|n| placed(&format!("n{}-{word}-{}", self.run, n % tenants), &format!("o-{n}"))).collect()
    }
}

fn messages(envelopes: &[Envelope]) -> Vec<Message> {
    envelopes.iter().map(message).collect()
}

fn units(requests: &[Request]) -> usize {
    requests.iter().map(|request| request.write_units).sum()
}

fn exactly(what: &str, bound: usize, requests: &[Request]) -> Row {
    Row::new(what, format!("{bound} requests"), said(requests), requests.len() == bound)
}

/// `BatchGetItem + 10 PutItem`.
fn said(requests: &[Request]) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for request in requests {
        match runs.last_mut() {
            Some((operation, count)) if *operation == request.operation => *count += 1,
            _ => runs.push((&request.operation, 1)),
        }
    }
    let run = |(operation, count): &(&str, usize)| {
        if *count == 1 { (*operation).to_owned() } else { format!("{count} {operation}") }
    };
    format!("{} ({})", requests.len(), runs.iter().map(run).collect::<Vec<_>>().join(" + "))
}

pub(crate) async fn measure(stack: &Deployed) -> Result<Vec<Row>> {
    let (store, counter) = stack.counted_store()?;
    let bench = Bench { store, counter, run: std::process::id() };
    let timeline = crm_timeline::consumer();
    let mut rows = Vec::new();

    let all = messages(&bench.orders("new", 15, 1)?);
    let (new, mixed) = (&all[..10], &all[5..]);
    let requests = bench.batch(&timeline, new).await?;
    rows.push(exactly("10 messages of one tenant, all new", 2, &requests));
    let requests = bench.batch(&timeline, new).await?;
    rows.push(exactly("the same again: all duplicates", 1, &requests));
    let requests = bench.batch(&timeline, mixed).await?;
    rows.push(exactly("5 duplicates and 5 new ones", 2, &requests));
    let requests = bench.batch(&timeline, &messages(&bench.orders("four", 10, 4)?)).await?;
    let holds = requests.len() <= 5;
    rows.push(Row::new("10 messages of 4 tenants", "≤ 5 requests", said(&requests), holds));
    let requests = bench.batch(&two_of_five(), &messages(&bench.machine()?)).await?;
    rows.push(exactly("10 messages to a consumer that handles 2 of 5 types", 2, &requests));
    rows.extend(projections(&bench).await?);
    Ok(rows)
}

async fn projections(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let summary = order_summary::consumer();
    let new = messages(&bench.orders("row", 10, 1)?);
    let requests = bench.batch(&summary, &new).await?;
    let each = units(&requests);
    let row = "single-row projection, fewest write units: 10 events";
    rows.push(Row::new(row, "10 write units", format!("{each} write units, {}", said(&requests)), each == 10));
    let requests = bench.batch(&summary, &new).await?;
    let row = "the same again: duplicates";
    rows.push(Row::new(row, "+0 write units", format!("+{} write units", units(&requests)), units(&requests) == 0));
    let requests = bench.batch(&grouped(), &messages(&bench.orders("grp", 10, 1)?)).await?;
    let is = format!("{} write units, {}", units(&requests), said(&requests));
    rows.push(Row::new("single-row projection, fewest requests: 10 events", "2 requests", is, requests.len() == 2));
    Ok(rows)
}

impl Bench {
    /// Ten messages of the types that are handled, with rows of three other types between them.
    fn machine(&self) -> Result<Vec<Envelope>> {
        let tenant = format!("n{}-five", self.run);
        let mut prior = Prior::default();
        let mut handled = Vec::new();
        for round in 0..5 {
            for kind in 0..5 {
                let (seq, prior_of_this) = (round * 5 + kind + 1, prior.clone());
                let row = match kind {
                    0 => envelope(&tenant, &Said::<0>, seq, prior_of_this),
                    1 => envelope(&tenant, &Said::<1>, seq, prior_of_this),
                    2 => envelope(&tenant, &Said::<2>, seq, prior_of_this),
                    3 => envelope(&tenant, &Said::<3>, seq, prior_of_this),
                    _ => envelope(&tenant, &Said::<4>, seq, prior_of_this),
                }?;
                prior.note(row.event_type.clone(), Seq(seq));
                if kind == 0 || kind == 2 {
                    handled.push(row);
                }
            }
        }
        Ok(handled)
    }
}
