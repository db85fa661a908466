//! DynamoDB's limits, and its memory of a client token: some through the port, some past our own checks.
//! Must not know: conditions, pages.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use towpath::commit::Commit;
use towpath::limits::{ITEM_BYTES, TRANSACTION_ACTIONS, TRANSACTION_BYTES};
use towpath::ports::Write;

use super::made::{commit, put, rows_of};
use super::{CHECKED_BEFORE, Case, case};
use crate::endpoint::Endpoint;
use crate::services::Services;

const NO_TOKENS: &str = "its second call is refused, which is harsher";

pub(super) const CASES: &[Case] = &[
    case!("1 a transaction of 100 actions is accepted, one of 101 is refused", actions),
    case!("1 the largest commit that our code lets through is accepted", largest),
    case!("1 an item of more than 400 KB is refused", only Endpoint: CHECKED_BEFORE, item),
    case!("1 a transaction of more than 4 MB is refused", only Endpoint: CHECKED_BEFORE, megabytes),
    case!("1 the same client token again is one write", only Endpoint: NO_TOKENS, token),
    case!("1 a client token with other parameters is refused", only Endpoint: NO_TOKENS, mismatch),
];

async fn actions(at: &dyn Services) -> Result<()> {
    ensure!(at.put_rows(at.tenant(), TRANSACTION_ACTIONS).await?, "100 actions were refused");
    ensure!(!at.put_rows(at.tenant(), TRANSACTION_ACTIONS + 1).await?, "101 actions were accepted");
    Ok(())
}

async fn largest(at: &dyn Services) -> Result<()> {
    let (store, tenant) = (at.store(), at.tenant());
    let of_size = |sort: usize, bytes: usize| {
        let text = |length: usize| put(&tenant, &sort.to_string(), &format!("\"{}\"", "x".repeat(length)));
        let (mut least, mut most) = (0, bytes);
        while least < most {
            let middle = (least + most).div_ceil(2);
            if Commit::new(vec![text(middle)]).is_ok() { least = middle } else { most = middle - 1 }
        }
        text(least)
    };
    let mut writes: Vec<Write> = (0..TRANSACTION_BYTES / ITEM_BYTES).map(|sort| of_size(sort, ITEM_BYTES)).collect();
    let count = writes.len();
    commit(store, writes.clone()).await?.context("the largest commit")?;
    ensure!(rows_of(store, &tenant).await?.len() == count, "not all of its rows are there");
    writes.push(of_size(count, ITEM_BYTES));
    ensure!(Commit::new(writes).is_err(), "our code lets through more than {TRANSACTION_BYTES} bytes");
    Ok(())
}

/// Refused as a wrong request, not for another reason.
async fn invalid(at: &Endpoint, puts: Vec<TransactWriteItem>) -> Result<()> {
    let Err(error) = at.dynamodb.transact_write_items().set_transact_items(Some(puts)).send().await else {
        bail!("it was accepted");
    };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
    let known = ["ValidationException", "TransactionCanceledException"];
    ensure!(code.as_deref().is_some_and(|code| known.contains(&code)), "refused with {code:?}");
    Ok(())
}

async fn item(at: &Endpoint) -> Result<()> {
    let view = format!("{}#big", at.tenant());
    at.dynamodb.transact_write_items().transact_items(at.put(&view, "fits", ITEM_BYTES - 100)?).send().await?;
    invalid(at, vec![at.put(&view, "does not fit", ITEM_BYTES + 1)?]).await
}

async fn megabytes(at: &Endpoint) -> Result<()> {
    let view = format!("{}#big", at.tenant());
    let most = TRANSACTION_BYTES / ITEM_BYTES + 1;
    let puts = (0..most).map(|row| at.put(&view, &row.to_string(), ITEM_BYTES - 1_000));
    invalid(at, puts.collect::<Result<_>>()?).await
}

/// One put of a row that must not be there yet, with a token.
fn once(at: &Endpoint, view: &str, value: usize) -> Result<TransactWriteItem> {
    let mut put = at.put(view, "1", value)?.put.context("it is a put")?;
    put.condition_expression = Some("attribute_not_exists(#view)".to_owned());
    put.expression_attribute_names = Some([("#view".to_owned(), "view".to_owned())].into());
    Ok(TransactWriteItem::builder().put(put).build())
}

async fn token(at: &Endpoint) -> Result<()> {
    let view = at.tenant().to_string(); // and the token, of at most 36 characters
    for time in ["first", "second"] {
        let write = at.dynamodb.transact_write_items().client_request_token(&view);
        write.transact_items(once(at, &view, 1)?).send().await.context(time)?;
    }
    Ok(())
}

async fn mismatch(at: &Endpoint) -> Result<()> {
    let view = at.tenant().to_string(); // and the token, of at most 36 characters
    let write = |bytes| {
        anyhow::Ok(
            at.dynamodb.transact_write_items().client_request_token(&view).transact_items(once(at, &view, bytes)?),
        )
    };
    write(1)?.send().await?;
    let Err(error) = write(2)?.send().await else { bail!("it was accepted") };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
    ensure!(code.as_deref() == Some("IdempotentParameterMismatchException"), "refused with {code:?}");
    let row = at.dynamodb.get_item().table_name(&at.tables.views).consistent_read(true);
    let row = row.key("view", AttributeValue::S(view.clone())).key("row", AttributeValue::S("1".to_owned()));
    let written = row.send().await?.item.and_then(|mut item| item.remove("x")).context("no row")?;
    ensure!(written == AttributeValue::S("x".to_owned()), "the row was written again");
    Ok(())
}
