//! The rows of a projection that is rebuilt: woken, waited for, compared.
//! Must not know: which builds there are, what is shown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::sleep;
use towpath::ports::{Consistency, CursorHome, CursorKey, Position, Store, Wakes};
use towpath::{AggregateKey, Rebuild, Verb, Wake};

use super::Work;
use crate::orders::ticks;
use crate::output::{Interrupt, bar, count, print};

/// Time between two looks at the rows.
const LOOK: Duration = Duration::from_secs(1);
/// A rebuild of which nothing moved for so long is not waited for any more.
const QUIET: Duration = Duration::from_secs(60);
/// Rows that are read at once.
const ROWS: usize = 500;

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
        let (wakes, mut ticks, sending) = (self.pipeline.wakes(), ticks(self.options.rate), bar(open.len(), "waking"));
        for aggregate in &open {
            ticks.tick().await;
            if interrupt.came() {
                break;
            }
            let wake = Wake { aggregate: aggregate.clone(), verb: Verb::Rebuild(rebuild) };
            let sent = wakes.wake(self.name(), &wake).await;
            sent.with_context(|| format!("{} could not be woken: the same command goes on", self.name()))?;
            sending.inc(1);
        }
        sending.finish_and_clear();
        let (mut moved, waiting) = (Instant::now(), bar(open.len(), "rebuilding"));
        while !open.is_empty() && !interrupt.came() && moved.elapsed() < QUIET {
            let left = self.open(done).await?;
            if left.len() != open.len() {
                moved = Instant::now();
            }
            open = left;
            waiting.set_position(waiting.length().unwrap_or_default().saturating_sub(open.len() as u64));
            if !open.is_empty() {
                sleep(LOOK).await;
            }
        }
        waiting.finish_and_clear();
        Ok(open.iter().map(ToString::to_string).collect())
    }

    /// The rows that there are and that are not done.
    pub(super) async fn open(&self, done: impl Fn(&Position) -> bool) -> Result<Vec<AggregateKey>> {
        let mut open = Vec::new();
        self.each(|aggregate, row| {
            if !done(row) {
                open.push(aggregate.clone());
            }
        })
        .await?;
        Ok(open)
    }

    /// Both states of each row: how many are equal byte for byte, and which are not.
    pub(super) async fn compare(&self, build: u32) -> Result<(usize, Vec<String>)> {
        let (mut equal, mut different, mut behind) = (0, Vec::new(), 0);
        self.each(|aggregate, row| match &row.beside {
            _ if !row.has(build) => behind += 1,
            Some(beside) if beside.state != row.state => different.push(aggregate.to_string()),
            _ => equal += 1,
        })
        .await?;
        if behind > 0 {
            bail!(
                "{} lost the new build while it was compared: the same command goes on",
                count(behind, "row", "rows")
            );
        }
        Ok((equal, different))
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
