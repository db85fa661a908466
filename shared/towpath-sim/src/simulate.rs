//! One run: a seed decides everything. First things go wrong, then they are calm, then they are repaired, then all is
//! at rest and is checked.
//! Must not know: the domain.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use towpath::audit::{AuditOptions, tick};
use towpath::{Lanes, TenantId};

use towpath::planted::is_on;

use crate::cloud::{Broken, Cloud};
use crate::dice::{Clock, Dice, Millis, millis};
use crate::lambda::{Deployed, Done, Role};
use crate::mishap::{Odds, Part};
use crate::people::Client;
use crate::plan::{AtRest, HOUR, MINUTE, Plan, SECOND, Settings};
use crate::seen::{Seen, Sight};
use crate::slot::Slot;
use crate::trace::Line;

/// The auditor's time.
const AUDIT_TIMEOUT: Millis = 55 * SECOND;
/// Lines of the timeline that are shown when a promise is broken.
const LINES: usize = 120;

/// What a handler of a test may say when it panics on purpose.
pub const ON_PURPOSE: &str = "on purpose";

thread_local! {
    static FATE: Cell<Option<Fate>> = const { Cell::new(None) };
    static OUTSIDE: Cell<bool> = const { Cell::new(false) };
    static WAITS: RefCell<Vec<(Millis, Slot<()>)>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Hangs,
    Dies,
}

/// For a handler under test: its process does nothing any more, until its time is over.
pub async fn hang() {
    FATE.set(Some(Fate::Hangs));
    std::future::pending::<()>().await;
}

/// For a handler under test: its process is gone, as when its memory is exhausted.
pub async fn die() {
    FATE.set(Some(Fate::Dies));
    std::future::pending::<()>().await;
}

/// For a handler under test: it has called a service outside, as one that sends a mail does.
pub fn call_outside() {
    OUTSIDE.set(true);
}

/// For a handler under test: a service outside takes so long to answer.
pub async fn wait(time: Duration) {
    let slot = Slot::new();
    WAITS.with_borrow_mut(|waits| waits.push((millis(time), slot.clone())));
    slot.await;
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// Tells runs apart: the same seed and the same code give the same hash (P16).
    pub hash: u64,
    /// What was reached.
    pub seen: Seen,
    /// Rows in the journal at the end.
    pub events: usize,
    /// Tenants that have one.
    pub tenants: usize,
    /// Consumers that ran.
    pub consumers: usize,
    /// What happened, in the order in which it did: when, who, what. Empty, unless the run was to be readable.
    pub timeline: Vec<String>,
    /// Which promise was broken, how, and what led to it.
    pub broken: Option<String>,
}

/// Runs what `plan` makes, as `seed` decides. With `readable`, a broken promise comes with its timeline.
pub fn simulate(seed: u64, readable: bool, plan: impl FnOnce(&mut Dice, &Clock) -> Plan) -> Run {
    let mut dice = Dice::new(seed);
    let settings = Settings::draw(&mut dice);
    let odds = Odds::draw(&mut dice, settings.calm_at);
    run(dice, settings, odds, readable, plan)
}

/// The same in a world where nothing goes wrong but what the plan's own handlers do, set up as the template says.
pub fn in_calm(seed: u64, plan: impl FnOnce(&mut Dice, &Clock) -> Plan) -> Run {
    in_calm_with(Lanes::all(1), seed, plan)
}

/// The same with these lanes.
pub fn in_calm_with(lanes: Lanes, seed: u64, plan: impl FnOnce(&mut Dice, &Clock) -> Plan) -> Run {
    run(Dice::new(seed), Settings { lanes, ..Settings::usual() }, Odds::none(), true, plan)
}

