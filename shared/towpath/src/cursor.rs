//! The cursor rule: what to do with a row of the journal, decided by comparing integers.
//! Must not know: queues, stores, handlers, time.

use crate::planted::is_on;
use crate::trouble::Trouble;
use crate::{Envelope, Era, EventId, EventType, Rev, Seq};

/// Whether a consumer may advance an aggregate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    #[default]
    Ready,
    /// A failed event is being tried again.
    Retrying,
    /// A failed event waits for an operator.
    Parked,
    /// An operator stopped this tenant.
    Held,
}

/// What a consumer remembers of one aggregate: one row, written only under the condition that its `rev` is unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last row handled; `Seq::ZERO` when the first one has failed.
    pub seq: Seq,
    /// That row's event, by which a second history would show. `None` at `Seq::ZERO`.
    pub event_id: Option<EventId>,
    /// That row's history.
    pub era: Era,
    /// Of which set of handlers: code of an older one leaves the row alone.
    pub generation: u32,
    /// May it advance?
    pub status: Status,
    /// How often the row after the cursor was tried.
    pub attempt: u32,
    /// How often this row was written.
    pub rev: Rev,
    /// What holds it up, unless it is ready.
    pub trouble: Option<Trouble>,
}

impl Cursor {
    /// A cursor before the first row.
    pub fn start(era: Era, generation: u32) -> Self {
        Self {
            seq: Seq::ZERO,
            event_id: None,
            era,
            generation,
            status: Status::Ready,
            attempt: 0,
            rev: Rev::ZERO,
            trouble: None,
        }
    }

    /// The cursor after `envelope` was handled, when `before` was there.
    #[must_use]
    pub fn after(before: Option<&Self>, envelope: &Envelope, generation: u32) -> Self {
        Self {
            seq: envelope.seq,
            event_id: Some(envelope.event_id),
            rev: before.map_or(Rev::ZERO, |cursor| cursor.rev).next(),
            ..Self::start(envelope.era, generation)
        }
    }
}

/// What the cursor says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Handled before: acknowledge.
    Duplicate,
    /// The next row that this consumer handles: run it.
    Run,
    /// Rows that this consumer handles lie between: apply those up to `through` first.
    Gap {
        /// The latest row missing.
        through: Seq,
    },
    /// The aggregate waits for a retry or an operator: acknowledge, the journal keeps the row.
    Wait(Status),
    /// The row is of another history than the cursor: never a duplicate, never run.
    Foreign(Foreign),
}

/// How a row shows that it is of another history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It was written before a restore that this consumer has already seen.
    #[error("the event is of an older era than the cursor: it was undone by a restore")]
    OlderEra,
    /// It was written after a restore that this consumer's cursor has not been told of.
    #[error("the event is of a newer era than the cursor: run the restore's repair first")]
    NewerEra,
    /// The cursor's own row has another event.
    #[error("another event was handled at this seq: the journal was changed or an id was reused")]
    OtherEvent,
}

