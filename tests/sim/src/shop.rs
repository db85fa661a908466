//! The shop's commands, as `orders-api` gives them, without HTTP.
//! Must not know: worlds, faults.

use std::cell::RefCell;
use std::collections::BTreeMap;

use commerce::order::{Line, Lines, Order};
use commerce::stock::Stock;
use towpath::command::{CommandError, CommandPorts, Reply, Request, Verdict, execute};
use towpath::{AggregateId, Context, Tx};

pub fn id(text: &str) -> AggregateId {
    text.parse().unwrap()
}

pub fn lines(of: &[(&str, u64)]) -> Lines {
    let line = |(sku, quantity): &(&str, u64)| Line {
        sku: id(sku),
        quantity: (*quantity).try_into().unwrap(),
        unit_price_cents: 100.try_into().unwrap(),
    };
    of.iter().map(line).collect::<Vec<_>>().try_into().unwrap()
}

pub(crate) fn request(tenant: &str, key: &str) -> Request {
    Request {
        tenant: tenant.parse().unwrap(),
        key: Some(key.parse().unwrap()),
        hash: key.to_owned(),
        correlation_id: key.parse().unwrap(),
        traceparent: None,
    }
}

/// The status code; `None` when the client must ask again.
pub(crate) fn code(answer: Result<Reply, CommandError>) -> Option<u16> {
    match answer {
        Ok(reply) => Some(reply.code),
        Err(CommandError::TryAgain(_)) => None,
        Err(CommandError::KeyReused) => Some(422),
        Err(error) => panic!("{error}"),
    }
}

/// What clients were told, by tenant and key.
#[derive(Debug, Default)]
pub struct Told {
    accepted: RefCell<BTreeMap<(String, String), u16>>,
    wrong: RefCell<Option<String>>,
}

impl Told {
    /// One more answer, if it is one.
    pub fn note(&self, tenant: &str, key: &str, code: Option<u16>) -> bool {
        let Some(code) = code else { return false };
        let at = (tenant.to_owned(), key.to_owned());
        let before = self.accepted.borrow().get(&at).copied();
        if code == 422 || before.is_some_and(|before| before != code) {
            let why = format!("P9: to {key} the answer was {code}, and before that {before:?}, for the same request");
            self.wrong.borrow_mut().get_or_insert(why);
        }
        if code < 300 {
            self.accepted.borrow_mut().insert(at, code);
        }
        true
    }

    /// P9: who was told that it is done is told so each time, and nobody that the key was used for something else.
    pub fn check(&self) -> Result<(), String> {
        self.wrong.borrow().clone().map_or(Ok(()), Err)
    }
}

/// Takes goods in.
pub async fn receive(ports: CommandPorts<'_>, tenant: &str, key: &str, sku: &str, quantity: u64) -> Option<u16> {
    let decide = async |cx: &Context<'_>| {
        let known = cx.get::<Stock>(&id(sku)).await?;
        let is_new = known.is_none();
        let (stock, received) = known.unwrap_or_else(|| Stock::new(id(sku))).receive(quantity.try_into()?);
        let tx = if is_new { Tx::new().create(stock) } else { Tx::new().replace(stock) };
        Ok(Verdict::Accept(tx.record(received), Reply::new(201, &sku)))
    };
    code(execute(ports, &request(tenant, key), decide).await)
}

/// Takes an order.
pub async fn place(ports: CommandPorts<'_>, tenant: &str, order: &str, of: &[(&str, u64)]) -> Option<u16> {
    let decide = async |_: &Context<'_>| {
        let (order, placed) = Order::place(id(order), id("c-1"), lines(of));
        Ok(Verdict::Accept(Tx::new().create(order).record(placed), Reply::new(201, &1)))
    };
    code(execute(ports, &request(tenant, &format!("place-{order}")), decide).await)
}

/// Calls an order off.
pub async fn cancel(ports: CommandPorts<'_>, tenant: &str, order: &str) -> Option<u16> {
    let decide = async |cx: &Context<'_>| {
        let Some(order) = cx.get::<Order>(&id(order)).await? else {
            return Ok(Verdict::Refuse(Reply::new(404, &0)));
        };
        Ok(match order.cancel(None) {
            Ok((order, cancelled)) => Verdict::Accept(Tx::new().replace(order).record(cancelled), Reply::new(200, &1)),
            Err(_) => Verdict::Refuse(Reply::new(409, &0)),
        })
    };
    code(execute(ports, &request(tenant, &format!("cancel-{order}")), decide).await)
}
