//! Checkouts and their fulfilment in the catalogue: the events and commands, and a story for each way in which it can end. Which one it is
//! says the price: a provider of stories declines by the cent.
//! Must not know: schemas.

use std::cell::RefCell;
use std::collections::BTreeMap;

use commerce::Cents;
use commerce::checkout::{CheckoutDecided, CheckoutSubmitted};
use commerce::fulfilment::{FulfilmentCompensated, FulfilmentCompleted};
use commerce::returns::{PaymentRefunded, ReturnClosed, ReturnReceived};
use commerce::step::{
    AuthorisePayment, CancelShipment, CapturePayment, CommandPassedOver, CreateShipment, InquirePayment,
    InquireShipment, InquireStock, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided, ReleaseStock,
    ReservationMade, ReservationRefused, ReservationReleased, ReserveStock, ShipmentCancelled, ShipmentCreated,
    ShipmentRefused, VoidPayment,
};
use payments::provider::{Answer, Payment, PaymentProvider, Status};
use serde_json::json;
use towpath::{AggregateId, Effect, ProviderError};
use towpath_catalogue::{Catalogue, command, event};

use crate::ACCOUNTS;
use crate::shop::{check_out, decide, receive, take_back};

const MONTHS: &str = "13 months: a customer may ask what became of it";
/// A total that no bank holds.
const DECLINED: u64 = 13;
/// A total that the bank holds and does not give.
const EXPIRED: u64 = 17;

/// The events, commands and stories of checkouts.
pub(crate) fn add(catalogue: Catalogue) -> Catalogue {
    late(commands(catalogue))
        .event(event!(CheckoutSubmitted).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(CheckoutDecided).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(FulfilmentCompleted).owner("sales").kept(ACCOUNTS).by(&["fulfilment"]))
        .event(event!(FulfilmentCompensated).owner("sales").kept(MONTHS).by(&["fulfilment"]))
        .event(event!(ReservationMade).owner("warehouse").kept(MONTHS).by(&["inventory"]))
        .event(event!(ReservationRefused).owner("warehouse").kept(MONTHS).by(&["inventory"]))
        .event(event!(ReservationReleased).owner("warehouse").kept(MONTHS).by(&["inventory"]))
        .event(event!(PaymentAuthorised).owner("payments").kept(ACCOUNTS).by(&["payments"]))
        .event(event!(PaymentDeclined).owner("payments").kept(ACCOUNTS).by(&["payments"]))
        .event(event!(PaymentCaptured).owner("payments").kept(ACCOUNTS).by(&["payments"]))
        .event(event!(PaymentVoided).owner("payments").kept(ACCOUNTS).by(&["payments"]))
        .event(event!(ShipmentCreated).owner("warehouse").kept(MONTHS).by(&["shipping"]))
        .event(event!(ShipmentRefused).owner("warehouse").kept(MONTHS).by(&["shipping"]))
        .event(event!(ShipmentCancelled).owner("warehouse").kept(MONTHS).by(&["shipping"]))
        .event(event!(ReturnReceived).owner("sales").kept(ACCOUNTS).by(&["orders-api"]))
        .event(event!(PaymentRefunded).owner("payments").kept(ACCOUNTS).by(&["payments"]))
        .event(event!(ReturnClosed).owner("sales").kept(ACCOUNTS).by(&["inventory"]))
        // The consumer records it when an operator says `towpath dlq skip`.
        .event(event!(CommandPassedOver).owner("operations").kept(MONTHS).by(&["payments"]))
        .story("fulfilled", async |stage| {
            receive(stage, "tea", 10).await;
            check_out(stage, 2, 450).await;
        })
        .story("out-of-stock", async |stage| {
            receive(stage, "tea", 1).await;
            check_out(stage, 2, 450).await;
        })
        .story("declined", async |stage| {
            receive(stage, "tea", 10).await;
            check_out(stage, 1, DECLINED).await;
        })
        .story("too-big-a-parcel", async |stage| {
            receive(stage, "tea", 100).await;
            check_out(stage, 60, 450).await;
        })
        .story("capture-declined", async |stage| {
            receive(stage, "tea", 10).await;
            check_out(stage, 1, EXPIRED).await;
        })
        .story("approved", async |stage| {
            receive(stage, "tea", 10).await;
            let checkout = check_out(stage, 1, 150_000).await;
            decide(stage, &checkout, json!({ "decision": "approve" })).await;
        })
        .story("returned", async |stage| {
            receive(stage, "tea", 10).await;
            let checkout = check_out(stage, 3, 450).await;
            stage.rest().await;
            take_back(stage, &checkout).await;
        })
        .story("passed-over", async |stage| {
            receive(stage, "tea", 10).await;
            stage.pass_over("payment.authorise");
            check_out(stage, 2, 450).await;
        })
        .story("refused", async |stage| {
            let checkout = check_out(stage, 1, 150_000).await;
            decide(stage, &checkout, json!({ "decision": "refuse" })).await;
        })
}

