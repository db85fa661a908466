//! The domain: a ticket is opened once and closed once.
//! Must not know: I/O, clocks, tenants, AWS. Rules take values and return values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{Aggregate, AggregateId, Entity, Event, Storage, Summary, Timestamp};

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Somebody waits for an answer.
    Open,
    /// Answered. Final.
    Closed,
}

/// A ticket as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    ticket_id: AggregateId,
    status: Status,
}

impl Ticket {
    /// Opens a ticket.
    pub fn open(ticket_id: AggregateId, subject: String) -> (Self, TicketOpened) {
        let opened = TicketOpened { ticket_id: ticket_id.clone(), subject };
        (Self { ticket_id, status: Status::Open }, opened)
    }

    /// Closes it; `None` when it is closed already.
    pub fn close(self, answer: String) -> Option<(Self, TicketClosed)> {
        if self.status == Status::Closed {
            return None;
        }
        let closed = TicketClosed { ticket_id: self.ticket_id.clone(), answer };
        Some((Self { status: Status::Closed, ..self }, closed))
    }
}

impl Aggregate for Ticket {
    const TYPE: &'static str = "ticket";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Ticket {
    fn id(&self) -> AggregateId {
        self.ticket_id.clone()
    }
}

/// Somebody asked something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketOpened {
    /// Which.
    pub ticket_id: AggregateId,
    /// About what.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
}

impl Event for TicketOpened {
    type Of = Ticket;
    const TYPE: &'static str = "ticket.opened";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.ticket_id.clone()
    }
}

/// A ticket was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketClosed {
    /// Which.
    pub ticket_id: AggregateId,
    /// With what.
    #[schemars(extend("x-personal" = true))]
    pub answer: String,
}

impl Event for TicketClosed {
    type Of = Ticket;
    const TYPE: &'static str = "ticket.closed";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.ticket_id.clone()
    }
}

/// What people see of a ticket: the read model behind `GET /tickets/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketRow {
    /// Which.
    pub ticket_id: AggregateId,
    /// About what.
    pub subject: String,
    /// Where it stands.
    pub status: Status,
    /// Since when.
    pub opened_at: Timestamp,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Summary for TicketRow {
    type Of = Ticket;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_closed_once() {
        let (ticket, _) = Ticket::open("t-1".parse().unwrap(), "it rains in".into());
        let (ticket, closed) = ticket.close("mended".into()).unwrap();
        assert_eq!(closed.answer, "mended");
        assert_eq!(ticket.close("again".into()), None);
    }
}
