//! The integration bus: it takes each entry of a request by itself, or refuses it; and what must have left, and must not.
//! Must not know: who puts events on it.

use towpath::ports::{JournalRow, Unavailable};
use towpath::{AggregateKey, CloudEvent, Visibility, limits};

use crate::cloud::Cloud;
use crate::mishap::Mishap;
use crate::plan::Applied;
use crate::seen::Sight;

impl Cloud {
    /// PutEvents: 200 can carry failed entries (28).
    pub(crate) fn put(&mut self, events: &[CloudEvent]) -> Result<Vec<Result<(), String>>, Unavailable> {
        let bytes: usize = events.iter().map(|event| event.to_body().len() + event.kind.len()).sum();
        if events.len() > limits::BUS_ENTRIES || bytes > limits::BUS_BYTES {
            let why = format!("ValidationException: {} entries, {bytes} bytes", events.len());
            return Err(Unavailable { call: "PutEvents", why });
        }
        Ok(events.iter().map(|event| self.put_one(event)).collect())
    }

    fn put_one(&mut self, event: &CloudEvent) -> Result<(), String> {
        if self.strikes(Mishap::PutRefused) {
            return Err("ThrottlingException".to_owned());
        }
        self.check_leaving(event);
        let happened = if self.left.insert((event.source.clone(), event.id.clone())) { "left" } else { "left again" };
        self.seen.count(Sight::Happened(happened));
        Ok(())
    }

    /// P4: only what is public leaves, as it was committed, and nothing else is named by it.
    fn check_leaving(&mut self, event: &CloudEvent) {
        let Ok(envelope) = event.to_envelope() else {
            return self.broken("P12", None, format!("what left is no event of Towpath: {}", event.to_body()));
        };
        let (key, tables) = (envelope.aggregate(), &self.db.tables);
        let is_public = |row: &&JournalRow| row.visibility == Visibility::Public;
        let row = tables.outbox.get(&(key.clone(), envelope.seq)).filter(|row| is_public(row));
        let as_committed = row.is_some_and(|row| {
            row.envelope.event_id == envelope.event_id && row.envelope.data.as_str() == envelope.data.as_str()
        });
        let before = envelope.prior.iter().map(|(_, seq)| tables.outbox.get(&(key.clone(), seq)));
        let names_others = before.into_iter().any(|row| !row.is_some_and(|row| is_public(&row)));
        if !as_committed {
            let why = format!("row {} left the pipeline, and is no public event as it was committed", envelope.seq);
            self.broken("P4", Some(&key), why);
        } else if names_others {
            self.broken("P4", Some(&key), format!("row {} left and names rows that are not public", envelope.seq));
        }
    }

    /// P1: what a consumer that forwards has handled, and nobody has passed over, has left.
    pub(crate) fn check_left(&mut self, applied: &Applied) {
        if let Some((aggregate, why)) = self.not_left(applied) {
            self.broken("P1", Some(&aggregate), why);
        }
    }

    fn not_left(&self, applied: &Applied) -> Option<(AggregateKey, String)> {
        let forwarding = self.consumers.iter().map(|of| &of.subject.consumer).filter(|consumer| consumer.forwards());
        for (aggregate, seqs) in forwarding.flat_map(|consumer| applied.by(consumer.name())) {
            let rows = seqs.iter().map(|seq| &self.db.tables.outbox[&(aggregate.clone(), *seq)]);
            for row in rows.filter(|row| row.visibility == Visibility::Public) {
                let mut versions = CloudEvent::of(&row.envelope, |_| false).into_iter();
                let left = |event: &CloudEvent| self.left.contains(&(event.source.clone(), event.id.clone()));
                if let Some(event) = versions.find(|event| !left(event)) {
                    let why = format!("{} of row {} was handled and has not left", event.kind, row.envelope.seq);
                    return Some((aggregate.clone(), why));
                }
            }
        }
        None
    }
}
