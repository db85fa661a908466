//! What holds in every state, and which states show that the search came to where it is interesting.
//! Must not know: which steps there are.

use std::sync::Arc;

use stateright::Property;
use towpath::Status;

use crate::book::Page;
use crate::call::{Call, Change};
use crate::journal::Type;
use crate::play::Next;
use crate::row::Running;
use crate::state::{Bounds, Faults, Hold, State};
use crate::world::World;

/// Each effect happens at most once, in the order of the journal.
pub const ONCE_IN_ORDER: &str = "effects happen once and in order";
/// What the cursor has passed was applied, or passed over on record; and nothing above it was.
pub const NOTHING_PASSED: &str = "the cursor passes nothing that was not applied or skipped on record";
/// A skip passes only the event that its operator looked at.
pub const SKIP_ON_RECORD: &str = "a skip is on record, and of the event that somebody ordered to skip";
/// At rest and behind, neither parked nor woken by the auditor.
pub const NEVER_STUCK: &str = "never stuck";
/// Nothing but a loss needs the auditor.
pub const NO_AUDITOR_NEEDED: &str = "without a loss nothing is stuck even without the auditor";
/// Once nothing goes wrong any more, all is applied or waits behind a parked row.
pub const DRAINED: &str = "once faults stop, all is applied or behind a parked row";
/// A row that says that its ticket was sent is right.
pub const TICKET_SENT: &str = "a parked row that says that its ticket was sent is right";
/// A parked row has a ticket that holds, or the auditor sends it.
pub const TICKET: &str = "every parked row has a ticket, or the auditor sends one";
/// With the console alone all is applied in the end.
pub const CONSOLE: &str = "the console alone resumes";
/// With the command line alone all is applied in the end.
pub const COMMAND_LINE: &str = "the command line alone resumes";
/// An event that ends its process each time is parked.
pub const POISON: &str = "an event that ends its process is parked";
/// Only a wake writes a row that waits for a retry or an operator: a message does not know what became of it.
pub const BLOCKED_STAYS: &str = "a message changes nothing about a blocked row";
/// A first delivery is one commit and nothing after it.
pub const NO_QUERY: &str = "a first delivery asks nothing after its commit";

/// The promises.
pub(crate) fn properties() -> Vec<Property<World>> {
    vec![
        Property::always(ONCE_IN_ORDER, |_, state: &State| state.applied.is_sorted_by(|a, b| a < b)),
        Property::always(NOTHING_PASSED, |world, state: &State| {
            let wanted = |seq: &u8| world.wants(state, *seq);
            let passed = (1..=state.cursor()).filter(wanted).all(|seq| state.is_accounted(seq));
            passed && state.applied.iter().all(|seq| *seq <= state.cursor())
        }),
        Property::always(SKIP_ON_RECORD, |_, state: &State| state.skipped & !state.asked == 0),
        Property::always(NEVER_STUCK, |world, state: &State| {
            !world.is_stuck(state) || !world.bounds.auditor || world.will_tick(state)
        }),
        Property::always(NO_AUDITOR_NEEDED, |world, state: &State| {
            !world.is_stuck(state) || world.bounds.auditor || world.has_lost(state)
        }),
        Property::always(DRAINED, |world, state: &State| {
            !world.is_worth_a_forecast(state) || world.fate(state).drained
        }),
        Property::always(TICKET_SENT, |_, state: &State| {
            let says = state.row.filter(|row| row.is_parked() && state.says_of_ticket() == Some(true));
            says.is_none_or(|row| state.sent.contains(&row.rev))
        }),
        Property::always(TICKET, |world, state: &State| {
            let lost = world.bounds.faults.lost_tickets > state.left.lost_tickets;
            let moved = world.bounds.faults.redrives > state.left.redrives && state.is_parked();
            !world.is_worth_a_forecast(state) || !world.bounds.auditor || lost || moved || world.fate(state).ticket
        }),
        Property::always(CONSOLE, |world, state: &State| {
            // What older code went past is never handled: that would be out of order.
            let is_asked = world.bounds.auditor && !world.bounds.rash;
            !world.is_worth_a_forecast(state) || !is_asked || world.fate(state).by_console
        }),
        Property::always(COMMAND_LINE, |world, state: &State| {
            let fate = |state| world.fate(state);
            let by_retry = world.bounds.rash || !world.is_worth_a_forecast(state) || fate(state).by_retry;
            by_retry && (!world.is_worth_a_forecast(state) || fate(state).by_skip)
        }),
        Property::always(POISON, |world, state: &State| {
            !world.is_worth_a_forecast(state) || world.fate(state).poison_parked
        }),
        Property::always(BLOCKED_STAYS, |world, state: &State| {
            let Some(row) = state.row.filter(|row| row.status() != Status::Ready) else { return true };
            !world.pages_at_work(state).iter().any(|page| {
                let writes = |change: &Change| change.to.is_some() && change.expect == Some(row.rev);
                !page.is_wake() && matches!(&page.next, Next::Asks(Call::Commit(change)) if writes(change))
            })
        }),
        Property::always(NO_QUERY, |world, state: &State| {
            !world.pages_at_work(state).iter().any(|page| {
                let asks = matches!(page.next, Next::Asks(Call::Journal | Call::Look { .. }));
                !page.is_wake() && page.committed && !page.refused && !page.was_disturbed() && asks
            })
        }),
    ]
}

