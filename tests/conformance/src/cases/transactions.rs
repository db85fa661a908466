//! DynamoDB's writes through the port that the pipeline writes with: all or nothing, and each condition.
//! Must not know: limits, pages, indexes.

use anyhow::{Result, ensure};
use towpath::ports::{AuditState, CommitError, Consistency, CursorHome, KeptAnswer, Store, Write};
use towpath::{IdempotencyKey, Rev, Seq, Skipped};

use super::made::{self, aggregate, append, commit, cursor, cursor_key, entity, put, rows_of};
use super::{Case, case, same};
use crate::endpoint::Endpoint;
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("1 a transaction writes all of its items", all),
    case!("1 a refused transaction writes none of its items", none),
    case!("7 a refusal names each write whose condition did not hold", named),
    case!("1 two writes of one item are refused", twice),
    case!("API a place in the journal is taken once", absent),
    case!("API a cursor is written only at the rev that was read", rev),
    case!("API an entity is written only at the version that was read", version),
    case!("API a check writes nothing, and refuses the others", check),
    case!("7 ALL_OLD: a row that was sent twice is known as the same one", only Endpoint: "it refuses, which is harsher", known),
    case!("API an answer is kept once", answer),
    case!("API an event is passed over once", skip),
    case!("API the auditor's row is written only at the rev that was read", auditor),
    case!("API a strongly consistent read sees the write before it", strong),
    case!("API an eventually consistent read sees it in the end", eventual),
];

fn refused(result: Result<(), CommitError>, which: &[usize]) -> Result<()> {
    ensure!(result == Err(CommitError::Refused(which.to_vec())), "{result:?} instead of a refusal of {which:?}");
    Ok(())
}

async fn all(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let (key, of) = (aggregate(&tenant, "a")?, cursor_key(&tenant, "a")?);
    let writes = vec![
        append(&key, 1)?,
        entity(&key, 1, None),
        cursor(&of, made::position(1, None)?, None),
        put(&tenant, "1", "{}"),
    ];
    commit(store, writes).await??;
    ensure!(store.journal(&key, Seq::ZERO, Seq(9), 9).await?.len() == 1, "no row in the journal");
    ensure!(store.entity(&key).await?.is_some(), "no entity");
    let positions = store.positions(CursorHome::Progress, &[of], Consistency::Strong).await?;
    ensure!(positions[0] == Some(made::position(1, None)?), "the cursor is {:?}", positions[0]);
    ensure!(rows_of(store, &tenant).await?.len() == 1, "no row in the view");
    Ok(())
}

async fn none(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = aggregate(&tenant, "a")?;
    commit(store, vec![append(&key, 1)?]).await??;
    let writes = vec![put(&tenant, "1", "{}"), entity(&key, 2, None), append(&key, 1)?, put(&tenant, "2", "{}")];
    refused(commit(store, writes).await?, &[2])?;
    ensure!(store.entity(&key).await?.is_none(), "the entity was written");
    ensure!(rows_of(store, &tenant).await?.is_empty(), "rows of the view were written");
    Ok(())
}

async fn named(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let (key, other) = (aggregate(&tenant, "a")?, aggregate(&tenant, "b")?);
    commit(store, vec![append(&key, 1)?, entity(&key, 1, None)]).await??;
    let writes = vec![append(&other, 1)?, append(&key, 1)?, put(&tenant, "1", "{}"), entity(&key, 9, Some(8))];
    refused(commit(store, writes).await?, &[1, 3])
}

async fn twice(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let result = commit(store, vec![put(&tenant, "1", "{}"), put(&tenant, "1", "[]")]).await?;
    ensure!(matches!(result, Err(CommitError::Invalid(_))), "{result:?}");
    ensure!(rows_of(store, &tenant).await?.is_empty(), "one of them was written");
    Ok(())
}

