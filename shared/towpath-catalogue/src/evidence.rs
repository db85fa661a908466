//! The page that shows what the contract tests did. Must not know: how they did it.

use std::fmt::Write;

use crate::contract::{Generated, Read};

/// `contract-tests.md`.
pub(crate) fn page(generated: &Generated, read: &[Read]) -> String {
    let mut page = String::from(
        "# Contract tests\n\n\
         <!-- Written by `make catalogue`: do not edit. -->\n\n\
         Each producer runs its own code in the stories of the catalogue. What it records is a sample: it fits the schema, and \
         its entry names the producer. Each sample of every version ever released is then handed to the handlers of every \
         consumer of the event, in the story in which it was recorded; and each sample of a command to the one consumer that carries \
         it out.\n\n\
         | event or command | version | sample | taken by |\n|---|---|---|---|\n",
    );
    let mut rows: Vec<&Read> = read.iter().collect();
    rows.sort_by(|a, b| (&a.of, &a.sample).cmp(&(&b.of, &b.sample)));
    for Read { of: (event, version), sample, taken, is_passed_over } in rows {
        let taken = match (taken.is_empty(), is_passed_over) {
            (_, true) => "nobody: an operator passes it over".to_owned(),
            (true, false) => "nobody handles it".to_owned(),
            (false, false) => taken.join(", "),
        };
        let _ = writeln!(page, "| `{event}` | {version} | {sample} | {taken} |");
    }
    page += "\n| producer | records or sends |\n|---|---|\n";
    let mut producers: Vec<(&str, &str)> = Vec::new();
    for listed in &generated.listing.events {
        producers.extend(listed.producers.iter().map(|name| (name.as_str(), listed.event_type.as_str())));
    }
    producers.sort_unstable();
    let mut names: Vec<&str> = producers.iter().map(|(name, _)| *name).collect();
    names.dedup();
    for name in names {
        let events: Vec<String> =
            producers.iter().filter(|(other, _)| *other == name).map(|(_, event)| format!("`{event}`")).collect();
        let _ = writeln!(page, "| {name} | {} |", events.join(", "));
    }
    page
}
