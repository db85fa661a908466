//! Notes every request of an SDK client, as the last step before the wire: what is tried again is counted again.
//! Must not know: what a request costs.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// One request as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// `PutItem`, `TransactWriteItems` …; empty for services that do not name it in a header.
    pub operation: String,
    /// What is sent.
    pub body: Vec<u8>,
}

/// The requests of a client.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<Mutex<Vec<Sent>>>);

impl Counter {
    /// What went out since the last time.
    pub fn take(&self) -> Vec<Sent> {
        self.0.lock().map(|mut sent| std::mem::take(&mut *sent)).unwrap_or_default()
    }
}

impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "Counter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
        if let Ok(mut sent) = self.0.lock() {
            sent.push(Sent { operation, body: request.body().bytes().unwrap_or_default().to_vec() });
        }
        Ok(())
    }
}
