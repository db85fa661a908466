//! `fulfilment`: the saga that reserves, authorises, ships and captures for a checkout. What it decides stands in
//! `commerce::fulfilment`; here stands what it hears.
//! Must not know: queues, tables, other functions.

use commerce::checkout::{CheckoutDecided, CheckoutSubmitted};
use commerce::fulfilment::{Fulfilment, Heard};
use commerce::step::{
    CommandPassedOver, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided, ReservationMade,
    ReservationRefused, ReservationReleased, ShipmentCancelled, ShipmentCreated, ShipmentRefused, Step,
};
use towpath::{AggregateId, Consumer, Event, Orchestrator, Received};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Orchestrator::<Fulfilment>::new("fulfilment")
        .hears(|checkout: &Received<CheckoutSubmitted>| of(checkout, Heard::Submitted((**checkout).clone())))
        .hears(|decided: &Received<CheckoutDecided>| of(decided, Heard::Decided(decided.approved)))
        .hears(|made: &Received<ReservationMade>| of(made, Heard::Done(Step::Reserve)))
        .hears(|refused: &Received<ReservationRefused>| of(refused, Heard::Refused(Step::Reserve)))
        .hears(|released: &Received<ReservationReleased>| of(released, Heard::Undone(Step::Reserve)))
        .hears(|authorised: &Received<PaymentAuthorised>| of(authorised, Heard::Done(Step::Authorise)))
        .hears(|declined: &Received<PaymentDeclined>| of(declined, Heard::Refused(declined.step)))
        .hears(|voided: &Received<PaymentVoided>| of(voided, Heard::Undone(Step::Authorise)))
        .hears(|captured: &Received<PaymentCaptured>| of(captured, Heard::Done(Step::Capture)))
        .hears(|created: &Received<ShipmentCreated>| of(created, Heard::Done(Step::Ship)))
        .hears(|refused: &Received<ShipmentRefused>| of(refused, Heard::Refused(Step::Ship)))
        .hears(|cancelled: &Received<ShipmentCancelled>| of(cancelled, Heard::Undone(Step::Ship)))
        .hears(|passed: &Received<CommandPassedOver>| of(passed, Heard::PassedOver(passed.command.clone())))
        .into()
}

/// Whatever is said of a checkout has its id.
fn of<E: Event>(event: &Received<E>, heard: Heard) -> (AggregateId, Heard) {
    (event.aggregate_id(), heard)
}
