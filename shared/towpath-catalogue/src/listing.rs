//! `schemas/catalogue.json`: what is said of each event besides its schema. Written from the types, read without them.
//! Must not know: types, folders.

use serde::{Deserialize, Serialize};

/// All events of a product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Whose events: the heading of the pages.
    pub title: String,
    /// By type.
    pub events: Vec<Listed>,
}

/// One event, as the code has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// `order.placed`.
    pub event_type: String,
    /// The version that is written.
    pub version: u32,
    /// Of which kind of aggregate.
    pub aggregate: String,
    /// `private`, `internal`, `public`.
    pub visibility: String,
    /// What happened, in a sentence.
    pub description: String,
    /// Who answers for it.
    pub owner: String,
    /// How long it is kept, and why.
    pub retention: String,
    /// Who records it.
    pub producers: Vec<String>,
    /// Who handles it.
    pub consumers: Vec<Reader>,
    /// What the code says of each version before.
    pub before: Vec<Before>,
}

/// A consumer, and from when on it handles the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Its name.
    pub consumer: String,
    /// `beginning` or a time.
    pub since: String,
}

/// An earlier version of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// Which.
    pub version: u32,
    /// The last day on which it is written beside the current one.
    pub sunset: Option<String>,
    /// Can the code read its samples?
    pub upcast: bool,
    /// Can the code write it?
    pub downcast: bool,
}

impl Listed {
    /// What is said of an earlier version.
    pub fn before(&self, version: u32) -> Option<&Before> {
        self.before.iter().find(|before| before.version == version)
    }
}

/// Is this a day, written like `2027-03-01`?
pub(crate) fn is_day(text: &str) -> bool {
    text.len() == 10 && format!("{text}T00:00:00.000Z").parse::<towpath::Timestamp>().is_ok()
}
