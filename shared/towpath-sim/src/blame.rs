//! Checks of what a process says went wrong, and whose it is: the mark of an attempt, messages to be delivered again.
//! Must not know: how the machines decide; it sees only what they write and report.

use std::collections::BTreeSet;

use towpath::ports::{CursorKey, Position};
use towpath::{Counts, Failed, Status, Then};

use crate::cloud::{Cloud, ProcessId};
use crate::model::fifo::Queued;

impl Cloud {
    /// P6: the attempt that another process has begun is left alone, or counted as one that ended its process.
    pub(crate) fn check_attempt(
        &mut self,
        by: ProcessId,
        key: &CursorKey,
        before: Option<&Position>,
        after: &Position,
    ) {
        let running = |at: &Position| at.cursor.trouble.as_ref().and_then(|trouble| trouble.running);
        let deaths = |at: &Position| at.cursor.trouble.as_ref().map_or(0, |trouble| trouble.deaths);
        if let Some(token) = running(after) {
            self.watch.attempts.entry(token).or_insert(by);
        }
        let Some(before) = before.filter(|before| before.cursor.status == Status::Retrying) else { return };
        let Some(token) = running(before).filter(|token| running(after) != Some(*token)) else { return };
        let another = self.watch.attempts.get(&token) != Some(&by);
        // It is ready if newer code does not want the row at all, and parked if too many of its attempts have ended so.
        let counted = deaths(after) > deaths(before) || after.cursor.status != Status::Retrying;
        if another && !counted {
            let why = "an attempt that another process had begun was ended, and not counted".to_owned();
            self.broken("P6", Some(&key.aggregate), why);
        }
    }

    /// P15: what was received is counted, each message once.
    pub(crate) fn check_counted(&mut self, received: usize, counts: &Counts) {
        if counts.received != received as u64 {
            self.broken("P15", None, format!("of {received} messages {} were counted", counts.received));
        }
    }

    /// P6: a message is delivered again only if something failed for its own tenant, or for the batch as a whole.
    pub(crate) fn check_blamed(&mut self, messages: &[Queued], failed: &BTreeSet<String>, failures: &[Failed]) {
        let again: Vec<&Failed> = failures.iter().filter(|failed| matches!(failed.then, Then::Again)).collect();
        let for_nothing = |message: &&Queued| {
            let tenant = message.group.split('#').next();
            let own = |failed: &&Failed| failed.aggregate.as_ref().is_none_or(|of| tenant == Some(of.tenant.as_str()));
            failed.contains(&message.id.to_string()) && !again.iter().any(own)
        };
        if let Some(message) = messages.iter().find(for_nothing) {
            let why = format!("{} comes again, and nothing of its tenant failed", crate::say::message(message));
            self.broken("P6", None, why);
        }
    }
}
