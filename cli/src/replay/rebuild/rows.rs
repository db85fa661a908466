//! The rows of a projection that is rebuilt: woken, waited for, compared.
//! Must not know: which builds there are, what is shown.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;
use towpath::ports::{Consistency, CursorHome, CursorKey, Position, Store, Wakes};
use towpath::{AggregateKey, Rebuild, Verb, Wake};

use super::Work;
use crate::orders::ticks;
use crate::output::{Interrupt, bar, print};

/// Time between two looks at the rows.
const LOOK: Duration = Duration::from_secs(1);
/// A rebuild of which nothing moved for so long is not waited for any more.
const QUIET: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const ROWS: usize = 500;

/// What a comparison of both builds came to.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) equal: usize,
    pub(super) different: Vec<String>,
    /// Rows that do not have all of the new build.
    pub(super) behind: usize,
}

impl Work<'_> {
    /// Wakes the consumer for each row that is not done, until none is left or nothing moves. The rows that are left.
    pub(super) async fn drive(
        &self,
        rebuild: Rebuild,
        done: impl Fn(&Position) -> bool + Copy,
        interrupt: &Interrupt,
    ) -> Result<Vec<String>> {
        let mut open = self.open(done).await?;
        if !self.options.json && !open.is_empty() {
            print("Cut off, the same command goes on.")?;
        }
        let bar = bar(open.len(), "rebuilding");
        let (mut woken, mut moved) = (BTreeSet::new(), Instant::now());
        while !open.is_empty() && !interrupt.came() && moved.elapsed() < QUIET {
            // A row that was not there at first is one whose first event was on its way.
            let new: Vec<&AggregateKey> = open.iter().filter(|aggregate| !woken.contains(*aggregate)).collect();
            if !new.is_empty() {
                self.wake(rebuild, &new, interrupt).await?;
                moved = Instant::now();
            }
            woken.extend(open.iter().cloned());
            sleep(LOOK).await;
            let left = self.open(done).await?;
            if left.len() != open.len() {
                moved = Instant::now();
            }
            open = left;
            bar.set_position(bar.length().unwrap_or_default().saturating_sub(open.len() as u64));
        }
        bar.finish_and_clear();
        Ok(open.iter().map(ToString::to_string).collect())
    }

    async fn wake(&self, rebuild: Rebuild, rows: &[&AggregateKey], interrupt: &Interrupt) -> Result<()> {
        let (wakes, mut ticks, bar) = (self.pipeline.wakes(), ticks(self.options.rate), bar(rows.len(), "waking"));
        for aggregate in rows {
            ticks.tick().await;
            if interrupt.came() {
                break;
            }
            let wake = Wake { aggregate: (*aggregate).clone(), verb: Verb::Rebuild(rebuild) };
            let sent = wakes.wake(self.name(), &wake).await;
            sent.with_context(|| format!("{} could not be woken: the same command goes on", self.name()))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The rows that there are and that are not done.
    async fn open(&self, done: impl Fn(&Position) -> bool) -> Result<Vec<AggregateKey>> {
        let mut open = Vec::new();
        self.each(|aggregate, row| {
            if !done(row) {
                open.push(aggregate.clone());
            }
        })
        .await?;
        Ok(open)
    }

    /// Both states of each row, byte for byte.
    pub(super) async fn compare(&self, build: u32) -> Result<Compared> {
        let mut compared = Compared::default();
        self.each(|aggregate, row| match &row.beside {
            _ if !row.has(build) => compared.behind += 1,
            Some(beside) if beside.state != row.state => compared.different.push(aggregate.to_string()),
            _ => compared.equal += 1,
        })
        .await?;
        Ok(compared)
    }

    async fn each(&self, mut see: impl FnMut(&AggregateKey, &Position)) -> Result<()> {
        let all: Vec<CursorKey> = self
            .aggregates
            .iter()
            .map(|aggregate| CursorKey { aggregate: aggregate.clone(), consumer: self.name().clone() })
            .collect();
        for keys in all.chunks(ROWS) {
            let rows = self.pipeline.store.positions(CursorHome::Views, keys, Consistency::Strong).await;
            let rows = rows.context("the rows cannot be read")?;
            keys.iter().zip(&rows).for_each(|(key, row)| row.iter().for_each(|row| see(&key.aggregate, row)));
        }
        Ok(())
    }
}
