//! `payments`: what a payment provider is asked, and what it answers.
//! Must not know: queues, tables, other functions.

pub mod provider;
