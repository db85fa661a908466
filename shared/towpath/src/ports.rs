//! Ports: what the core asks of the world, in Towpath's words. `towpath-aws` answers with AWS, the simulator with a model.
//! Must not know: attribute names, expressions, clients.

mod host;
mod ledger;

use std::future::ready;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::build::{Beside, Builds};
use crate::commit::Commit;
use crate::envelope::Prior;
use crate::hold::Holds;
pub use crate::limiter::Buckets;
use crate::saga::SagaRow;
use crate::signal::{Skipped, Ticket, Wake};
pub use crate::usage::Meters;
use crate::{
    AggregateKey, CloudEvent, ConsumerName, Cursor, Envelope, Era, EventId, EventType, IdempotencyKey, Kind, Rev, Seq,
    TenantId, Timestamp, Visibility,
};

pub use host::Host;
pub use ledger::{AuditState, DueTimer, Handled, IndexRow, Ledger, Registered};

/// The answer to one call of a port.
pub type Answer<'a, T, E = Unavailable> = LocalBoxFuture<'a, Result<T, E>>;

/// A call that may work later: throttled, timed out, refused by the network, or a row that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} did not work: {why}")]
pub struct Unavailable {
    /// The call, in AWS's name for it.
    pub call: &'static str,
    /// What was answered.
    pub why: String,
}

/// What an aggregate's next row needs to know of the rows before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last row.
    pub seq: Seq,
    /// Latest row of each type, the last one included.
    pub prior: Prior,
    /// The last row's history.
    pub era: Era,
    /// When the last row was committed.
    pub occurred_at: Timestamp,
}

impl Head {
    /// The head of an aggregate whose last row this is.
    pub fn at(last: &Envelope) -> Self {
        let mut prior = last.prior.clone();
        prior.note(last.event_type.clone(), last.seq);
        Self { seq: last.seq, prior, era: last.era, occurred_at: last.occurred_at }
    }
}

/// The state of an event-sourced aggregate at one of its rows: a cache, without which a load only takes longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last row that was folded.
    pub seq: Seq,
    /// That row's event. The journal of another history has another one there.
    pub event_id: EventId,
    /// Which folds made it: code with other ones does not read it.
    pub folds: String,
    /// JSON of the state.
    pub state: String,
}

/// A state-stored aggregate as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version is the head's seq.
    pub head: Head,
    /// JSON of the entity; `None` is a tombstone.
    pub state: Option<String>,
    /// What waits for it, if it is a saga.
    pub saga: Option<SagaRow>,
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    /// What travels.
    pub envelope: Envelope,
    /// Event or command.
    pub kind: Kind,
    /// Who may see it.
    pub visibility: Visibility,
    /// The consumer that a command is addressed to.
    pub to: Option<ConsumerName>,
}

/// Which table holds a consumer's cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorHome {
    /// A row of its own, beside the effects.
    Progress,
    /// Inside the read model's row for the aggregate.
    Views,
}

/// Names one cursor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CursorKey {
    /// Of which aggregate.
    pub aggregate: AggregateKey,
    /// Of which consumer.
    pub consumer: ConsumerName,
}

/// A cursor and, where it is embedded, the read model's row that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// How far.
    pub cursor: Cursor,
    /// JSON of the row; `None` where the cursor has a row of its own, and where nothing was folded yet.
    pub state: Option<String>,
    /// The row in another build, while its projection is being rebuilt and until the old build is dropped.
    pub beside: Option<Beside>,
}

/// What a read must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Half the price, and possibly a moment old.
    Eventual,
    /// All that was committed before.
    Strong,
}

/// One write of a commit, with the condition under which it happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores an entity; only if its version is `expect` (`None`: only if there never was one).
    Entity {
        /// Which one.
        key: AggregateKey,
        /// Its new state.
        stored: Stored,
        /// The version that it must have.
        expect: Option<Seq>,
    },
    /// Writes nothing; only if the entity's version is `expect`.
    CheckEntity {
        /// Which one.
        key: AggregateKey,
        /// The version that it must have.
        expect: Option<Seq>,
    },
    /// Adds a row to the journal; only if its place is free.
    Append(JournalRow),
    /// Writes nothing; only if this place in the journal is free, so that nothing was added since the row before it.
    CheckVacant {
        /// Of which aggregate.
        key: AggregateKey,
        /// The place.
        seq: Seq,
    },
    /// Moves a cursor; only if its row's rev is `expect` (`None`: only if there is no row).
    Cursor {
        /// In which table.
        home: CursorHome,
        /// Which one.
        key: CursorKey,
        /// What it becomes.
        position: Position,
        /// The rev that it must have.
        expect: Option<Rev>,
    },
    /// Writes a read model's row.
    Put {
        /// Whose.
        tenant: TenantId,
        /// Where.
        place: crate::tx::Place,
        /// JSON of the row.
        state: String,
    },
    /// Removes a read model's row.
    Remove {
        /// Whose.
        tenant: TenantId,
        /// Where.
        place: crate::tx::Place,
    },
    /// Keeps on record that an event was passed over; only if that is not on record yet.
    Skip {
        /// By which consumer, of which aggregate.
        key: CursorKey,
        /// Which event, and why.
        skipped: Skipped,
    },
    /// Keeps the answer of a command; only if none is kept under its key.
    Answer {
        /// Whose.
        tenant: TenantId,
        /// The caller's key.
        key: IdempotencyKey,
        /// The answer.
        answer: KeptAnswer,
    },
}

/// The answer of a command, kept under the caller's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Hash of the command that was answered.
    pub request_hash: String,
    /// Status code.
    pub code: u16,
    /// JSON body.
    pub body: String,
}

