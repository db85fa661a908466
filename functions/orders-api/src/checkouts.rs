//! The routes of checkouts: one is submitted, and, if it is big, decided by a person; what was
//! sent may come back. What follows is the work of others.
//! Must not know: stock, payments, parcels.

use commerce::checkout::{Checkout, Decision};
use commerce::fulfilment::Fulfilment;
use commerce::order::Lines;
use commerce::returns::Return;
use commerce::{Cents, CheckoutId, CustomerId};
use serde::{Deserialize, Serialize};
use towpath::command::{Reply, Verdict};
use towpath::{CorrelationId, Seq, Tx};
use towpath_aws::http::{Api, HttpError, HttpRequest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submit {
    customer_id: CustomerId,
    lines: Lines,
}

#[derive(Serialize)]
struct Submitted<'a> {
    checkout_id: &'a CheckoutId,
    total_cents: Cents,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

pub(crate) async fn submit(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let body: Submit = request.json()?;
    api.execute(request, async |cx| {
        let (checkout, submitted) = Checkout::submit(cx.new_id(), body.customer_id.clone(), body.lines.clone());
        let said = Submitted {
            checkout_id: &submitted.checkout_id,
            total_cents: submitted.total_cents,
            version: Seq(1),
            correlation_id: &request.correlation_id,
        };
        let reply = Reply::new(202, &said);
        Ok(Verdict::Accept(Tx::new().create(checkout).record(submitted), reply))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
    decision: Decision,
}

#[derive(Serialize)]
struct Decided<'a> {
    checkout_id: &'a CheckoutId,
    decision: Decision,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

pub(crate) async fn decide(api: &Api<'_>, request: &HttpRequest, id: CheckoutId) -> Result<Reply, HttpError> {
    let body: Decide = request.json()?;
    api.execute(request, async |cx| {
        let Some(checkout) = cx.get::<Checkout>(&id).await? else { return Ok(HttpError::not_found("checkout").into()) };
        let version = cx.version_of::<Checkout>(&id);
        if let Err(stale) = request.saw(version) {
            return Ok(stale.into());
        }
        let reply = |version| {
            let correlation_id = &request.correlation_id;
            Reply::new(200, &Decided { checkout_id: &id, decision: body.decision, version, correlation_id })
        };
        Ok(match checkout.decide(body.decision) {
            Ok(Some((checkout, decided))) => {
                Verdict::Accept(Tx::new().replace(checkout).record(decided), reply(version.next()))
            }
            Ok(None) => Verdict::Refuse(reply(version)),
            Err(no) => HttpError::new(409, "decided_otherwise", no).at_version(version).into(),
        })
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBack {}

#[derive(Serialize)]
struct TakenBack<'a> {
    checkout_id: &'a CheckoutId,
    total_cents: Cents,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

pub(crate) async fn take_back(api: &Api<'_>, request: &HttpRequest, id: CheckoutId) -> Result<Reply, HttpError> {
    let TakeBack {} = request.json()?;
    api.execute(request, async |cx| {
        let Some(checkout) = cx.peek::<Checkout>(&id).await? else {
            return Ok(HttpError::not_found("checkout").into());
        };
        // A saga that has ended stays so: no guard is needed.
        if !cx.peek::<Fulfilment>(&id).await?.is_some_and(|saga| saga.is_completed()) {
            return Ok(HttpError::new(409, "not_fulfilled", "only what was sent and paid can come back").into());
        }
        if cx.get::<Return>(&id).await?.is_some() {
            let version = cx.version_of::<Return>(&id);
            return Ok(HttpError::new(409, "already_returned", "it has come back before").at_version(version).into());
        }
        let (returned, received) = checkout.take_back();
        let correlation_id = &request.correlation_id;
        let said = TakenBack { checkout_id: &id, total_cents: received.total_cents, version: Seq(1), correlation_id };
        let reply = Reply::new(202, &said);
        Ok(Verdict::Accept(Tx::new().create(returned).record(received), reply))
    })
    .await
}
