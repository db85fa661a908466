//! `tickets-api`: POST /tickets, POST /tickets/{id}/close, GET /tickets/{id}.
//! Must not know: tables, conditions, who else cares about a ticket.

use helpdesk::{Status, Ticket, TicketRow};
use serde::{Deserialize, Serialize};
use towpath::command::{Reply, Verdict};
use towpath::{AggregateId, CorrelationId, Seq, Tx};
use towpath_aws::http::{Api, HttpError, HttpRequest, bad};

/// Longest subject or answer, in bytes.
const TEXT_BYTES: usize = 2_000;

/// Every route of the API.
pub async fn route(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["tickets"]) => open(api, request).await,
        ("POST", ["tickets", ticket, "close"]) => close(api, request, id(ticket)?).await,
        ("GET", ["tickets", ticket]) => look_up(api, request, id(ticket)?).await,
        _ => Err(HttpError::new(404, "no_such_route", "this API has no such method and path")),
    }
}

fn id(text: &str) -> Result<AggregateId, HttpError> {
    AggregateId::parse(text).map_err(|error| bad(format!("the path: {error}")))
}

fn text(text: String) -> Result<String, HttpError> {
    if text.len() <= TEXT_BYTES { Ok(text) } else { Err(bad(format!("a text has at most {TEXT_BYTES} bytes"))) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenTicket {
    subject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseTicket {
    answer: String,
}

#[derive(Serialize)]
struct Done<'a> {
    ticket_id: &'a AggregateId,
    status: Status,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

async fn open(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let subject = text(request.json::<OpenTicket>()?.subject)?;
    api.execute(request, async |cx| {
        let (ticket, opened) = Ticket::open(cx.new_id(), subject.clone());
        let correlation_id = &request.correlation_id;
        let done = Done { ticket_id: &opened.ticket_id, status: Status::Open, version: Seq(1), correlation_id };
        let reply = Reply::new(201, &done);
        Ok(Verdict::Accept(Tx::new().create(ticket).record(opened), reply))
    })
    .await
}

async fn close(api: &Api<'_>, request: &HttpRequest, ticket_id: AggregateId) -> Result<Reply, HttpError> {
    let answer = text(request.json::<CloseTicket>()?.answer)?;
    api.execute(request, async |cx| {
        let Some(ticket) = cx.get::<Ticket>(&ticket_id).await? else {
            return Ok(HttpError::not_found("ticket").into());
        };
        let version = cx.version_of::<Ticket>(&ticket_id);
        let Some((ticket, closed)) = ticket.close(answer.clone()) else {
            let no = HttpError::new(409, "already_closed", "the ticket is already closed");
            return Ok(no.at_version(version).into());
        };
        let correlation_id = &request.correlation_id;
        let done = Done { ticket_id: &ticket_id, status: Status::Closed, version: version.next(), correlation_id };
        Ok(Verdict::Accept(Tx::new().replace(ticket).record(closed), Reply::new(200, &done)))
    })
    .await
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    row: TicketRow,
    version: Seq,
}

async fn look_up(api: &Api<'_>, request: &HttpRequest, ticket_id: AggregateId) -> Result<Reply, HttpError> {
    match api.summary::<TicketRow>(&request.tenant, "ticket-board", &ticket_id).await? {
        Some((row, version)) => Ok(Reply::new(200, &Found { row, version })),
        None => Err(HttpError::not_found("ticket")),
    }
}
