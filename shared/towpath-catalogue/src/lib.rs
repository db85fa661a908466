//! The event catalogue: which events there are, what their data looks like, and what may change about it.
//! Must not know: any one domain, AWS.
//!
//! [`compare`] is the rule: what a change of a JSON Schema means for those who read events of before and of after.

mod alternatives;
mod compare;
mod schema;

pub use compare::{Change, Effect, compare};
pub use schema::{DIALECT, Flaw, flaws, personal_fields};
