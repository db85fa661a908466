//! What the machine gives: the time, random bits, the time left, and waiting.
//! Must not know: what they are used for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::LocalBoxFuture;
use towpath::Timestamp;
use towpath::ports::Host;

/// The host of one invocation.
#[derive(Debug, Clone, Copy)]
pub struct LambdaHost {
    ends: Instant,
}

impl LambdaHost {
    /// A host whose invocation ends after `remaining`.
    pub fn ending_in(remaining: Duration) -> Self {
        Self { ends: Instant::now() + remaining }
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
}
