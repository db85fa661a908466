//! Checks of sagas at every step: a timer fires only if it is set, once, and never after the end; and what an operator has
//! passed over may be answered.
//! Must not know: how timers come back, what a saga decides.

use std::collections::{BTreeMap, BTreeSet};

use towpath::ports::{JournalRow, Write};
use towpath::{AggregateKey, CausationId, Kind, SagaRow};

use crate::cloud::Cloud;
use crate::seen::Sight;

/// Sagas as they were before a commit.
pub(crate) type Sagas = BTreeMap<AggregateKey, SagaRow>;

impl Cloud {
    /// The sagas that a commit writes, before it does.
    pub(crate) fn sagas_before(&self, writes: &[Write]) -> Sagas {
        let entities = &self.db.tables.entities;
        let saga = |write: &Write| {
            let Write::Entity { key, .. } = write else { return None };
            Some((key.clone(), entities.get(key)?.saga.clone()?))
        };
        writes.iter().filter_map(saga).collect()
    }

    /// P5: what has fired was set, and the saga was not over. The causes that a commit may have besides the events that it
    /// passes: those that set a timer which has fired, and commands that are passed over.
    pub(crate) fn check_timers(&mut self, before: &Sagas, writes: &[Write]) -> BTreeSet<CausationId> {
        let mut causes = BTreeSet::new();
        for write in writes {
            match write {
                Write::Append(row) if row.envelope.event_type.as_str().ends_with(".timer_fired") => {
                    causes.extend(self.fired(before, row));
                }
                Write::Skip { key, skipped } => {
                    let row = self.db.tables.outbox.get(&(key.aggregate.clone(), skipped.seq));
                    let command = row.filter(|row| row.kind == Kind::Command);
                    causes.extend(command.map(|row| CausationId::from(row.envelope.event_id)));
                }
                _ => {}
            }
        }
        causes
    }

    fn fired(&mut self, before: &Sagas, row: &JournalRow) -> Option<CausationId> {
        let saga = row.envelope.aggregate();
        let name: serde_json::Value = serde_json::from_str(row.envelope.data.as_str()).unwrap_or_default();
        let name = name["timer"].as_str().unwrap_or_default().to_owned();
        let was = before.get(&saga);
        match was.and_then(|was| was.timers.get(&name)) {
            Some(timer) if !was.is_some_and(|was| was.ended) => {
                self.seen.count(Sight::Happened("a timer fired"));
                Some(timer.causation_id.clone())
            }
            Some(_) => {
                self.broken("P5", Some(&saga), format!("the timer `{name}` fired after the saga's end"));
                None
            }
            None => {
                self.broken("P5", Some(&saga), format!("the timer `{name}` fired, and it was not set"));
                None
            }
        }
    }
}
