//! Replays: somebody orders one, of consumers that are declared replayable and of others, and what it may then do.
//! Must not know: how a replay goes.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::FutureExt;
use towpath::ports::{CursorKey, Position, Wakes, Write};
use towpath::{AggregateKey, ConsumerName, Failed, Replay, Seq, Verb, Wake};

use crate::cloud::{Cloud, ProcessId};
use crate::lambda::{Done, Role};
use crate::people::SITTING;
use crate::seen::Sight;

/// Names the one replay of a run.
const ID: u64 = 7;

impl Cloud {
    /// Orders that a consumer applies again what it has applied, some of it twice at once.
    pub(crate) fn order_replay(&mut self) {
        let consumer = self.dice.index(self.consumers.len());
        let of = Rc::clone(&self.consumers[consumer].subject);
        let own = self.db.tables.home(of.consumer.home()).keys().filter(|key| key.consumer == *of.consumer.name());
        let aggregates: BTreeSet<AggregateKey> = own.map(|key| key.aggregate.clone()).collect();
        self.start(Role::Operator, SITTING, move |instance| {
            async move {
                for aggregate in aggregates {
                    let replay = Replay { id: ID, after: Seq::ZERO, through: Seq(u64::MAX), types: Vec::new() };
                    let wake = Wake { aggregate, verb: Verb::Replay(replay) };
                    for _ in 0..=usize::from(instance.impatience().is_some()) {
                        let _sent_or_left = instance.wake(of.consumer.name(), &wake).await;
                    }
                }
                Done::Operator
            }
            .boxed_local()
        });
    }

    /// Is this the name under which a replay of the consumer keeps its cursors?
    pub(crate) fn is_replay_of(&self, consumer: usize, name: &ConsumerName) -> bool {
        let of = self.consumers[consumer].subject.consumer.name();
        name.as_str().strip_prefix(of.as_str()).is_some_and(|rest| rest.starts_with('@'))
    }

    /// P7: a replay is one of a consumer that allows it, goes forward behind the live cursor, and writes read models only.
    pub(crate) fn check_replay(
        &mut self,
        consumer: usize,
        key: &CursorKey,
        before: Option<&Position>,
        after: &Position,
        writes: &[Write],
    ) {
        self.seen.count(Sight::Happened("replayed"));
        let of = Rc::clone(&self.consumers[consumer].subject);
        let live = CursorKey { aggregate: key.aggregate.clone(), consumer: of.consumer.name().clone() };
        let live = self.db.tables.home(of.consumer.home()).get(&live).map_or(Seq::ZERO, |live| live.cursor.seq);
        let (from, to) = (before.map_or(Seq::ZERO, |before| before.cursor.seq), after.cursor.seq);
        let harmless = |write: &Write| matches!(write, Write::Put { .. } | Write::Remove { .. } | Write::Cursor { .. });
        let why = if !of.consumer.is_replayable() {
            format!("{} was replayed, and is not declared replayable", of.consumer.name())
        } else if to <= from || to > live {
            format!("a replay went from {from} to {to}, and the live cursor is at {live}")
        } else if !writes.iter().all(harmless) {
            "a replay wrote more than rows of read models".to_owned()
        } else {
            return;
        };
        self.broken("P7", Some(&key.aggregate), why);
    }

    /// P7: what a handler does outside, as sending a mail, it does not do again for a replay, unless it says that it may.
    pub(crate) fn called_outside(&mut self, by: ProcessId) {
        let Some(Role::Wake { consumer, message }) = self.role(by) else { return };
        let of = &self.consumers[*consumer].subject.consumer;
        if matches!(message.body.verb, Verb::Replay(_)) && !of.is_replayable() {
            let (why, of) = (format!("a replay has fired a handler of {} again", of.name()), &message.body.aggregate);
            let of = of.clone();
            self.broken("P7", Some(&of), why);
        }
    }

    pub(crate) fn sight_refusals(&mut self, wake: &Wake, failures: &[Failed]) {
        let refused = |failed: &Failed| failed.failure.reason().class == "not replayable";
        if matches!(wake.verb, Verb::Replay(_)) && failures.iter().any(refused) {
            self.seen.count(Sight::Happened("replay refused"));
        }
    }
}
