//! A model of what Towpath asks of AWS, in memory, and a sweep that breaks it at every call.
//! Must not know: AWS's names, any one domain. It depends on `towpath` only, so that a product can prove its handlers.
//!
//! [`World`] answers the core's ports; [`crash_sweep`] runs a scenario once without faults, counts its calls, and then
//! runs it again for each call and each [`Fault`], each time followed by what the transport does: deliver again.

mod sweep;
mod tables;
mod world;

pub use sweep::{Swept, crash_sweep};
pub use tables::Tables;
pub use world::{Fault, World};
