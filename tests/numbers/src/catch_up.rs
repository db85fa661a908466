//! One aggregate with very many waiting events: caught up in slices, in order, in bounded memory.
//! Must not know: how a slice is cut.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use deployed::Deployed;
use serde::{Deserialize, Serialize};
use towpath::commit::Commit;
use towpath::ports::{Consistency, CursorHome, CursorKey, Store, Write};
use towpath::wake::{Outcome, handle_wake};
use towpath::{Consumer, Received, Seq, Tx, Wake};
use towpath_aws::{AwsStore, LambdaHost};
use towpath_sim::{Tables, World};

use crate::Row;
use crate::generated::{Generated, row};
use crate::shop::{Queues, Said, ports};

const LIMIT_KILOBYTES: u64 = 64 * 1024;
/// In the tables of the emulator, which sorts a whole partition for each page; and in a journal that is made as it is read.
const STORED: u64 = 10_000;
const GENERATED: u64 = 100_000;
/// Rows in one transaction while the journal is filled.
const FILL: u64 = 100;
/// Time of one invocation: hardly more than what is kept back at its end, so that there are several slices on a fast machine too.
const INVOCATION: Duration = Duration::from_millis(3_150);

/// What the process of its own says.
#[derive(Serialize, Deserialize)]
struct Measured {
    applied: u64,
    in_order: bool,
    slices: u64,
    seconds: f64,
    peak_kilobytes: u64,
}

pub(crate) fn measure(stack_file: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (events, options) in [(STORED, &[][..]), (GENERATED, &["--generated"])] {
        let output = Command::new(std::env::current_exe()?)
            .arg("--stack-file")
            .arg(stack_file)
            .args(["catch-up", &events.to_string()])
            .args(options)
            .output()?;
        ensure!(output.status.success(), "catch-up {events}: {}", String::from_utf8_lossy(&output.stderr));
        let said: Measured = serde_json::from_slice(&output.stdout)?;
        let holds =
            said.applied == events && said.in_order && said.peak_kilobytes <= LIMIT_KILOBYTES && said.slices > 1;
        let order = if said.in_order { "exact order" } else { "NOT in order" };
        let is = format!(
            "{} in {} slices, {order}, {:.0} s, peak {} MB",
            said.applied,
            said.slices,
            said.seconds,
            said.peak_kilobytes / 1024
        );
        rows.push(Row::new(
            format!("catch-up of one aggregate with {events} waiting events{}", options.concat().replace("--", ", ")),
            "in slices, exact order, ≤ 64 MB",
            is,
            holds,
        ));
    }
    Ok(rows)
}

/// Fills a journal of the stack, and catches up with it.
pub(crate) async fn stored(stack: &Deployed, events: u64) -> Result<()> {
    let (store, counter) = stack.counted_store()?;
    let tenant = format!("n{}-catch-up", std::process::id());
    fill(&store, &tenant, events).await?;
    counter.take();
    in_this_process(&store, &tenant, events).await
}

/// Catches up with a journal that takes no memory.
pub(crate) async fn generated(events: u64) -> Result<()> {
    in_this_process(&Generated { events, tables: World::new(Tables::default()) }, "acme", events).await
}

/// Forgets what came before, catches up, and says how it went on standard output.
async fn in_this_process(store: &dyn Store, tenant: &str, events: u64) -> Result<()> {
    reset_peak()?;
    let begun = Instant::now();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let consumer = counting(&seen);
    let slices = advance(store, &consumer, tenant).await?;
    let seqs = seen.take();
    let said = Measured {
        applied: seqs.len() as u64,
        in_order: seqs.iter().copied().eq((1..=events).map(Seq)),
        slices,
        seconds: begun.elapsed().as_secs_f64(),
        peak_kilobytes: peak_kilobytes()?,
    };
    let key = [CursorKey { aggregate: format!("{tenant}#machine#m-1").parse()?, consumer: consumer.name().clone() }];
    let at = store.positions(CursorHome::Progress, &key, Consistency::Strong).await?.pop().flatten();
    ensure!(at.is_some_and(|at| at.cursor.seq == Seq(events)), "the cursor is not at the end");
    crate::print(&serde_json::to_string(&said)?);
    Ok(())
}

fn counting(seen: &Rc<RefCell<Vec<Seq>>>) -> Consumer {
    let seen = Rc::clone(seen);
    Consumer::new("counting").on(async move |_: &towpath::Context<'_>, said: Received<Said<2>>| {
        seen.borrow_mut().push(said.envelope().seq);
        Ok(Tx::new())
    })
}

async fn advance(store: &dyn Store, consumer: &Consumer, tenant: &str) -> Result<u64> {
    let (queues, producer) = (Queues::default(), "numbers@1".parse()?);
    queues.0.borrow_mut().push(Wake::advance(format!("{tenant}#machine#m-1").parse()?));
    let mut slices = 0;
    while let Some(wake) = { queues.0.borrow_mut().pop() } {
        let host = LambdaHost::ending_in(INVOCATION);
        let report = handle_wake(consumer, ports(store, &host, &queues, &producer), &wake, 1).await;
        ensure!(report.outcome == Outcome::Done && report.counts.failures.is_empty(), "{report:?}");
        slices += 1;
    }
    Ok(slices)
}

/// The rows are private, so that the relay of the stack leaves them alone.
async fn fill(store: &AwsStore, tenant: &str, events: u64) -> Result<()> {
    let mut writes = Vec::new();
    for seq in 1..=events {
        writes.push(Write::Append(row(tenant, seq)?));
        if writes.len() as u64 == FILL || seq == events {
            store.commit(&Commit::new(std::mem::take(&mut writes))?).await?;
        }
    }
    Ok(())
}

/// Lets the kernel measure the peak of this process's memory from now on.
fn reset_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("the peak of memory can be measured on Linux only")
}

fn peak_kilobytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
