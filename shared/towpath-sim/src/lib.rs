//! A model of what Towpath asks of AWS, in memory; a sweep that breaks it at every call, and a simulator that breaks it
//! everywhere at once.
//! Must not know: AWS's names, any one domain. It depends on `towpath` only, so that a product can prove its handlers.
//!
//! [`crash_sweep`] runs a scenario once without faults, counts its calls, and then runs it again for each call and each
//! [`Fault`], each time followed by what the transport does: deliver again.
//!
//! [`prove`] is where to begin: a few lines of a test that prove one consumer.
//!
//! [`simulate`] runs a [`Plan`] as one seed decides: every process, queue and table in virtual time, every call at a moment
//! of its own, [`Mishap`]s at rates of the seed's choice; then calm, then checks of Towpath's promises.

mod blame;
mod bus;
mod cloud;
mod dice;
mod example;
mod hints;
mod holds;
mod instance;
mod lambda;
mod metered;
mod mishap;
mod model;
mod people;
mod permuted;
mod plan;
mod prove;
mod rebuilds;
mod rebuilt;
mod replays;
mod rest;
mod say;
mod seeds;
mod seen;
pub mod services;
mod simulate;
mod slot;
mod sweep;
mod tables;
mod timers;
mod trace;
mod transport;
mod upset;
mod watch;
mod world;

pub use dice::{Clock, Dice};
pub use instance::Instance;
pub use mishap::{Mishap, Part};
pub use plan::{Applied, Ask, AtRest, Command, Older, Plan, Subject, WasDone};
pub use prove::{Proof, prove};
pub use seeds::{Failing, Seeds};
pub use seen::{Seen, Sight};
pub use simulate::{ON_PURPOSE, Run, call_outside, die, hang, in_calm, in_calm_with, quietly, simulate, wait};
pub use sweep::{Swept, crash_sweep, pair_sweep};
pub use tables::Tables;
pub use world::{Fault, World};

/// The guides are followed by the compiler: their code is built and run as it stands there.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guides/consumer.md")]
    struct Consumer;
    #[doc = include_str!("../../../docs/guides/event.md")]
    struct Event;
    #[doc = include_str!("../../../docs/guides/projection.md")]
    struct Projection;
    #[doc = include_str!("../../../docs/guides/saga.md")]
    struct Saga;
}
