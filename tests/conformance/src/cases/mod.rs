//! The cases: what AWS does, each written once. A name begins with the number of the fact in aws-facts.md that it rests on,
//! or with API where it is AWS's reference for that call. Must not know: which endpoint is asked, which deviations are known.

mod dead_letters;
mod due;
mod fifo;
mod journal;
mod limits;
mod made;
mod standard;
mod stream;
mod topic;
mod transactions;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::endpoint::Endpoint;
use crate::model::Model;
use crate::services::{Queue, Received, Reply, Services};

/// Long enough that nothing comes back within a case.
const LONG: Duration = Duration::from_secs(60);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_secs(1);
const NOW: Duration = Duration::ZERO;
/// How often something is tried that chance may refuse.
const TRIES: u32 = 30;

/// One case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
}

/// Who is asked; of one side only: why not the other.
pub(crate) enum Ask {
    Both(for<'a> fn(&'a dyn Services) -> Reply<'a, ()>),
    Model(&'static str, for<'a> fn(&'a Model) -> Reply<'a, ()>),
    Endpoint(&'static str, for<'a> fn(&'a Endpoint) -> Reply<'a, ()>),
}

/// A case of both sides, or of one.
macro_rules! case {
    ($name:literal, $run:path) => {
        $crate::cases::Case { name: $name, ask: $crate::cases::Ask::Both(|at| Box::pin($run(at))) }
    };
    ($name:literal, only $side:ident: $why:expr, $run:path) => {
        $crate::cases::Case { name: $name, ask: $crate::cases::Ask::$side($why, |at| Box::pin($run(at))) }
    };
}
use case;

const TAKES_MINUTES: &str = "it takes 5 minutes there";
const NOT_MODELLED: &str = "the pipeline does not use it";
const CHECKED_BEFORE: &str = "our code refuses it before";

/// Every case, by service.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        transactions::CASES,
        limits::CASES,
        journal::CASES,
        due::CASES,
        stream::CASES,
        topic::CASES,
        fifo::CASES,
        dead_letters::CASES,
        standard::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Waits until messages come.
async fn some(at: &dyn Services, queue: &dyn Queue, most: u32, visibility: Duration) -> Result<Vec<Received>> {
    for _ in 0..=at.patience().as_secs() {
        let batch = queue.receive(most, visibility).await?;
        if !batch.is_empty() {
            return Ok(batch);
        }
    }
    anyhow::bail!("nothing came")
}

/// Waits until one message comes.
async fn one(at: &dyn Services, queue: &dyn Queue, visibility: Duration) -> Result<Received> {
    Ok(some(at, queue, 1, visibility).await?.remove(0))
}

/// Receives the only message three times, put back each time after a while, and sees that each time is counted.
async fn three_times(at: &dyn Services, queue: &dyn Queue, after: Duration) -> Result<()> {
    for delivery in 1..=3 {
        let message = one(at, queue, LONG).await?;
        ensure!(message.receives == delivery, "delivery {delivery} is counted as {}", message.receives);
        queue.show(&message, after).await?;
    }
    Ok(())
}

/// Receives the only message twice and deletes it with the first receipt: it must still be there.
async fn deleted_by_an_older_receipt(at: &dyn Services, queue: &dyn Queue) -> Result<()> {
    let first = one(at, queue, LONG).await?;
    queue.show(&first, NOW).await?;
    let second = one(at, queue, LONG).await?;
    queue.delete(&first).await?;
    queue.show(&second, NOW).await?;
    drain(at, queue, 1).await.map(drop)
}

/// Takes that many messages out of a queue, in the order in which they come, and sees that there are no more.
async fn drain(at: &dyn Services, queue: &dyn Queue, count: usize) -> Result<Vec<Received>> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = some(at, queue, 10, LONG).await;
        let batch = batch.map_err(|error| error.context(format!("{} of {count} messages came", all.len())))?;
        for message in batch {
            queue.delete(&message).await?;
            all.push(message);
        }
    }
    ensure!(all.len() == count, "{} messages came instead of {count}: {:?}", all.len(), bodies(&all));
    nothing(queue).await?;
    Ok(all)
}

/// Nothing comes for a second.
async fn nothing(queue: &dyn Queue) -> Result<()> {
    let batch = queue.receive(10, NOW).await?;
    ensure!(batch.is_empty(), "{:?} came, and nothing should", bodies(&batch));
    Ok(())
}

/// A purged queue is empty, in the end, and stays so: looked at twice, with more than the visibility in between.
async fn empties(at: &dyn Services, queue: &dyn Queue) -> Result<()> {
    for _ in 0..=at.patience().as_secs() {
        at.pass(SHORT).await;
        if queue.receive(10, SHORT).await?.is_empty() && queue.receive(10, SHORT).await?.is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("messages still come")
}

fn bodies(batch: &[Received]) -> Vec<&str> {
    batch.iter().map(|message| message.body.as_str()).collect()
}

/// The same texts in the same order.
fn same(what: &str, is: &[&str], should: &[&str]) -> Result<()> {
    ensure!(is == should, "{what}: {is:?} instead of {should:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_begins_with_its_fact() {
        let names: Vec<&str> = all().map(|case| case.name).collect();
        assert!(names.len() >= 30, "{} cases", names.len());
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two cases have one name");
        for name in names {
            let fact = name.split(' ').next().unwrap_or_default();
            assert!(fact == "API" || fact.parse::<u8>().is_ok_and(|fact| (1..=35).contains(&fact)), "{name}");
            assert!(!name.contains('—'), "{name}: the list of deviations parts its fields so");
        }
    }
}
