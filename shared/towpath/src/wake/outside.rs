//! What a wake has to know of effects outside that nobody may have twice: whether an attempt may have had it, what an operator
//! has to find out, and that a ticket is no answer to that.
//! Must not know: providers, when an attempt is made.

use super::{Advance, View};
use crate::apply::Applied;
use crate::effect::EffectKey;
use crate::planted::is_on;
use crate::trouble::Trouble;
use crate::{Envelope, Failure, Instruction, Verb};

impl Advance<'_> {
    /// What an operator has to find out.
    pub(super) fn unknown(&self, row: &Envelope, why: &str) -> Failure {
        let key = EffectKey::new(self.worker.consumer.name(), row.event_id);
        Failure::unknown(format!(
            "{why}: ask the provider for what has the idempotency key {key} or belongs to this event; then skip it if the provider \
             has it, and retry it if not"
        ))
    }

    /// Did a ticket come back that cannot have its way? Then another one takes its place.
    pub(super) fn is_ticket_put_back(&self, view: &View) -> bool {
        let (Verb::Retry(order), Some(cursor)) = (&self.wake.verb, view.cursor()) else { return false };
        let is_left = |trouble: &Trouble| (trouble.is_unknown() || self.worker.held) && trouble.running.is_none();
        order.is_by_ticket() && cursor.rev == order.rev && view.trouble().is_some_and(is_left)
    }

    /// Can whoever orders this have asked the provider? Not while an attempt is under way. And a ticket says "try again" of
    /// whatever lies in a queue.
    pub(super) fn may_order(&self, view: &View, order: &Instruction) -> bool {
        let another_runs = self.worker.consumer.holds()
            && view.trouble().is_some_and(|trouble| trouble.running.is_some())
            && !view.cursor().is_some_and(|cursor| self.is_ours(cursor));
        if another_runs {
            return false;
        }
        let is_unknown = view.trouble().is_some_and(Trouble::is_unknown);
        !(order.is_by_ticket() && is_unknown) || is_on("45 a ticket has an unknown effect again")
    }
}

/// Has an attempt, as far as anybody knows, perhaps done something outside? A retry, where that counts, says that it has not.
pub(super) fn may_have_happened(ran: &Result<Applied, Failure>) -> bool {
    match ran {
        Ok(applied) => applied.reached_out,
        Err(failure) => !matches!(failure, Failure::Retry(_)),
    }
}
