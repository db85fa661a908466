//! x
#![allow(clippy::print_stdout)]
use model::journal::Type::*;
use model::search::search;
use model::state::{Bounds, Faults};
use model::world::World;

#[test]
fn tries() {
    let n = |name: &str, d: u8| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
    let kinds = std::env::var("J").unwrap_or("AAA".into());
    let journal = kinds
        .chars()
        .map(|c| match c {
            'A' => Added,
            'N' => Noted,
            'C' => Changed,
            _ => Moved,
        })
        .collect();
    let bounds = Bounds {
        journal,
        batch: n("BATCH", 1).into(),
        batches: n("BATCHES", 1).into(),
        committed: n("COMM", 1) > 0,
        wakes: n("WAKES", 1).into(),
        old_code: n("OLD", 0) > 0,
        auditor: n("AUD", 0) > 0,
        faults: Faults {
            crashes: n("CRASH", 0),
            losses: n("LOSS", 0),
            lost_tickets: n("LT", 0),
            copies: n("COPY", 0),
            expiries: n("EXP", 0),
            lost_answers: n("LA", 0),
            refusals: n("REF", 0),
            old_reads: n("OR", 0),
            timeouts: n("TO", 0),
            failures: n("FAIL", 0),
            rejections: n("REJ", 0),
            days: n("DAYS", 0),
            redrives: n("RED", 0),
            orders: n("ORD", 0),
        },
    };
    println!("{}", search(World::new(bounds)));
}
