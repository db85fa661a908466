//! The shop in the simulator: its real handlers, consumers that fail on purpose, and what must hold at rest.
//! Must not know: how the simulator works.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test says what it does, and stops at what cannot be"
)]

pub mod begin;
pub mod checkouts;
pub mod diary;
pub mod effects;
pub mod fixture;
pub mod limited;
pub mod mailer;
pub mod parcels;
pub mod plan;
pub mod points;
pub mod proof;
pub mod rest;
pub mod returns;
pub mod scenarios;
pub mod shop;
pub mod steps;
pub mod tills;
#[cfg(feature = "planted")]
pub mod traps;

/// The number in an environment variable, if there is one.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}
