//! The board is right whatever goes wrong: tickets are opened and closed a thousand times over, while calls fail, answers
//! are lost, processes die and messages come late, twice or never. See Towpath's docs/guides/prove-your-handlers.md.

use helpdesk::Ticket;
use towpath::{AggregateId, Context, Failure, OrReject, Tx};
use towpath_sim::{Dice, prove};

/// Opens one of a few tickets, or closes it if it is open.
fn at_the_desk(dice: &mut Dice) -> impl AsyncFn(&Context<'_>) -> Result<Tx, Failure> + 'static {
    let id: AggregateId = format!("t-{}", dice.between(1, 8)).parse().unwrap();
    async move |cx: &Context<'_>| {
        let Some(ticket) = cx.get::<Ticket>(&id).await? else {
            let (ticket, opened) = Ticket::open(id.clone(), "It rains in".to_owned());
            return Ok(Tx::new().create(ticket).record(opened));
        };
        let (ticket, closed) = ticket.close("mended".to_owned()).or_reject("it is closed already")?;
        Ok(Tx::new().replace(ticket).record(closed))
    }
}

#[test]
fn the_board_shows_every_ticket_as_it_is_whatever_goes_wrong() {
    prove(ticket_board::consumer).command(at_the_desk).check();
}
