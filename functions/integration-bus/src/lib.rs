//! `integration-bus`: public events leave the pipeline here, at least once, as docs/integration-bus.md promises.
//! Must not know: who takes them, what is in them.

use commerce::order::{OrderCancelled, OrderPlaced};
use towpath::Consumer;

/// The consumer, as it is deployed, tested and simulated.
pub fn consumer() -> Consumer {
    Consumer::new("integration-bus").forward::<OrderPlaced>().forward::<OrderCancelled>()
}
