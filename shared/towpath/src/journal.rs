//! Reading on in an aggregate's journal: which rows the consumer wants, and whether one that it needs is gone.
//! Must not know: stores, handlers.

use std::rc::Rc;

use crate::ports::JournalRow;
use crate::{Consumer, Envelope, Failure, Seq};

/// A walk through the rows of one aggregate, in order.
pub(crate) struct Walk<'a> {
    consumer: &'a Consumer,
    /// Rows up to here are handled, or were looked at and are not wanted.
    pub(crate) through: Seq,
    /// A row that failed is wanted even if the consumer does not know its type: it must not be passed over in silence.
    failed: Option<Seq>,
}

/// A row that the consumer needs is no longer in the journal.
pub(crate) struct Gone {
    /// The row that is gone.
    pub(crate) seq: Seq,
    /// The row that says so.
    pub(crate) next: Rc<Envelope>,
}

impl Gone {
    pub(crate) fn failure(&self) -> Failure {
        let (seq, next) = (self.seq, self.next.seq);
        let why = format!("row {seq} is gone from the journal, though row {next} says that this consumer needs it");
        Failure::reject("journal trimmed", why)
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(consumer: &'a Consumer, after: Seq, failed: Option<Seq>) -> Self {
        Self { consumer, through: after, failed }
    }

    /// Looks at the next row: `Some` if the consumer wants it.
    pub(crate) fn step(&mut self, row: JournalRow) -> Result<Option<Rc<Envelope>>, Gone> {
        let wanted = self.consumer.wants(&row) || self.failed == Some(row.envelope.seq);
        let envelope = Rc::new(row.envelope);
        if envelope.seq <= self.through {
            return Ok(None);
        }
        let needed = envelope.prior.latest_of(|kind| self.consumer.handles(kind));
        if envelope.seq > self.through.next() && needed > self.through {
            return Err(Gone { seq: needed, next: envelope });
        }
        self.through = envelope.seq;
        Ok(wanted.then_some(envelope))
    }
}

#[cfg(test)]
mod properties;
