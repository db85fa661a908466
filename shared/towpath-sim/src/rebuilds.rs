//! Rebuilds: somebody orders one of a projection, while its events go on and everything goes wrong; some go back, some
//! drop a build. What must be true of a row with two builds is checked at each write of it (P8).
//! Must not know: how a row is folded.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::FutureExt;
use towpath::ports::{Consistency, CursorHome, CursorKey, Position, Store, Unavailable, Wakes};
use towpath::{AggregateKey, Builds, Rebuild, Step, Verb, Wake};

use crate::Instance;
use crate::cloud::Cloud;
use crate::lambda::{Done, Role};
use crate::people::SITTING;
use crate::plan::{MINUTE, SECOND};
use crate::seen::Sight;

impl Cloud {
    /// Somebody sits down to a rebuild; whoever is cut off sits down again.
    pub(crate) fn sit_down_to_rebuild(&mut self) {
        let projections: Vec<usize> = (0..self.consumers.len())
            .filter(|at| self.consumers[*at].subject.consumer.home() == CursorHome::Views)
            .collect();
        let Some(consumer) = projections.first().copied() else { return };
        let subject = Rc::clone(&self.consumers[consumer].subject);
        let wants = self.db.tables.outbox.iter().filter(|(_, row)| subject.consumer.wants(row));
        let aggregates: BTreeSet<AggregateKey> = wants.map(|((key, _), _)| key.clone()).collect();
        let moods = (self.dice.chance(3_000), self.dice.chance(3_000));
        self.start(Role::Operator, SITTING, move |instance| {
            async move {
                let key = |aggregate| CursorKey { aggregate, consumer: subject.consumer.name().clone() };
                let keys: Vec<CursorKey> = aggregates.into_iter().map(key).collect();
                let _done_or_next_time = sitting(&instance, &keys, moods).await;
                Done::Operator
            }
            .boxed_local()
        });
        let wait = self.dice.between(MINUTE, 20 * MINUTE);
        if self.now() < self.settings.repair_at {
            self.after(wait, Cloud::sit_down_to_rebuild);
        }
    }

    /// P8: both builds of a row say the same as soon as they are level, no build is ahead of the row, none falls behind
    /// again, and none goes but by order.
    pub(crate) fn check_builds(&mut self, key: &CursorKey, before: Option<&Position>, after: &Position) {
        let of = &key.aggregate;
        let builds = self.db.tables.builds.get(&key.consumer).copied().unwrap_or_default();
        if let Some(beside) = &after.beside {
            let level = beside.seq == after.cursor.seq;
            self.seen.count(Sight::Happened(if level { "two builds level" } else { "a build behind" }));
            if beside.seq > after.cursor.seq {
                let why = format!("build {} is at {}, the row at {}", beside.build, beside.seq, after.cursor.seq);
                self.broken("P8", Some(of), why);
            } else if level && beside.state != after.state {
                let why = format!("built once more the row is {:?}, live it is {:?}", beside.state, after.state);
                self.broken("P8", Some(of), why);
            }
        }
        let Some(before) = before else { return };
        let Some(was) = before.beside.as_ref().filter(|was| was.seq == before.cursor.seq) else { return };
        // If the other one's fold fails, the live build is alone in the row: then it is no longer beside anything.
        let alone = after.beside.is_none() && was.build == builds.live;
        let stays = builds.other.is_some() && was.build == builds.last && !alone;
        if stays && !after.has(was.build) {
            self.broken("P8", Some(of), format!("build {} was level, and an event passed it by", was.build));
        }
    }
}

/// What one sitting does, by what there is: it begins and fills, or swaps, or removes one.
async fn sitting(instance: &Instance, keys: &[CursorKey], (goes_back, drops): (bool, bool)) -> Result<(), Unavailable> {
    let Some(first) = keys.first() else { return Ok(()) };
    let name = &first.consumer;
    let builds = instance.builds(name, Consistency::Strong).await?;
    match builds.other {
        None if builds.last == 1 || drops && builds.last < 4 => {
            let Some(begun) = builds.begun() else { return Ok(()) };
            instance.keep_builds(name, begun, builds.rev).await?;
            fill(instance, keys, begun).await
        }
        None => Ok(()),
        Some(new) if new > builds.live && goes_back && drops => {
            let Some(left) = builds.without(new) else { return Ok(()) };
            instance.keep_builds(name, left, builds.rev).await?;
            wake_all(instance, keys, Rebuild { build: new, step: Step::Discard }).await
        }
        Some(new) if new > builds.live => fill(instance, keys, builds).await,
        Some(old) if drops => {
            let Some(left) = builds.without(old) else { return Ok(()) };
            instance.keep_builds(name, left, builds.rev).await?;
            wake_all(instance, keys, Rebuild { build: builds.live, step: Step::Keep }).await
        }
        Some(_) if goes_back => {
            let Some(back) = builds.swapped() else { return Ok(()) };
            instance.keep_builds(name, back, builds.rev).await
        }
        Some(_) => Ok(()),
    }
}

/// Wakes for each row, then waits, then looks at all of them; only then is the new build what readers see.
async fn fill(instance: &Instance, keys: &[CursorKey], builds: Builds) -> Result<(), Unavailable> {
    wake_all(instance, keys, Rebuild { build: builds.last, step: Step::Fill }).await?;
    instance.sleep_a_while(20 * SECOND).await;
    let rows = instance.positions(CursorHome::Views, keys, Consistency::Strong).await?;
    let filled = rows.iter().flatten().all(|row| row.has(builds.last));
    match builds.swapped().filter(|_| filled) {
        Some(swapped) => instance.keep_builds(&keys[0].consumer, swapped, builds.rev).await,
        None => Ok(()),
    }
}

async fn wake_all(instance: &Instance, keys: &[CursorKey], rebuild: Rebuild) -> Result<(), Unavailable> {
    for key in keys {
        let wake = Wake { aggregate: key.aggregate.clone(), verb: Verb::Rebuild(rebuild) };
        instance.wake(&key.consumer, &wake).await?;
    }
    Ok(())
}
