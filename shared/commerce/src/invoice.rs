//! Invoices: issued, with lines, paid and credited. An accountant asks what one said on a day, so its events are its state.
//! Must not know: how events are read, what a payment provider says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath::{
    Aggregate, AggregateId, Entity, Event, EventSourced, Failure, Folds, OrReject, Received, Redacted, Storage,
    Timestamp,
};

use crate::order::{Line, Order};
use crate::{Cents, CustomerId, InvoiceId, OrderId, Quantity};

/// Most lines of one invoice.
pub const MAX_LINES: usize = 200;
/// Longest text of a line or of a credit's reason, in bytes.
pub const TEXT_BYTES: usize = 200;

/// An invoice as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    invoice_id: InvoiceId,
    customer_id: CustomerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    issued_at: Timestamp,
    lines: Vec<InvoiceLine>,
    billed_cents: Cents,
    paid_cents: Cents,
    credited_cents: Cents,
}

/// What is billed, as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvoiceLine {
    /// What was delivered or done.
    #[schemars(length(max = TEXT_BYTES))]
    pub text: String,
    /// How many.
    pub quantity: Quantity,
    /// At what price each.
    pub unit_price_cents: Cents,
}

/// Why an invoice cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is its sentence")]
pub enum Refused {
    #[error("lines are added before the first payment or credit")]
    Settling,
    #[error("an invoice has at most {MAX_LINES} lines")]
    TooManyLines,
    #[error("a text has 1 to {TEXT_BYTES} bytes")]
    Text,
    #[error("the invoice's total would be more than 10^15 cents")]
    Total,
    #[error("an amount must be more than 0")]
    Nothing,
    #[error("the payment is more than what is open")]
    MoreThanOpen,
    #[error("the credit is more than what was billed and is not credited yet")]
    MoreThanBilled,
}

impl Invoice {
    /// Issues an invoice without lines.
    pub fn issue(invoice_id: InvoiceId, customer_id: CustomerId) -> InvoiceIssued {
        InvoiceIssued { invoice_id, customer_id: customer_id.into(), order_id: None }
    }

    /// Issues the invoice for an order, with its lines.
    pub fn issue_for(order: &Order) -> (InvoiceIssued, Vec<InvoiceLineAdded>) {
        let invoice_id = order.id();
        let line = |line: &Line| InvoiceLine {
            text: line.sku.to_string(),
            quantity: line.quantity,
            unit_price_cents: line.unit_price_cents,
        };
        let added = |of: &Line| InvoiceLineAdded { invoice_id: invoice_id.clone(), line: line(of) };
        let lines = order.lines().as_slice().iter().map(added).collect();
        let (customer_id, order_id) = (order.customer_id().clone().into(), Some(invoice_id.clone()));
        (InvoiceIssued { invoice_id, customer_id, order_id }, lines)
    }

    /// What was billed.
    pub fn lines(&self) -> &[InvoiceLine] {
        &self.lines
    }

    /// What is still to be paid.
    pub fn open(&self) -> Cents {
        self.due().minus(self.paid_cents).unwrap_or_default()
    }

    /// What was paid and has to go back, since it was credited afterwards.
    pub fn refundable(&self) -> Cents {
        self.paid_cents.minus(self.due()).unwrap_or_default()
    }

    /// What was billed, less what was credited.
    fn due(&self) -> Cents {
        self.billed_cents.minus(self.credited_cents).unwrap_or_default() // some: not more is credited than billed
    }

    /// Bills one thing more.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn add_line(self, line: InvoiceLine) -> Result<(Self, InvoiceLineAdded), Refused> {
        if self.paid_cents > Cents::default() || self.credited_cents > Cents::default() {
            return Err(Refused::Settling);
        }
        if self.lines.len() == MAX_LINES {
            return Err(Refused::TooManyLines);
        }
        text(&line.text)?;
        let added = InvoiceLineAdded { invoice_id: self.invoice_id.clone(), line };
        Ok((self.with_line(&added.line).ok_or(Refused::Total)?, added))
    }

    /// Takes a payment.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn pay(self, amount_cents: Cents) -> Result<(Self, InvoicePaid), Refused> {
        some(amount_cents)?;
        self.open().minus(amount_cents).ok_or(Refused::MoreThanOpen)?;
        let paid = InvoicePaid { invoice_id: self.invoice_id.clone(), amount_cents };
        Ok((self.with_payment(amount_cents).ok_or(Refused::Total)?, paid))
    }

    /// Takes back part of what was billed, also after it was paid.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn credit(self, amount_cents: Cents, reason: String) -> Result<(Self, InvoiceCredited), Refused> {
        some(amount_cents)?;
        text(&reason)?;
        self.due().minus(amount_cents).ok_or(Refused::MoreThanBilled)?;
        let credited = InvoiceCredited { invoice_id: self.invoice_id.clone(), amount_cents, reason: reason.into() };
        Ok((self.with_credit(amount_cents).ok_or(Refused::Total)?, credited))
    }

    fn with_line(mut self, line: &InvoiceLine) -> Option<Self> {
        self.billed_cents = self.billed_cents.plus(line.price()?)?;
        self.lines.push(line.clone());
        Some(self)
    }

    fn with_payment(self, amount: Cents) -> Option<Self> {
        Some(Self { paid_cents: self.paid_cents.plus(amount)?, ..self })
    }

    fn with_credit(self, amount: Cents) -> Option<Self> {
        Some(Self { credited_cents: self.credited_cents.plus(amount)?, ..self })
    }
}

