//! Events as trees of causes. An event that a consumer recorded hangs below that consumer, the others below the event.
//! Must not know: tables, terminals.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use towpath::ports::JournalRow;
use towpath::{CausationId, CorrelationId, EventId, EventType, Producer, Seq, Timestamp, Visibility};

use super::outcome::Outcome;

/// An event's header: all of it but its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Event {
    pub(crate) event_id: EventId,
    pub(crate) event_type: EventType,
    pub(crate) aggregate: String,
    pub(crate) seq: Seq,
    pub(crate) occurred_at: Timestamp,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) causation_id: CausationId,
    pub(crate) producer: Producer,
    pub(crate) visibility: Visibility,
}

/// An event, and what each consumer that handles it made of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) event: Event,
    pub(super) outcomes: BTreeMap<String, Outcome>,
}

/// An event in its tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Node {
    #[serde(flatten)]
    pub(super) event: Event,
    /// Milliseconds since its cause; `None` where that is not an event of this story.
    pub(super) after_ms: Option<u64>,
    /// The consumers that handle it, by name.
    pub(super) consumers: Vec<Branch>,
    /// What it caused that no consumer of it recorded.
    pub(super) caused: Vec<Node>,
}

/// What one consumer made of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Branch {
    pub(super) consumer: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// What it recorded because of the event.
    pub(super) caused: Vec<Node>,
}

impl From<&JournalRow> for Event {
    fn from(row: &JournalRow) -> Self {
        let event = &row.envelope;
        Self {
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            aggregate: event.aggregate().to_string(),
            seq: event.seq,
            occurred_at: event.occurred_at,
            correlation_id: event.correlation_id.clone(),
            causation_id: event.causation_id.clone(),
            producer: event.producer.clone(),
            visibility: row.visibility,
        }
    }
}

/// The trees of these events, oldest first: each event stands in exactly one place.
pub(super) fn grow(told: Vec<Told>) -> Vec<Node> {
    let ids: BTreeMap<String, usize> =
        told.iter().enumerate().map(|(index, told)| (told.event.event_id.to_string(), index)).collect();
    let cause = |told: &Told| ids.get(told.event.causation_id.as_str()).copied();
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (index, each) in told.iter().enumerate() {
        match cause(each) {
            Some(cause) if cause != index => children.entry(cause).or_default().push(index),
            _ => roots.push(index),
        }
    }
    let mut seen = BTreeSet::new();
    let mut trees: Vec<Node> =
        roots.into_iter().filter_map(|root| node(&told, &children, &mut seen, root, None)).collect();
    // Causes cannot go round; should rows say so all the same, the circle is shown from its first event on.
    let rest = (0..told.len()).filter_map(|index| node(&told, &children, &mut seen, index, None));
    trees.extend(rest.collect::<Vec<_>>());
    together(trees)
}

/// Trees of one correlation stand together, and those that began first stand first.
fn together(mut trees: Vec<Node>) -> Vec<Node> {
    let mut begun: BTreeMap<CorrelationId, EventId> = BTreeMap::new();
    for Node { event, .. } in &trees {
        let first = begun.entry(event.correlation_id.clone()).or_insert(event.event_id);
        *first = event.event_id.min(*first);
    }
    trees.sort_by_key(|tree| (begun.get(&tree.event.correlation_id).copied(), tree.event.event_id));
    trees
}

fn node(
    told: &[Told],
    children: &BTreeMap<usize, Vec<usize>>,
    seen: &mut BTreeSet<usize>,
    index: usize,
    cause: Option<Timestamp>,
) -> Option<Node> {
    if !seen.insert(index) {
        return None;
    }
    let Told { event, outcomes } = &told[index];
    let at = event.occurred_at;
    let mut below: Vec<Node> = children
        .get(&index)
        .into_iter()
        .flatten()
        .filter_map(|child| node(told, children, seen, *child, Some(at)))
        .collect();
    let mut consumers = Vec::new();
    for (consumer, outcome) in outcomes {
        let recorded = |node: &Node| node.event.producer.as_str().split('@').next() == Some(consumer.as_str());
        let (caused, rest) = below.into_iter().partition(recorded);
        below = rest;
        consumers.push(Branch { consumer: consumer.clone(), outcome: outcome.clone(), caused });
    }
    let after_ms = cause.map(|cause| at.millis_since(cause));
    Some(Node { event: event.clone(), after_ms, consumers, caused: below })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Event number `number`, caused by number `cause` or by a request, recorded by `producer`.
    pub(crate) fn told(number: u64, cause: u64, producer: &str, outcomes: &[(&str, Outcome)]) -> Told {
        let id = |number: u64| EventId::new(Timestamp::from_millis(number * 100), u128::from(number));
        let causation = if cause == 0 { "r-1".parse().unwrap() } else { id(cause).into() };
        let event = Event {
            event_id: id(number),
            event_type: "order.placed".parse().unwrap(),
            aggregate: format!("acme#order#o-{number}"),
            seq: Seq(1),
            occurred_at: Timestamp::from_millis(number * 100),
            correlation_id: "c-1".parse().unwrap(),
            causation_id: causation,
            producer: format!("{producer}@1.0.0").parse().unwrap(),
            visibility: Visibility::Internal,
        };
        let outcomes = outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.clone())).collect();
        Told { event, outcomes }
    }

    #[test]
    fn what_a_consumer_recorded_hangs_below_it() {
        let trees = grow(vec![
            told(1, 0, "orders-api", &[("inventory", Outcome::Applied), ("mail", Outcome::Waiting)]),
            told(2, 1, "inventory", &[]),
            told(3, 1, "somebody", &[]),
            told(4, 2, "inventory", &[]),
        ]);
        assert_eq!(trees.len(), 1);
        let [inventory, mail] = &trees[0].consumers[..] else { panic!("two consumers") };
        assert_eq!((inventory.consumer.as_str(), inventory.caused[0].after_ms), ("inventory", Some(100)));
        assert_eq!(inventory.caused[0].caused.len(), 1);
        assert_eq!((mail.caused.len(), trees[0].caused.len(), trees[0].after_ms), (0, 1, None));
    }

    #[test]
    fn the_trees_of_one_correlation_stand_together() {
        let mut all = vec![told(1, 0, "a", &[]), told(2, 0, "a", &[]), told(3, 0, "a", &[])];
        all[1].event.correlation_id = "c-2".parse().unwrap();
        let seen: Vec<String> = grow(all).iter().map(|tree| tree.event.correlation_id.to_string()).collect();
        assert_eq!(seen, ["c-1", "c-1", "c-2"]);
    }

    #[test]
    fn a_cause_that_is_not_there_makes_a_root_and_a_circle_ends() {
        let trees = grow(vec![told(1, 9, "a", &[]), told(2, 0, "a", &[])]);
        assert_eq!(trees.len(), 2);
        let round = grow(vec![told(1, 2, "a", &[]), told(2, 1, "a", &[]), told(3, 3, "a", &[])]);
        assert_eq!(round.len(), 2);
        assert_eq!(round[0].caused.len(), 1);
        assert!(round[0].caused[0].caused.is_empty());
    }
}