type Reached = (&'static str, fn(&World, &State) -> bool, fn(&Bounds) -> bool);

/// States that must be come to, within bounds that allow it.
const REACHED: &[Reached] = &[
    ("all is applied", |world, state| world.is_complete(state) && state.skipped == 0, |_| true),
    ("two are at work on the row", |_, state| state.workers.iter().all(Option::is_some), |bounds| is_rough(bounds)),
    ("a write is refused", |world, state| world.works(state, |page| page.refused), |bounds| is_rough(bounds)),
    ("a gap is filled", |world, state| world.works(state, |page| !page.is_wake() && page.has_read_on()), |_| true),
    (
        "a later delivery is handed over",
        |world, state| world.works(state, Page::hands_over_again),
        |bounds| bounds.faults.crashes + bounds.faults.expiries > 0,
    ),
    (
        "the row is retrying after a failure",
        |_, state| state.row.is_some_and(|row| row.has_failed()),
        |bounds| bounds.faults.failures + bounds.faults.rejections > 0,
    ),
    (
        "an attempt has ended its process",
        |_, state| state.row.is_some_and(|row| row.running() == Running::Dead),
        |bounds| {
            let faults = &bounds.faults;
            faults.crashes > 1 || faults.crashes > 0 && faults.failures + faults.rejections > 0
        },
    ),
    ("the row is parked", |_, state| state.is_parked(), |bounds| parks(bounds)),
    (
        "the row is parked, its ticket is missing",
        |_, state| state.is_parked() && state.says_of_ticket() == Some(false),
        |bounds| {
            let faults = &bounds.faults;
            parks(bounds) && faults.refusals + faults.lost_answers + faults.orders + faults.redrives > 0
        },
    ),
    (
        "a ticket no longer holds",
        |_, state| state.tickets.iter().any(|rev| *rev < state.row.map_or(0, |row| row.rev)),
        |bounds| parks(bounds) && bounds.faults.orders > 0,
    ),
    (
        "a parked row is resumed",
        |world, state| world.is_complete(state) && state.left.resumed(&world.bounds.faults),
        |bounds| parks(bounds) && bounds.faults.orders + bounds.faults.redrives > 0,
    ),
    (
        "an event is skipped on record",
        |_, state| state.skipped != 0,
        |bounds| parks(bounds) && bounds.faults.orders > 0,
    ),
    (
        "a lost wake or message is found by the auditor",
        |world, state| world.is_stuck(state) && world.ticks(state),
        |bounds| bounds.auditor && bounds.faults.losses > 0,
    ),
    ("the row is held", |_, state| state.is_held(), |bounds| bounds.faults.holds > 0),
    (
        "what was held is applied",
        |world, state| world.is_complete(state) && state.hold != Hold::Ordered && state.left.holds == 0,
        |bounds| bounds.auditor && bounds.faults.holds > 0,
    ),
    (
        "old code has met a newer generation",
        |world, state| world.works(state, Page::met_newer),
        |bounds| bounds.faults.old_code > 0,
    ),
    (
        "old code has gone past a row of a new type",
        |world, state| (1..=state.cursor()).any(|seq| !world.wants(state, seq)),
        |bounds| bounds.rash,
    ),
    (
        "that row is parked",
        |_, state| {
            state.is_parked() && state.row.and_then(|row| row.held).is_some_and(|held| held.seq < state.cursor())
        },
        |bounds| bounds.rash,
    ),
];

fn is_rough(bounds: &Bounds) -> bool {
    bounds.auditor || bounds.faults != Faults::default()
}

fn parks(bounds: &Bounds) -> bool {
    bounds.faults.rejections > 1 || bounds.auditor && bounds.faults.rejections > 0
}

/// Those of them that these bounds allow.
pub(crate) fn reached(bounds: &Bounds) -> Vec<Property<World>> {
    let possible = REACHED.iter().filter(|(_, _, is_possible)| is_possible(bounds));
    possible.map(|(name, holds, _)| Property::sometimes(name, *holds)).collect()
}

impl World {
    /// Does the code that moved the cursor last know the type of this row, and handle it?
    fn wants(&self, state: &State, seq: u8) -> bool {
        let kind = self.bounds.journal[usize::from(seq) - 1];
        let is_new = kind == Type::Moved && state.row.is_some_and(|row| row.generation == 1);
        kind.is_wanted() && !is_new
    }

    /// At rest, behind the journal, and neither parked nor kept back by order. To go on again takes the auditor.
    fn is_stuck(&self, state: &State) -> bool {
        let waits = state.is_held() && (state.hold == Hold::Ordered || !self.bounds.auditor);
        state.is_at_rest() && !state.is_parked() && !waits && state.is_behind(&self.bounds.journal)
    }

    /// Does the auditor wake it, now or when it is due?
    fn will_tick(&self, state: &State) -> bool {
        let mut later = state.clone();
        later.minutes();
        self.ticks(&later)
    }

    fn has_lost(&self, state: &State) -> bool {
        state.left.losses < self.bounds.faults.losses
    }

    fn is_complete(&self, state: &State) -> bool {
        usize::from(state.head) == self.bounds.journal.len() && state.is_done(&self.bounds.journal)
    }

    /// Whoever is at work comes to an end by and by, so what is promised in the end is asked where nobody is.
    fn is_worth_a_forecast(&self, state: &State) -> bool {
        state.is_idle() && (self.bounds.auditor || !self.has_lost(state) && self.bounds.faults.holds == 0)
    }

    fn works(&self, state: &State, so: fn(&Page) -> bool) -> bool {
        self.pages_at_work(state).iter().any(|page| so(page))
    }

    pub(crate) fn pages_at_work(&self, state: &State) -> Vec<Arc<Page>> {
        state.workers.iter().flatten().map(|worker| self.book.page(worker.page)).collect()
    }
}
