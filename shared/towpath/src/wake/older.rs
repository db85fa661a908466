//! Rows that code of an older generation has gone past, because it did not know their types yet: a producer was deployed
//! before the consumer, or an old process was still running. They cannot be handled in their order any more, and nobody may
//! pass over them in silence: the first one that is not on record as skipped is parked.
//! Must not know: how rows are handled.

use std::collections::BTreeSet;

use super::{Advance, Next, View};
use crate::batch::MARGIN;
use crate::ports::{JournalRow, Unavailable};
use crate::{Cursor, Envelope, EventType, Failure, Seq};

impl Advance<'_> {
    /// Looks for such rows from `row` backwards, by what each row says of the ones before it. When there is none left, the
    /// cursor becomes one of this generation, and nobody looks again.
    pub(super) async fn look_back(&mut self, view: &View, row: &Envelope) -> Result<Next, Unavailable> {
        let Some(cursor) = view.cursor() else { return Ok(Next::Look) };
        let key = self.worker.key(self.wake.aggregate.clone());
        let skipped = self.worker.ports.store.skipped(&key).await?;
        let skipped: BTreeSet<Seq> = skipped.into_iter().map(|skipped| skipped.seq).collect();
        let mut passed: Option<Envelope> = None;
        for kind in self.new_types(cursor, row) {
            let mut at = if row.seq <= cursor.seq && row.event_type == kind { row.seq } else { latest(row, &kind) };
            while at != Seq::ZERO {
                if self.worker.ports.host.remaining() < MARGIN {
                    return self.go_on_later().await.map(Next::End);
                }
                // If it is gone, so are those before it.
                let Some(found) = self.row_at(at).await? else { break };
                if self.worker.consumer.starts_after(&found.envelope) {
                    break;
                }
                let is_wanted = self.worker.consumer.wants(&found) && !skipped.contains(&found.envelope.seq);
                let found = found.envelope;
                at = latest(&found, &kind);
                if is_wanted && passed.as_ref().is_none_or(|first| found.seq < first.seq) {
                    passed = Some(found);
                }
            }
        }
        if let Some(passed) = passed {
            let (kind, older) = (&passed.event_type, cursor.generation);
            let why = format!("code of generation {older}, which did not know {kind}, went past it: skip it on record");
            return self.park(view, &passed, &Failure::reject("passed over by older code", why)).await;
        }
        let generation = self.worker.consumer.current_generation();
        self.write(view, Cursor { generation, rev: cursor.rev.next(), ..cursor.clone() }).await.map(|_| Next::Look)
    }

    fn new_types(&self, cursor: &Cursor, row: &Envelope) -> BTreeSet<EventType> {
        let known = row.prior.iter().map(|(kind, _)| kind).chain([&row.event_type]);
        known.filter(|kind| self.worker.consumer.is_new_to(cursor.generation, kind)).cloned().collect()
    }

    async fn row_at(&self, seq: Seq) -> Result<Option<JournalRow>, Unavailable> {
        let before = Seq(seq.0 - 1);
        Ok(self.worker.ports.store.journal(&self.wake.aggregate, before, seq, 1).await?.pop())
    }
}

fn latest(row: &Envelope, kind: &EventType) -> Seq {
    row.prior.latest_of(|of| of == kind)
}
