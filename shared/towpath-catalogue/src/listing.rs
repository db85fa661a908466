//! `schemas/catalogue.json`: what is said of each event and command besides its schema. Written from the types, read without them.
//! Must not know: types, folders.

use serde::{Deserialize, Serialize};

/// All events and commands of a product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Whose events: the heading of the pages.
    pub title: String,
    /// By type.
    pub events: Vec<Listed>,
}

/// One event or command, as the code has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// `order.placed`.
    pub event_type: String,
    /// The version that is written.
    pub version: u32,
    /// Of which kind of aggregate; for a command, the one that sends it.
    pub aggregate: String,
    /// What is said of a command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Addressed>,
    /// `private`, `internal`, `public`; of a command `addressed`.
    pub visibility: String,
    /// What happened, or what is to be done, in a sentence.
    pub description: String,
    /// Who answers for it.
    pub owner: String,
    /// How long it is kept, and why.
    pub retention: String,
    /// Who records it, or sends it.
    pub producers: Vec<String>,
    /// Who handles it.
    pub consumers: Vec<Reader>,
    /// What the code says of each version before.
    pub before: Vec<Before>,
}

/// To whom a command goes, and what comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addressed {
    /// The one consumer that carries it out.
    pub to: String,
    /// The events with which that one answers, as the stories show.
    pub answers: Vec<String>,
    /// The event that answers it when an operator passes it over.
    pub skipped: String,
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

impl Listing {
    /// `30 events and 10 commands`.
    pub(crate) fn counted(&self) -> String {
        let plural =
            |number: usize, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
        let commands = self.events.iter().filter(|listed| listed.command.is_some()).count();
        let events = plural(self.events.len() - commands, "event");
        if commands == 0 { events } else { format!("{events} and {}", plural(commands, "command")) }
    }
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
