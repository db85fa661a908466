//! `shipping`: sends parcels when it is told to, and calls them back.
//! Must not know: queues, tables, who tells it.

use commerce::shipment::{Shipment, ShipmentStatus};
use commerce::step::{CancelShipment, CreateShipment, InquireShipment};
use towpath::{Consumer, Context, Failure, OrReject, Received, Tx};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Consumer::new("shipping").on_command(create).on_command(inquire).on_command(cancel)
}

async fn create(cx: &Context<'_>, command: Received<CreateShipment>) -> Result<Tx, Failure> {
    // It is not there: a checkout orders one parcel. Read all the same, so that the write is guarded.
    cx.get::<Shipment>(&command.checkout_id).await?;
    let shipment = Shipment::pack(command.checkout_id.clone(), &command.lines);
    let tx = answer(Tx::new(), &shipment);
    Ok(tx.create(shipment))
}

/// Says again what became of it. Nothing, if an operator passed the order over: that was said then.
async fn inquire(cx: &Context<'_>, command: Received<InquireShipment>) -> Result<Tx, Failure> {
    let Some(shipment) = cx.get::<Shipment>(&command.checkout_id).await? else { return Ok(Tx::new()) };
    let tx = answer(Tx::new(), &shipment);
    Ok(tx.replace(shipment))
}

async fn cancel(cx: &Context<'_>, command: Received<CancelShipment>) -> Result<Tx, Failure> {
    let shipment =
        cx.get::<Shipment>(&command.checkout_id).await?.or_reject("there is no parcel that could be called back")?;
    let shipment = shipment.cancel();
    let tx = answer(Tx::new(), &shipment);
    Ok(tx.replace(shipment))
}

fn answer(tx: Tx, shipment: &Shipment) -> Tx {
    match shipment.status() {
        ShipmentStatus::Created => tx.record(shipment.created()),
        ShipmentStatus::Refused => tx.record(shipment.refused()),
        ShipmentStatus::Cancelled => tx.record(shipment.cancelled()),
    }
}
