//! Commits on DynamoDB: one write is one conditional put, more are one transaction. Every condition expression of
//! Towpath stands here.
//! Must not know: why something is written.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use serde::Serialize;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use towpath::commit::Commit;
use towpath::ports::{CommitError, Unavailable, Write};
use towpath::{FORMAT, Rev, Seq};

use crate::rows::{AnswerItem, CursorItem, EntityItem, OutboxItem, RowKey, Signature, SkipItem, ViewItem};
use crate::rows::{answer_key, cursor_key, skip_key, view_key};
use crate::store::{AwsStore, Item, key_item, number, unavailable};

/// A condition, its names and its values.
pub(crate) struct Condition {
    expression: &'static str,
    name: &'static str,
    value: Option<AttributeValue>,
}

impl Condition {
    /// There is no row; `key` is one of its key attributes.
    pub(crate) fn absent(key: &'static str) -> Self {
        Self { expression: "attribute_not_exists(#name)", name: key, value: None }
    }

    /// The row's counter is what was read.
    fn unchanged(counter: &'static str, expected: u64) -> Self {
        Self { expression: "#name = :expected", name: counter, value: Some(number(expected)) }
    }

    /// The row was written `rev` times; never: there is none, and `key` is one of its key attributes.
    pub(crate) fn written(key: &'static str, rev: Rev) -> Self {
        if rev == Rev::ZERO { Self::absent(key) } else { Self::unchanged("rev", rev.0) }
    }

    /// There is no row, or its counter is not beyond this.
    pub(crate) fn not_newer(counter: &'static str, than: u64) -> Self {
        let expression = "attribute_not_exists(#name) OR #name <= :expected";
        Self { expression, name: counter, value: Some(number(than)) }
    }

    /// An entity is as it was read: at a version, or not there.
    fn entity(expect: Option<Seq>) -> Self {
        expect.map_or_else(|| Self::absent("aggregate"), |version| Self::unchanged("version", version.0))
    }
}

/// One write in DynamoDB's words.
enum Action {
    Put { table: String, item: Item, condition: Option<Condition> },
    Delete { table: String, key: Item },
    Check { table: String, key: Item, condition: Condition },
}

impl AwsStore {
    pub(crate) async fn write(&self, commit: &Commit) -> Result<(), CommitError> {
        let actions = commit.writes().iter().map(|write| self.action(write)).collect::<Result<Vec<_>, _>>()?;
        match (commit.writes(), actions.len()) {
            (_, 0) => Ok(()),
            ([write], _) if signature(write).is_some() => match actions.into_iter().next() {
                Some(Action::Put { table, item, condition: Some(on) }) => {
                    self.put(table, item, on, signature(write)).await
                }
                other => self.transact(other.into_iter().collect()).await,
            },
            _ => self.transact(actions).await,
        }
    }

