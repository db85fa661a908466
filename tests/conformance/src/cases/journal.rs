//! DynamoDB's reads through the ports: pages of the journal, of a view, of the time index.
//! Must not know: how rows get there but by a commit.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use towpath::ports::{IndexRow, Write};
use towpath::{AggregateKey, Seq, TenantId};

use super::made::{self, aggregate, append, commit, place, put, rows_of};
use super::{Case, SHORT, case, same};
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("API a page of the journal is in order, after and up to a seq, at most so many rows", pages),
    case!("API a journal that is larger than one answer is read page by page", large),
    case!("API the head is the last row", head),
    case!("API rows of a view come in the order of their keys", view),
    case!("API the time index shows each row of a time once, hour by hour", by_time),
    case!("API the sweep comes by each row once", swept),
];

const HOUR: u64 = 3_600_000;

async fn seqs(at: &dyn Services, key: &AggregateKey, (after, through): (u64, u64), most: usize) -> Result<Vec<u64>> {
    let rows = at.store().journal(key, Seq(after), Seq(through), most).await?;
    Ok(rows.iter().map(|row| row.envelope.seq.0).collect())
}

async fn pages(at: &dyn Services) -> Result<()> {
    let key = aggregate(&at.tenant(), "a")?;
    // Written out of order, and past the seqs that sort differently as texts.
    for seq in (1..=12).rev() {
        commit(at.store(), vec![append(&key, seq)?]).await??;
    }
    let asked: [((u64, u64), usize, &[u64]); 5] = [
        ((0, 12), 100, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ((8, 11), 100, &[9, 10, 11]),
        ((2, 12), 3, &[3, 4, 5]),
        ((12, 99), 100, &[]),
        ((5, 5), 100, &[]),
    ];
    for (range, most, should) in asked {
        let is = seqs(at, &key, range, most).await?;
        ensure!(is == should, "{range:?}, at most {most}: {is:?} instead of {should:?}");
    }
    Ok(())
}

async fn large(at: &dyn Services) -> Result<()> {
    const ROWS: u64 = 8;
    let key = aggregate(&at.tenant(), "a")?;
    let data = format!(r#"{{"x":"{}"}}"#, "x".repeat(190_000));
    for seq in 1..=ROWS {
        commit(at.store(), vec![Write::Append(made::row(&key, seq, made::at(seq), &data)?)]).await??;
    }
    let (mut read, mut answers) = (Vec::new(), 0);
    while let Some(page) = Some(seqs(at, &key, (read.last().copied().unwrap_or(0), ROWS), 100).await?) {
        if page.is_empty() {
            break;
        }
        read.extend(page);
        answers += 1;
        ensure!(answers <= ROWS, "it does not end");
    }
    ensure!(read == (1..=ROWS).collect::<Vec<_>>(), "{read:?}");
    Ok(())
}

async fn head(at: &dyn Services) -> Result<()> {
    let key = aggregate(&at.tenant(), "a")?;
    ensure!(at.store().head(&key).await?.is_none(), "there is one before any row");
    for seq in 1..=11 {
        commit(at.store(), vec![append(&key, seq)?]).await??;
    }
    let head = at.store().head(&key).await?.map(|head| head.seq);
    ensure!(head == Some(Seq(11)), "it is {head:?}");
    Ok(())
}

async fn view(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    for sort in ["b", "a", "10", "2", "B"] {
        commit(store, vec![put(&tenant, sort, &format!("{sort:?}"))]).await??;
    }
    commit(store, vec![Write::Remove { tenant: tenant.clone(), place: place("b") }]).await??;
    let should = [r#""10""#, r#""2""#, r#""B""#, r#""a""#];
    for _ in 0..=at.patience().as_secs() {
        if rows_of(store, &tenant).await?.len() == should.len() {
            break;
        }
        at.pass(SHORT).await; // a view is read eventually consistent
    }
    let rows = rows_of(store, &tenant).await?;
    same("the view", &rows.iter().map(String::as_str).collect::<Vec<_>>(), &should)
}

/// Two rows in each of three hours, in an hour of the tenant's own.
async fn written(at: &dyn Services, tenant: &TenantId, begin: u64) -> Result<()> {
    for (id, hour) in [("a", 2), ("b", 0), ("c", 1)] {
        let key = aggregate(tenant, id)?;
        for seq in 1..=2 {
            let time = made::at(begin + hour * HOUR + seq * 1_000);
            commit(at.store(), vec![Write::Append(made::row(&key, seq, time, "{}")?)]).await??;
        }
    }
    Ok(())
}

async fn by_time(at: &dyn Services) -> Result<()> {
    const BEGIN: u64 = 100 * HOUR;
    let tenant = at.tenant();
    written(at, &tenant, BEGIN).await?;
    let walk = async || {
        let (mut rows, mut place) = (Vec::new(), None::<String>);
        loop {
            let (since, until) = (made::at(BEGIN), made::at(BEGIN + 2 * HOUR + 1_500));
            let (page, next) = at.ledger().committed(since, until, place.as_deref()).await?;
            rows.extend(page);
            match next {
                Some(next) => place = Some(next),
                None => return anyhow::Ok(rows),
            }
        }
    };
    let rows = waited(at, 5, async || walk().await).await?;
    let hours: Vec<&str> = rows.iter().map(|row| row.aggregate.id.as_str()).collect();
    let last = rows.iter().filter(|row| row.aggregate.id.as_str() == "a").map(|row| row.seq).collect::<Vec<_>>();
    ensure!(hours == ["b", "b", "c", "c", "a"] && last == [Seq(1)], "{hours:?}, the last hour has {last:?}");
    Ok(())
}

async fn swept(at: &dyn Services) -> Result<()> {
    let tenant = at.tenant();
    written(at, &tenant, 200 * HOUR).await?;
    let walk = async || {
        let (mut rows, mut place) = (Vec::new(), None::<String>);
        loop {
            let (page, next) = at.ledger().sweep(place.as_deref()).await?;
            rows.extend(page.into_iter().filter(|row| row.aggregate.tenant == tenant));
            match next {
                Some(next) => place = Some(next),
                None => return anyhow::Ok(rows),
            }
        }
    };
    let rows = waited(at, 6, async || walk().await).await?;
    let places: BTreeSet<(String, Seq)> = rows.iter().map(|row| (row.aggregate.to_string(), row.seq)).collect();
    ensure!(places.len() == 6, "{places:?}");
    Ok(())
}

/// An index lags: asked until so many rows are there, and never more.
async fn waited(
    at: &dyn Services,
    count: usize,
    walk: impl AsyncFn() -> Result<Vec<IndexRow>>,
) -> Result<Vec<IndexRow>> {
    let mut rows = walk().await?;
    for _ in 0..=at.patience().as_secs() {
        if rows.len() >= count {
            break;
        }
        at.pass(SHORT).await;
        rows = walk().await?;
    }
    ensure!(rows.len() == count, "{} rows instead of {count}", rows.len());
    Ok(rows)
}