fn run(
    mut dice: Dice,
    settings: Settings,
    odds: Odds,
    readable: bool,
    plan: impl FnOnce(&mut Dice, &Clock) -> Plan,
) -> Run {
    let clock = Clock::default();
    let plan = plan(&mut dice, &clock);
    let consumers = plan.subjects.into_iter().map(Deployed::new).collect();
    let clients = plan.commands.into_iter().map(|command| Client { command, content: false }).collect();
    let drawn = format!("{settings}{odds}");
    let cloud = Cloud::new(dice, clock, (odds, settings), consumers, clients, readable);
    schedule(&mut cloud.borrow_mut(), &plan.repaired, &Rc::from(plan.at_rest));
    while step(&cloud) {}
    let mut cloud = cloud.borrow_mut();
    cloud.stop();
    let broken = cloud.broken.take().map(|broken| explain(&cloud, &broken, &drawn));
    let rows = &cloud.db.tables.outbox;
    let tenants: BTreeSet<&TenantId> = rows.keys().map(|(aggregate, _)| &aggregate.tenant).collect();
    let (events, tenants, consumers) = (rows.len(), tenants.len(), cloud.consumers.len());
    let timeline = cloud.trace.lines().iter().map(ToString::to_string).collect();
    Run { hash: cloud.trace.hash(), seen: cloud.seen.clone(), events, tenants, consumers, timeline, broken }
}

/// What is known to happen from the beginning.
fn schedule(cloud: &mut Cloud, repaired: &Rc<Cell<bool>>, at_rest: &Rc<AtRest>) {
    for client in 0..cloud.clients.len() {
        let at = crate::dice::millis(cloud.clients[client].command.at);
        let at = at % cloud.settings.busy_until;
        cloud.after(at, move |cloud| cloud.ask(client));
    }
    for at in cloud.odds.purges().to_vec() {
        cloud.after(at, Cloud::purge);
    }
    cloud.after(MINUTE, audit);
    let first = cloud.dice.between(MINUTE, 20 * MINUTE);
    cloud.after(first, visit);
    if let Some(at) = cloud.settings.replay_at {
        cloud.after(at, Cloud::order_replay);
    }
    for at in cloud.settings.lanes_at.clone() {
        cloud.after(at, Cloud::change_lanes);
    }
    for at in cloud.settings.holds_at.clone() {
        cloud.after(at, Cloud::order_hold);
    }
    if let Some(at) = cloud.settings.rebuild_at {
        cloud.after(at, Cloud::sit_down_to_rebuild);
    }
    cloud.after(cloud.settings.calm_at, |cloud| {
        cloud.odds.calm();
        cloud.note("calm", 0, || ("the world".to_owned(), "nothing goes wrong from now on".to_owned()));
    });
    let (repaired, at_rest) = (Rc::clone(repaired), Rc::clone(at_rest));
    let mended = Rc::clone(&repaired);
    cloud.after(cloud.settings.mended_at.min(cloud.settings.repair_at - 1), move |cloud| {
        if cloud.settings.mended_at < cloud.settings.repair_at {
            mended.set(true);
            cloud.note("mended", 0, || ("the world".to_owned(), "a mended version is deployed".to_owned()));
        }
    });
    cloud.after(cloud.settings.repair_at, move |cloud| {
        cloud.check_contained();
        repaired.set(true);
        cloud.note("repaired", 0, || ("the world".to_owned(), "nothing fails any more".to_owned()));
        settle(cloud, false, at_rest);
    });
}

/// The auditor's tick, each minute; seldom while everybody waits for the repair.
fn audit(cloud: &mut Cloud) {
    if !cloud.is_away(Part::Auditor) && !is_on("5 nothing finds what was given up") {
        cloud.start(Role::Audit, AUDIT_TIMEOUT, |instance| {
            async move { Done::Audit(tick(instance.audit_ports(), audit_options()).await) }.boxed_local()
        });
    }
    let wait = if cloud.settings.is_waiting(cloud.now()) { 10 * MINUTE } else { MINUTE };
    cloud.after(wait, audit);
}

/// So few rows are woken at a time that a tenant that goes on is not done in one tick.
fn audit_options() -> AuditOptions {
    let options = AuditOptions { resumes: 5, ..AuditOptions::default() };
    if is_on("68 watermark without overlap") {
        return AuditOptions { overlap: Duration::ZERO, sweep_pages: 0, ..options };
    }
    options
}

/// The operators' visits, again and again.
fn visit(cloud: &mut Cloud) {
    cloud.operate();
    let waiting = cloud.settings.is_waiting(cloud.now());
    let wait = cloud.dice.between(2 * MINUTE, if waiting { 10 * HOUR } else { 30 * MINUTE });
    cloud.after(wait.min(cloud.settings.repair_at.saturating_sub(cloud.now()).max(MINUTE)), visit);
}