    /// A refused put may be one whose first answer was lost and which the SDK sent again: then the row there is ours.
    pub(crate) async fn put(
        &self,
        table: String,
        item: Item,
        on: Condition,
        ours: Option<Signature>,
    ) -> Result<(), CommitError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .condition_expression(on.expression)
            .expression_attribute_names("#name", on.name)
            .set_expression_attribute_values(on.value.map(|value| [(":expected".to_owned(), value)].into()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let there = refused.item().and_then(|item| from_item::<Signature>(item.clone()).ok());
                if there.is_some() && there == ours { Ok(()) } else { Err(CommitError::Refused(vec![0])) }
            }
            Some(other) if other.code() == Some("ValidationException") => Err(CommitError::Invalid(other.to_string())),
            _ => Err(unavailable("PutItem")(error).into()),
        }
    }

    async fn transact(&self, actions: Vec<Action>) -> Result<(), CommitError> {
        let items = actions.into_iter().map(transact_item).collect::<Result<Vec<_>, _>>()?;
        let Err(error) = self.dynamodb.transact_write_items().set_transact_items(Some(items)).send().await else {
            return Ok(());
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let codes: Vec<&str> =
                cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None")).collect();
            return Err(cancelled_because(&codes));
        }
        if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ValidationException") {
            return Err(CommitError::Invalid(unavailable("TransactWriteItems")(error).why));
        }
        Err(unavailable("TransactWriteItems")(error).into())
    }

    fn action(&self, write: &Write) -> Result<Action, CommitError> {
        Ok(match write {
            Write::Append(row) => Action::Put {
                table: self.tables.outbox.clone(),
                item: item(&OutboxItem::new(row, self.outbox_retention_days))?,
                condition: Some(Condition::absent("aggregate")),
            },
            Write::CheckVacant { key, seq } => Action::Check {
                table: self.tables.outbox.clone(),
                key: [("aggregate".to_owned(), AttributeValue::S(key.to_string())), ("seq".to_owned(), number(seq.0))]
                    .into(),
                condition: Condition::absent("aggregate"),
            },
            Write::Entity { key, stored, expect } => Action::Put {
                table: self.tables.entities.clone(),
                item: item(&EntityItem::new(key, stored))?,
                condition: Some(Condition::entity(*expect)),
            },
            Write::CheckEntity { key, expect } => Action::Check {
                table: self.tables.entities.clone(),
                key: [("aggregate".to_owned(), AttributeValue::S(key.to_string()))].into(),
                condition: Condition::entity(*expect),
            },
            Write::Cursor { home, key, position, expect } => {
                let at = cursor_key(*home, key);
                let condition =
                    expect.map_or_else(|| Condition::absent(at.partition.0), |rev| Condition::unchanged("rev", rev.0));
                let row = CursorItem::new(key, position).map_err(|error| CommitError::Invalid(error.to_string()))?;
                Action::Put {
                    table: self.home(*home).to_owned(),
                    item: item_at(&at, &row)?,
                    condition: Some(condition),
                }
            }
            Write::Skip { key, skipped } => Action::Put {
                table: self.tables.progress.clone(),
                item: item_at(&skip_key(key, skipped.seq), &SkipItem::new(skipped))?,
                condition: Some(Condition::absent("pk")),
            },
            Write::Put { tenant, place, state } => {
                let row = ViewItem { format: FORMAT, state: state.clone() };
                let at = view_key(tenant, place);
                Action::Put { table: self.tables.views.clone(), item: item_at(&at, &row)?, condition: None }
            }
            Write::Remove { tenant, place } => {
                Action::Delete { table: self.tables.views.clone(), key: key_item(&view_key(tenant, place)) }
            }
            Write::Answer { tenant, key, answer } => Action::Put {
                table: self.tables.progress.clone(),
                item: item_at(&answer_key(tenant, key), &AnswerItem::new(answer))?,
                condition: Some(Condition::absent("pk")),
            },
        })
    }
}

/// By which a write that stands alone, and was sent twice, knows itself.
fn signature(write: &Write) -> Option<Signature> {
    match write {
        Write::Cursor { position, .. } => Some(Signature::of_cursor(position)),
        Write::Append(row) => Some(Signature::of_row(row)),
        _ => None,
    }
}

/// A cancelled transaction wrote nothing. A condition that did not hold outweighs a conflict beside it.
fn cancelled_because(codes: &[&str]) -> CommitError {
    let refused: Vec<usize> = codes
        .iter()
        .enumerate()
        .filter(|(_, code)| **code == "ConditionalCheckFailed")
        .map(|(index, _)| index)
        .collect();
    if !refused.is_empty() {
        return CommitError::Refused(refused);
    }
    let why = codes.join(", ");
    if codes.contains(&"ValidationError") {
        return CommitError::Invalid(format!("DynamoDB cancelled the transaction: {why}"));
    }
    Unavailable { call: "TransactWriteItems", why: format!("cancelled: {why}") }.into()
}

pub(crate) fn item(row: &impl Serialize) -> Result<Item, CommitError> {
    to_item(row).map_err(|error| CommitError::Invalid(error.to_string()))
}

pub(crate) fn item_at(key: &RowKey, row: &impl Serialize) -> Result<Item, CommitError> {
    let mut item = item(row)?;
    item.extend(key_item(key));
    Ok(item)
}

fn transact_item(action: Action) -> Result<TransactWriteItem, CommitError> {
    let invalid = |error: aws_sdk_dynamodb::error::BuildError| CommitError::Invalid(error.to_string());
    let values = |value: Option<AttributeValue>| value.map(|value| [(":expected".to_owned(), value)].into());
    let item = TransactWriteItem::builder();
    Ok(match action {
        Action::Put { table, item: row, condition } => {
            let put = Put::builder().table_name(table).set_item(Some(row));
            let put = match condition {
                None => put,
                Some(on) => put
                    .condition_expression(on.expression)
                    .expression_attribute_names("#name", on.name)
                    .set_expression_attribute_values(values(on.value)),
            };
            item.put(put.build().map_err(invalid)?)
        }
        Action::Delete { table, key } => {
            item.delete(Delete::builder().table_name(table).set_key(Some(key)).build().map_err(invalid)?)
        }
        Action::Check { table, key, condition: on } => {
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key))
                .condition_expression(on.expression)
                .expression_attribute_names("#name", on.name)
                .set_expression_attribute_values(values(on.value));
            item.condition_check(check.build().map_err(invalid)?)
        }
    }
    .build())
}

#[cfg(test)]
mod tests;
