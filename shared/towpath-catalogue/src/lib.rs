//! The event catalogue: which events and commands there are, what their data looks like, what may change about it, and who
//! relies on it.
//! Must not know: any one domain, AWS.
//!
//! A product has a crate that lists its events in a [`Catalogue`] and whose `main` is [`run`]: it writes `schemas/` from the
//! types and runs the contract tests. The command line reads that folder without knowing any type: [`check`], [`pages`],
//! [`release`].
//!
//! | for | read |
//! |---|---|
//! | listing an event or a command | [`event!`], [`command!`], [`Entry`], [`Catalogue`], [`Stage`] |
//! | what a change of a schema means | [`compare`], [`flaws`] |
//! | what must hold before a release | [`check`] |

mod alternatives;
mod check;
mod command;
mod compare;
mod contract;
mod docs;
mod entry;
mod evidence;
mod folder;
mod listing;
mod release;
mod report;
mod schema;
mod story;

pub use check::{Finding, check, unreleased};
pub use command::{EVIDENCE, PAGES, SCHEMAS, run};
pub use compare::{Change, Effect, compare};
pub use contract::{Evidence, Generated};
pub use docs::pages;
pub use entry::{Catalogue, Entry, probe};
pub use folder::{Folder, Shelf, Unreadable, Version, lay_out};
pub use listing::{Addressed, Before, Listed, Listing, Reader};
pub use release::release;
pub use report::{said, write_pages, write_release};
pub use schema::{DIALECT, Flaw, flaws, personal_fields};
pub use story::Stage;
