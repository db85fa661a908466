//! What the machine gives: the time, random bits, the time left, and waiting.
//! Must not know: what they are used for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::LocalBoxFuture;
use towpath::ports::Host;
use towpath::{AlsoWrites, CausationId, Envelope, EventType, Happened, Timestamp, Traceparent};

use crate::spans::Tracer;
use crate::telemetry;
use crate::watch::{Watch, is_watched};

/// The host of one invocation.
#[derive(Debug, Clone)]
pub struct LambdaHost {
    ends: Instant,
    also_writes: Arc<AlsoWrites>,
    watches: Arc<[Watch]>,
    tracer: Option<Rc<Tracer>>,
}

impl LambdaHost {
    /// A host whose invocation ends after `remaining`.
    pub fn ending_in(remaining: Duration) -> Self {
        Self { ends: Instant::now() + remaining, also_writes: Arc::default(), watches: Arc::default(), tracer: None }
    }

    /// The same host, for a producer that writes these earlier versions, too.
    #[must_use]
    pub fn also_writing(self, also_writes: &Arc<AlsoWrites>) -> Self {
        Self { also_writes: Arc::clone(also_writes), ..self }
    }

    /// The same host, which logs each step of those that are watched.
    #[must_use]
    pub(crate) fn watching(self, watches: Arc<[Watch]>) -> Self {
        Self { watches, ..self }
    }

    /// The same host, which tells the tracer of each step.
    #[must_use]
    pub(crate) fn tracing(self, tracer: Option<&Rc<Tracer>>) -> Self {
        Self { tracer: tracer.cloned(), ..self }
    }
}

impl Host for LambdaHost {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has randomness");
        u128::from_le_bytes(bytes)
    }

    fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    fn sleep(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time.min(self.remaining())))
    }

    fn also_writes(&self, event_type: &EventType, version: u32) -> bool {
        self.also_writes.names(event_type, version)
    }

    fn step(&self, cause: &CausationId, after: &Traceparent) -> Traceparent {
        self.tracer.as_ref().map_or_else(|| after.clone(), |tracer| tracer.step(cause, after))
    }

    fn saw(&self, event: &Envelope, happened: Happened) {
        if let Some(tracer) = &self.tracer {
            tracer.saw(event, happened);
        }
        telemetry::log_step(event, happened, is_watched(&self.watches, event, || self.now()));
    }
}
