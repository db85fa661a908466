//! SNS FIFO with the port that the relay publishes through. Must not know: the relay, any consumer.

use std::time::Duration;

use anyhow::{Result, ensure};
use towpath::Kind;
use towpath::ports::{Publication, Publisher};

use super::made::{MADE, OTHER, publication};
use super::{Case, NOT_MODELLED, TAKES_MINUTES, bodies, case, drain, nothing, same};
use crate::endpoint::{Endpoint, open_to};
use crate::model::Model;
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("9 a batch of ten is published, and answered entry by entry", ten),
    case!("9 a batch of eleven is refused whole", eleven),
    case!("9 a batch of more than 262,144 bytes is refused whole", too_long),
    case!("9 one bad entry does not fail the others", only Endpoint: "its entries fail by chance", bad_entry),
    case!("10 published again within 5 minutes, it is delivered once", deduplicated),
    case!("10 published again after 5 minutes, it is delivered again", only Model: TAKES_MINUTES, forgotten),
    case!("10 the same body published under another id is another message", another_id),
    case!("11 FifoThroughputScope=MessageGroup: an id in another group is another message", scope),
    case!("API a subscription gets the event types of its filter", filtered),
    case!("API a group reaches a queue in the order in which it was published", order),
    case!("API raw delivery: the body as it was published, in its group", raw),
    case!("12 a standard queue at a FIFO topic gets no group", only Endpoint: NOT_MODELLED, to_standard),
];

const ALL: &[&[&str]] = &[&[MADE, OTHER]];

async fn publish(topic: &dyn Publisher, batch: &[Publication]) -> Result<()> {
    for result in topic.publish(Kind::Event, batch).await? {
        ensure!(result.is_ok(), "an entry was refused: {result:?}");
    }
    Ok(())
}

fn numbered(count: u64) -> Result<Vec<Publication>> {
    (0..count).map(|number| publication("t#0", MADE, number, &format!("m{number}"))).collect()
}

async fn ten(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    let results = topic.publish(Kind::Event, &numbered(10)?).await?;
    ensure!(results.len() == 10 && results.iter().all(Result::is_ok), "{results:?}");
    drain(at, &*queues[0], 10).await.map(drop)
}

async fn eleven(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    ensure!(topic.publish(Kind::Event, &numbered(11)?).await.is_err(), "it was accepted");
    nothing(&*queues[0]).await
}

async fn too_long(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    let body = "x".repeat(131_100);
    let batch = [publication("t#0", MADE, 1, &body)?, publication("t#0", MADE, 2, &body)?];
    ensure!(topic.publish(Kind::Event, &batch).await.is_err(), "it was accepted");
    nothing(&*queues[0]).await
}

async fn bad_entry(at: &Endpoint) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    let mut batch = numbered(3)?;
    batch[1].group = String::new();
    let results = topic.publish(Kind::Event, &batch).await?;
    ensure!(results[0].is_ok() && results[1].is_err() && results[2].is_ok(), "{results:?}");
    same("the others", &bodies(&drain(at, &*queues[0], 2).await?), &["m0", "m2"])
}

async fn deduplicated(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    for body in ["first", "second"] {
        publish(&*topic, &[publication("t#0", MADE, 1, body)?]).await?;
    }
    same("what came", &bodies(&drain(at, &*queues[0], 1).await?), &["first"])
}

async fn forgotten(at: &Model) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    // A second more, because the queue remembers the id too, from when it got it.
    for (wait, body) in [(240, "first"), (61, "within"), (60, "after")] {
        publish(&*topic, &[publication("t#0", MADE, 1, body)?]).await?;
        at.pass(Duration::from_secs(wait)).await;
    }
    same("what came", &bodies(&drain(at, &*queues[0], 2).await?), &["first", "after"])
}

async fn another_id(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    publish(&*topic, &[publication("t#0", MADE, 1, "same")?, publication("t#0", MADE, 2, "same")?]).await?;
    drain(at, &*queues[0], 2).await.map(drop)
}

async fn scope(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    publish(&*topic, &[publication("t#0", MADE, 1, "m1")?, publication("t#1", MADE, 1, "m2")?]).await?;
    drain(at, &*queues[0], 2).await.map(drop)
}

async fn filtered(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(&[&[MADE], &[OTHER], &[MADE, OTHER], &["case.never"]]).await?;
    publish(&*topic, &[publication("t#0", MADE, 1, "made")?, publication("t#0", OTHER, 2, "other")?]).await?;
    same("the first", &bodies(&drain(at, &*queues[0], 1).await?), &["made"])?;
    same("the second", &bodies(&drain(at, &*queues[1], 1).await?), &["other"])?;
    same("the third", &bodies(&drain(at, &*queues[2], 2).await?), &["made", "other"])?;
    nothing(&*queues[3]).await
}

async fn order(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    for begin in [0, 10] {
        let entry = |number: u64| publication(&format!("t#{}", number % 2), MADE, number, &format!("m{number}"));
        publish(&*topic, &(begin..begin + 10).map(entry).collect::<Result<Vec<_>>>()?).await?;
    }
    let all = drain(at, &*queues[0], 20).await?;
    for lane in 0..2 {
        let group: Vec<_> = all.iter().filter(|message| message.group == format!("t#{lane}")).cloned().collect();
        let sent: Vec<String> =
            (0..20).filter(|number| number % 2 == lane).map(|number| format!("m{number}")).collect();
        same("a group", &bodies(&group), &sent.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

async fn raw(at: &dyn Services) -> Result<()> {
    let (topic, queues) = at.topic(ALL).await?;
    let body = r#"{"text":"ü \" 漢 & <b>"}"#;
    publish(&*topic, &[publication("t#7", MADE, 1, body)?]).await?;
    let message = drain(at, &*queues[0], 1).await?.remove(0);
    same("body and group", &[&message.body, &message.group], &[body, "t#7"])
}

async fn to_standard(at: &Endpoint) -> Result<()> {
    let topic = at.fifo_topic().await?;
    let queue = at.queue(&[open_to(&topic)]).await?;
    at.subscribe(&topic, &queue, None).await?;
    publish(&at.publisher(&topic), &[publication("t#0", MADE, 1, "m1")?]).await?;
    let message = drain(at, &queue, 1).await?.remove(0);
    same("body and group", &[&message.body, &message.group], &["m1", ""])
}
