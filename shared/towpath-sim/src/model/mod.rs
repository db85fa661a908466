//! What AWS does, one file per service: each rule cites its number in aws-facts.md.
//! Must not know: Towpath's machines, faults, domains.

pub(crate) mod deduplication;
pub(crate) mod fifo;
pub(crate) mod standard;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod topic;
