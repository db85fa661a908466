//! The consumer's row, as small as what can happen depends on it: real times become "past", "soon" or "far", texts go.
//! Must not know: queues, workers, what a machine does with the row.

use std::time::Duration;

use towpath::ports::Position;
use towpath::trouble::{PARK_AFTER, TicketState, Trouble};
use towpath::{Cursor, Era, Rev, Seq, Status, Timestamp};

use crate::journal::{event_id, event_type, now, producer};

const MINUTES: Duration = Duration::from_secs(600);
const HOURS: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const DAYS: Duration = Duration::from_secs(12 * 24 * 3_600);
/// Attempts above this are the same to the code: they only make the wait longer.
const ATTEMPTS: u32 = 3;

/// When somebody must look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {
    /// By now.
    Past,
    /// Within a day.
    Soon,
    /// When a ticket is renewed.
    Far,
}

/// Whose attempt is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Running {
    /// Nobody's.
    No,
    /// That of an invocation that has ended and did not say so.
    Dead,
    /// That of the worker in this slot. What a worker is shown is [`Running::OWN`], and whatever is not its own is dead.
    Of(u8),
}

impl Running {
    /// Is it an attempt of somebody who is at work?
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Of(_))
    }

    /// How a worker calls itself.
    pub const OWN: Self = Self::Of(9);
}

/// What holds the row up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// The row of the journal that failed, or waits.
    pub seq: u8,
    /// When to look again.
    pub due: Due,
    /// Did it fail first so long ago that it is parked?
    pub old: bool,
    /// Is the row only behind?
    pub backlog: bool,
    /// Is an attempt under way?
    pub running: Running,
    /// Attempts that ended the process.
    pub deaths: u8,
    /// What the row says of its ticket: `Some(true)` if it was sent.
    pub ticket: Option<bool>,
}

/// The row of (aggregate, consumer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The last row handled.
    pub seq: u8,
    /// Which code wrote it.
    pub generation: u8,
    /// 0 ready, 1 retrying, 2 parked, 3 held: see [`Row::status`].
    status: u8,
    /// How often the next one was tried.
    pub attempt: u8,
    /// How often the row was written.
    pub rev: u8,
    /// Unless it is ready.
    pub held: Option<Held>,
}

impl Row {
    /// May the consumer advance?
    pub fn status(&self) -> Status {
        [Status::Ready, Status::Retrying, Status::Parked, Status::Held][usize::from(self.status)]
    }

    /// Is it parked?
    pub fn is_parked(&self) -> bool {
        self.status() == Status::Parked
    }

    /// Is it retrying because an event has failed?
    pub fn has_failed(&self) -> bool {
        self.status() == Status::Retrying && self.held.is_some_and(|held| !held.backlog)
    }

    /// Is an attempt under way, or was when its process ended?
    pub fn running(&self) -> Running {
        self.held.map_or(Running::No, |held| held.running)
    }

    /// The same with another word for whose attempt it is.
    #[must_use]
    pub fn run_by(self, name: impl Fn(Running) -> Running) -> Self {
        Self { held: self.held.map(|held| Held { running: name(held.running), ..held }), ..self }
    }

    /// As a machine reads it.
    pub fn to_real(self) -> Position {
        let seq = Seq(self.seq.into());
        let cursor = Cursor {
            seq,
            event_id: (self.seq > 0).then(|| event_id(self.seq)),
            era: Era::FIRST,
            generation: self.generation.into(),
            status: self.status(),
            attempt: self.attempt.into(),
            rev: Rev(self.rev.into()),
            trouble: self.held.map(Held::to_real),
        };
        Position::new(cursor, None)
    }

    /// As a machine wrote it.
    pub fn of_real(position: &Position) -> Self {
        let cursor = &position.cursor;
        let seq = small(cursor.seq.0);
        assert!(seq == 0 || cursor.event_id == Some(event_id(seq)), "a cursor names the event at its place");
        let status = match cursor.status {
            Status::Ready => 0,
            Status::Retrying => 1,
            Status::Parked => 2,
            Status::Held => 3,
        };
        Self {
            seq,
            generation: small(cursor.generation.into()),
            status,
            attempt: small(cursor.attempt.min(ATTEMPTS).into()),
            rev: small(cursor.rev.0),
            held: cursor.trouble.as_ref().map(Held::of_real),
        }
    }
}

impl Held {
    fn to_real(self) -> Trouble {
        let trouble = Trouble {
            seq: Seq(self.seq.into()),
            event_id: event_id(self.seq),
            event_type: event_type(0),
            since: if self.old { now().minus(PARK_AFTER + HOURS) } else { now().minus(HOURS) },
            due: match self.due {
                Due::Past => now().minus(MINUTES),
                Due::Soon => now().plus(MINUTES),
                Due::Far => now().plus(DAYS),
            },
            class: if self.backlog { "backlog" } else { "failed" }.to_owned(),
            message: String::new(),
            producer: producer(),
            running: match self.running {
                Running::No => None,
                Running::OWN => Some(OWN_TOKEN),
                _ => Some(OWN_TOKEN + 1),
            },
            deaths: self.deaths.into(),
            ticket: self.ticket.map(|sent| if sent { TicketState::Sent } else { TicketState::Missing }),
        };
        assert_eq!(trouble.is_backlog(), self.backlog, "the core calls a backlog by another name now");
        trouble
    }

    fn of_real(trouble: &Trouble) -> Self {
        Self {
            seq: small(trouble.seq.0),
            due: due(trouble.due),
            old: u128::from(now().millis_since(trouble.since)) >= PARK_AFTER.as_millis(),
            backlog: trouble.is_backlog(),
            running: match trouble.running {
                None => Running::No,
                Some(OWN_TOKEN) => Running::OWN,
                Some(_) => Running::Dead,
            },
            deaths: small(trouble.deaths.into()),
            ticket: trouble.ticket.map(|state| state == TicketState::Sent),
        }
    }
}

/// The number by which an invocation marks its attempts. In the world it is random.
pub const OWN_TOKEN: u64 = 1;

fn due(at: Timestamp) -> Due {
    match at {
        at if at <= now() => Due::Past,
        at if at <= now().plus(DAY) => Due::Soon,
        _ => Due::Far,
    }
}

/// A number that stays small within the bounds.
pub(crate) fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or_else(|_| panic!("{number} is out of the model's bounds"))
}
