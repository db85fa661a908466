//! `payments`: carries out what a saga orders of a payment, at a provider, and says what the bank said; refunds what comes
//! back.
//! Must not know: queues, tables, who orders it.
//!
//! The provider is asked under a key that is the same for every attempt, so that asking twice moves money once. What the
//! bank answers is an event; that nobody answers is a failure, and is tried again.

pub mod provider;

use std::rc::Rc;

use commerce::payment::{Payment, PaymentStatus};
use commerce::returns::ReturnReceived;
use commerce::step::{
    AuthorisePayment, CapturePayment, InquirePayment, PaymentAuthorised, PaymentDeclined, Step, VoidPayment,
};
use provider::{Answer, PaymentProvider};
use towpath::{Consumer, Context, Failure, IfUnknown, OrReject, Received, Tx};

/// The consumer, as it is deployed, tested and simulated: each with another provider.
pub fn consumer(provider: impl PaymentProvider + 'static) -> Consumer {
    let provider = Rc::new(provider);
    let (authorising, capturing) = (Rc::clone(&provider), Rc::clone(&provider));
    let (voiding, refunding) = (Rc::clone(&provider), provider);
    Consumer::new("payments")
        .effects(IfUnknown::Retry)
        .on_command(async move |cx: &Context<'_>, command| authorise(cx, &*authorising, command).await)
        .on_command(inquire)
        .on_command(async move |cx: &Context<'_>, command| void(cx, &*voiding, command).await)
        .on_command(async move |cx: &Context<'_>, command| capture(cx, &*capturing, command).await)
        .on(async move |cx: &Context<'_>, returned| refund(cx, &*refunding, returned).await)
}

async fn authorise(
    cx: &Context<'_>,
    provider: &impl PaymentProvider,
    command: Received<AuthorisePayment>,
) -> Result<Tx, Failure> {
    let (id, amount) = (command.checkout_id.clone(), command.amount_cents);
    cx.get::<Payment>(&id).await?;
    match provider.authorise(&cx.effect()?, &id, amount).await? {
        Answer::Done(payment) => {
            let (payment, authorised) = Payment::authorised(id, amount, payment.receipt);
            Ok(Tx::new().create(payment).record(authorised))
        }
        Answer::No(_) => {
            let (payment, declined) = Payment::declined(id, amount);
            Ok(Tx::new().create(payment).record(declined))
        }
    }
}

/// Says again where it stands. Nothing, if an operator passed the order over: that was said then.
async fn inquire(cx: &Context<'_>, command: Received<InquirePayment>) -> Result<Tx, Failure> {
    let checkout_id = command.checkout_id.clone();
    let Some(payment) = cx.get::<Payment>(&checkout_id).await? else { return Ok(Tx::new()) };
    let (amount_cents, declined) = (payment.amount_cents(), |step| PaymentDeclined {
        checkout_id: checkout_id.clone(),
        amount_cents: payment.amount_cents(),
        step,
    });
    Ok(match payment.status() {
        PaymentStatus::Declined => Tx::new().record(declined(Step::Authorise)),
        PaymentStatus::CaptureDeclined => Tx::new().record(declined(Step::Capture)),
        PaymentStatus::Authorised => {
            let authorisation = payment.authorisation().unwrap_or_default().to_owned();
            Tx::new().record(PaymentAuthorised { checkout_id, amount_cents, authorisation })
        }
        PaymentStatus::Captured => Tx::new().record(payment.clone().captured().1),
        PaymentStatus::Voided => Tx::new().record(payment.clone().voided().1),
        // Its saga is over: nobody asks any more.
        PaymentStatus::Refunded => return Ok(Tx::new()),
    }
    .replace(payment))
}

async fn void(
    cx: &Context<'_>,
    provider: &impl PaymentProvider,
    command: Received<VoidPayment>,
) -> Result<Tx, Failure> {
    let payment = held(cx, &command.checkout_id).await?;
    match provider.void(&cx.effect()?, &command.checkout_id).await? {
        Answer::Done(_) => {
            let (payment, voided) = payment.voided();
            Ok(Tx::new().replace(payment).record(voided))
        }
        // Money that cannot be given back is a case for people: the command is parked, in sight.
        Answer::No(word) => Err(Failure::reject("void refused", format!("the provider does not void it: {word}"))),
    }
}

async fn capture(
    cx: &Context<'_>,
    provider: &impl PaymentProvider,
    command: Received<CapturePayment>,
) -> Result<Tx, Failure> {
    let payment = held(cx, &command.checkout_id).await?;
    match provider.capture(&cx.effect()?, &command.checkout_id).await? {
        Answer::Done(_) => {
            let (payment, captured) = payment.captured();
            Ok(Tx::new().replace(payment).record(captured))
        }
        Answer::No(_) => {
            let (payment, declined) = payment.capture_declined();
            Ok(Tx::new().replace(payment).record(declined))
        }
    }
}

async fn refund(
    cx: &Context<'_>,
    provider: &impl PaymentProvider,
    returned: Received<ReturnReceived>,
) -> Result<Tx, Failure> {
    let payment = held(cx, &returned.checkout_id).await?;
    match provider.refund(&cx.effect()?, &returned.checkout_id).await? {
        Answer::Done(_) => {
            let (payment, refunded) = payment.refunded();
            Ok(Tx::new().replace(payment).record(refunded))
        }
        Answer::No(word) => Err(Failure::reject("refund refused", format!("the provider does not refund it: {word}"))),
    }
}

async fn held(cx: &Context<'_>, id: &commerce::CheckoutId) -> Result<Payment, Failure> {
    cx.get::<Payment>(id).await?.or_reject("no payment was authorised that could be captured or voided")
}
