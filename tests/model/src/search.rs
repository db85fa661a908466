//! Searches a world whole, and says what was searched and, of a promise that does not hold, how it came to that.
//! Must not know: which worlds there are.

use std::fmt::{self, Display, Write as _};
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::act::{Action, How, Queue};
use crate::call::Job;
use crate::play::Next;
use crate::state::{Bounds, State};
use crate::world::World;

/// What a search came to.
pub struct Searched {
    /// Within which bounds.
    pub bounds: Bounds,
    /// Different states.
    pub states: usize,
    /// Steps of the longest way to one of them, by the shortest way there.
    pub depth: usize,
    /// Different moments of invocations of the real machines.
    pub moments: usize,
    /// How long it took.
    pub time: Duration,
    /// Promises that do not hold, each with a shortest story of how.
    pub broken: Vec<(&'static str, String)>,
    /// Interesting states that were not come to.
    pub missed: Vec<&'static str>,
}

/// Searches all states.
pub fn search(world: World) -> Searched {
    run(world, HasDiscoveries::All)
}

/// Searches until this promise is broken, or all states.
pub fn search_for(world: World, promise: &'static str) -> Searched {
    run(world, HasDiscoveries::AllOf([promise].into()))
}

fn run(world: World, until: HasDiscoveries) -> Searched {
    let (bounds, began) = (world.bounds.clone(), Instant::now());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = world.checker().threads(threads).finish_when(until).spawn_bfs().join();
    let world = checker.model();
    let found = checker.discoveries();
    let (mut broken, mut missed) = (Vec::new(), Vec::new());
    for property in world.properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Always, Some(path)) => broken.push((property.name, world.story(path.clone()))),
            (Expectation::Sometimes, None) => missed.push(property.name),
            _ => {}
        }
    }
    Searched {
        bounds,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        moments: world.pages(),
        time: began.elapsed(),
        broken,
        missed,
    }
}

impl Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bounds, seconds) = (format!("{:?}", self.bounds), self.time.as_secs_f32());
        writeln!(f, "{}", without_zeros(&bounds))?;
        writeln!(f, "{} states, depth {}, {} moments, {seconds:.1} s", self.states, self.depth, self.moments)?;
        for (promise, story) in &self.broken {
            writeln!(f, "BROKEN: {promise}\n{story}")?;
        }
        for missed in &self.missed {
            writeln!(f, "never came to: {missed}")?;
        }
        Ok(())
    }
}

/// What may not go wrong goes without saying.
fn without_zeros(bounds: &str) -> String {
    let said =
        bounds.replace("Bounds ", "").replace("Faults ", "").replace("{ crashes: 0, ", "{ ").replace(" }", ", }");
    let parts = said.split(", ").filter(|part| !part.ends_with(": 0")).collect::<Vec<_>>();
    parts.join(", ").replace(", }", " }")
}

impl World {
    /// A path as a story: each step, and the row after it where it changed.
    fn story(&self, path: Path<State, Action>) -> String {
        let (mut story, mut last) = (String::new(), None);
        for (state, action) in path.into_vec() {
            if state.row != last {
                last = state.row;
                let row = last.map_or("none".to_owned(), |row| format!("{row:?}"));
                let _ = writeln!(story, "      row: {row}, applied {:?}", state.applied);
            }
            let Some(action) = action else { break };
            let _ = writeln!(story, "  {}", self.tell(&state, action));
        }
        story
    }

    fn tell(&self, state: &State, action: Action) -> String {
        let worker = |slot: usize| {
            let Some(worker) = state.workers[slot] else { return String::new() };
            let page = self.book.page(worker.page);
            let job = match &page.of.job {
                Job::Wake(wake) => format!("{:?} {:?}", page.of.code, wake),
                Job::Batch(batch) => format!("{:?} {batch:?}", page.of.code),
            };
            let next = match &page.next {
                Next::Asks(call) => format!("{call:?}"),
                Next::Ends(end) => format!("acknowledges {end:?}"),
            };
            format!("[{job}] {next}")
        };
        match action {
            Action::Step(slot, How::Well) => worker(slot),
            Action::Step(slot, how) => format!("{}: {how:?}", worker(slot)),
            Action::Crash(slot) => format!("{}: CRASH before it", worker(slot)),
            Action::Expire(slot) => format!("{}: visibility expires", worker(slot)),
            Action::Batch(set, code) => {
                let messages = state.fifo.iter().enumerate().filter(|(at, _)| set & 1 << at != 0);
                format!("deliver to {code:?} code: {:?}", messages.map(|(_, message)| message).collect::<Vec<_>>())
            }
            Action::Wake(index, code) => format!("deliver to {code:?} code: {:?}", state.wakes[index]),
            Action::Lose(Queue::Fifo, index) => format!("lose {:?}", state.fifo[index]),
            Action::Lose(Queue::Wakes, index) => format!("lose {:?}", state.wakes[index]),
            other => format!("{other:?}"),
        }
    }
}
