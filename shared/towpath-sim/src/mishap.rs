//! What can go wrong, and how often in one run: every seed draws its own rates, so that runs differ in kind.
//! Must not know: what a mishap does; that stands where it strikes.

use std::fmt;

use crate::Fault;
use crate::dice::{Dice, Millis};

const MINUTE: Millis = 60_000;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// With one call of a process (F1 to F4).
    Call(Fault),
    /// A call takes seconds.
    SlowCall,
    /// A read that may be old is old (F19).
    StaleRead,
    /// A snapshot is old, or somebody has deleted it.
    SnapshotLost,
    /// An index shows a write late (F19).
    IndexLag,
    /// One entry of a publish request is refused (F5).
    EntryRefused,
    /// The topic refuses one event however often it is sent.
    Unpublishable,
    /// One entry of a request to the integration bus is refused (F5).
    PutRefused,
    /// The stream offers a record late, after others (F7).
    RecordLate,
    /// The topic does not deliver a message to one queue.
    DeliveryLost,
    /// A message is delivered again, beyond the deduplication window (F10).
    DeliveryDoubled,
    /// A message that was handled is not deleted, so it is delivered again (F6).
    AckLost,
    /// A message becomes visible while it is being handled (F11).
    VisibilityLost,
    /// A message that is no event of its group lies in a queue.
    HostileMessage,
    /// A process's clock is wrong (F15).
    ClockSkew,
    /// A queue is emptied (F13).
    QueuePurged,
    /// Something is away for minutes.
    Outage(Part),
}

/// What can be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The tables.
    Store,
    /// The dead-letter queues (F14).
    DeadLetters,
    /// The wake queues.
    Wakes,
    /// The topic.
    Topic,
    /// The integration bus.
    Bus,
    /// The relay's mapping.
    Relay,
    /// The consumers' mappings.
    Consumers,
    /// The auditor.
    Auditor,
}

impl Mishap {
    /// Every mishap.
    pub const ALL: [Self; 29] = [
        Self::Call(Fault::CrashBefore),
        Self::Call(Fault::CrashAfter),
        Self::Call(Fault::AnswerLost),
        Self::Call(Fault::Duplicated),
        Self::Call(Fault::Delayed),
        Self::Call(Fault::Refused),
        Self::SlowCall,
        Self::StaleRead,
        Self::SnapshotLost,
        Self::IndexLag,
        Self::EntryRefused,
        Self::Unpublishable,
        Self::PutRefused,
        Self::RecordLate,
        Self::DeliveryLost,
        Self::DeliveryDoubled,
        Self::AckLost,
        Self::VisibilityLost,
        Self::HostileMessage,
        Self::ClockSkew,
        Self::QueuePurged,
        Self::Outage(Part::Store),
        Self::Outage(Part::DeadLetters),
        Self::Outage(Part::Wakes),
        Self::Outage(Part::Topic),
        Self::Outage(Part::Bus),
        Self::Outage(Part::Relay),
        Self::Outage(Part::Consumers),
        Self::Outage(Part::Auditor),
    ];

    /// Rates of 10,000 to draw from, by what is counted: calls, reads, messages, processes, or runs.
    fn rates(self) -> [u32; 3] {
        match self {
            Self::Call(_) => [10, 60, 250],
            Self::SlowCall => [30, 200, 1_000],
            Self::StaleRead | Self::SnapshotLost | Self::IndexLag | Self::RecordLate | Self::ClockSkew => {
                [500, 2_000, 6_000]
            }
            Self::Unpublishable => [2, 5, 20],
            Self::EntryRefused | Self::PutRefused | Self::DeliveryLost | Self::DeliveryDoubled | Self::AckLost => {
                [50, 300, 1_500]
            }
            Self::VisibilityLost | Self::HostileMessage => [50, 200, 800],
            Self::QueuePurged | Self::Outage(_) => [3_000, 6_000, 10_000],
        }
    }
}

/// How often each mishap strikes in one run, and when things are away. All of it ends with the calm.
#[derive(Debug, Clone)]
pub(crate) struct Odds {
    of_10_000: Vec<(Mishap, u32)>,
    outages: Vec<Outage>,
    purges: Vec<Millis>,
    calm: bool,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    part: Part,
    from: Millis,
    until: Millis,
}

impl Odds {
    /// Draws the odds of a run whose safety phase ends at `calm_at`. Every other mishap does not exist in it.
    pub(crate) fn draw(dice: &mut Dice, calm_at: Millis) -> Self {
        let mut odds = Self { of_10_000: Vec::new(), outages: Vec::new(), purges: Vec::new(), calm: false };
        for mishap in Mishap::ALL {
            if dice.chance(5_000) {
                let rate = *dice.pick(&mishap.rates());
                odds.of_10_000.push((mishap, rate));
                match mishap {
                    Mishap::Outage(part) if dice.chance(rate) => {
                        let from = dice.between(0, calm_at);
                        let until = (from + dice.between(MINUTE / 4, 20 * MINUTE)).min(calm_at);
                        odds.outages.push(Outage { part, from, until });
                    }
                    Mishap::QueuePurged if dice.chance(rate) => odds.purges.push(dice.between(0, calm_at)),
                    _ => {}
                }
            }
        }
        odds
    }

    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self { of_10_000: Vec::new(), outages: Vec::new(), purges: Vec::new(), calm: true }
    }

    /// When a queue is emptied.
    pub(crate) fn purges(&self) -> &[Millis] {
        &self.purges
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm
    }

    pub(crate) fn strikes(&self, mishap: Mishap, dice: &mut Dice) -> bool {
        let rate = self.of_10_000.iter().find(|(drawn, _)| *drawn == mishap).map_or(0, |(_, rate)| *rate);
        !self.calm && dice.chance(rate)
    }

    pub(crate) fn is_away(&self, part: Part, now: Millis) -> bool {
        !self.calm && self.outages.iter().any(|out| out.part == part && (out.from..out.until).contains(&now))
    }
}

impl fmt::Display for Odds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (mishap, rate) in &self.of_10_000 {
            writeln!(f, "  {mishap:?}: {rate} of 10,000")?;
        }
        for Outage { part, from, until } in &self.outages {
            writeln!(f, "  {part:?} away from {} s to {} s", from / 1_000, until / 1_000)?;
        }
        for at in &self.purges {
            writeln!(f, "  a queue emptied at {} s", at / 1_000)?;
        }
        Ok(())
    }
}
