//! The due index, which holds only what must be looked at again. Must not know: who looks.

use anyhow::{Result, ensure};
use towpath::TenantId;
use towpath::ports::CursorHome;

use super::made::{self, commit, cursor, cursor_key, position};
use super::{Case, SHORT, case, same};
use crate::services::Services;

pub(super) const CASES: &[Case] = &[
    case!("API the due index is sparse: no row that is ready is in it", sparse),
    case!("API the due index gives the longest overdue first, at most so many", overdue_first),
];

/// The ids of a tenant's aggregates that are due before a time.
async fn due(at: &dyn Services, tenant: &TenantId, before: u64, most: usize) -> Result<Vec<String>> {
    let keys = at.ledger().due(CursorHome::Progress, made::at(before), most).await?;
    let ours = keys.into_iter().filter(|key| key.aggregate.tenant == *tenant);
    Ok(ours.map(|key| key.aggregate.id.to_string()).collect())
}

/// Asks until the answer is right, because the index lags, and once more.
async fn becomes(at: &dyn Services, tenant: &TenantId, before: u64, should: &[&str]) -> Result<()> {
    for _ in 0..=at.patience().as_secs() {
        if due(at, tenant, before, 1_000).await? == should {
            break;
        }
        at.pass(SHORT).await;
    }
    let is = due(at, tenant, before, 1_000).await?;
    same("what is due", &is.iter().map(String::as_str).collect::<Vec<_>>(), should)
}

async fn sparse(at: &dyn Services) -> Result<()> {
    let tenant = at.tenant();
    let (ready, retrying) = (cursor_key(&tenant, "ready")?, cursor_key(&tenant, "retrying")?);
    commit(at.store(), vec![cursor(&ready, position(1, None)?, None)]).await??;
    commit(at.store(), vec![cursor(&retrying, position(1, Some(made::at(1_000)))?, None)]).await??;
    becomes(at, &tenant, 1_001, &["retrying"]).await?;
    becomes(at, &tenant, 1_000, &[]).await?;
    commit(at.store(), vec![cursor(&retrying, position(2, None)?, Some(1))]).await??;
    becomes(at, &tenant, 9_000, &[]).await
}

/// Its rows are due before those of all other cases.
async fn overdue_first(at: &dyn Services) -> Result<()> {
    let tenant = at.tenant();
    for (id, due) in [("c", 30), ("a", 10), ("d", 40), ("b", 20)] {
        let key = cursor_key(&tenant, id)?;
        commit(at.store(), vec![cursor(&key, position(1, Some(made::at(due)))?, None)]).await??;
    }
    becomes(at, &tenant, 40, &["a", "b", "c"]).await?;
    let first = due(at, &tenant, 40, 2).await?;
    ensure!(first == ["a", "b"], "the first two are {first:?}");
    Ok(())
}