/// Looks each minute whether all is at rest. Then every ticket that is left is redriven once more, which must change
/// nothing (P7), and then all is checked.
fn settle(cloud: &mut Cloud, stirred: bool, at_rest: Rc<AtRest>) {
    match (cloud.is_at_rest(), stirred) {
        (true, true) => {
            cloud.check_rest(&*at_rest);
            cloud.stop();
        }
        (true, false) => {
            if cloud.settings.crew != crate::plan::Crew::Absent {
                (0..cloud.consumers.len()).for_each(|consumer| cloud.redrive(consumer, false));
            }
            cloud.after(MINUTE, move |cloud| settle(cloud, true, at_rest));
        }
        (false, _) if cloud.now() > cloud.settings.end_at => {
            let (what, about) = cloud.unrest().unwrap_or_default();
            cloud.broken("P13", about.as_ref(), format!("hours after the repair something still moves: {what}"));
        }
        (false, _) => cloud.after(MINUTE, move |cloud| settle(cloud, stirred, at_rest)),
    }
}

/// The next thing happens, and every process goes on that can. `false` at the end.
fn step(cloud: &Rc<RefCell<Cloud>>) -> bool {
    if cloud.borrow().broken.is_some() || !cloud.borrow_mut().advance() {
        return false;
    }
    loop {
        let Some((id, mut future)) = cloud.borrow_mut().next_ready() else { return true };
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll_unpin(&mut Context::from_waker(Waker::noop()))));
        if OUTSIDE.take() {
            cloud.borrow_mut().called_outside(id);
        }
        for (time, slot) in WAITS.take() {
            cloud.borrow_mut().after(time, move |cloud| {
                slot.fill(());
                cloud.rouse(id);
            });
        }
        match (polled, FATE.take()) {
            (Ok(Poll::Ready(done)), _) => cloud.borrow_mut().finish(id, done),
            (Ok(Poll::Pending), None) => cloud.borrow_mut().put_back(id, future),
            (Ok(Poll::Pending), Some(Fate::Hangs)) => {
                // Its future is dropped: it would never be polled again. Its deadline ends the process.
                cloud.borrow_mut().seen.count(Sight::Happened("hung"));
            }
            (Ok(Poll::Pending), Some(Fate::Dies)) => {
                cloud.borrow_mut().seen.count(Sight::Happened("died"));
                cloud.borrow_mut().kill(id, "died");
            }
            (Err(panic), _) if said(&*panic) == ON_PURPOSE => cloud.borrow_mut().kill(id, "panicked"),
            (Err(panic), _) => {
                let why = format!("process {id} panicked: {}", said(&*panic));
                cloud.borrow_mut().broken("P14", None, why);
                return false;
            }
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied()).unwrap_or_default()
}

/// The broken promise, the odds, and the end of the timeline: all that names the aggregate, and the last lines of all.
fn explain(cloud: &Cloud, broken: &Broken, drawn: &str) -> String {
    let Broken { promise, why, about } = broken;
    let about = about.as_ref().map(ToString::to_string);
    let mut text = format!("{promise} is broken");
    if let Some(about) = &about {
        let _infallible = write!(text, " for {about}");
    }
    let _infallible = write!(text, ": {why}\n{drawn}");
    let lines = cloud.trace.lines();
    // What the auditor looks at, minute after minute, tells nothing; what it then does is told.
    let telling = |line: &&Line| {
        let is_look = line.who.contains("auditor") && line.what.starts_with("positions");
        !is_look && about.as_ref().is_some_and(|about| line.what.contains(about.as_str()))
    };
    let named: Vec<_> = lines.iter().filter(telling).collect();
    for line in &named[named.len().saturating_sub(LINES)..] {
        let _infallible = writeln!(text, "{line}");
    }
    let _infallible = writeln!(text, "  … and the last lines of all:");
    for line in &lines[lines.len().saturating_sub(LINES / 2)..] {
        let _infallible = writeln!(text, "{line}");
    }
    text
}

/// Panics on purpose say nothing on the terminal from now on.
pub fn quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if said(info.payload()) != ON_PURPOSE {
                earlier(info);
            }
        }));
    });
}
