//! Handlers that fail on purpose: a few times, or until a mended version is deployed.
//! Must not know: what the handlers do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use towpath::{Envelope, EventId, Failure};

use crate::{Dice, ON_PURPOSE};

/// How one consumer's handlers fail in one run.
pub(crate) struct Upset {
    temper: Temper,
    /// Decides which events are hit.
    salt: u64,
    failures: RefCell<BTreeMap<EventId, u32>>,
    repaired: Rc<Cell<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temper {
    /// They do not.
    Even,
    /// Some events fail a few times, then work.
    Flaky,
    /// Some events never work until the repair.
    Poison(Poison),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    Error,
    Reject,
    Panic,
}

impl Upset {
    pub(crate) fn draw(dice: &mut Dice, repaired: &Rc<Cell<bool>>) -> Self {
        let temper = match dice.between(0, 4) {
            0 => Temper::Even,
            1 => Temper::Flaky,
            _ => Temper::Poison(*dice.pick(&[Poison::Error, Poison::Reject, Poison::Panic])),
        };
        Self { temper, salt: dice.roll(), failures: RefCell::default(), repaired: Rc::clone(repaired) }
    }

    /// Does this event fail until the repair?
    pub(crate) fn is_poison(&self, of: &Envelope) -> bool {
        matches!(self.temper, Temper::Poison(_)) && self.hash(of).is_multiple_of(6)
    }

    /// Fails, if it is this event's turn.
    pub(crate) fn meet(&self, of: &Envelope) -> Result<(), Failure> {
        match self.temper {
            Temper::Flaky if self.hash(of).is_multiple_of(4) => {
                let mut failures = self.failures.borrow_mut();
                let failed = failures.entry(of.event_id).or_insert(0);
                *failed += 1;
                if u64::from(*failed) <= self.hash(of) % 3 + 1 {
                    Err(Failure::retry("flaky", ON_PURPOSE))
                } else {
                    Ok(())
                }
            }
            Temper::Poison(poison) if self.is_poison(of) && !self.repaired.get() => match poison {
                Poison::Error => Err(Failure::retry("poison", ON_PURPOSE)),
                Poison::Reject => Err(Failure::reject("poison", ON_PURPOSE)),
                Poison::Panic => panic!("{ON_PURPOSE}"),
            },
            _ => Ok(()),
        }
    }

    /// A number of this event in this run, by which some are hit.
    fn hash(&self, of: &Envelope) -> u64 {
        let place = format!("{}/{}/{}", self.salt, of.aggregate(), of.seq);
        place.bytes().fold(self.salt, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) >> 20
    }
}
