//! What the machine gives. Must not know: what it is used for.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::{CausationId, Envelope, EventType, Happened, Timestamp, Traceparent};

/// What the machine gives, as values.
pub trait Host {
    /// The time now.
    fn now(&self) -> Timestamp;
    /// 128 random bits.
    fn random(&self) -> u128;
    /// Time left to this invocation.
    fn remaining(&self) -> Duration;
    /// Waits.
    fn sleep(&self, time: Duration) -> LocalBoxFuture<'_, ()>;
    /// Are events of this type also written as this earlier version had them?
    fn also_writes(&self, event_type: &EventType, version: u32) -> bool {
        let _ = (event_type, version);
        false
    }
    /// Where in a trace the step is that `cause` brings about: what the step commits names that place. `after` is the cause's
    /// own place. The same as long as the invocation lasts. Nothing is decided by it.
    fn step(&self, cause: &CausationId, after: &Traceparent) -> Traceparent {
        let _ = cause;
        after.clone()
    }
    /// Something has happened to an event: logs may tell it. Nothing is decided by it.
    fn saw(&self, event: &Envelope, happened: Happened) {
        let _ = (event, happened);
    }
}