async fn absent(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = aggregate(&tenant, "a")?;
    let other = Write::Append(made::row(&key, 1, made::at(77), r#"{"n":2}"#)?);
    commit(store, vec![append(&key, 1)?]).await??;
    refused(commit(store, vec![other]).await?, &[0])?;
    let rows = store.journal(&key, Seq::ZERO, Seq(9), 9).await?;
    same("the row", &[rows[0].envelope.data.as_str()], &[r#"{"n":1}"#])
}

async fn rev(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = cursor_key(&tenant, "a")?;
    let at_rev = |rev, expect| anyhow::Ok(vec![cursor(&key, made::position(rev, None)?, expect)]);
    refused(commit(store, at_rev(2, Some(1))?).await?, &[0])?;
    commit(store, at_rev(1, None)?).await??;
    commit(store, at_rev(2, Some(1))?).await??;
    refused(commit(store, at_rev(3, Some(1))?).await?, &[0])?;
    refused(commit(store, at_rev(1, None)?).await?, &[0])?;
    commit(store, at_rev(3, Some(2))?).await??;
    Ok(())
}

async fn version(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = aggregate(&tenant, "a")?;
    refused(commit(store, vec![entity(&key, 2, Some(1))]).await?, &[0])?;
    commit(store, vec![entity(&key, 1, None)]).await??;
    refused(commit(store, vec![entity(&key, 1, None)]).await?, &[0])?;
    commit(store, vec![entity(&key, 2, Some(1))]).await??;
    refused(commit(store, vec![entity(&key, 2, Some(1))]).await?, &[0])
}

async fn check(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = aggregate(&tenant, "a")?;
    let guard = |expect: Option<u64>| Write::CheckEntity { key: key.clone(), expect: expect.map(Seq) };
    commit(store, vec![guard(None), put(&tenant, "1", "{}")]).await??;
    refused(commit(store, vec![put(&tenant, "2", "{}"), guard(Some(1))]).await?, &[1])?;
    ensure!(store.entity(&key).await?.is_none(), "the check wrote");
    ensure!(rows_of(store, &tenant).await?.len() == 1, "what the check refused was written");
    Ok(())
}

async fn known(at: &Endpoint) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let (key, of) = (aggregate(&tenant, "a")?, cursor_key(&tenant, "a")?);
    for _ in 0..2 {
        commit(store, vec![append(&key, 1)?]).await??;
        commit(store, vec![cursor(&of, made::position(1, None)?, None)]).await??;
    }
    Ok(())
}

async fn answer(at: &dyn Services) -> Result<()> {
    let (store, tenant, key) = (at.store(), at.tenant(), "case-key".parse::<IdempotencyKey>()?);
    let kept = |code| KeptAnswer { request_hash: "h".to_owned(), code, body: "{}".to_owned() };
    let write = |code| vec![Write::Answer { tenant: tenant.clone(), key: key.clone(), answer: kept(code) }];
    ensure!(store.kept_answer(&tenant, &key).await?.is_none(), "there is one before any was kept");
    commit(store, write(201)).await??;
    refused(commit(store, write(409)).await?, &[0])?;
    ensure!(store.kept_answer(&tenant, &key).await? == Some(kept(201)), "it is not the first one");
    Ok(())
}

async fn skip(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = cursor_key(&tenant, "a")?;
    let skipped = |seq| {
        let of = made::envelope(&key.aggregate, seq, made::at(seq), "{}")?;
        let (who, why) = ("ann".to_owned(), "it is \"late\"".to_owned());
        let (event_id, event_type) = (of.event_id, of.event_type);
        anyhow::Ok(Skipped { seq: Seq(seq), event_id, event_type, who, why, at: made::at(0) })
    };
    for seq in [10, 9, 2] {
        commit(store, vec![Write::Skip { key: key.clone(), skipped: skipped(seq)? }]).await??;
    }
    refused(commit(store, vec![Write::Skip { key: key.clone(), skipped: skipped(9)? }]).await?, &[0])?;
    let found = store.skipped(&key).await?;
    ensure!(found == [skipped(2)?, skipped(9)?, skipped(10)?], "on record is {found:?}");
    Ok(())
}

async fn auditor(at: &dyn Services) -> Result<()> {
    let ledger = at.ledger();
    let state =
        |rev| AuditState { rev: Rev(rev), audited_until: made::at(rev), sweep: None, swept: None, metered: None };
    ensure!(ledger.audit_state().await? == AuditState::default(), "it was written before");
    ledger.keep_audit_state(&state(1), Rev::ZERO).await?;
    refused(ledger.keep_audit_state(&state(1), Rev::ZERO).await, &[0])?;
    ledger.keep_audit_state(&state(2), Rev(1)).await?;
    refused(ledger.keep_audit_state(&state(3), Rev(1)).await, &[0])?;
    ensure!(ledger.audit_state().await? == state(2), "it is not what was written last");
    Ok(())
}

async fn strong(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = cursor_key(&tenant, "a")?;
    for rev in 1..=10 {
        let expect = (rev > 1).then(|| rev - 1);
        commit(store, vec![cursor(&key, made::position(rev, None)?, expect)]).await??;
        let found = position(store, &key, Consistency::Strong).await?;
        ensure!(found == Some(Rev(rev)), "{found:?} instead of rev {rev}");
    }
    Ok(())
}

async fn eventual(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let key = cursor_key(&tenant, "a")?;
    commit(store, vec![cursor(&key, made::position(1, None)?, None)]).await??;
    commit(store, vec![cursor(&key, made::position(2, None)?, Some(1))]).await??;
    for _ in 0..=at.patience().as_secs() {
        let found = position(store, &key, Consistency::Eventual).await?;
        ensure!(found <= Some(Rev(2)), "{found:?} was never written");
        if found == Some(Rev(2)) {
            return Ok(());
        }
        at.pass(super::SHORT).await;
    }
    anyhow::bail!("the write is never seen")
}

async fn position(store: &dyn Store, key: &towpath::ports::CursorKey, how: Consistency) -> Result<Option<Rev>> {
    let found = store.positions(CursorHome::Progress, std::slice::from_ref(key), how).await?;
    Ok(found.into_iter().flatten().next().map(|position| position.cursor.rev))
}
