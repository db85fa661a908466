//! What comes from outside, read as the functions read it but without a function around it: so that tests can hand in
//! bytes that nobody has thought of. Must not know: what is done with what was read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::{Item, from_item, to_item};
use serde_json::Value;
use towpath::batch::Message;
use towpath::ports::{CursorKey, JournalRow};
use towpath::{EventId, TenantId, Timestamp};

use crate::config::TokenRules;
use crate::http::{HttpError, HttpRequest};
use crate::lambda::{Record, read, read_messages, read_request};
use crate::ledger::{after_place, key_of_sweep};
use crate::registry::Registration;
use crate::rows::{
    AnswerItem, AuditItem, CursorItem, DueItem, EntityItem, IndexItem, OrderItem, OutboxItem, RegistryItem, Signature,
    SkipItem, ViewItem,
};
use crate::token::{Keys, Token};

/// Kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after what the row holds")]
pub enum Row {
    Journal,
    Head,
    Index,
    Entity,
    View,
    Answer,
    Cursor,
    Signature,
    Due,
    Skip,
    Order,
    Registry,
    Audit,
}

impl Row {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Journal,
        Self::Head,
        Self::Index,
        Self::Entity,
        Self::View,
        Self::Answer,
        Self::Cursor,
        Self::Signature,
        Self::Due,
        Self::Skip,
        Self::Order,
        Self::Registry,
        Self::Audit,
    ];
}

/// Reads a row, given as DynamoDB's JSON, and writes what was read: the same row again, or it says why it cannot be read.
/// What is read and never written as such comes back as nothing.
pub fn row(kind: Row, item: &Value) -> Result<Option<Value>, String> {
    match kind {
        Row::Journal => written(&OutboxItem::new(&read_item::<OutboxItem>(item)?.into_row().map_err(text)?, 30)),
        Row::Head => read_item::<OutboxItem>(item)?.into_head().map(|_| None).map_err(text),
        Row::Index => read_item::<IndexItem>(item)?.into_row().map(|_| None).map_err(text),
        Row::Entity => {
            let stored = read_item::<EntityItem>(item)?.into_stored().map_err(text)?;
            written(&EntityItem::new(&some_cursor()?.aggregate, &stored))
        }
        Row::View => written(&read_item::<ViewItem>(item)?),
        Row::Answer => written(&AnswerItem::new(&read_item::<AnswerItem>(item)?.into_answer().map_err(text)?)),
        Row::Cursor => {
            let position = read_item::<CursorItem>(item)?.into_position().map_err(text)?;
            written(&CursorItem::new(&some_cursor()?, &position).map_err(text)?)
        }
        Row::Signature => read_item::<Signature>(item).map(|_| None),
        Row::Due => read_item::<DueItem>(item).map(|row| row.cursor().and(None)),
        Row::Skip => written(&SkipItem::new(&read_item::<SkipItem>(item)?.into_skipped().map_err(text)?)),
        Row::Order => written(&OrderItem::new(&read_item::<OrderItem>(item)?.into_order().map_err(text)?)),
        Row::Registry => {
            let registration = Registration::from(read_item::<RegistryItem>(item)?);
            written(&RegistryItem::from(&registration))
        }
        Row::Audit => written(&AuditItem::new(&read_item::<AuditItem>(item)?.into_state().map_err(text)?)),
    }
}

fn some_cursor() -> Result<CursorKey, String> {
    let aggregate = "acme#order#o-1".parse().map_err(text)?;
    Ok(CursorKey { aggregate, consumer: "inventory".parse().map_err(text)? })
}

fn read_item<T: DeserializeOwned>(item: &Value) -> Result<T, String> {
    let item: Item = serde_json::from_value(item.clone()).map_err(text)?;
    from_item(item).map_err(text)
}

fn written(item: &impl Serialize) -> Result<Option<Value>, String> {
    let item: Item = to_item(item).map_err(text)?;
    serde_json::to_value(item).map(Some).map_err(text)
}

/// A journal row as its table's stream shows it.
pub fn as_stream_record(row: &JournalRow) -> Result<Value, String> {
    Ok(serde_json::json!({
        "eventName": "INSERT", "awsRegion": "", "eventID": "1",
        "dynamodb": { "Keys": {}, "NewImage": written(&OutboxItem::new(row, 30))?, "SizeBytes": 1 },
    }))
}

/// What the relay makes of a stream record: nothing if it is no insert.
pub fn stream_record(record: &Value) -> Result<Option<JournalRow>, String> {
    match read(record)? {
        Record::Row(row) => Ok(Some(*row)),
        Record::Ignored => Ok(None),
        Record::Unreadable(why) => Err(why),
    }
}

/// The messages of an SQS event, as a consumer gets them.
pub fn queue_event(event: Value) -> Result<Vec<Message>, String> {
    read_messages(event)
}

/// A request, as an API gets it from a caller whose token names this tenant; `fresh` stands in for a correlation id that is
/// not given. `None`: no event of API Gateway.
pub fn http_request(event: Value, tenant: TenantId, fresh: EventId) -> Option<Result<HttpRequest, HttpError>> {
    read_request(event, tenant, fresh)
}

/// The tenant that a token names under a set of JSON Web Keys, as text; or why it names none.
pub fn token_tenant(token: &str, keys: &[u8], rules: &TokenRules) -> Result<TenantId, String> {
    let token = Token::read(token).map_err(text)?;
    let key = Keys::read(keys).map_err(|_| "these are no keys")?.get(token.key_id()).ok_or("there is no such key")?;
    token.tenant(&key, rules).map_err(text)
}

/// A place in the time index, as text: the same place, and the one after its shard's end.
pub fn page_token(place: &str, until: Timestamp) -> Result<(String, Option<String>), String> {
    after_place(place, until).map_err(text)
}

/// A place in the sweep of the journal, as text: the row after which the scan goes on.
pub fn sweep_token(place: &str) -> Result<String, String> {
    key_of_sweep(place).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
