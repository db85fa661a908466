//! The known bugs that the proof must find, and how soon it does.
//! Must not know: what each bug does; that stands where the bug is.

use towpath::planted::{switch_off, switch_on};
use towpath_sim::Seeds;

use crate::plan::plan;

/// Bugs by the numbers of the list of traps, as the code names them.
///
/// Not here, because it cannot be written down: 61 (unpark, then wake) and 63 (a ticket's body executed), as an order travels
/// inside the wake and is carried out by the consumer, and a ticket has a type of its own, which no handler takes; 16 (a key
/// recomputed from what the handler changed), as an event's key is its place in the journal; 17 (seconds for milliseconds),
/// as times have a type of their own; 34 (state of another tenant in a warm process), as the machines keep none.
///
/// Not here, because it is nobody's code but an author's or AWS's: 18 (TTL as correctness: nothing reads it), 35 (retries of
/// several layers: the SDK's are bounded by the invocation's time), 43 (a redrive tool that drops the group: tests/promises
/// redrives as the console does). Nor does the simulator look at logs (53), or have rows that are deleted (54).
///
/// Not here, because only the model checker sees it: "65 older code not noticed"; or because the shop's aggregates are too
/// short for it: "49 a build without its own cursor", which tests/sim/tests/rebuild.rs finds; or its sagas too quick: "66 a
/// timer is stale when its saga has moved", which tests/sim/tests/timers.rs finds; or because it has no limits: 50 and 51,
/// which tests/sim/tests/limits.rs finds.
///
/// Not here, because it is a line of the template, whose rules tests/tidy breaks one by one: 6, 7, 26, 31, 33, 37, 42.
pub const BUGS: &[&str] = &[
    "cursor-rule-removed",
    "gap ignored",
    "acknowledged before the commit",
    "skipped off the record",
    "a skipped command has no answer",
    "what is not public leaves",
    "what is not public is named",
    "ticket acknowledged because parked",
    "handed over though no wake was sent",
    "held without a mark",
    "a resume forgets what is marked",
    "a hold forgets the attempt",
    "1 stream order trusted",
    "2 later entries before the refused one",
    "3 parallel within a group",
    "4 a shard waits for its worst record",
    "5 nothing finds what was given up",
    "5 nobody looks at what is overdue",
    "8 order of ids instead of seq",
    "9 failed entries ignored",
    "9 failed entries of the bus ignored",
    "10 unreadable ones acknowledged and not kept",
    "11 equal contents are one event",
    "12 an effect's key is the attempt's",
    "12 a message with another id is another event",
    "13 cursor apart from the effects",
    "14 an attempt that never expires",
    "15 the attempt of another is ended",
    "19 cursor without its consumer",
    "20 a command is known for ten minutes",
    "20 a request's hash with the time in it",
    "21 any cancelled is a duplicate",
    "22 lost answer not read back",
    "23 row read eventually",
    "24 the same item twice in one transaction",
    "25 unknown outcome taken for done",
    "25 an unknown effect had again",
    "27 later ones not reported",
    "28 going on behind a failure",
    "29 one group fails all groups",
    "30 redelivered ones run in the queue",
    "32 the rest not reported at the deadline",
    "32 a wake out of time is deleted",
    "36 newer ones pass a parked one",
    "36 an older one runs behind newer ones",
    "38 a redriven ticket is put back",
    "39 acknowledged though it was not sent",
    "40 an order for any rev",
    "41 a replay of whatever there is",
    "44 timers outlive their saga",
    "45 undone though nobody knows whether it was done",
    "46 nobody looks at timers",
    "47 a saga's state apart from its commands",
    "45 a ticket has an unknown effect again",
    "48 a build filled to a moving end",
    "48 a build that events pass by",
    "48 a build with what was skipped",
    "52 tenant taken from the body",
    "55 marked before the wake",
    "56 condition on the cursor only",
    "57 stale retrying believed",
    "58 no-op on a ready row",
    "59 followers read before the commit",
    "60 parked before the ticket",
    "62 counted after the run",
    "62 an effect before its mark",
    "64 status written over the row",
    "65 filter wider than the code",
    "67 a read that guards nothing",
    "68 watermark without overlap",
    "69 parked by count",
    "a snapshot taken for the state",
];

/// The most seeds that a bug may survive.
pub const SEEDS: u64 = 20_000;

/// Puts each bug back whose name begins so, and prints a row of a table for each: seeds until it was found, its name, and
/// the promise that it broke. The survivors.
pub fn hunt(only: &str) -> Vec<&'static str> {
    let mut survivors = Vec::new();
    println!("{:>6}  {:<44} killed by", "seeds", "bug");
    for bug in BUGS.iter().filter(|bug| bug.starts_with(only)) {
        switch_off();
        switch_on(bug);
        match Seeds::run(0..SEEDS, plan) {
            Err(failing) => {
                let why = failing.why.lines().next().unwrap_or_default();
                println!("{:>6}  {bug:<44} {}", failing.runs, why.chars().take(150).collect::<String>());
            }
            Ok(_) => {
                println!("{SEEDS:>6}  {bug:<44} survived");
                survivors.push(*bug);
            }
        }
    }
    switch_off();
    survivors
}
