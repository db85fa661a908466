//! Watches: whose events are logged step by step although the log level leaves that out, and until when. An operator sets
//! one, and every consumer and API sees it within [`STALE`], without a deploy.
//! Must not know: what a step means, who may set a watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use towpath::ports::{CommitError, Unavailable};
use towpath::{CorrelationId, Envelope, TenantId, Timestamp};

use crate::commit::{Condition, item_at};
use crate::rows::{WATCHES, WatchItem, watch_key};
use crate::store::{AwsStore, decode, key_item, unavailable, unreadable};

/// How old the watches that a function knows may be: it reads them when it is invoked, and not more often than this. It
/// costs half a read unit each time.
pub const STALE: Duration = Duration::from_secs(30);

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// All of one tenant.
    Tenant(TenantId),
    /// All that one request set in motion.
    Correlation(CorrelationId),
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whose events.
    pub whom: Watched,
    /// Until when.
    pub until: Timestamp,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
}

impl Watch {
    fn covers(&self, event: &Envelope) -> bool {
        match &self.whom {
            Watched::Tenant(tenant) => *tenant == event.tenant_id,
            Watched::Correlation(id) => *id == event.correlation_id,
        }
    }
}

/// Is somebody watching this event? `now` is asked for only if there are watches at all.
pub(crate) fn is_watched(watches: &[Watch], event: &Envelope, now: impl FnOnce() -> Timestamp) -> bool {
    let mut covering = watches.iter().filter(|watch| watch.covers(event)).peekable();
    covering.peek().is_some() && {
        let now = now();
        covering.any(|watch| now < watch.until)
    }
}

/// The watches as a function knows them.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    asked: Option<Instant>,
    watches: Arc<[Watch]>,
}

impl Watches {
    /// All watches, read again if they are stale. If they cannot be read, those of before: logs are worth no failure.
    pub(crate) async fn read(&self, store: &AwsStore) -> Arc<[Watch]> {
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.asked.is_some_and(|asked| asked.elapsed() < STALE) {
                return Arc::clone(&known.watches);
            }
            known.asked = Some(Instant::now());
        }
        let read = store.watches().await;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(watches) => known.watches = watches.into(),
            Err(error) => tracing::warn!(reason = %error, "who is watched could not be read; it is read again later"),
        }
        Arc::clone(&known.watches)
    }
}

impl AwsStore {
    /// Sets a watch, or changes the one that there is.
    pub async fn keep_watch(&self, watch: &Watch) -> Result<(), CommitError> {
        let item = item_at(&watch_key(&watch.whom), &WatchItem::new(watch))?;
        self.put(self.tables.progress.clone(), item, Condition::not_newer("format", towpath::FORMAT.into()), None).await
    }

    /// Ends a watch, if there is one.
    pub async fn end_watch(&self, whom: &Watched) -> Result<(), Unavailable> {
        let delete = self.dynamodb.delete_item().table_name(&self.tables.progress);
        delete
            .set_key(Some(key_item(&watch_key(whom))))
            .send()
            .await
            .map_err(unavailable("DeleteItem of a watch"))
            .map(drop)
    }

    /// All watches, those that are over included.
    pub async fn watches(&self) -> Result<Vec<Watch>, Unavailable> {
        let mut rows = self
            .dynamodb
            .query()
            .table_name(&self.tables.progress)
            .key_condition_expression("#pk = :watches")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_values(":watches", AttributeValue::S(WATCHES.to_owned()))
            .into_paginator()
            .items()
            .send();
        let mut watches = Vec::new();
        while let Some(row) = rows.next().await {
            let row: WatchItem = decode(row.map_err(unavailable("Query of watches"))?, "a watch")?;
            watches.push(row.into_watch().map_err(unreadable)?);
        }
        Ok(watches)
    }
}

#[cfg(test)]
mod tests {
    use towpath::EventId;

    use super::*;

    fn watch(whom: Watched) -> Watch {
        Watch { whom, until: Timestamp::from_millis(100), who: "ann".into(), why: "#42".into() }
    }

    fn event() -> Envelope {
        let id = EventId::new(Timestamp::from_millis(1), 1);
        let body = format!(
            r#"{{"format":1,"event_id":"{id}","event_type":"order.placed","event_version":1,"tenant_id":"acme",
            "aggregate_type":"order","aggregate_id":"o-1","seq":1,"prior":{{}},"era":1,
            "occurred_at":"2026-11-21T10:00:00.000Z","correlation_id":"c-1","causation_id":"r-1",
            "producer":"orders@1.0.0","hops":0,"data":{{}}}}"#
        );
        Envelope::parse(&body).unwrap()
    }

    #[test]
    fn one_tenant_or_one_request_is_watched_until_its_time_is_over() {
        let event = event();
        let at = |millis| move || Timestamp::from_millis(millis);
        let mine = [Watched::Tenant(event.tenant_id.clone()), Watched::Correlation(event.correlation_id.clone())];
        for whom in mine.map(watch) {
            assert!(is_watched(std::slice::from_ref(&whom), &event, at(99)));
            assert!(!is_watched(&[whom], &event, at(100)));
        }
        let others = [Watched::Tenant("other".parse().unwrap()), Watched::Correlation("other".parse().unwrap())];
        assert!(!is_watched(&others.map(watch), &event, at(0)));
        assert!(!is_watched(&[], &event, || unreachable!("the time is not asked for")));
    }
}
