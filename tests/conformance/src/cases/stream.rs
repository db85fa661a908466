//! DynamoDB Streams, as the outbox's table has it. Of the endpoint only: a row of the journal is written once, so the model's
//! stream has one record of each item. Must not know: what the relay does.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{AttributeValue as Image, Record, ShardIteratorType};

use super::{Case, SHORT, case};
use crate::endpoint::Endpoint;
use crate::services::Services;

const WRITTEN_ONCE: &str = "its rows are written once";

pub(super) const CASES: &[Case] = &[
    case!("2 the records of one item are in order", only Endpoint: WRITTEN_ONCE, order),
    case!("2 a put that changes nothing leaves no record", only Endpoint: WRITTEN_ONCE, no_op),
    case!("6 INSERT, MODIFY, REMOVE: only the first is a new row", only Endpoint: WRITTEN_ONCE, names),
    case!("4 TRIM_HORIZON gives what was written before anybody read", only Endpoint: "its relay never starts late", earlier),
];

async fn order(at: &Endpoint) -> Result<()> {
    let of = at.tenant().to_string();
    for number in 1..=20 {
        put(at, &of, number).await?;
    }
    let values = values(&records(at, &of, 20).await?);
    ensure!(values == (1..=20).collect::<Vec<_>>(), "{values:?}");
    Ok(())
}

async fn no_op(at: &Endpoint) -> Result<()> {
    let of = at.tenant().to_string();
    for number in [1, 1, 2] {
        put(at, &of, number).await?;
    }
    let values = values(&records(at, &of, 2).await?);
    ensure!(values == [1, 2], "{values:?}");
    Ok(())
}

async fn names(at: &Endpoint) -> Result<()> {
    let of = at.tenant().to_string();
    put(at, &of, 1).await?;
    put(at, &of, 2).await?;
    let delete = at.dynamodb.delete_item().table_name(&at.tables.outbox);
    let delete = delete.key("aggregate", AttributeValue::S(of.clone()));
    delete.key("seq", AttributeValue::N("1".to_owned())).send().await?;
    let records = records(at, &of, 3).await?;
    let names: Vec<&str> = records.iter().filter_map(|record| Some(record.event_name()?.as_str())).collect();
    ensure!(names == ["INSERT", "MODIFY", "REMOVE"], "{names:?}");
    Ok(())
}

async fn earlier(at: &Endpoint) -> Result<()> {
    let of = at.tenant().to_string();
    put(at, &of, 1).await?;
    at.pass(SHORT).await;
    records(at, &of, 1).await.map(drop)
}

/// Puts the one row of an aggregate.
async fn put(at: &Endpoint, aggregate: &str, number: u32) -> Result<()> {
    let put = at.dynamodb.put_item().table_name(&at.tables.outbox);
    let put = put.item("aggregate", AttributeValue::S(aggregate.to_owned()));
    let put = put.item("seq", AttributeValue::N("1".to_owned())).item("n", AttributeValue::N(number.to_string()));
    put.send().await?;
    Ok(())
}

/// The records of one aggregate, in the order of the stream, from its beginning: waits for `count`, and then for more.
async fn records(at: &Endpoint, aggregate: &str, count: usize) -> Result<Vec<Record>> {
    let table = at.dynamodb.describe_table().table_name(&at.tables.outbox).send().await?.table;
    let stream = table.and_then(|table| table.latest_stream_arn).context("the outbox has no stream")?;
    let mut last = 0;
    for _ in 0..=at.patience().as_secs() {
        let found = read(at, &stream, aggregate).await?;
        if found.len() >= count && found.len() == last {
            ensure!(found.len() == count, "{} records instead of {count}", found.len());
            return Ok(found);
        }
        last = found.len();
        at.pass(SHORT).await;
    }
    bail!("{last} of {count} records came")
}

async fn read(at: &Endpoint, stream: &str, aggregate: &str) -> Result<Vec<Record>> {
    let described = at.streams.describe_stream().stream_arn(stream).send().await?.stream_description;
    let mut found = Vec::new();
    for shard in described.context("no stream")?.shards() {
        let iterator =
            at.streams.get_shard_iterator().stream_arn(stream).shard_id(shard.shard_id().unwrap_or_default());
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
        let mut next = iterator.shard_iterator;
        while let Some(iterator) = next {
            let page = at.streams.get_records().shard_iterator(iterator).send().await?;
            next = page.next_shard_iterator;
            let records = page.records.unwrap_or_default();
            if records.is_empty() {
                break; // an open shard has no end
            }
            found.extend(records.into_iter().filter(|record| is_of(record, aggregate)));
        }
    }
    Ok(found)
}

fn is_of(record: &Record, aggregate: &str) -> bool {
    let keys = record.dynamodb().and_then(|of| of.keys());
    keys.and_then(|keys| keys.get("aggregate")) == Some(&Image::S(aggregate.to_owned()))
}

fn values(records: &[Record]) -> Vec<u32> {
    let value = |record: &Record| match record.dynamodb()?.new_image()?.get("n")? {
        Image::N(number) => number.parse().ok(),
        _ => None,
    };
    records.iter().filter_map(value).collect()
}
