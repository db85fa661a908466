//! Towpath's core: events that cannot get lost, effects that happen once, order that survives.
//!
//! The outbox is the journal, the transport is a hint, a cursor per aggregate decides what a message means. This
//! crate holds the words and the rules; it does no I/O, reads no clock and draws no random number, so the same code
//! runs in Lambda and in a simulator. What it needs of the world it asks through [`ports`].
//!
//! | for | read |
//! |---|---|
//! | writing an event, an entity, a handler | [`Event`], [`Entity`], [`Consumer`], [`Projection`], [`Tx`], [`OrReject`] |
//! | a process over several aggregates | [`Saga`], [`Orchestrator`], [`Command`] |
//! | an aggregate whose state is its events | [`EventSourced`], [`Folds`], [`Context::load`] |
//! | the rule that decides | [`decide`] |
//! | a mail, a payment | [`Consumer::effects`], [`Context::effect`], [`ProviderError`] |
//! | what a message carries | [`Envelope`] |
//! | the machines | [`batch`], [`command`], [`relay`] |

mod apply;
pub mod audit;
pub mod batch;
mod build;
mod cloud_event;
pub mod command;
pub mod commit;
mod consumer;
mod context;
mod cursor;
mod delivery;
mod effect;
mod envelope;
mod event;
mod failure;
mod group;
mod hold;
mod ids;
mod journal;
mod lanes;
mod limit;
pub mod limiter;
pub mod limits;
mod older;
pub mod panics;
pub mod planted;
pub mod ports;
mod rebuild;
mod redacted;
pub mod relay;
mod replay;
mod report;
mod saga;
#[cfg(feature = "schema")]
mod schema;
mod signal;
mod sourced;
mod start;
mod time;
pub mod trouble;
mod tx;
mod usage;
mod versions;
pub mod wake;

pub use build::{Beside, Builds, Rebuild, Step};
pub use cloud_event::{CloudEvent, InvalidCloudEvent};
pub use consumer::{Consumer, Projection, Writes};
pub use context::Context;
pub use cursor::{Cursor, Decision, Foreign, Status, decide};
pub use effect::{Effect, EffectKey, IfUnknown, ProviderError};
pub use envelope::{Data, Envelope, EventId, FORMAT, InvalidEnvelope, Kind, Prior, Visibility};
pub use event::{Aggregate, Command, Entity, Event, Received, Storage, Summary, View};
pub use failure::{Failure, OUTCOME_UNKNOWN, OrReject, Reason};
pub use hold::{AllHolds, Hold, Holds, LATE_MARKS, TooManyHolds};
pub use ids::{
    AggregateId, AggregateKey, AggregateType, CausationId, ConsumerName, CorrelationId, Era, EventType, IdempotencyKey,
    InvalidId, Producer, Rev, Seq, TenantId, Traceparent,
};
pub use lanes::{HotLanes, InvalidHotLanes, Lanes, MOST_LANES};
pub use limit::{Bucket, InvalidRate, Limit, Rate};
pub use older::{AlsoWrites, InvalidAlsoWrites, Older};
pub use redacted::Redacted;
pub use report::{Counts, Failed, Happened, Then};
pub use saga::{Next, Orchestrator, Saga, SagaRow, Stage, Timer};
pub use signal::{Firing, Instruction, Replay, Skipped, Ticket, Verb, Wake};
pub use sourced::{EventSourced, Folds, state_at};
pub use start::Start;
pub use time::{InvalidTimestamp, Timestamp};
pub use tx::{Place, Tx, TxError};
pub use usage::{CLOSED_AFTER, Hour, Metered, Meters, Usage, Weight};
pub use versions::{read, read_command};
