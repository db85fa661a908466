//! The board is right whatever goes wrong: tickets are opened and closed a thousand times over, while calls fail, answers
//! are lost, processes die and messages come late, twice or never. See Towpath's docs/guides/prove-your-handlers.md.

use helpdesk::Ticket;
use towpath::{AggregateId, Context, Failure, OrReject, Tx};
use towpath_sim::prove;

/// Opens a ticket, or closes it if it is open.
async fn at_the_desk(cx: &Context<'_>, id: &AggregateId) -> Result<Tx, Failure> {
    let Some(ticket) = cx.get::<Ticket>(id).await? else {
        let (ticket, opened) = Ticket::open(id.clone(), "It rains in".to_owned());
        return Ok(Tx::new().create(ticket).record(opened));
    };
    let (ticket, closed) = ticket.close("mended".to_owned()).or_reject("it is closed already")?;
    Ok(Tx::new().replace(ticket).record(closed))
}

#[test]
fn the_board_shows_every_ticket_as_it_is_whatever_goes_wrong() {
    let visitor = |dice: &mut towpath_sim::Dice| {
        let id: AggregateId = format!("t-{}", dice.between(1, 8)).parse().unwrap();
        async move |cx: &Context<'_>| at_the_desk(cx, &id).await
    };
    prove(ticket_board::consumer).command(visitor).check();
}
