//! `notify-customer`: tells customers what becomes of their orders, and records what the mail provider said.
//! Must not know: queues, tables, other functions, where a customer can be reached.
//!
//! A mail is sent at least once. The provider knows the effect's key, so a second attempt is no second mail.

pub mod provider;

use std::rc::Rc;

use commerce::notification::{NotificationRefused, NotificationSent, Occasion};
use commerce::order::{OrderCancelled, OrderPlaced};
use commerce::{CustomerId, OrderId};
use towpath::{AggregateId, Consumer, Context, Envelope, Failure, IfUnknown, Received, Tx};

use crate::provider::{Answer, Mail, Mailer};

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer(mailer: impl Mailer + 'static) -> Consumer {
    let of_placed = Rc::new(mailer);
    let of_cancelled = Rc::clone(&of_placed);
    Consumer::new("notify-customer")
        .effects(IfUnknown::Retry)
        .on(async move |cx: &Context<'_>, order: Received<OrderPlaced>| {
            let mail =
                mail(cx, order.envelope(), Occasion::OrderPlaced, (order.customer_id.reveal(), &order.order_id))?;
            tell(cx, &*of_placed, mail).await
        })
        .on(async move |cx: &Context<'_>, order: Received<OrderCancelled>| {
            let mail =
                mail(cx, order.envelope(), Occasion::OrderCancelled, (order.customer_id.reveal(), &order.order_id))?;
            tell(cx, &*of_cancelled, mail).await
        })
}

fn mail(
    cx: &Context<'_>,
    of: &Envelope,
    about: Occasion,
    (customer_id, order_id): (&CustomerId, &OrderId),
) -> Result<Mail, Failure> {
    Ok(Mail {
        tenant: cx.tenant().clone(),
        notification_id: AggregateId::parse(of.event_id.to_string())?,
        customer_id: customer_id.clone(),
        order_id: order_id.clone(),
        about,
    })
}

/// The call is the last thing that can fail: what comes after it only says what came of it.
async fn tell(cx: &Context<'_>, mailer: &impl Mailer, mail: Mail) -> Result<Tx, Failure> {
    let answer = mailer.send(&cx.effect()?, &mail).await?;
    let Mail { notification_id, customer_id, order_id, about, .. } = mail;
    Ok(match answer {
        Answer::Sent { receipt } => Tx::new().record(NotificationSent {
            notification_id,
            customer_id: customer_id.into(),
            order_id,
            about,
            receipt,
        }),
        Answer::No(reason) => Tx::new().record(NotificationRefused {
            notification_id,
            customer_id: customer_id.into(),
            order_id,
            about,
            reason,
        }),
    })
}
