//! The wake machine: advances one aggregate of one consumer to the end of its journal.
//! Must not know: SQS, Lambda, DynamoDB.

use std::time::Duration;

use crate::batch::ConsumerPorts;
use crate::{Consumer, Counts, Wake};

/// What a wake came to.
#[derive(Debug, PartialEq)]
pub struct WakeReport {
    /// What to do with the message.
    pub outcome: Outcome,
    /// What was done.
    pub counts: Counts,
}

/// What to do with a wake's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Delete it.
    Done,
    /// Leave it in the queue and let it come back after this time.
    Again(Duration),
}

/// Handles one wake; `receives` is how often it was delivered, this time included.
pub async fn handle_wake(consumer: &Consumer, ports: ConsumerPorts<'_>, wake: &Wake, receives: u32) -> WakeReport {
    let _ = (consumer, ports, wake, receives);
    todo!()
}
