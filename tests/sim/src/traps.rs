//! The known bugs that the proof must find, and how soon it does.
//! Must not know: what each bug does; that stands where the bug is.

use towpath::planted::{switch_off, switch_on};
use towpath_sim::Seeds;

use crate::plan::plan;

/// Bugs by the numbers of the list of traps, as the code names them.
///
/// Not here: 61 (unpark, then wake) and 63 (a ticket's body executed). An order travels inside the wake and is carried out
/// by the consumer, and a ticket has a type of its own, which no handler takes: neither can be written down.
pub const BUGS: &[&str] = &[
    "cursor-rule-removed",
    "gap ignored",
    "acknowledged before the commit",
    "skipped off the record",
    "ticket acknowledged because parked",
    "handed over though no wake was sent",
    "1 stream order trusted",
    "2 later entries before the refused one",
    "3 parallel within a group",
    "5 nothing finds what was given up",
    "5 nobody looks at what is overdue",
    "8 order of ids instead of seq",
    "9 failed entries ignored",
    "10 unreadable ones acknowledged and not kept",
    "11 equal contents are one event",
    "13 cursor apart from the effects",
    "14 an attempt that never expires",
    "19 cursor without its consumer",
    "21 any cancelled is a duplicate",
    "22 lost answer not read back",
    "23 row read eventually",
    "25 unknown outcome taken for done",
    "27 later ones not reported",
    "28 going on behind a failure",
    "30 redelivered ones run in the queue",
    "32 the rest not reported at the deadline",
    "32 a wake out of time is deleted",
    "39 acknowledged though it was not sent",
    "40 an order for any rev",
    "52 tenant taken from the body",
    "55 marked before the wake",
    "56 condition on the cursor only",
    "57 stale retrying believed",
    "58 no-op on a ready row",
    "59 followers read before the commit",
    "60 parked before the ticket",
    "62 counted after the run",
    "64 status written over the row",
    "65 filter wider than the code",
    "68 watermark without overlap",
    "69 parked by count",
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