/// What a saga asks of others.
fn commands(catalogue: Catalogue) -> Catalogue {
    catalogue
        .command(command!(ReserveStock).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(InquireStock).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(ReleaseStock).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(AuthorisePayment).owner("payments").kept(ACCOUNTS).by(&["fulfilment"]))
        .command(command!(InquirePayment).owner("payments").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(VoidPayment).owner("payments").kept(ACCOUNTS).by(&["fulfilment"]))
        .command(command!(CapturePayment).owner("payments").kept(ACCOUNTS).by(&["fulfilment"]))
        .command(command!(CreateShipment).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(InquireShipment).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
        .command(command!(CancelShipment).owner("warehouse").kept(MONTHS).by(&["fulfilment"]))
}

/// A step that does not answer in time is asked about: the story, which command is late, how many pieces, at which price.
const LATE: [(&str, &str, u64, u64); 9] = [
    ("reservation-late", "stock.reserve", 2, 450),
    ("out-of-stock-late", "stock.reserve", 101, 1),
    ("payment-late", "payment.authorise", 2, 450),
    ("declined-late", "payment.authorise", 1, DECLINED),
    ("parcel-late", "shipment.create", 2, 450),
    ("too-big-a-parcel-late", "shipment.create", 60, 450),
    ("capture-late", "payment.capture", 2, 450),
    ("void-late", "payment.void", 60, 450),
    ("cancel-late", "shipment.cancel", 1, EXPIRED),
];

fn late(catalogue: Catalogue) -> Catalogue {
    LATE.into_iter().fold(catalogue, |catalogue, (name, command, pieces, price)| {
        catalogue.story(name, async move |stage| {
            receive(stage, "tea", 100).await;
            stage.late(command);
            check_out(stage, pieces, price).await;
        })
    })
}

/// The provider in stories.
#[derive(Debug, Default)]
pub(crate) struct Bank(RefCell<BTreeMap<AggregateId, Cents>>);

impl Bank {
    fn done(&self, payment: &AggregateId, status: Status) -> Result<Answer, ProviderError> {
        let amount_cents = self.0.borrow().get(payment).copied().unwrap_or_default();
        Ok(Answer::Done(Payment { receipt: format!("receipt-{payment}"), status, amount_cents }))
    }
}

impl PaymentProvider for Bank {
    async fn authorise(&self, _: &Effect, payment: &AggregateId, amount: Cents) -> Result<Answer, ProviderError> {
        if u64::from(amount) == DECLINED {
            return Ok(Answer::No("card_declined".to_owned()));
        }
        self.0.borrow_mut().insert(payment.clone(), amount);
        self.done(payment, Status::Authorised)
    }

    async fn capture(&self, _: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        if self.0.borrow().get(payment).is_some_and(|amount| u64::from(*amount) == EXPIRED) {
            return Ok(Answer::No("authorisation_expired".to_owned()));
        }
        self.done(payment, Status::Captured)
    }

    async fn void(&self, _: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        self.done(payment, Status::Voided)
    }

    async fn refund(&self, _: &Effect, payment: &AggregateId) -> Result<Answer, ProviderError> {
        self.done(payment, Status::Refunded)
    }

    async fn find(&self, _: &Effect, _: &AggregateId) -> Result<Option<Payment>, ProviderError> {
        Ok(None)
    }
}
