//! Commands of a proof: an example event written as it is, or a decision of the user's.
//! Must not know: consumers, faults.

use std::marker::PhantomData;
use std::rc::Rc;

use futures_util::FutureExt;
use serde::{Deserialize, Deserializer, Serialize};
use towpath::command::{CommandError, Reply, Request, Verdict, execute};
use towpath::{Aggregate, AggregateId, Context, Event, Failure, Storage, TenantId, Tx, Visibility};

use crate::{Ask, Instance};

/// An event that needs no state beside it: the journal is all that a consumer reads of an aggregate.
struct Example<E>(Rc<E>);

struct Stateless<A>(PhantomData<A>);

impl<A: Aggregate> Aggregate for Stateless<A> {
    const TYPE: &'static str = A::TYPE;
    const STORAGE: Storage = Storage::Events;
}

impl<E: Event> Event for Example<E> {
    type Of = Stateless<E::Of>;
    const TYPE: &'static str = E::TYPE;
    const VERSION: u32 = E::VERSION;
    const VISIBILITY: Visibility = E::VISIBILITY;
    fn aggregate_id(&self) -> AggregateId {
        self.0.aggregate_id()
    }
}

impl<E: Serialize> Serialize for Example<E> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Example<E> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        E::deserialize(from).map(|event| Self(Rc::new(event)))
    }
}

/// Writes one event into the journal of a tenant.
pub(crate) fn writing<E: Event>(tenant: TenantId, key: String, event: E) -> Rc<Ask> {
    let event = Rc::new(event);
    deciding(tenant, key, async move |_: &Context<'_>| Ok(Tx::new().record(Example(Rc::clone(&event)))))
}

/// Commits what `decide` says. A rejection is an answer, too.
pub(crate) fn deciding(
    tenant: TenantId,
    key: String,
    decide: impl AsyncFn(&Context<'_>) -> Result<Tx, Failure> + 'static,
) -> Rc<Ask> {
    let decide = Rc::new(decide);
    Rc::new(move |instance: Rc<Instance>| {
        let (decide, tenant, key) = (Rc::clone(&decide), tenant.clone(), key.clone());
        async move {
            let request = Request {
                tenant,
                key: Some(key.parse().expect("a name and a number")),
                hash: key.clone(),
                correlation_id: key.parse().expect("a name and a number"),
                traceparent: None,
            };
            let verdict = async |cx: &Context<'_>| match decide(cx).await {
                Ok(tx) => Ok(Verdict::Accept(tx, Reply::new(201, &0))),
                Err(Failure::Reject(why)) => Ok(Verdict::Refuse(Reply::new(409, &why.message))),
                Err(retry) => Err(retry),
            };
            match execute(instance.command_ports(), &request, verdict).await {
                Ok(_) => true,
                Err(CommandError::TryAgain(_)) => false,
                Err(error) => panic!("the example {key} is no example: {error}"),
            }
        }
        .boxed_local()
    })
}
