//! What SNS FIFO topics and SQS FIFO queues remember of what was sent: a deduplication id, for 5 minutes, in its group.
//! Must not know: what is sent.

use std::collections::BTreeMap;

use crate::dice::Millis;

/// From the first message with an id (aws-facts 10).
const INTERVAL: Millis = 5 * 60_000;

/// The ids of each group, and when each was accepted: DeduplicationScope=messageGroup (24), FifoThroughputScope=MessageGroup (11).
#[derive(Debug, Default)]
pub(crate) struct Remembered(BTreeMap<(String, String), Millis>);

impl Remembered {
    /// Is this a new message? One that is not does not lengthen the time for which its id is remembered.
    pub(crate) fn accept(&mut self, group: &str, id: &str, now: Millis) -> bool {
        let key = (group.to_owned(), id.to_owned());
        let is_new = self.0.get(&key).is_none_or(|at| at + INTERVAL <= now);
        if is_new {
            self.0.insert(key, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forgotten_five_minutes_after_the_first_message_however_often_it_is_repeated() {
        let mut remembered = Remembered::default();
        assert!(remembered.accept("a", "1", 0));
        assert!(!remembered.accept("a", "1", INTERVAL - 1));
        assert!(remembered.accept("a", "1", INTERVAL));
        assert!(remembered.accept("b", "1", INTERVAL), "another group");
    }
}
