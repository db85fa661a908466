//! The audit: compares the journal with the cursors of every registered consumer, by reading alone.
//! Must not know: transport. What the queues hold does not matter to what is missing.

use std::collections::{BTreeMap, BTreeSet};

use towpath::ports::{Consistency, CursorKey, IndexRow, Ledger, Registered, Store, Unavailable};
use towpath::{AggregateKey, ConsumerName, Holds, Status, Timestamp};

use crate::AwsStore;

/// What one consumer has made of the journal's window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Events of the types that it handles.
    pub committed: u64,
    /// Those that its cursors have passed.
    pub applied: u64,
    /// Those behind a parked row.
    pub parked: u64,
    /// Those of a tenant that an operator has stopped, or whose rows are being woken.
    pub held: u64,
    /// Those on their way: younger than the window's grace, or behind an event that is being tried again.
    pub waiting: u64,
    /// The rest. A healthy pipeline has none.
    pub unaccounted: u64,
}

/// Which events are accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Events of this time and later.
    pub since: Timestamp,
    /// Events of this time and earlier.
    pub until: Timestamp,
    /// An event that was committed later than this may still be on its way.
    pub settled_before: Timestamp,
}

impl AwsStore {
    /// Accounts for all events of the window, page by page, for every registered consumer.
    pub async fn audit(&self, window: Window) -> Result<BTreeMap<ConsumerName, Account>, Unavailable> {
        let (consumers, holds) = (self.consumers().await?, self.all_holds().await?);
        let mut accounts: BTreeMap<ConsumerName, Account> =
            consumers.iter().map(|consumer| (consumer.name.clone(), Account::default())).collect();
        let mut place = None;
        loop {
            let (rows, next) = self.committed(window.since, window.until, place.as_deref()).await?;
            for consumer in &consumers {
                let account = accounts.entry(consumer.name.clone()).or_default();
                let holds = holds.get(&consumer.name).cloned().unwrap_or_default();
                self.account((consumer, &holds), &rows, window.settled_before, account).await?;
            }
            place = next;
            if place.is_none() {
                return Ok(accounts);
            }
        }
    }

    async fn account(
        &self,
        (consumer, holds): (&Registered, &Holds),
        rows: &[IndexRow],
        settled: Timestamp,
        account: &mut Account,
    ) -> Result<(), Unavailable> {
        let is_handled = |row: &&IndexRow| consumer.handles(&row.event_type, row.event_id.at());
        let handled: Vec<&IndexRow> = rows.iter().filter(is_handled).collect();
        let aggregates: BTreeSet<&AggregateKey> = handled.iter().map(|row| &row.aggregate).collect();
        let keys: Vec<CursorKey> = aggregates
            .into_iter()
            .map(|aggregate| CursorKey { aggregate: aggregate.clone(), consumer: consumer.name.clone() })
            .collect();
        let positions = self.positions(consumer.home, &keys, Consistency::Strong).await?;
        let cursors: BTreeMap<&AggregateKey, _> =
            keys.iter().map(|key| &key.aggregate).zip(positions.iter().map(Option::as_ref)).collect();
        for row in handled {
            account.committed += 1;
            match cursors.get(&row.aggregate).copied().flatten().map(|position| &position.cursor) {
                Some(cursor) if consumer.has_passed(cursor, &row.event_type, row.seq) => account.applied += 1,
                Some(cursor) if cursor.status == Status::Parked => account.parked += 1,
                Some(cursor) if cursor.status == Status::Retrying => account.waiting += 1,
                _ if holds.tenants.contains_key(&row.aggregate.tenant) => account.held += 1,
                _ if row.event_id.at() >= settled => account.waiting += 1,
                _ => account.unaccounted += 1,
            }
        }
        Ok(())
    }
}
