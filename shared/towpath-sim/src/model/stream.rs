//! The outbox's stream and its mapping: shards, batches, checkpoints, bounded retries, trimming.
//! Must not know: what the relay does with the records.

use std::collections::VecDeque;

use towpath::ports::JournalRow;

use crate::dice::Millis;

/// Records in one batch (4).
const BATCH: usize = 100;
/// How long the stream keeps a record (3).
pub(crate) const RETENTION: Millis = 24 * 3_600_000;

/// One shard. Only the records of one item are ordered (2), and an item of the journal is written once: any order goes.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    records: VecDeque<(Millis, JournalRow)>,
    tries: u32,
    size: usize,
    pub(crate) busy: bool,
}

impl Shard {
    pub(crate) fn offer(&mut self, row: JournalRow, now: Millis) {
        self.records.push_back((now, row));
    }

    /// The next batch: from the checkpoint on; smaller after a failure of the whole (BisectBatchOnFunctionError).
    pub(crate) fn batch(&mut self, now: Millis) -> Vec<JournalRow> {
        self.records.retain(|(written, _)| now < written + RETENTION);
        let size = if self.size == 0 { BATCH } else { self.size };
        self.records.iter().take(size).map(|(_, row)| row.clone()).collect()
    }

    /// The first `done` records of the batch are through; the next ones are tried again if there was a failure (5).
    /// Returns what is through.
    pub(crate) fn checkpoint(&mut self, done: usize, failed: bool) -> Vec<JournalRow> {
        self.tries = if failed { self.tries + 1 } else { 0 };
        self.size = 0;
        self.records.drain(..done.min(self.records.len())).map(|(_, row)| row).collect()
    }

    /// The invocation died with its batch of `size`.
    pub(crate) fn died(&mut self, size: usize) {
        self.tries += 1;
        self.size = (size / 2).max(1);
    }

    /// Gives up what was tried more than `most` times: its metadata goes to the on-failure queue, its records do not (4).
    pub(crate) fn give_up(&mut self, most: u32) -> usize {
        if self.tries <= most {
            return 0;
        }
        let size = if self.size == 0 { BATCH } else { self.size };
        let lost = size.min(self.records.len());
        self.records.drain(..lost);
        (self.tries, self.size) = (0, 0);
        lost
    }

    /// Was the next record in a batch that failed?
    pub(crate) fn was_tried(&self) -> bool {
        self.tries > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_batch_is_halved_and_given_up_in_the_end() {
        let mut shard = Shard::default();
        assert!(shard.is_empty() && shard.give_up(0) == 0);
        for size in [100, 50, 25] {
            shard.died(size);
        }
        assert_eq!((shard.size, shard.tries), (12, 3));
        assert_eq!(shard.give_up(3), 0);
        shard.died(12);
        shard.give_up(3);
        assert_eq!((shard.size, shard.tries), (0, 0));
    }
}
