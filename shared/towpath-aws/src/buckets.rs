//! The core's `Buckets` port on DynamoDB. The time that counts is that of DynamoDB's answer, in its `Date` header.
//! Must not know: how a bucket fills, who asks. One that cannot be reached is counted here: `LimiterUnavailable`.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use towpath::limiter::Buckets;
use towpath::ports::{Answer, CommitError, Unavailable};
use towpath::{Bucket, Limit, Rev, TenantId, Timestamp};

use crate::commit::{Condition, item_at};
use crate::rows::{BucketItem, bucket_key};
use crate::store::{AwsStore, decode, key_item, unavailable, unreadable};
use crate::telemetry;

/// Notes when an answer was given, by the clock of whoever gave it.
#[derive(Debug, Clone, Default)]
struct Answered(Arc<Mutex<Option<Timestamp>>>);

impl Intercept for Answered {
    fn name(&self) -> &'static str {
        "Answered"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let millis = date.and_then(|date| u64::try_from(date.to_millis().ok()?).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = millis.map(Timestamp::from_millis);
        Ok(())
    }
}

impl AwsStore {
    async fn get_bucket(&self, tenant: &TenantId) -> Result<(Option<Bucket>, Timestamp), Unavailable> {
        let answered = Answered::default();
        let got = self
            .dynamodb
            .get_item()
            .table_name(&self.tables.progress)
            .set_key(Some(key_item(&bucket_key(tenant))))
            .consistent_read(true)
            .customize()
            .interceptor(answered.clone())
            .send()
            .await
            .map_err(unavailable("GetItem of a bucket"))?;
        let at = *answered.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = at.ok_or_else(|| Unavailable {
            call: "GetItem of a bucket",
            why: "the answer does not say when it was given: there is no Date header".to_owned(),
        })?;
        let Some(item) = got.item else { return Ok((None, at)) };
        let row: BucketItem = decode(item, "a bucket")?;
        Ok((Some(row.into_bucket().map_err(unreadable)?), at))
    }

    async fn put_bucket(&self, tenant: &TenantId, bucket: &Bucket, expect: Rev) -> Result<(), CommitError> {
        let item = item_at(&bucket_key(tenant), &BucketItem::new(bucket))?;
        self.put(self.tables.progress.clone(), item, Condition::written("pk", expect), None).await
    }

    /// The limit that a tenant has of its own, and its bucket's rev; none: that of every tenant.
    pub async fn own_limit(&self, tenant: &TenantId) -> Result<(Option<Limit>, Rev), Unavailable> {
        let (bucket, _) = self.get_bucket(tenant).await?;
        Ok(bucket.map_or((None, Rev::ZERO), |bucket| (bucket.own, bucket.rev)))
    }

    /// Gives a tenant a limit of its own, or takes it away; only if its bucket was not written since it was `expect`. Processes
    /// that hold a lease notice with their next one.
    pub async fn keep_own_limit(&self, tenant: &TenantId, own: Option<Limit>, expect: Rev) -> Result<(), CommitError> {
        let (bucket, at) = self.get_bucket(tenant).await?;
        let bucket = match (bucket, own) {
            (Some(bucket), _) => bucket,
            (None, Some(limit)) => Bucket::full(limit, at),
            (None, None) => return Ok(()),
        };
        if bucket.rev != expect {
            return Err(CommitError::Refused(vec![0]));
        }
        self.put_bucket(tenant, &bucket.limited(own), expect).await
    }
}

impl Buckets for AwsStore {
    fn bucket<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)> {
        Box::pin(async move {
            let got = self.get_bucket(tenant).await;
            got.inspect_err(|error| tell_away(error))
        })
    }

    fn keep_bucket<'a>(&'a self, tenant: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError> {
        Box::pin(async move {
            let kept = self.put_bucket(tenant, bucket, expect).await;
            kept.inspect_err(|error| {
                if !matches!(error, CommitError::Refused(_)) {
                    tell_away(error);
                }
            })
        })
    }
}

/// Everybody comes in then, so somebody must be told.
fn tell_away(error: &dyn std::fmt::Display) {
    telemetry::count("LimiterUnavailable", 1);
    tracing::warn!(reason = %error, "a tenant's limit could not be asked for: its command comes in without");
}
