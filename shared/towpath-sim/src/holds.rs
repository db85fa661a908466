//! Holds: somebody stops a tenant at a consumer while everything goes wrong, and later lets it go on. Meanwhile nothing of it
//! is applied; in the end everything is, as if nobody had stopped it.
//! Must not know: how a machine keeps events back, how the auditor wakes them.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use towpath::ports::{Consistency, CursorKey, Host, Ledger, Store};
use towpath::{ConsumerName, Hold, Holds, TenantId};

use crate::Instance;
use crate::cloud::Cloud;
use crate::dice::Millis;
use crate::instance::HOLDS_AGE;
use crate::lambda::{Done, Role};
use crate::people::SITTING;
use crate::plan::{MINUTE, SECOND};

/// What a call may take that is slow or carried out late.
const SLOW: Millis = 3 * MINUTE;

/// What somebody orders.
#[derive(Debug, Clone)]
enum Order {
    Hold(TenantId),
    /// Of one that is held.
    Resume,
}

impl Cloud {
    /// Somebody stops one of the tenants at one of the consumers, and sits down again to let it go on.
    pub(crate) fn order_hold(&mut self) {
        let tenants: BTreeSet<&TenantId> = self.db.tables.outbox.keys().map(|(key, _)| &key.tenant).collect();
        let tenants: Vec<TenantId> = tenants.into_iter().cloned().collect();
        if !tenants.is_empty() {
            let (tenant, consumer) = (self.dice.pick(&tenants).clone(), self.dice.index(self.consumers.len()));
            self.give(consumer, Order::Hold(tenant));
        }
        let until = self.dice.between(SECOND, 20 * MINUTE).min(self.settings.calm_at.saturating_sub(self.now()));
        self.after(until, Cloud::order_resume);
    }

    /// Everybody goes on. Who was cut off, or came too early for the other order, orders it again.
    fn order_resume(&mut self) {
        let held = |holds: &Holds| holds.tenants.values().any(|hold| hold.resumed.is_none());
        for consumer in 0..self.consumers.len() {
            let name = self.consumers[consumer].subject.consumer.name();
            if self.db.tables.holds.get(name).is_some_and(held) {
                self.give(consumer, Order::Resume);
            }
        }
        let ordering = self.roles().any(|role| matches!(role, Role::Operator));
        if ordering || self.db.tables.holds.values().any(held) {
            let wait = self.dice.between(SECOND, 3 * MINUTE);
            self.after(wait, Cloud::order_resume);
        }
    }

    fn give(&mut self, consumer: usize, order: Order) {
        let name = self.consumers[consumer].subject.consumer.name().clone();
        self.note("order", consumer as u64, || ("operator".to_owned(), format!("{order:?} at {name}")));
        self.start(Role::Operator, SITTING, move |instance| {
            async move {
                carry_out(&instance, &name, order.clone()).await;
                if instance.impatience().is_some() {
                    carry_out(&instance, &name, order).await;
                }
                Done::Operator
            }
            .boxed_local()
        });
    }

    /// Nothing of a tenant is applied that has been stopped for longer than an invocation takes.
    pub(crate) fn check_hold(&mut self, key: &CursorKey) {
        let late = HOLDS_AGE + self.settings.function_timeout + SLOW;
        let since = self.db.held_since(&key.consumer, &key.aggregate.tenant);
        if since.is_some_and(|since| self.now() > since + late) {
            let why = format!("{} was told to stop this tenant, and goes on", key.consumer);
            self.broken("a hold", Some(&key.aggregate), why);
        }
    }
}

/// What does not work is left: who wants it, orders it again.
async fn carry_out(instance: &Instance, name: &ConsumerName, order: Order) {
    let Ok(there) = Store::holds(instance, name, Consistency::Strong).await else { return };
    let to = match order {
        Order::Hold(tenant) => {
            let (who, why) = ("operator".to_owned(), "simulated".to_owned());
            there.with(&tenant, Hold { since: instance.now(), who, why, resumed: None }).ok().flatten()
        }
        Order::Resume => {
            let held = there.tenants.keys().find(|tenant| there.has(tenant));
            held.and_then(|tenant| there.resumed(tenant, instance.now()))
        }
    };
    if let Some(to) = to {
        let _kept_or_not = instance.keep_holds(name, &to, there.rev).await;
    }
}
