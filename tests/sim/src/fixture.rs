//! A fixed journal of 500 events and the read models that come of it, kept in tests/sim/fixture: so a change of a fold or of
//! a handler shows as a difference that somebody has to look at. `make fixture` writes the read models anew; the events stay.
//! Must not know: faults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use commerce::order::OrderCancelled;
use futures_util::FutureExt;
use serde_json::Value;
use towpath::batch::{Message, handle_batch};
use towpath::ports::CursorHome;
use towpath::{Consumer, Data, Envelope, Event};
use towpath_sim::{Dice, Tables, World};

use crate::begin::{cancel, place, receive};

/// Events in the fixture.
pub const EVENTS: usize = 500;
/// The file with the events, one envelope in a line.
pub const JOURNAL: &str = "events.jsonl";

/// Every consumer that keeps a read model.
pub const READ_MODELS: [fn() -> Consumer; 2] = [crm_timeline::consumer, order_summary::consumer];

/// Where the fixture lies.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixture")
}

/// The events, made from dice: the same each time, with people who do not exist. They were made once; later versions of the
/// shop read what this one wrote.
pub fn events() -> Vec<Envelope> {
    let (world, mut dice, mut number) = (World::default(), Dice::new(1), 0);
    let made = async {
        while world.tables().outbox.len() < EVENTS {
            number += 1;
            let sku = *dice.pick(&["tea", "cup", "pot"]);
            let earlier = format!("o-{}", dice.between(1, number));
            match dice.between(0, 9) {
                0 => receive(&world, &format!("{sku}-{number}"), dice.between(1, 20)).await,
                1..=3 => cancel(&world, &earlier).await,
                _ => place(&world, &format!("o-{number}"), &[(sku, dice.between(1, 5))]).await,
            };
        }
    };
    assert_eq!(made.now_or_never(), Some(()), "nothing is waited for in a calm world");
    let mut events: Vec<Envelope> = world.tables().outbox.into_values().map(|row| told(row.envelope)).collect();
    events.sort_by_key(|event| event.event_id);
    events
}

/// The same event of one of several tenants and customers, and with a reason, sometimes.
fn told(event: Envelope) -> Envelope {
    let number = event.aggregate_id.as_str().bytes().map(usize::from).sum::<usize>();
    let tenant_id = ["acme", "globex", "initech"][number % 3].parse().expect("it is a name");
    let mut data: Value = serde_json::from_str(event.data.as_str()).expect("data is JSON");
    if data.get("customer_id").is_some() {
        data["customer_id"] = format!("c-{}", number % 7).into();
    }
    if event.event_type.as_str() == OrderCancelled::TYPE && number % 2 == 0 {
        data["reason"] = "ordered twice".into();
    }
    Envelope { tenant_id, data: Data::parse(data.to_string()).expect("it is JSON"), ..event }
}

/// The read model of a consumer after these events: each row in a line, in the order of their keys.
pub fn read_model(consumer: &Consumer, events: &[Envelope]) -> String {
    let world = World::new(Tables::default());
    let producer = "fixture@1".parse().expect("it is name@version");
    for (index, event) in events.iter().enumerate().filter(|(_, event)| consumer.handles(&event.event_type)) {
        let group = format!("{}#0", event.tenant_id);
        let message = Message { id: index.to_string(), group, receives: 1, body: event.to_body() };
        let report = handle_batch(consumer, world.consumer_ports(&producer), &[message]).now_or_never();
        let report = report.expect("nothing is waited for in a calm world");
        assert!(report.counts.applied == 1, "{}: {report:?}", event.event_id);
    }
    let tables = world.tables();
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    if consumer.home() == CursorHome::Views {
        let own = tables.summaries.into_iter().filter_map(|(key, row)| Some((key.aggregate.to_string(), row.state?)));
        rows.extend(own);
    }
    let key = |tenant, place: towpath::Place| format!("{tenant} {} {} {}", place.view, place.partition, place.sort);
    rows.extend(tables.views.into_iter().map(|((tenant, place), row)| (key(tenant, place), row)));
    rows.into_iter().map(|(key, row)| format!("{key}\t{row}\n")).collect()
}
