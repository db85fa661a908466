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
    /// A row that failed is wanted even if the consumer does not know its type: it must not be passed over in silence. One
    /// of a type that it knows, from before it handles it, is not: older code, which did not know the type, has failed on it.
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
        let failed = self.failed == Some(row.envelope.seq) && !self.consumer.starts_after(&row.envelope);
        let wanted = self.consumer.wants(&row) || failed;
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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::envelope::tests::envelope;
    use crate::{Aggregate, AggregateId, Context, Event, Kind, Received, Storage, Tx, Visibility};

    struct Order;

    impl Aggregate for Order {
        const TYPE: &'static str = "order";
        const STORAGE: Storage = Storage::Events;
    }

    #[derive(Serialize, Deserialize)]
    struct Placed;

    impl Event for Placed {
        type Of = Order;
        const TYPE: &'static str = "order.placed";
        const VERSION: u32 = 1;
        fn aggregate_id(&self) -> AggregateId {
            "o-1".parse().unwrap()
        }
    }

    fn placed(seq: u64) -> JournalRow {
        let envelope = Envelope { event_type: "order.placed".parse().unwrap(), ..envelope(seq, &[]) };
        JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Internal, to: None }
    }

    fn wanted(consumer: &Consumer, failed: Option<Seq>) -> bool {
        let step = Walk::new(consumer, Seq::ZERO, failed).step(placed(1));
        step.is_ok_and(|row| row.is_some())
    }

    #[test]
    fn a_row_on_which_older_code_failed_is_not_handled_if_the_type_starts_later() {
        let handler = async |_: &Context<'_>, _: Received<Placed>| Ok(Tx::new());
        let all = Consumer::new("stock").on(handler);
        let late = Consumer::new("stock").on(handler).since::<Placed>("2999-01-01T00:00:00.000Z");
        assert!(wanted(&all, None) && wanted(&all, Some(Seq(1))));
        assert!(!wanted(&late, None) && !wanted(&late, Some(Seq(1))));
    }

    #[test]
    fn a_failed_row_of_an_unknown_type_is_not_passed_over() {
        let none = Consumer::new("stock");
        assert!(!wanted(&none, None) && wanted(&none, Some(Seq(1))));
    }
}
