//! Standard queues, as wakes use them: no order, no deduplication, one message at a time.
//! Must not know: what a wake does.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    Case, LONG, NOT_MODELLED, SHORT, bodies, case, deleted_by_an_older_receipt, drain, empties, nothing, one, some,
    three_times,
};
use crate::endpoint::Endpoint;
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("API standard: the same body twice is two messages", twice),
    case!("API standard: a message in flight holds up no other", apart),
    case!("API standard: a receipt whose visibility is over still deletes", old_receipt),
    case!("API standard: after another delivery an older receipt deletes nothing", older_receipt),
    case!("API what is put off comes back when it is due, and is counted", put_off),
    case!("API a visibility can be lengthened while a message is in flight", lengthened),
    case!("API the visibility of what is not in flight cannot be changed", not_in_flight),
    case!("API standard: a purge takes what is in flight, too", purged),
    case!("26 a standard queue takes a message group, and locks none", only Endpoint: "its order is random anyway", groups),
    case!("API standard: one message can be delayed", only Endpoint: NOT_MODELLED, delayed),
];

async fn twice(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "1", "same").await?;
    queue.send("", "1", "same").await?;
    drain(at, &*queue, 2).await.map(drop)
}

async fn apart(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    let mut seen = BTreeSet::new();
    for body in ["m1", "m2", "m3"] {
        queue.send("", "", body).await?;
    }
    for _ in 0..3 {
        seen.insert(one(at, &*queue, LONG).await?.body);
    }
    ensure!(seen.len() == 3, "only {seen:?} came");
    Ok(())
}

async fn old_receipt(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    let first = one(at, &*queue, SHORT).await?;
    at.pass(2 * SHORT).await;
    queue.delete(&first).await?;
    nothing(&*queue).await
}

async fn older_receipt(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    deleted_by_an_older_receipt(at, &*queue).await
}

async fn put_off(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    three_times(at, &*queue, SHORT).await
}

async fn lengthened(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    let message = one(at, &*queue, 2 * SHORT).await?;
    queue.show(&message, LONG).await?;
    at.pass(2 * SHORT).await;
    nothing(&*queue).await
}

async fn not_in_flight(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    let message = one(at, &*queue, SHORT).await?;
    at.pass(2 * SHORT).await;
    queue.show(&message, LONG).await?;
    one(at, &*queue, LONG).await.map(drop)
}

async fn purged(at: &dyn Services) -> Result<()> {
    let queue = at.standard().await?;
    queue.send("", "", "m1").await?;
    queue.send("", "", "m2").await?;
    one(at, &*queue, SHORT).await?;
    queue.purge().await?;
    empties(at, &*queue).await
}

async fn groups(at: &Endpoint) -> Result<()> {
    let queue = at.queue(&[]).await?;
    for body in ["m1", "m2"] {
        at.sqs.send_message().queue_url(&queue.url).message_body(body).message_group_id("t-1").send().await?;
    }
    for _ in 0..2 {
        let message = one(at, &queue, LONG).await?;
        ensure!(message.group == "t-1", "its group is {:?}", message.group);
    }
    Ok(())
}

async fn delayed(at: &Endpoint) -> Result<()> {
    let queue = at.queue(&[]).await?;
    at.sqs.send_message().queue_url(&queue.url).message_body("m1").delay_seconds(3).send().await?;
    let at_once = queue.messages(1, Duration::ZERO, 0).await?;
    ensure!(at_once.is_empty(), "it came at once");
    ensure!(bodies(&some(at, &queue, 1, LONG).await?) == ["m1"], "something else came");
    Ok(())
}
