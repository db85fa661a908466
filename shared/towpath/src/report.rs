//! What a consumer did in one invocation, as numbers and as failures: telemetry is made of it.
//! Must not know: metrics, logs.

use std::rc::Rc;

use crate::{AggregateKey, Envelope, Failure};

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Messages received.
    pub received: u64,
    /// Events applied, those from gaps and wakes included.
    pub applied: u64,
    /// Messages that were applied before.
    pub duplicates: u64,
    /// Events that were missing and read from the journal.
    pub gaps: u64,
    /// Messages acknowledged because their aggregate waits; the journal keeps their events.
    pub waiting: u64,
    /// Aggregates that were marked as held, because an operator has stopped their tenant.
    pub held: u64,
    /// Aggregates handed over to a wake.
    pub handed_over: u64,
    /// Aggregates that were parked.
    pub parked: u64,
    /// Events that an operator passed over.
    pub skipped: u64,
    /// Timers of sagas that fired.
    pub fired: u64,
    /// Commits of a group that were refused and done again one by one.
    pub refused: u64,
    /// Events that this consumer's applying recorded.
    pub committed: u64,
    /// Messages kept whole in the dead-letter queue.
    pub dead_lettered: u64,
    /// Milliseconds from commit to application, for each event applied.
    pub lags: Vec<u64>,
    /// What failed.
    pub failures: Vec<Failed>,
}

/// What happened to an event that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It was committed to the journal.
    Recorded,
    /// A consumer applied it, and its cursor moved with that.
    Applied,
    /// It came once more.
    Duplicate,
    /// Its message was acknowledged, as its aggregate waits. The journal keeps it.
    Waiting,
}

impl Happened {
    /// Its name, for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Waiting => "waiting",
        }
    }
}

/// One failure, with what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// Of which aggregate, if that could be read.
    pub aggregate: Option<AggregateKey>,
    /// The event, if there was one.
    pub envelope: Option<Rc<Envelope>>,
    /// What went wrong.
    pub failure: Failure,
    /// What becomes of it.
    pub then: Then,
}

/// What becomes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The queue delivers the message again.
    Again,
    /// A wake tries it again.
    HandedOver,
    /// It waits for an operator.
    Parked,
    /// A replay or a rebuild of it ends here.
    GivenUp,
    /// The message is kept whole in the dead-letter queue.
    Kept,
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.received += other.received;
        self.applied += other.applied;
        self.duplicates += other.duplicates;
        self.gaps += other.gaps;
        self.waiting += other.waiting;
        self.held += other.held;
        self.handed_over += other.handed_over;
        self.parked += other.parked;
        self.skipped += other.skipped;
        self.fired += other.fired;
        self.refused += other.refused;
        self.committed += other.committed;
        self.dead_lettered += other.dead_lettered;
        self.lags.extend(other.lags);
        self.failures.extend(other.failures);
    }
}
