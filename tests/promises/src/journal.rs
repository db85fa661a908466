//! P0 and P10: a state change and its event are one; a place in the journal is taken once.

use anyhow::{Result, ensure};
use towpath::commit::Commit;
use towpath::ports::{CommitError, Store, Write};

use crate::Test;
use crate::stack::{Stack, order_of, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p0_the_entity_is_at_the_version_of_its_last_event", atomic),
    ("p10_a_place_in_the_journal_is_taken_once", once),
    ("p10_a_put_whose_answer_was_lost_is_known_again", lost_answer),
];

fn atomic(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p0", "k-1", "tea")?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p0", "k-2", "{}")?;
        let rows = stack.journal(&order).await?;
        let stored = stack.store()?.entity(&order).await?;
        ensure!(rows.len() == 2 && stored.is_some_and(|stored| stored.head.seq.0 == 2));
        let refused = stack.ask("POST", "/orders", "p0", "k-1", &order_of("cup"))?;
        ensure!(refused.status == 422 && stack.journal(&order).await?.len() == 2);
        Ok(())
    })
}

fn once(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p10", "k-1", "tea")?;
        let mut row = stack.journal(&order).await?.remove(0);
        row.envelope.event_id = towpath::EventId::new(row.envelope.occurred_at, 42);
        let again = stack.store()?.commit(&Commit::new(vec![Write::Append(row)])?).await;
        ensure!(again == Err(CommitError::Refused(vec![0])), "{again:?}");
        Ok(())
    })
}

fn lost_answer(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p10-lost", "k-1", "tea")?;
        let row = stack.journal(&order).await?.remove(0);
        let again = stack.store()?.commit(&Commit::new(vec![Write::Append(row)])?).await;
        ensure!(again == Ok(()), "the same event at the same place is this very write: {again:?}");
        Ok(())
    })
}
