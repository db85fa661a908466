//! The routes of checkouts: one is submitted, and, if it is big, decided by a person. What follows is the saga's work.
//! Must not know: stock, payments, parcels.

use commerce::checkout::{Checkout, Decision};
use commerce::order::Lines;
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