/// Decides what to do with `row`, given this consumer's cursor for its aggregate and the types that it handles.
pub fn decide(cursor: Option<&Cursor>, row: &Envelope, handled: impl Fn(&EventType) -> bool) -> Decision {
    if is_on("cursor-rule-removed") {
        return Decision::Run;
    }
    let needed = row.prior.latest_of(handled);
    let Some(cursor) = cursor else {
        return if needed == Seq::ZERO { Decision::Run } else { Decision::Gap { through: needed } };
    };
    if row.era < cursor.era {
        return Decision::Foreign(Foreign::OlderEra);
    }
    if row.era > cursor.era {
        return Decision::Foreign(Foreign::NewerEra);
    }
    if row.seq == cursor.seq && Some(row.event_id) != cursor.event_id {
        return Decision::Foreign(Foreign::OtherEvent);
    }
    if row.seq <= cursor.seq {
        return Decision::Duplicate;
    }
    if cursor.status != Status::Ready {
        return Decision::Wait(cursor.status);
    }
    if needed > cursor.seq && !is_on("gap ignored") { Decision::Gap { through: needed } } else { Decision::Run }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::tests::envelope;
    use crate::{Prior, Timestamp};

    pub(crate) fn at(seq: u64, status: Status) -> Cursor {
        let event_id = envelope(seq, &[]).event_id;
        Cursor { seq: Seq(seq), event_id: Some(event_id), status, rev: Rev(1), ..Cursor::start(Era::FIRST, 1) }
    }

    fn all(_: &EventType) -> bool {
        true
    }

    #[test]
    fn the_next_row_runs_and_a_handled_one_is_a_duplicate() {
        assert_eq!(decide(None, &envelope(1, &[]), all), Decision::Run);
        let second = envelope(2, &[("order.placed", 1)]);
        assert_eq!(decide(Some(&at(1, Status::Ready)), &second, all), Decision::Run);
        assert_eq!(decide(Some(&at(2, Status::Ready)), &second, all), Decision::Duplicate);
        assert_eq!(decide(Some(&at(9, Status::Ready)), &second, all), Decision::Duplicate);
    }

    #[test]
    fn a_missing_handled_row_is_a_gap_and_a_missing_unhandled_one_is_not() {
        let third = envelope(3, &[("order.placed", 1), ("order.noted", 2)]);
        assert_eq!(decide(None, &third, all), Decision::Gap { through: Seq(2) });
        let placed_only = |kind: &EventType| kind.as_str() == "order.placed";
        assert_eq!(decide(Some(&at(1, Status::Ready)), &third, placed_only), Decision::Run);
        assert_eq!(decide(None, &third, placed_only), Decision::Gap { through: Seq(1) });
    }

    #[test]
    fn a_blocked_aggregate_waits_but_still_knows_its_duplicates() {
        for status in [Status::Retrying, Status::Parked, Status::Held] {
            assert_eq!(decide(Some(&at(2, status)), &envelope(3, &[]), all), Decision::Wait(status));
            assert_eq!(decide(Some(&at(2, status)), &envelope(1, &[]), all), Decision::Duplicate);
        }
    }

    #[test]
    fn a_row_of_another_history_is_neither_duplicate_nor_run() {
        let cursor = Cursor { era: Era(2), ..at(2, Status::Ready) };
        assert_eq!(decide(Some(&cursor), &envelope(1, &[]), all), Decision::Foreign(Foreign::OlderEra));
        let newer = Envelope { era: Era(3), ..envelope(3, &[]) };
        assert_eq!(decide(Some(&cursor), &newer, all), Decision::Foreign(Foreign::NewerEra));
        let other = Envelope { event_id: EventId::new(Timestamp::from_millis(5), 99), ..envelope(2, &[]) };
        assert_eq!(decide(Some(&at(2, Status::Ready)), &other, all), Decision::Foreign(Foreign::OtherEvent));
    }

    /// A journal of row types `kinds`, as envelopes with the `prior` that a producer would write.
    pub(crate) fn journal(kinds: &[u8]) -> Vec<Envelope> {
        let mut prior = Prior::default();
        let mut rows = Vec::new();
        for (index, kind) in kinds.iter().enumerate() {
            let seq = index as u64 + 1;
            let event_type: EventType = format!("order.t{kind}").parse().unwrap();
            rows.push(Envelope { event_type: event_type.clone(), prior: prior.clone(), ..envelope(seq, &[]) });
            prior.note(event_type, Seq(seq));
        }
        rows
    }

    proptest! {
        /// P1 to P3 for the rule alone: whatever is delivered, in whatever order and however often, filling gaps as
        /// the rule says applies each handled row once and in order, and a last delivery of the end applies all.
        #[test]
        fn any_delivery_applies_each_handled_row_once_and_in_order(
            kinds in vec(0_u8..4, 1..30), handled in vec(any::<bool>(), 4), deliveries in vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let rows = journal(&kinds);
            let handles = |kind: &EventType| (0..4).any(|t| handled[t] && kind.as_str() == format!("order.t{t}"));
            let wanted: Vec<Seq> = rows.iter().filter(|row| handles(&row.event_type)).map(|row| row.seq).collect();
            let published: Vec<&Envelope> = rows.iter().filter(|row| handles(&row.event_type)).collect();
            let mut cursor: Option<Cursor> = None;
            let mut applied = Vec::new();
            let picks = deliveries.iter().filter(|_| !published.is_empty()).map(|index| published[index.index(published.len())]);
            for row in picks.chain(published.last().copied()) {
                match decide(cursor.as_ref(), row, handles) {
                    Decision::Duplicate => prop_assert!(applied.contains(&row.seq)),
                    Decision::Run => {
                        applied.push(row.seq);
                        cursor = Some(Cursor::after(cursor.as_ref(), row, 1));
                    }
                    Decision::Gap { through } => {
                        let from = cursor.as_ref().map_or(Seq::ZERO, |cursor| cursor.seq);
                        for missing in rows.iter().filter(|m| m.seq > from && m.seq <= through && handles(&m.event_type)) {
                            prop_assert_eq!(decide(cursor.as_ref(), missing, handles), Decision::Run);
                            applied.push(missing.seq);
                            cursor = Some(Cursor::after(cursor.as_ref(), missing, 1));
                        }
                        prop_assert_eq!(decide(cursor.as_ref(), row, handles), Decision::Run);
                        applied.push(row.seq);
                        cursor = Some(Cursor::after(cursor.as_ref(), row, 1));
                    }
                    other => prop_assert!(false, "{other:?} without a failure"),
                }
                prop_assert_eq!(&applied[..], &wanted[..applied.len()]);
            }
            prop_assert_eq!(applied, wanted);
        }

        #[test]
        fn the_decision_never_runs_a_row_at_or_below_the_cursor(seq in 1_u64..50, cursor in 1_u64..50) {
            let decision = decide(Some(&at(cursor, Status::Ready)), &envelope(seq, &[]), all);
            prop_assert_eq!(decision == Decision::Run, seq > cursor);
        }
    }
}
