//! The rules that a deployed pipeline must keep, over the template as CloudFormation will see it. Each has a name, a
//! sentence that says why, and a fix. `towpath doctor` and the repository's own tests use these, and no others.
//! Must not know: any one product, how a running stack is asked.

mod alarms;
mod api;
mod bus;
mod keys;
mod mappings;
mod parameters;
mod policies;
mod queues;
mod roles;
mod rule;
mod source;
mod stack;
mod tables;

pub use rule::{Finding, RULES, Rule, examine};
pub use source::{Source, Unreadable, parse};
pub use stack::{Consumed, Resource, Stack, binary_of};
