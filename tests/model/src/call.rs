//! What a machine asks of the world, and what it is answered, as small values that can be compared and hashed.
//! Must not know: how an answer comes about.

use crate::journal::{Code, Mood};
use crate::row::Row;

/// What a wake orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Go on.
    Advance,
    /// Try again what is parked at this rev.
    Retry(u8),
    /// Pass over what is parked at this rev.
    Skip(u8),
}

/// What a message of the FIFO queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Body {
    /// The event in this place.
    Event(u8),
    /// The ticket of the row when it was parked at this rev.
    Ticket(u8),
}

/// A message; `again`: it was delivered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message<T> {
    /// What it says.
    pub body: T,
    /// Was it delivered before?
    pub again: bool,
}

/// What an invocation is called with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Job {
    /// Messages of the FIFO queue.
    Batch(Vec<Message<Body>>),
    /// A wake.
    Wake(Message<Verb>),
}

/// One invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Invocation {
    /// By which version.
    pub code: Code,
    /// With what.
    pub job: Job,
}

/// All or nothing, under conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// What the row becomes.
    pub to: Option<Row>,
    /// The rev that it must have; `None`: there must be no row.
    pub expect: Option<u8>,
    /// Effects, by the places of their events, in the order in which they were handled.
    pub effects: Vec<u8>,
    /// The event that is put on record as passed over; only if it is not there yet.
    pub skip: Option<u8>,
}

/// A call of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Call {
    /// Read the row.
    Look {
        /// Must the read see the latest?
        strong: bool,
    },
    /// Read the journal.
    Journal,
    /// Read whether the tenant is stopped.
    Holds,
    /// Read what is on record as passed over.
    Skipped,
    /// A handler runs for the event in this place.
    Run(u8),
    /// Write.
    Commit(Change),
    /// Send a wake.
    Wake(Verb),
    /// Send the ticket of the row at this rev.
    Ticket(u8),
}

impl Call {
    /// Does it change anything outside of the process?
    pub fn writes(&self) -> bool {
        matches!(self, Self::Commit(_) | Self::Wake(_) | Self::Ticket(_))
    }
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Said {
    /// The row.
    Row(Option<Row>),
    /// The journal has so many rows.
    Rows(u8),
    /// These are on record as passed over: bit `seq`.
    Skipped(u8),
    /// Is the tenant stopped?
    Held(bool),
    /// How the handler ends.
    Ends(Mood),
    /// Done.
    Done,
    /// A condition did not hold.
    Refused,
    /// No answer, or a fault: it may have happened or not.
    Away,
}

/// An answer; `late`: after it the invocation has no time left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Answer {
    /// What is answered.
    pub said: Said,
    /// Is the invocation's time over?
    pub late: bool,
}

/// How an invocation ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// These messages of the batch are delivered again, the others are acknowledged.
    Batch(Vec<bool>),
    /// Is the wake left in its queue?
    Wake {
        /// Then it comes back later.
        again: bool,
    },
}
