//! Towpath's core: events that cannot get lost, effects that happen once, order that survives.
//!
//! The outbox is the journal, the transport is a hint, a cursor per aggregate decides what a message means. This
//! crate holds the words and the rules; it does no I/O, reads no clock and draws no random number, so the same code
//! runs in Lambda and in a simulator. What it needs of the world it asks through [`ports`].
//!
//! | for | read |
//! |---|---|
//! | writing an event, an entity, a handler | [`Event`], [`Entity`], [`Consumer`], [`Projection`], [`Tx`], [`OrReject`] |
//! | the rule that decides | [`decide`] |
//! | what a message carries | [`Envelope`] |
//! | the machines | [`batch`], [`command`], [`relay`] |

mod apply;
pub mod audit;
pub mod batch;
mod build;
pub mod command;
pub mod commit;
mod consumer;
mod context;
mod cursor;
mod delivery;
mod envelope;
mod event;
mod failure;
mod group;
mod ids;
mod journal;
pub mod limits;
mod older;
pub mod panics;
pub mod planted;
pub mod ports;
mod rebuild;
pub mod relay;
mod replay;
mod report;
#[cfg(feature = "schema")]
mod schema;
mod signal;
mod start;
mod time;
pub mod trouble;
mod tx;
mod versions;
pub mod wake;

pub use build::{Beside, Builds, Rebuild, Step};
pub use consumer::{Consumer, Projection, Writes};
pub use context::Context;
pub use cursor::{Cursor, Decision, Foreign, Status, decide};
pub use envelope::{Data, Envelope, EventId, FORMAT, InvalidEnvelope, Kind, Prior, Visibility};
pub use event::{Aggregate, Entity, Event, Received, Storage, Summary, View};
pub use failure::{Failure, OrReject, Reason};
pub use ids::{
    AggregateId, AggregateKey, AggregateType, CausationId, ConsumerName, CorrelationId, Era, EventType, IdempotencyKey,
    InvalidId, Producer, Rev, Seq, TenantId, Traceparent,
};
pub use older::{AlsoWrites, InvalidAlsoWrites, Older};
pub use report::{Counts, Failed, Then};
pub use signal::{Instruction, Replay, Skipped, Ticket, Verb, Wake};
pub use start::Start;
pub use time::{InvalidTimestamp, Timestamp};
pub use tx::{Command, Place, Tx, TxError};
pub use versions::read;
