//! The services of the simulator's model, asked in a case's words. Its time is virtual, so nothing waits.
//! Must not know: any case.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use towpath::ports::{Ledger, Publisher, Store, Write};
use towpath::{EventType, Place, TenantId};
use towpath_sim::services::{self, Delivered, FifoQueue, StandardQueue};

use crate::services::{Queue, Received, Reply, Services, TopicAndQueues};

/// How often a waiting receive looks.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;

/// The model with one seed.
pub(crate) struct Model {
    services: services::Services,
    tenants: Cell<u32>,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        Self { services: services::Services::new(seed), tenants: Cell::new(0) }
    }

    fn queue(&self, queue: FifoQueue) -> Rc<dyn Queue> {
        Rc::new(Fifo { queue, services: self.services.clone() })
    }
}

impl Services for Model {
    fn store(&self) -> &dyn Store {
        &self.services
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.services
    }

    fn put_rows(&self, tenant: TenantId, count: usize) -> Reply<'_, bool> {
        let put = |number: usize| Write::Put {
            tenant: tenant.clone(),
            place: Place { view: "rows".to_owned(), partition: "a".to_owned(), sort: number.to_string() },
            state: "{}".to_owned(),
        };
        let writes: Vec<Write> = (0..count).map(put).collect();
        done(self.services.transact(&writes).is_ok())
    }

    fn fifo(&self) -> Reply<'_, Rc<dyn Queue>> {
        done(self.queue(self.services.fifo_queue(None)))
    }

    fn fifo_with_dead_letters(&self, most: u32) -> Reply<'_, (Rc<dyn Queue>, Rc<dyn Queue>)> {
        let dead_letters = self.services.fifo_queue(None);
        let queue = self.services.fifo_queue(Some((&dead_letters, most)));
        done((self.queue(queue), self.queue(dead_letters)))
    }

    fn standard(&self) -> Reply<'_, Rc<dyn Queue>> {
        let (queue, services) = (self.services.standard_queue(), self.services.clone());
        done(Rc::new(Standard { queue, services }) as Rc<dyn Queue>)
    }

    fn topic<'a>(&'a self, filters: &'a [&'a [&'a str]]) -> Reply<'a, TopicAndQueues> {
        let topic = self.services.topic();
        let subscribed = |types: &&[&str]| {
            let types = types.iter().map(|name| EventType::parse(*name)).collect::<Result<Vec<_>, _>>()?;
            let queue = self.services.fifo_queue(None);
            topic.subscribe(&queue, &types);
            Ok(self.queue(queue))
        };
        let queues: Result<Vec<_>> = filters.iter().map(subscribed).collect();
        ready(queues.map(|queues| (Rc::new(topic) as Rc<dyn Publisher>, queues))).boxed_local()
    }

    fn pass(&self, time: Duration) -> LocalBoxFuture<'_, ()> {
        self.services.pass(time);
        ready(()).boxed_local()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn tenant(&self) -> TenantId {
        self.tenants.set(self.tenants.get() + 1);
        TenantId::parse(format!("t-{}", self.tenants.get())).expect("it is letters, a dash and digits")
    }
}

struct Fifo {
    queue: FifoQueue,
    services: services::Services,
}

impl Queue for Fifo {
    fn send<'a>(&'a self, group: &'a str, id: &'a str, body: &'a str) -> Reply<'a, ()> {
        self.queue.send(group, id, body);
        done(())
    }

    fn receive(&self, most: u32, visibility: Duration) -> Reply<'_, Vec<Received>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        wait(&self.services, || self.queue.receive(most, visibility))
    }

    fn delete<'a>(&'a self, of: &'a Received) -> Reply<'a, ()> {
        ready(delivered(of).map(|of| self.queue.delete(&of))).boxed_local()
    }

    fn show<'a>(&'a self, of: &'a Received, after: Duration) -> Reply<'a, ()> {
        ready(delivered(of).map(|of| self.queue.show(&of, after))).boxed_local()
    }

    fn purge(&self) -> Reply<'_, ()> {
        self.queue.purge();
        done(())
    }
}

struct Standard {
    queue: StandardQueue,
    services: services::Services,
}

impl Queue for Standard {
    fn send<'a>(&'a self, _: &'a str, _: &'a str, body: &'a str) -> Reply<'a, ()> {
        self.queue.send(body);
        done(())
    }

    fn receive(&self, most: u32, visibility: Duration) -> Reply<'_, Vec<Received>> {
        wait(&self.services, || (0..most).map_while(|_| self.queue.receive(visibility)).collect())
    }

    fn delete<'a>(&'a self, of: &'a Received) -> Reply<'a, ()> {
        ready(delivered(of).map(|of| self.queue.delete(&of))).boxed_local()
    }

    fn show<'a>(&'a self, of: &'a Received, after: Duration) -> Reply<'a, ()> {
        ready(delivered(of).map(|of| self.queue.show(&of, after))).boxed_local()
    }

    fn purge(&self) -> Reply<'_, ()> {
        self.queue.purge();
        done(())
    }
}

fn done<'a, T: 'a>(answer: T) -> Reply<'a, T> {
    ready(Ok(answer)).boxed_local()
}

/// What a long poll does.
fn wait<'a>(services: &services::Services, receive: impl Fn() -> Vec<Delivered>) -> Reply<'a, Vec<Received>> {
    for _ in 0..LOOKS {
        let batch = receive();
        if !batch.is_empty() {
            return done(batch.into_iter().map(received).collect());
        }
        services.pass(LOOK);
    }
    done(Vec::new())
}

fn received(of: Delivered) -> Received {
    let receipt = format!("{}/{}", of.id, of.receives);
    Received { id: of.id.to_string(), group: of.group, body: of.body, receives: of.receives, receipt }
}

fn delivered(of: &Received) -> Result<Delivered> {
    let (id, receives) = of.receipt.split_once('/').context("no receipt of the model")?;
    Ok(Delivered { id: id.parse()?, group: of.group.clone(), body: of.body.clone(), receives: receives.parse()? })
}
