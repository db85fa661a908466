//! Read models do not drift: 500 events that were written once give the rows that are committed. `make fixture` writes the
//! rows anew; what changed is then in the commit, for whoever reviews it. Whoever changes a fold rebuilds:
//! docs/guides/projection.md.

#![allow(clippy::unwrap_used, reason = "a test says what it does, and stops at what cannot be")]

use std::fs;

use sim::fixture::{EVENTS, JOURNAL, READ_MODELS, events, folder, read_model};
use towpath::Envelope;

/// What `make fixture` sets: `rows` writes the rows anew, `events` the events too.
fn writes(what: &str) -> bool {
    let asked = std::env::var("TOWPATH_FIXTURE").unwrap_or_default();
    asked == what || asked == "events"
}

#[test]
fn five_hundred_events_give_the_rows_that_are_committed() {
    if writes("events") {
        let lines: String = events().iter().map(|event| event.to_body() + "\n").collect();
        fs::write(folder().join(JOURNAL), lines).unwrap();
    }
    let journal = fs::read_to_string(folder().join(JOURNAL)).unwrap();
    let events: Vec<Envelope> = journal.lines().map(|line| Envelope::parse(line).unwrap()).collect();
    assert_eq!(events.len(), EVENTS);
    for consumer in READ_MODELS.map(|consumer| consumer()) {
        let (file, rows) = (folder().join(format!("{}.tsv", consumer.name())), read_model(&consumer, &events));
        if writes("rows") {
            fs::write(&file, &rows).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap();
        let other = kept.lines().zip(rows.lines()).find(|(kept, row)| kept != row);
        let sizes = (kept.lines().count(), rows.lines().count());
        assert!(
            other.is_none() && sizes.0 == sizes.1,
            "{} has {} rows, {} are committed; the first that differs, as committed and as it is now: {other:#?}\nif that is \
             meant, run `make fixture`, and rebuild the read model where it is deployed",
            consumer.name(),
            sizes.1,
            sizes.0
        );
    }
}
