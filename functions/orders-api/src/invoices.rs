//! The routes of invoices. Their state is their events: commands load it under guard, a look folds it, also as it was.
//! Must not know: tables, snapshots.

use commerce::invoice::{Invoice, InvoiceLine, Refused};
use commerce::order::{Order, OrderStatus};
use commerce::{Cents, CustomerId, InvoiceId, OrderId};
use serde::{Deserialize, Serialize};
use towpath::command::{Reply, Verdict};
use towpath::{Context, CorrelationId, Failure, Seq, Timestamp, Tx};
use towpath_aws::http::{Api, HttpError, HttpRequest, bad};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueInvoice {
    order_id: Option<OrderId>,
    customer_id: Option<CustomerId>,
}

#[derive(Serialize)]
struct Settled<'a> {
    invoice_id: &'a InvoiceId,
    open_cents: Cents,
    refundable_cents: Cents,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

impl Settled<'_> {
    fn reply(request: &HttpRequest, invoice_id: &InvoiceId, of: &Invoice, version: Seq) -> Reply {
        let (open_cents, refundable_cents) = (of.open(), of.refundable());
        let correlation_id = &request.correlation_id;
        Reply::new(201, &Settled { invoice_id, open_cents, refundable_cents, version, correlation_id })
    }
}

#[derive(Serialize)]
struct Issued<'a> {
    invoice_id: &'a InvoiceId,
    open_cents: Cents,
    version: Seq,
    correlation_id: &'a CorrelationId,
}

/// An invoice for an order, with its lines; or one for a customer, to which lines are added.
pub(crate) async fn issue(api: &Api<'_>, request: &HttpRequest) -> Result<Reply, HttpError> {
    let body: IssueInvoice = request.json()?;
    let said = |invoice_id: &InvoiceId, open_cents: Cents, version: Seq| {
        Reply::new(201, &Issued { invoice_id, open_cents, version, correlation_id: &request.correlation_id })
    };
    match (body.order_id, body.customer_id) {
        (Some(order_id), None) => {
            api.execute(request, async |cx| {
                let Some(order) = cx.get::<Order>(&order_id).await? else {
                    return Ok(HttpError::not_found("order").into());
                };
                if order.status() == OrderStatus::Cancelled {
                    return Ok(HttpError::new(409, "cancelled", "the order is cancelled").into());
                }
                if cx.load::<Invoice>(&order_id).await?.is_some() {
                    let version = cx.version_of::<Invoice>(&order_id);
                    let no = HttpError::new(409, "already_issued", "the order has an invoice");
                    return Ok(no.at_version(version).into());
                }
                let (issued, lines) = Invoice::issue_for(&order);
                let reply = said(&issued.invoice_id, order.lines().total(), Seq(1 + lines.len() as u64));
                Ok(Verdict::Accept(lines.into_iter().fold(Tx::new().record(issued), Tx::record), reply))
            })
            .await
        }
        (None, Some(customer_id)) => {
            api.execute(request, async |cx| {
                let issued = Invoice::issue(cx.new_id(), customer_id.clone());
                let reply = said(&issued.invoice_id, Cents::default(), Seq(1));
                Ok(Verdict::Accept(Tx::new().record(issued), reply))
            })
            .await
        }
        _ => Err(bad("the body: give an order_id or a customer_id, and not both")),
    }
}

pub(crate) async fn add_line(api: &Api<'_>, request: &HttpRequest, id: InvoiceId) -> Result<Reply, HttpError> {
    let line: InvoiceLine = request.json()?;
    change(api, request, &id, |invoice| {
        invoice.add_line(line.clone()).map(|(after, added)| (after, Tx::new().record(added)))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    amount_cents: Cents,
}

pub(crate) async fn pay(api: &Api<'_>, request: &HttpRequest, id: InvoiceId) -> Result<Reply, HttpError> {
    let body: Pay = request.json()?;
    change(api, request, &id, |invoice| {
        invoice.pay(body.amount_cents).map(|(after, paid)| (after, Tx::new().record(paid)))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit {
    amount_cents: Cents,
    reason: String,
}

pub(crate) async fn credit(api: &Api<'_>, request: &HttpRequest, id: InvoiceId) -> Result<Reply, HttpError> {
    let body: Credit = request.json()?;
    change(api, request, &id, |invoice| {
        let credited = invoice.credit(body.amount_cents, body.reason.clone());
        credited.map(|(after, credited)| (after, Tx::new().record(credited)))
    })
    .await
}

/// Loads an invoice, decides, records. Who is late decides again, on what the other one has left.
async fn change(
    api: &Api<'_>,
    request: &HttpRequest,
    id: &InvoiceId,
    decide: impl Fn(Invoice) -> Result<(Invoice, Tx), Refused>,
) -> Result<Reply, HttpError> {
    let decided = async |cx: &Context<'_>| -> Result<Verdict, Failure> {
        let Some(invoice) = cx.load::<Invoice>(id).await? else { return Ok(HttpError::not_found("invoice").into()) };
        let version = cx.version_of::<Invoice>(id);
        if let Err(stale) = request.saw(version) {
            return Ok(stale.into());
        }
        Ok(match decide(invoice) {
            Ok((after, tx)) => Verdict::Accept(tx, Settled::reply(request, id, &after, version.next())),
            Err(no) => HttpError::new(409, "refused", no).at_version(version).into(),
        })
    };
    api.execute(request, decided).await
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    invoice: Invoice,
    open_cents: Cents,
    refundable_cents: Cents,
    version: Seq,
}

/// The invoice now, or as it was: `?at=2026-11-21T10:00:00Z`.
pub(crate) async fn look_up(api: &Api<'_>, request: &HttpRequest, id: InvoiceId) -> Result<Reply, HttpError> {
    let at: Option<Timestamp> = request.query("at")?;
    let found = api.state::<Invoice>(&request.tenant, &id, at).await?;
    let (invoice, version) = found.ok_or_else(|| HttpError::not_found("invoice"))?;
    let (open_cents, refundable_cents) = (invoice.open(), invoice.refundable());
    Ok(Reply::new(200, &Found { invoice, open_cents, refundable_cents, version }))
}