/// Why a commit did not happen, or may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// These writes' conditions did not hold, by index. Nothing was written.
    #[error("a condition did not hold: something was written in between")]
    Refused(Vec<usize>),
    /// A conflict, a throttle, a fault or a lost answer: it may have been written or not. Never counts as an attempt.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The store says that it can never be written.
    #[error("the commit is not valid: {0}")]
    Invalid(String),
}

/// The tables.
pub trait Store {
    /// Reads cursors, in the order of `keys`; absent ones are `None`.
    fn positions<'a>(
        &'a self,
        home: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Answer<'a, Vec<Option<Position>>>;

    /// Reads an entity, strongly consistent.
    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Stored>>;

    /// Reads the head of an aggregate from its last journal row, strongly consistent.
    fn head<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Head>>;

    /// Reads journal rows after `after` up to and with `through`, at most `limit`, in order, strongly consistent.
    fn journal<'a>(
        &'a self,
        key: &'a AggregateKey,
        after: Seq,
        through: Seq,
        limit: usize,
    ) -> Answer<'a, Vec<JournalRow>>;

    /// Reads which events of an aggregate a consumer passed over on record.
    fn skipped<'a>(&'a self, key: &'a CursorKey) -> Answer<'a, Vec<Skipped>>;

    /// Reads which builds of a projection there are.
    fn builds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Builds>;

    /// Reads which tenants are stopped at a consumer. An eventual read may be from memory, and some seconds old.
    fn holds<'a>(&'a self, consumer: &'a ConsumerName, consistency: Consistency) -> Answer<'a, Holds>;

    /// What a batch begins with, in one call if the store can: cursors, and which tenants are stopped. All may be old.
    fn look_around<'a>(
        &'a self,
        consumer: &'a ConsumerName,
        home: CursorHome,
        keys: &'a [CursorKey],
    ) -> Answer<'a, (Vec<Option<Position>>, Holds)> {
        Box::pin(async move {
            let positions = self.positions(home, keys, Consistency::Eventual).await?;
            Ok((positions, self.holds(consumer, Consistency::Eventual).await?))
        })
    }

    /// Reads one read model's partition in the order of its sort keys, as JSON.
    fn view<'a>(&'a self, tenant: &'a TenantId, view: &'a str, partition: &'a str) -> Answer<'a, Vec<String>>;

    /// Reads the kept answer of a command, strongly consistent.
    fn kept_answer<'a>(&'a self, tenant: &'a TenantId, key: &'a IdempotencyKey) -> Answer<'a, Option<KeptAnswer>>;

    /// Writes all or nothing.
    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, (), CommitError>;

    /// Reads the snapshot of an event-sourced aggregate. It may be old or missing: a store need not keep any.
    fn snapshot<'a>(&'a self, key: &'a AggregateKey) -> Answer<'a, Option<Snapshot>> {
        let _ = key;
        Box::pin(ready(Ok(None)))
    }

    /// Keeps a snapshot, unless a later one is there. One that could not be kept is not missed, so there is no error.
    fn keep_snapshot<'a>(&'a self, key: &'a AggregateKey, snapshot: &'a Snapshot) -> LocalBoxFuture<'a, ()> {
        let _ = (key, snapshot);
        Box::pin(ready(()))
    }

    /// Does the journal lose its rows after a time? Then no state can be made of them.
    fn forgets(&self) -> bool {
        false
    }
}

/// The queue that keeps what could not be handled.
pub trait DeadLetters {
    /// Keeps a message whole, with the reason.
    fn keep<'a>(&'a self, message: &'a crate::batch::Message, reason: &'a str) -> Answer<'a, ()>;
    /// Sends the ticket of a parked row.
    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Answer<'a, ()>;
}

/// The queues of consumers.
pub trait Wakes {
    /// Sends a wake to a consumer. Sent twice is as good as once.
    fn wake<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake) -> Answer<'a, ()>;
    /// Sends a wake that comes after `wait`, at most [`limits::HINT_AHEAD`](crate::limits::HINT_AHEAD).
    /// It may come earlier: the row says when its time is.
    fn wake_later<'a>(&'a self, to: &'a ConsumerName, wake: &'a Wake, wait: Duration) -> Answer<'a, ()> {
        let _ = wait;
        self.wake(to, wake)
    }
    /// About how many first deliveries wait in a consumer's queue, those in flight included.
    fn backlog<'a>(&'a self, of: &'a ConsumerName) -> Answer<'a, u64>;
}

/// One message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Events or commands.
    pub topic: Kind,
    /// Message group: `tenant#lane`.
    pub group: String,
    /// Deduplication id.
    pub event_id: EventId,
    /// For filters.
    pub event_type: EventType,
    /// For filters of commands.
    pub to: Option<ConsumerName>,
    /// The aggregate's key and place in it, so that rows of one aggregate can be put in order.
    pub place: (AggregateKey, Seq),
    /// The envelope as JSON.
    pub body: String,
}

/// The topics.
pub trait Publisher {
    /// Publishes up to 10 messages of one topic in one request; answers for each of them, in order.
    fn publish<'a>(&'a self, topic: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>>;
}

/// The integration bus, on which public events leave the pipeline.
pub trait Bus {
    /// Puts up to [`limits::BUS_ENTRIES`](crate::limits::BUS_ENTRIES) events in one request; answers for each of them, in order.
    fn put<'a>(&'a self, events: &'a [CloudEvent]) -> Answer<'a, Vec<Result<(), String>>>;
}

/// The bus of a consumer that forwards nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoBus;

impl Bus for NoBus {
    fn put<'a>(&'a self, _: &'a [CloudEvent]) -> Answer<'a, Vec<Result<(), String>>> {
        let none = Unavailable { call: "PutEvents", why: "this consumer was given no bus".to_owned() };
        Box::pin(std::future::ready(Err(none)))
    }
}
