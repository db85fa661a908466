//! What holds an aggregate up at one consumer, and when somebody must look again: the failure policy as data.
//! Must not know: queues, stores, how a handler is run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::OUTCOME_UNKNOWN;
use crate::{Envelope, EventId, EventType, Failure, Producer, Seq, Timestamp};

/// Waits between the attempts of a wake; the last one repeats.
pub const LADDER: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(900),
];
/// How long a failing event is tried again before it is parked. By age and not by count: an outage is not a poison.
pub const PARK_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// Attempts that killed the process before the event is parked.
pub const DEATHS: u32 = 3;
/// How long an attempt that was begun is left alone: longer than any invocation of the function.
pub const LEASE: Duration = Duration::from_secs(180);
/// How long a hint may take before the sweeper sends another.
pub const OVERDUE: Duration = Duration::from_secs(60);
/// After this a ticket is sent again: before the 14 days of a dead-letter queue are over.
pub const TICKET_RENEWAL: Duration = Duration::from_secs(13 * 24 * 3_600);
/// After this a ticket that could not be sent is tried again.
pub const TICKET_RETRY: Duration = Duration::from_secs(300);
/// Class of an aggregate that is only behind: more rows wait than one batch reads.
pub(crate) const BACKLOG: &str = "backlog";
/// Longest error text that is kept, in bytes.
const MESSAGE_BYTES: usize = 1_024;

/// The wait before attempt number `attempt` + 1, without jitter.
pub fn backoff(attempt: u32) -> Duration {
    let step = usize::try_from(attempt.max(1)).unwrap_or(usize::MAX);
    LADDER[step.min(LADDER.len()) - 1]
}

/// Whether the ticket of a parked row was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// It lies in the dead-letter queue, or an operator has taken it.
    Sent,
    /// It could not be sent; the sweeper tries again.
    Missing,
}

/// Why an aggregate does not advance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The row that failed.
    pub seq: Seq,
    /// Its event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// When it failed first.
    pub since: Timestamp,
    /// When somebody must look again, at the latest.
    pub due: Timestamp,
    /// Groups failures of one kind: an error's type, `panic`, `rejected`.
    pub class: String,
    /// The error and its causes. No personal data: the author's errors say what, not whose.
    pub message: String,
    /// Which version of the code failed.
    pub producer: Producer,
    /// An attempt was begun and has not said how it ended; the number tells whose attempt it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u64>,
    /// Attempts that were begun and never said how they ended.
    #[serde(default)]
    pub deaths: u32,
    /// For a parked row: is there a message that stands for it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketState>,
}

impl Trouble {
    /// What `failure` of `row` means from `now` on; to be looked at again at once.
    pub(crate) fn new(row: &Envelope, failure: &Failure, now: Timestamp, producer: &Producer) -> Self {
        let mut trouble = Self {
            seq: row.seq,
            event_id: row.event_id,
            event_type: row.event_type.clone(),
            since: now,
            due: now,
            class: String::new(),
            message: String::new(),
            producer: producer.clone(),
            running: None,
            deaths: 0,
            ticket: None,
        };
        trouble.explain(failure);
        trouble
    }

    /// Is the aggregate only behind, and nothing has failed?
    pub fn is_backlog(&self) -> bool {
        self.class == BACKLOG
    }

    /// May an effect outside have happened, and nobody knows?
    pub fn is_unknown(&self) -> bool {
        self.class == OUTCOME_UNKNOWN
    }

    /// The text of `failure`, cut to what is kept.
    pub(crate) fn explain(&mut self, failure: &Failure) {
        let reason = failure.reason();
        self.class.clone_from(&reason.class);
        self.message = cut(&reason.message);
    }
}

/// At most [`MESSAGE_BYTES`] of `text`, whole characters.
pub(crate) fn cut(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_is_a_step_of_the_ladder_and_never_shorter_than_the_one_before(attempt in any::<u32>()) {
            prop_assert!(LADDER.contains(&backoff(attempt)));
            prop_assert!(backoff(attempt) <= backoff(attempt.saturating_add(1)));
        }

        #[test]
        fn what_is_kept_of_an_error_is_its_beginning_in_whole_characters(text in ".{0,1500}") {
            let kept = cut(&text);
            prop_assert!(text.starts_with(&kept) && kept.len() <= MESSAGE_BYTES);
            prop_assert!(kept.len() + 4 > MESSAGE_BYTES || kept == text, "more would have fit");
        }

        /// An event is parked by its age, so however often it fails within a day, its last wait is not the day.
        #[test]
        fn a_failing_event_is_tried_many_times_before_it_is_parked(first in 0_u32..5) {
            let waits = (first..).map(backoff).scan(Duration::ZERO, |sum, wait| {
                *sum += wait;
                (*sum < PARK_AFTER).then_some(())
            });
            prop_assert!((90..110).contains(&waits.count()));
        }
    }

    #[test]
    fn the_ladder_is_climbed_and_its_end_repeats() {
        let waits: Vec<u64> = (0..9).map(|attempt| backoff(attempt).as_secs()).collect();
        assert_eq!(waits, [1, 1, 5, 30, 120, 600, 900, 900, 900]);
        assert_eq!(backoff(u32::MAX).as_secs(), 900);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(MESSAGE_BYTES);
        assert_eq!(cut(&long).len(), MESSAGE_BYTES);
        assert!(cut(&format!("x{long}")).len() < MESSAGE_BYTES);
    }
}
