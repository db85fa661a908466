//! A row that several aggregates feed takes commutative writes only: aggregates come in any order, so whatever the order, the
//! rows of a read model must be the same. Here the journal is handled in several orders, without faults, and compared.
//! Must not know: the domain, what the rows say.

use std::collections::{BTreeMap, VecDeque};

use futures_util::FutureExt;
use towpath::batch::{Message, handle_batch};
use towpath::{AggregateKey, Consumer, Envelope, Place, TenantId};

use crate::{Dice, Tables, World};

/// Orders that are tried, besides that in which the events were committed.
const ORDERS: u64 = 3;

type Rows = BTreeMap<(TenantId, Place), String>;

/// Each aggregate in its own order, and the aggregates mixed at random. What a consumer does to entities may depend on who
/// comes first, and its rows with it: such a consumer is left out.
pub(crate) fn compare(tables: &Tables, consumer: &Consumer) -> Result<(), String> {
    let mut journals: BTreeMap<AggregateKey, VecDeque<Envelope>> = BTreeMap::new();
    for ((key, _), row) in tables.outbox.iter().filter(|(_, row)| consumer.wants(row)) {
        journals.entry(key.clone()).or_default().push_back(row.envelope.clone());
    }
    let mut committed: Vec<Envelope> = journals.values().flatten().cloned().collect();
    committed.sort_by_key(|event| event.event_id);
    let Some(wanted) = handled(tables, consumer, &committed) else { return Ok(()) };
    for seed in 0..ORDERS {
        let Some(found) = handled(tables, consumer, &mixed(journals.clone(), &mut Dice::new(seed))) else {
            return Ok(());
        };
        let other = wanted.iter().find(|(place, row)| found.get(place) != Some(row));
        let other = other.or_else(|| found.iter().find(|(place, _)| !wanted.contains_key(place)));
        if let Some(((tenant, place), _)) = other {
            let at = (tenant.clone(), place.clone());
            let (one, two) = (wanted.get(&at), found.get(&at));
            return Err(format!(
                "P8: the row {place:?} of {tenant} depends on which aggregate comes first: a row that several aggregates \
                 feed takes commutative writes only. It is {one:?} in one order, {two:?} in another"
            ));
        }
    }
    Ok(())
}

fn mixed(mut journals: BTreeMap<AggregateKey, VecDeque<Envelope>>, dice: &mut Dice) -> Vec<Envelope> {
    let mut order = Vec::new();
    while !journals.is_empty() {
        let key = journals.keys().nth(dice.index(journals.len())).cloned();
        let Some(mut of) = key.and_then(|key| journals.remove_entry(&key)) else { break };
        order.extend(of.1.pop_front());
        if !of.1.is_empty() {
            journals.insert(of.0, of.1);
        }
    }
    order
}

/// The rows of read models after these events, one by one; `None` if the consumer writes more than those.
fn handled(tables: &Tables, consumer: &Consumer, events: &[Envelope]) -> Option<Rows> {
    let world =
        World::new(Tables { outbox: tables.outbox.clone(), entities: tables.entities.clone(), ..Tables::default() });
    let producer = "sim@1".parse().expect("it is name@version");
    for (index, event) in events.iter().enumerate() {
        let group = format!("{}#0", event.tenant_id);
        let message = Message { id: index.to_string(), group, receives: 1, body: event.to_body() };
        // Without faults nothing is waited for; what a handler refuses is for the other checks.
        let _reported = handle_batch(consumer, world.consumer_ports(&producer), &[message]).now_or_never();
    }
    let found = world.tables();
    (found.outbox.len() == tables.outbox.len()).then_some(found.views)
}
