//! Two tills of which one stays open: what a command reads there decides what it writes here.
//! Must not know: worlds, faults.

use serde::{Deserialize, Serialize};
use towpath::command::{CommandPorts, Reply, Verdict, execute};
use towpath::{Aggregate, AggregateId, Context, Entity, Event, Storage, Tx, Visibility};
use towpath_sim::Tables;

use crate::shop::{code, id, request};

pub const TILLS: [&str; 2] = ["left", "right"];

/// A till that was closed; one that nobody has closed is open, and not stored.
#[derive(Debug, Serialize, Deserialize)]
struct Till {
    id: AggregateId,
}

impl Aggregate for Till {
    const TYPE: &'static str = "till";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Till {
    fn id(&self) -> AggregateId {
        self.id.clone()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct TillClosed {
    id: AggregateId,
}

impl Event for TillClosed {
    type Of = Till;
    const TYPE: &'static str = "till.closed";
    const VERSION: u32 = 1;
    const VISIBILITY: Visibility = Visibility::Private;
    fn aggregate_id(&self) -> AggregateId {
        self.id.clone()
    }
}

/// Closes one, unless the other is closed.
pub async fn close(ports: CommandPorts<'_>, tenant: &str, till: &str) -> Option<u16> {
    let decide = async |cx: &Context<'_>| {
        for till in TILLS {
            if cx.get::<Till>(&id(till)).await?.is_some() {
                return Ok(Verdict::Refuse(Reply::new(409, &0)));
            }
        }
        let tx = Tx::new().create(Till { id: id(till) }).record(TillClosed { id: id(till) });
        Ok(Verdict::Accept(tx, Reply::new(200, &1)))
    };
    code(execute(ports, &request(tenant, &format!("close-{till}")), decide).await)
}

/// No tenant has both closed.
pub fn one_is_open(tables: &Tables) -> Result<(), String> {
    let mut closed: Vec<String> = Vec::new();
    for key in tables.entities.keys().filter(|key| key.kind.as_str() == Till::TYPE) {
        let tenant = key.tenant.to_string();
        if closed.contains(&tenant) {
            return Err(format!(
                "both tills of {tenant} are closed, though each is closed only while the other is open"
            ));
        }
        closed.push(tenant);
    }
    Ok(())
}
