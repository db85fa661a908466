//! SQS FIFO: groups, deduplication, visibility, receipts. Must not know: dead-letter queues, topics.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{
    Case, LONG, NOT_MODELLED, NOW, SHORT, TAKES_MINUTES, TRIES, bodies, case, deleted_by_an_older_receipt, drain,
    empties, nothing, one, same, some, three_times,
};
use crate::endpoint::{Endpoint, FIFO};
use crate::model::Model;
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("21 a group with a message in flight gives none", locked),
    case!("21 a locked group does not hold up another one", others),
    case!("API a group comes in the order in which it was sent", order),
    case!("21 what comes back comes before its followers", comes_back_first),
    case!("19 a batch can mix groups", mixed),
    case!("20 every delivery is counted", counted),
    case!("20 followers in a batch are counted, looked at or not", followers),
    case!("10 an id that comes again within 5 minutes is no second message", deduplicated),
    case!("10 an id is remembered when its message is deleted", remembered),
    case!("10 an id is forgotten 5 minutes after its first message", only Model: TAKES_MINUTES, forgotten),
    case!("10 the same body under another id is another message", another_id),
    case!("24 DeduplicationScope=messageGroup: an id in another group is another message", scope),
    case!("24 a group id has at most 128 characters", only Endpoint: "our group ids are shorter", group_length),
    case!("16 one FIFO message cannot be delayed", only Endpoint: NOT_MODELLED, no_delay),
    case!("API visibility 0 gives a message back at once", shown),
    case!("API a visibility that is over gives a message back", expired),
    case!("API FIFO: a receipt whose visibility is over deletes nothing", stale_receipt),
    case!("API FIFO: an older receipt deletes nothing", older_receipt),
    case!("API FIFO: an older receipt shows nothing", older_receipt_shows),
    case!("API a purge takes what is in flight, too", purged),
];

async fn locked(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    queue.send("a", "2", "m2").await?;
    let first = one(at, &*queue, LONG).await?;
    same("first", &[&first.body], &["m1"])?;
    nothing(&*queue).await?;
    queue.delete(&first).await?;
    same("then", &bodies(&drain(at, &*queue, 1).await?), &["m2"])
}

async fn others(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    for (group, id) in [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")] {
        queue.send(group, id, id).await?;
    }
    let first = one(at, &*queue, LONG).await?;
    let rest = some(at, &*queue, 10, LONG).await?;
    ensure!(rest.iter().all(|message| message.group != first.group), "{:?} came from a locked group", bodies(&rest));
    Ok(())
}

async fn order(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    let sent: Vec<String> = (10..25).map(|number| format!("m{number}")).collect();
    for body in &sent {
        queue.send("a", body, body).await?;
    }
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    same("the group", &bodies(&drain(at, &*queue, sent.len()).await?), &sent)
}

async fn comes_back_first(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    queue.send("a", "2", "m2").await?;
    one(at, &*queue, SHORT).await?;
    same("again", &bodies(&drain(at, &*queue, 2).await?), &["m1", "m2"])
}

async fn mixed(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    for group in ["a", "b", "c", "d"] {
        queue.send(group, group, group).await?;
    }
    for _ in 0..TRIES {
        let batch = some(at, &*queue, 10, LONG).await?;
        if batch.iter().map(|message| &message.group).collect::<BTreeSet<_>>().len() > 1 {
            return Ok(());
        }
        for message in &batch {
            queue.show(message, NOW).await?;
        }
    }
    bail!("{TRIES} batches, each of one group")
}

async fn counted(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    three_times(at, &*queue, NOW).await
}

async fn followers(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    queue.send("a", "2", "m2").await?;
    let mut before = None;
    for _ in 0..TRIES {
        let batch = some(at, &*queue, 10, LONG).await?;
        if let Some(follower) = batch.get(1)
            && let Some(before) = before.replace(follower.receives)
        {
            ensure!(follower.receives == before + 1, "counted {} after {before}", follower.receives);
            return Ok(());
        }
        for message in &batch {
            queue.show(message, NOW).await?;
        }
    }
    bail!("{TRIES} batches without a follower")
}

async fn deduplicated(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "first").await?;
    queue.send("a", "1", "second").await?;
    same("what came", &bodies(&drain(at, &*queue, 1).await?), &["first"])
}

async fn remembered(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "first").await?;
    drain(at, &*queue, 1).await?;
    queue.send("a", "1", "second").await?;
    nothing(&*queue).await
}

async fn forgotten(at: &Model) -> Result<()> {
    let queue = at.fifo().await?;
    for (minute, body) in [(0, "first"), (4, "within"), (5, "after")] {
        queue.send("a", "1", body).await?;
        at.pass(Duration::from_secs(if minute == 0 { 240 } else { 60 })).await;
    }
    same("what came", &bodies(&drain(at, &*queue, 2).await?), &["first", "after"])
}

async fn another_id(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "same").await?;
    queue.send("a", "2", "same").await?;
    drain(at, &*queue, 2).await.map(drop)
}

async fn scope(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "same").await?;
    queue.send("b", "1", "same").await?;
    drain(at, &*queue, 2).await.map(drop)
}

async fn group_length(at: &Endpoint) -> Result<()> {
    let queue = at.queue(FIFO).await?;
    for (length, fits) in [(128, true), (129, false)] {
        let send = at.sqs.send_message().queue_url(&queue.url).message_body("m").message_deduplication_id("1");
        let accepted = send.message_group_id("g".repeat(length)).send().await.is_ok();
        ensure!(accepted == fits, "a group id of {length} characters: accepted is {accepted}");
    }
    Ok(())
}

async fn no_delay(at: &Endpoint) -> Result<()> {
    let queue = at.queue(FIFO).await?;
    let send = at.sqs.send_message().queue_url(&queue.url).message_body("m").message_deduplication_id("1");
    let sent = send.message_group_id("a").delay_seconds(1).send().await;
    ensure!(sent.is_err(), "it was accepted");
    Ok(())
}

async fn shown(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    let first = one(at, &*queue, LONG).await?;
    queue.show(&first, NOW).await?;
    let second = one(at, &*queue, LONG).await?;
    ensure!(second.receipt != first.receipt, "a receipt was given twice");
    Ok(())
}

async fn expired(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    one(at, &*queue, SHORT).await?;
    let again = one(at, &*queue, LONG).await?;
    ensure!(again.receives == 2, "the second delivery is counted as {}", again.receives);
    Ok(())
}

async fn stale_receipt(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    let first = one(at, &*queue, SHORT).await?;
    at.pass(2 * SHORT).await;
    queue.delete(&first).await?;
    drain(at, &*queue, 1).await.map(drop)
}

async fn older_receipt(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    deleted_by_an_older_receipt(at, &*queue).await
}

async fn older_receipt_shows(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    let first = one(at, &*queue, LONG).await?;
    queue.show(&first, NOW).await?;
    one(at, &*queue, LONG).await?;
    queue.show(&first, NOW).await?;
    nothing(&*queue).await
}

async fn purged(at: &dyn Services) -> Result<()> {
    let queue = at.fifo().await?;
    queue.send("a", "1", "m1").await?;
    queue.send("b", "2", "m2").await?;
    one(at, &*queue, SHORT).await?;
    queue.purge().await?;
    empties(at, &*queue).await
}