impl InvoiceLine {
    /// What the line costs; `None` when that is more than an amount may be.
    pub fn price(&self) -> Option<Cents> {
        self.unit_price_cents.times(self.quantity)
    }
}

fn some(amount: Cents) -> Result<(), Refused> {
    if amount > Cents::default() { Ok(()) } else { Err(Refused::Nothing) }
}

fn text(text: &str) -> Result<(), Refused> {
    if (1..=TEXT_BYTES).contains(&text.len()) { Ok(()) } else { Err(Refused::Text) }
}

impl Aggregate for Invoice {
    const TYPE: &'static str = "invoice";
    const STORAGE: Storage = Storage::Events;
}

impl EventSourced for Invoice {
    const SHAPE: u32 = 1;
    fn folds() -> Folds<Self> {
        Folds::new().fold(issued).fold(line_added).fold(paid).fold(credited)
    }
}

fn issued(_: Option<Invoice>, invoice: &Received<InvoiceIssued>) -> Result<Invoice, Failure> {
    Ok(Invoice {
        invoice_id: invoice.invoice_id.clone(),
        customer_id: invoice.customer_id.reveal().clone(),
        order_id: invoice.order_id.clone(),
        issued_at: invoice.envelope().occurred_at,
        lines: Vec::new(),
        billed_cents: Cents::default(),
        paid_cents: Cents::default(),
        credited_cents: Cents::default(),
    })
}

fn line_added(invoice: Option<Invoice>, added: &Received<InvoiceLineAdded>) -> Result<Invoice, Failure> {
    invoice.or_reject(FIRST)?.with_line(&added.line).or_reject(AMOUNT)
}

fn paid(invoice: Option<Invoice>, paid: &Received<InvoicePaid>) -> Result<Invoice, Failure> {
    invoice.or_reject(FIRST)?.with_payment(paid.amount_cents).or_reject(AMOUNT)
}

fn credited(invoice: Option<Invoice>, credited: &Received<InvoiceCredited>) -> Result<Invoice, Failure> {
    invoice.or_reject(FIRST)?.with_credit(credited.amount_cents).or_reject(AMOUNT)
}

const FIRST: &str = "an invoice is issued before anything else happens to it";
const AMOUNT: &str = "a sum of an invoice is an amount";

macro_rules! invoice_event {
    ($name:ident, $event_type:literal) => {
        impl Event for $name {
            type Of = Invoice;
            const TYPE: &'static str = $event_type;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                self.invoice_id.clone()
            }
        }
    };
}

/// An invoice was issued, without lines yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceIssued {
    /// Which.
    pub invoice_id: InvoiceId,
    /// To whom.
    pub customer_id: Redacted<CustomerId>,
    /// For which order, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
}
invoice_event!(InvoiceIssued, "invoice.issued");

/// One thing more was billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLineAdded {
    /// On which invoice.
    pub invoice_id: InvoiceId,
    /// What.
    pub line: InvoiceLine,
}
invoice_event!(InvoiceLineAdded, "invoice.line_added");

/// A payment came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicePaid {
    /// For which invoice.
    pub invoice_id: InvoiceId,
    /// How much.
    pub amount_cents: Cents,
}
invoice_event!(InvoicePaid, "invoice.paid");

/// Part of what was billed was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceCredited {
    /// On which invoice.
    pub invoice_id: InvoiceId,
    /// How much.
    pub amount_cents: Cents,
    /// Why, in somebody's own words.
    #[schemars(length(max = TEXT_BYTES))]
    pub reason: Redacted<String>,
}
invoice_event!(InvoiceCredited, "invoice.credited");

#[cfg(test)]
mod tests;
