//! SQS's redrive policy: what is received too often moves to another queue. Not asked is whether its receive count begins
//! anew there: AWS's reference says "across all queues", the model begins anew, and the pipeline does not look.
//! Must not know: what the pipeline puts there.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_sqs::types::MessageSystemAttributeName;

use super::{Case, LONG, NOW, TRIES, bodies, case, drain, nothing, one, same, some};
use crate::endpoint::Endpoint;
use crate::services::{Queue, Services};

pub(super) const CASES: &[Case] = &[
    case!("22 what was received maxReceiveCount times moves to the dead-letter queue", moved),
    case!("22 a group goes on without what has moved", goes_on),
    case!("20 a follower that was never looked at moves, too", follower),
    case!("22 what has moved is not deduplicated by the id under which it was sent", new_id),
    case!("22 the deduplication id of what has moved is its message id", only Endpoint: "no receiver sees it in the model", shown_id),
    case!("22 the dead-letter queue of a FIFO queue is FIFO", only Endpoint: "it has no other", kind),
    case!("23 StartMessageMoveTask puts it back as a new message", only Endpoint: "its operators move by hand", task),
    case!("API a dead-letter queue gives a message again and again", stays),
];

/// Receives and gives back, until it does not come any more.
async fn wear_out(at: &dyn Services, queue: &dyn Queue, times: u32) -> Result<()> {
    for _ in 0..times {
        let message = one(at, queue, LONG).await?;
        queue.show(&message, NOW).await?;
    }
    Ok(())
}

async fn moved(at: &dyn Services) -> Result<()> {
    let (queue, dead_letters) = at.fifo_with_dead_letters(2).await?;
    queue.send("a", "1", "m1").await?;
    wear_out(at, &*queue, 2).await?;
    nothing(&*queue).await?;
    let moved = drain(at, &*dead_letters, 1).await?;
    same("what has moved", &bodies(&moved), &["m1"])?;
    same("its group", &[&moved[0].group], &["a"])
}

async fn goes_on(at: &dyn Services) -> Result<()> {
    let (queue, _) = at.fifo_with_dead_letters(1).await?;
    queue.send("a", "1", "m1").await?;
    queue.send("a", "2", "m2").await?;
    wear_out(at, &*queue, 1).await?;
    same("what is left", &bodies(&drain(at, &*queue, 1).await?), &["m2"])
}

async fn follower(at: &dyn Services) -> Result<()> {
    for _ in 0..TRIES {
        let (queue, dead_letters) = at.fifo_with_dead_letters(1).await?;
        queue.send("a", "1", "m1").await?;
        queue.send("a", "2", "m2").await?;
        let batch = some(at, &*queue, 10, LONG).await?;
        if batch.len() < 2 {
            continue;
        }
        for message in &batch {
            queue.show(message, NOW).await?;
        }
        nothing(&*queue).await?;
        return same("what has moved", &bodies(&drain(at, &*dead_letters, 2).await?), &["m1", "m2"]);
    }
    bail!("{TRIES} batches without a follower")
}

async fn new_id(at: &dyn Services) -> Result<()> {
    let (queue, dead_letters) = at.fifo_with_dead_letters(1).await?;
    queue.send("a", "1", "m1").await?;
    wear_out(at, &*queue, 1).await?;
    nothing(&*queue).await?;
    dead_letters.send("a", "1", "sent here").await?;
    same("the dead-letter queue", &bodies(&drain(at, &*dead_letters, 2).await?), &["m1", "sent here"])
}

async fn shown_id(at: &Endpoint) -> Result<()> {
    let (queue, dead_letters) = at.redriven(1).await?;
    queue.send("a", "1", "m1").await?;
    wear_out(at, &queue, 1).await?;
    nothing(&queue).await?;
    let moved = dead_letters.messages(1, NOW, 2).await?.pop().context("nothing has moved")?;
    let attributes = moved.attributes.unwrap_or_default();
    let id = attributes.get(&MessageSystemAttributeName::MessageDeduplicationId).cloned();
    ensure!(id == moved.message_id, "it is {id:?}");
    Ok(())
}

async fn kind(at: &Endpoint) -> Result<()> {
    let standard = at.queue(&[]).await?;
    let policy = serde_json::json!({ "deadLetterTargetArn": standard.arn, "maxReceiveCount": 1 });
    let made = at.queue(&[crate::endpoint::FIFO, &[("RedrivePolicy", policy.to_string())]].concat()).await;
    ensure!(made.is_err(), "a standard one was accepted");
    Ok(())
}

async fn task(at: &Endpoint) -> Result<()> {
    let (queue, dead_letters) = at.redriven(1).await?;
    queue.send("a", "1", "m1").await?;
    let before = one(at, &queue, NOW).await?;
    nothing(&queue).await?;
    let task = at.sqs.start_message_move_task().source_arn(&dead_letters.arn).destination_arn(&queue.arn);
    task.send().await.context("StartMessageMoveTask")?;
    let after = some(at, &queue, 1, LONG).await?.remove(0);
    ensure!(after.body == before.body && after.id != before.id, "{after:?} came, and before that {before:?}");
    Ok(())
}

async fn stays(at: &dyn Services) -> Result<()> {
    let (queue, dead_letters) = at.fifo_with_dead_letters(1).await?;
    queue.send("a", "1", "m1").await?;
    wear_out(at, &*queue, 1).await?;
    nothing(&*queue).await?;
    wear_out(at, &*dead_letters, 3).await?;
    drain(at, &*dead_letters, 1).await.map(drop)
}
