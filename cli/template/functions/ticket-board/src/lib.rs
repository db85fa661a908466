//! `ticket-board`: what people see of a ticket; one row per ticket, with the cursor in it.
//! Must not know: queues, tables, clocks. A fold sees the row and the event.

use helpdesk::{Status, TicketClosed, TicketOpened, TicketRow};
use towpath::{Consumer, Failure, OrReject, Projection, Received};

/// The consumer, as it is deployed and tested.
pub fn consumer() -> Consumer {
    Projection::<TicketRow>::new("ticket-board").fold(opened).fold(closed).into()
}

fn opened(_: Option<TicketRow>, ticket: &Received<TicketOpened>) -> Result<TicketRow, Failure> {
    Ok(TicketRow {
        ticket_id: ticket.ticket_id.clone(),
        subject: ticket.subject.clone(),
        status: Status::Open,
        opened_at: ticket.envelope().occurred_at,
        answer: None,
    })
}

fn closed(row: Option<TicketRow>, ticket: &Received<TicketClosed>) -> Result<TicketRow, Failure> {
    let row = row.or_reject("a ticket is closed that was never opened")?;
    Ok(TicketRow { status: Status::Closed, answer: Some(ticket.answer.clone()), ..row })
}
