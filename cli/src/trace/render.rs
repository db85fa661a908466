//! Trees of causes as lines for a terminal.
//! Must not know: where the trees come from.

use std::collections::BTreeSet;

use towpath::Visibility;

use super::outcome::Outcome;
use super::tree::{Branch, Node};
use crate::output::{Age, count, plain, short, short_class};

/// Longest error in a line, in characters.
const MESSAGE: usize = 160;

/// What hangs below a line.
enum Below<'a> {
    Consumer(&'a Branch),
    Event(&'a Node),
}

/// The trees, each headed by the request that set it in motion.
pub(super) fn text(trees: &[Node], cut: bool) -> String {
    let mut lines = Vec::new();
    let mut last = None;
    for tree in trees {
        if last != Some(&tree.event.correlation_id) {
            last = Some(&tree.event.correlation_id);
            lines.push(format!("correlation {}", tree.event.correlation_id));
        }
        lines.push(event(tree));
        below(tree, "", &mut lines);
    }
    lines.push(sum(trees));
    if cut {
        lines.push("there is more than this: --hours 1 looks at less".to_owned());
    }
    lines.join("\n")
}

fn below(node: &Node, indent: &str, lines: &mut Vec<String>) {
    let consumers = node.consumers.iter().map(Below::Consumer);
    let parts: Vec<Below<'_>> = consumers.chain(node.caused.iter().map(Below::Event)).collect();
    hang(&parts, indent, lines);
}

fn hang(parts: &[Below<'_>], indent: &str, lines: &mut Vec<String>) {
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let (corner, bar) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let deeper = format!("{indent}{bar}");
        match part {
            Below::Consumer(branch) => {
                lines.push(format!("{indent}{corner}{}: {}", branch.consumer, outcome(&branch.outcome)));
                let caused: Vec<Below<'_>> = branch.caused.iter().map(Below::Event).collect();
                hang(&caused, &deeper, lines);
            }
            Below::Event(node) => {
                lines.push(format!("{indent}{corner}{}", event(node)));
                below(node, &deeper, lines);
            }
        }
    }
}

fn event(node: &Node) -> String {
    let event = &node.event;
    let when = match node.after_ms {
        Some(millis) => format!("+{}", Age(millis)),
        // A request's own id is the correlation, which stands above.
        None if event.causation_id.as_str() == event.correlation_id.as_str() => event.occurred_at.to_string(),
        None => format!("{} because of {}", event.occurred_at, event.causation_id),
    };
    let private = if event.visibility == Visibility::Private { "  (private)" } else { "" };
    format!("{}  {} #{}  {when}  {}{private}", event.event_type, event.aggregate, event.seq, event.producer)
}

fn outcome(outcome: &Outcome) -> String {
    let error = |class: &str, message: &str| format!("{}: {}", short_class(class), short(message, MESSAGE));
    match outcome {
        Outcome::Applied => "applied".to_owned(),
        Outcome::Waiting => "waiting".to_owned(),
        Outcome::Behind { seq, status } => format!("waits behind #{seq}, which is {status}"),
        Outcome::Retrying { attempts, class, message, next } => {
            let attempts = count(u64::from(*attempts), "attempt", "attempts");
            format!("retrying after {attempts}, again at {next}: {}", error(class, message))
        }
        Outcome::Parked { attempts, class, message, since } => {
            let attempts = count(u64::from(*attempts), "attempt", "attempts");
            format!("parked after {attempts}, failing since {since}: {}", error(class, message))
        }
        Outcome::Held => "held: this tenant was stopped".to_owned(),
        Outcome::Skipped { who, why, at } => format!("passed over by {} at {at}: {}", plain(who), plain(why)),
    }
}

/// How many events of how many aggregates there are, in how long, and how many outcomes are open.
fn sum(trees: &[Node]) -> String {
    let mut nodes: Vec<&Node> = trees.iter().collect();
    let (mut aggregates, mut times, mut events) = (BTreeSet::new(), BTreeSet::new(), 0);
    let (mut open, mut passed) = (0_u64, 0_u64);
    while let Some(node) = nodes.pop() {
        events += 1;
        aggregates.insert(&node.event.aggregate);
        times.insert(node.event.occurred_at);
        for branch in &node.consumers {
            match branch.outcome {
                Outcome::Applied => {}
                Outcome::Skipped { .. } => passed += 1,
                _ => open += 1,
            }
        }
        nodes.extend(node.consumers.iter().flat_map(|branch| &branch.caused).chain(&node.caused));
    }
    let time = times.last().zip(times.first()).map_or(0, |(last, first)| last.millis_since(*first));
    let outcome = match (open, passed) {
        (0, 0) => "all applied".to_owned(),
        (0, _) => format!("all applied but {passed} passed over"),
        (_, 0) => format!("{open} not applied"),
        _ => format!("{open} not applied, {passed} passed over"),
    };
    format!(
        "{} of {} within {}; {outcome}",
        count(events, "event", "events"),
        count(aggregates.len() as u64, "aggregate", "aggregates"),
        Age(time)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tree::grow;
    use crate::trace::tree::tests::told;

    #[test]
    fn a_story_is_drawn_with_its_outcomes() {
        let parked = Outcome::Parked {
            attempts: 2,
            class: "a::Broken".into(),
            message: "no\nway".into(),
            since: towpath::Timestamp::from_millis(5_000),
        };
        let trees = grow(vec![
            told(1, 0, "orders-api", &[("inventory", Outcome::Applied), ("mail", parked)]),
            told(2, 1, "inventory", &[("board", Outcome::Applied)]),
            told(3, 1, "somebody", &[]),
        ]);
        let expected = "\
correlation c-1
order.placed  acme#order#o-1 #1  1970-01-01T00:00:00.100Z because of r-1  orders-api@1.0.0
├─ inventory: applied
│  └─ order.placed  acme#order#o-2 #1  +100 ms  inventory@1.0.0
│     └─ board: applied
├─ mail: parked after 2 attempts, failing since 1970-01-01T00:00:05.000Z: Broken: no way
└─ order.placed  acme#order#o-3 #1  +200 ms  somebody@1.0.0
3 events of 3 aggregates within 200 ms; 1 not applied";
        assert_eq!(text(&trees, false), expected);
    }
}
