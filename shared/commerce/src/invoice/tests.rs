//! What may be decided about an invoice, and that its events add up.

use std::rc::Rc;

use proptest::prelude::*;
use serde::Serialize;
use towpath::Envelope;

use super::*;

fn id(text: &str) -> AggregateId {
    text.parse().unwrap()
}

fn cents(cents: u64) -> Cents {
    cents.try_into().unwrap()
}

fn line(quantity: u64, each: u64) -> InvoiceLine {
    InvoiceLine { text: "tea".into(), quantity: quantity.try_into().unwrap(), unit_price_cents: cents(each) }
}

/// An invoice, after one more event.
fn then<E: Event + Serialize>(invoice: Option<Invoice>, event: &E) -> Invoice {
    let body = serde_json::json!({
        "format": 1, "event_id": "00000000-03e8-7200-8000-000000000000", "event_type": E::TYPE, "event_version": E::VERSION,
        "tenant_id": "acme", "aggregate_type": "invoice", "aggregate_id": "i-1", "seq": 1, "prior": {}, "era": 1,
        "occurred_at": "2026-11-21T10:00:00.000Z", "correlation_id": "c-1", "causation_id": "r-1",
        "producer": "orders-api@0", "hops": 0, "data": event,
    });
    Invoice::folds().after(invoice, Rc::new(Envelope::parse(&body.to_string()).unwrap())).unwrap()
}

fn new() -> Invoice {
    then(None, &Invoice::issue(id("i-1"), id("c-1")))
}

fn billed(amount: u64) -> Invoice {
    new().add_line(line(1, amount)).unwrap().0
}

/// Why not.
fn no<T>(decided: Result<T, Refused>) -> Option<Refused> {
    decided.err()
}

#[test]
fn what_is_more_than_open_cannot_be_paid_and_what_is_more_than_billed_cannot_be_credited() {
    let invoice = || billed(100);
    assert_eq!(no(invoice().pay(cents(101))), Some(Refused::MoreThanOpen));
    assert_eq!(no(invoice().credit(cents(101), "broken".into())), Some(Refused::MoreThanBilled));
    assert_eq!(no(invoice().pay(cents(0))), Some(Refused::Nothing));
    let (half, _) = invoice().pay(cents(60)).unwrap();
    assert_eq!((half.open(), no(half.clone().pay(cents(41)))), (cents(40), Some(Refused::MoreThanOpen)));
    let (back, _) = half.credit(cents(70), "broken".into()).unwrap();
    assert_eq!((back.open(), back.refundable()), (cents(0), cents(30)));
    assert_eq!(no(back.credit(cents(31), "again".into())), Some(Refused::MoreThanBilled));
}

#[test]
fn lines_are_few_named_and_come_before_the_first_payment_and_their_sum_is_an_amount() {
    assert_eq!(no(billed(Cents::MAX).add_line(line(1, 1))), Some(Refused::Total));
    assert_eq!(no(new().add_line(line(2, Cents::MAX))), Some(Refused::Total));
    assert_eq!(no(new().add_line(InvoiceLine { text: String::new(), ..line(1, 1) })), Some(Refused::Text));
    assert_eq!(no(new().add_line(InvoiceLine { text: "x".repeat(201), ..line(1, 1) })), Some(Refused::Text));
    let (paid, _) = billed(5).pay(cents(1)).unwrap();
    assert_eq!(no(paid.add_line(line(1, 1))), Some(Refused::Settling));
    let full = (0..MAX_LINES).fold(new(), |invoice, _| invoice.add_line(line(1, 1)).unwrap().0);
    assert_eq!(no(full.add_line(line(1, 1))), Some(Refused::TooManyLines));
}

#[test]
fn the_invoice_for_an_order_bills_what_was_ordered() {
    let ordered = [line(2, 450), line(1, 100)].map(|line| Line {
        sku: id(&format!("s-{}", line.quantity.pieces())),
        quantity: line.quantity,
        unit_price_cents: line.unit_price_cents,
    });
    let (order, _) = Order::place(id("o-1"), id("c-1"), ordered.to_vec().try_into().unwrap());
    let (issued, lines) = Invoice::issue_for(&order);
    let invoice = lines.iter().fold(then(None, &issued), |invoice, line| then(Some(invoice), line));
    assert_eq!((issued.order_id, invoice.open(), lines.len()), (Some(id("o-1")), order.lines().total(), 2));
}

proptest! {
    /// Whatever is decided in whatever order: no coin is made or lost, and nothing is owed both ways.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0_u8..3, 1_u64..500), 0..80)) {
        let mut invoice = new();
        let (mut bills, mut payments, mut credits) = (0, 0, 0);
        for (step, amount) in steps {
            let before = Some(invoice.clone());
            let (decided, folded) = match step {
                0 => match invoice.clone().add_line(line(1, amount)) {
                    Ok((after, added)) => { bills += amount; (after, then(before, &added)) }
                    Err(_) => continue,
                },
                1 => match invoice.clone().pay(cents(amount)) {
                    Ok((after, paid)) => { payments += amount; (after, then(before, &paid)) }
                    Err(_) => continue,
                },
                _ => match invoice.clone().credit(cents(amount), "broken".into()) {
                    Ok((after, credited)) => { credits += amount; (after, then(before, &credited)) }
                    Err(_) => continue,
                },
            };
            prop_assert_eq!(&decided, &folded, "what was decided is what the event says");
            invoice = folded;
            let (open, refundable) = (u64::from(invoice.open()), u64::from(invoice.refundable()));
            prop_assert_eq!(bills + refundable, payments + credits + open);
            prop_assert!(open == 0 || refundable == 0);
        }
        prop_assert_eq!(serde_json::from_str::<Invoice>(&serde_json::to_string(&invoice).unwrap()).unwrap(), invoice);
    }
}
