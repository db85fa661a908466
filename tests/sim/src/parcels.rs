//! Parcels, of which some events are for everybody, some for this pipeline and some for nobody: which of them leave?
//! Must not know: worlds, faults.

use serde::{Deserialize, Serialize};
use towpath::command::{CommandPorts, Reply, Verdict, execute};
use towpath::{Aggregate, AggregateId, Consumer, Context, Event, Failure, Received, Storage, Tx, Visibility};

use crate::shop::{code, id, request};

struct Parcel;

impl Aggregate for Parcel {
    const TYPE: &'static str = "parcel";
    const STORAGE: Storage = Storage::Events;
}

macro_rules! event {
    ($name:ident, $of_type:literal, $visibility:ident) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name {
            parcel: AggregateId,
        }

        impl Event for $name {
            type Of = Parcel;
            const TYPE: &'static str = $of_type;
            const VERSION: u32 = 1;
            const VISIBILITY: Visibility = Visibility::$visibility;
            fn aggregate_id(&self) -> AggregateId {
                self.parcel.clone()
            }
        }
    };
}

event!(ParcelSent, "parcel.sent", Public);
event!(ParcelWeighed, "parcel.weighed", Internal);
event!(ParcelPriced, "parcel.priced", Private);

/// What can happen to a parcel, again and again.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Send,
    Weigh,
    Price,
}

impl Step {
    pub const ALL: [Self; 3] = [Self::Send, Self::Weigh, Self::Price];
}

/// The deployed consumer, which also forwards when parcels are sent, and handles that they are weighed.
pub fn bus() -> Consumer {
    let weighed = async |_: &Context<'_>, _: Received<ParcelWeighed>| -> Result<Tx, Failure> { Ok(Tx::new()) };
    integration_bus::consumer().forward::<ParcelSent>().on(weighed)
}

/// Lets one thing happen to a parcel.
pub async fn step(ports: CommandPorts<'_>, tenant: &str, key: &str, parcel: &str, step: Step) -> Option<u16> {
    let decide = async |_: &Context<'_>| {
        let parcel = id(parcel);
        let tx = match step {
            Step::Send => Tx::new().record(ParcelSent { parcel }),
            Step::Weigh => Tx::new().record(ParcelWeighed { parcel }),
            Step::Price => Tx::new().record(ParcelPriced { parcel }),
        };
        Ok(Verdict::Accept(tx, Reply::new(200, &1)))
    };
    code(execute(ports, &request(tenant, key), decide).await)
}
