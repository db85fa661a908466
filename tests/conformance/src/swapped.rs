//! The model with its FIFO and standard queues in each other's place: a suite that does not see it checks nothing.
//! Must not know: which cases there are, beyond the names of those that must see it.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use towpath::TenantId;
use towpath::ports::{Ledger, Store};

use crate::cases::{self, Ask};
use crate::model::Model;
use crate::services::{Queue, Reply, Services, TopicAndQueues};

struct Swapped(Model);

impl Services for Swapped {
    fn store(&self) -> &dyn Store {
        self.0.store()
    }

    fn ledger(&self) -> &dyn Ledger {
        self.0.ledger()
    }

    fn put_rows(&self, tenant: TenantId, count: usize) -> Reply<'_, bool> {
        self.0.put_rows(tenant, count)
    }

    fn fifo(&self) -> Reply<'_, Rc<dyn Queue>> {
        self.0.standard()
    }

    fn fifo_with_dead_letters(&self, most: u32) -> Reply<'_, (Rc<dyn Queue>, Rc<dyn Queue>)> {
        async move {
            let (queue, _) = self.0.fifo_with_dead_letters(most + 1).await?;
            Ok((queue, self.0.standard().await?))
        }
        .boxed_local()
    }

    fn standard(&self) -> Reply<'_, Rc<dyn Queue>> {
        self.0.fifo()
    }

    fn topic<'a>(&'a self, filters: &'a [&'a [&'a str]]) -> Reply<'a, TopicAndQueues> {
        async move {
            let (topic, mut queues) = self.0.topic(filters).await?;
            queues.reverse();
            Ok((topic, queues))
        }
        .boxed_local()
    }

    fn pass(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        self.0.pass(time)
    }

    fn patience(&self) -> Duration {
        self.0.patience()
    }

    fn tenant(&self) -> TenantId {
        self.0.tenant()
    }
}

const SEE_IT: [&str; 11] = [
    "21 a group with a message in flight gives none",
    "10 an id that comes again within 5 minutes is no second message",
    "10 an id is remembered when its message is deleted",
    "API FIFO: a receipt whose visibility is over deletes nothing",
    "API standard: the same body twice is two messages",
    "API standard: a message in flight holds up no other",
    "API standard: a receipt whose visibility is over still deletes",
    "22 what was received maxReceiveCount times moves to the dead-letter queue",
    "22 a group goes on without what has moved",
    "20 a follower that was never looked at moves, too",
    "API a subscription gets the event types of its filter",
];

#[test]
fn queues_in_each_others_place_are_seen() {
    for name in SEE_IT {
        let case = cases::all().find(|case| case.name == name).expect(name);
        let Ask::Both(ask) = case.ask else { panic!("{name} is not asked of both") };
        let answer = ask(&Swapped(Model::new(1))).now_or_never().expect("the model's time is virtual");
        assert!(answer.is_err(), "{name} does not see it");
    }
}
