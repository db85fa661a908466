//! What a step writes about a row that is there, was there, or was something else before.

use super::*;
use crate::commit::{Read, Reads, plan};
use crate::ports::{Head, Write};
use crate::{Aggregate, Era, Prior, Storage};

#[derive(Debug, Serialize, Deserialize)]
struct Trip {
    id: AggregateId,
}

impl Aggregate for Trip {
    const TYPE: &'static str = "trip";
    const STORAGE: Storage = Storage::State;
}

impl Entity for Trip {
    fn id(&self) -> AggregateId {
        self.id.clone()
    }
}

impl Saga for Trip {
    type Input = ();
    fn decide(_: Option<Self>, (): ()) -> Next<Self> {
        Next::to(Self { id: "t-1".parse().unwrap() }).timer("answer", Duration::from_secs(30))
    }
    fn timed_out(_: &str) -> Self::Input {}
    fn stage(&self) -> Stage {
        Stage::Running("asked")
    }
}

/// The writes of a step that hears something, when the row at seq 4 holds this.
fn step_on(state: Option<&str>) -> Result<Vec<Write>, String> {
    let head = Head { seq: Seq(4), prior: Prior::default(), era: Era::FIRST, occurred_at: Timestamp::default() };
    let stored = Stored { head: head.clone(), state: state.map(str::to_owned), saga: None };
    let heard = Cause {
        id: "t-1".parse().unwrap(),
        correlation_id: "c-1".parse().unwrap(),
        causation_id: "r-1".parse().unwrap(),
        traceparent: None,
        hops: 1,
        now: Timestamp::from_millis(5_000),
    };
    let tx = step::<Trip>(&"trips".parse().unwrap(), Some(&stored), (), &heard, None).map_err(|no| no.to_string())?;
    let reads: Reads =
        [("acme#trip#t-1".parse().unwrap(), Read { storage: Storage::State, head: Some(head) })].into_iter().collect();
    let cause = crate::commit::Cause {
        tenant: "acme".parse().unwrap(),
        correlation_id: heard.correlation_id,
        causation_id: heard.causation_id,
        traceparent: None,
        hops: 1,
        producer: "trips@0.1.0".parse().unwrap(),
        era: Era::FIRST,
        now: heard.now,
    };
    plan(tx, &reads, &cause, || 7).map_err(|no| no.to_string())
}

#[test]
fn an_entity_that_becomes_a_saga_goes_on_in_its_row() {
    let writes = step_on(Some(r#"{"id":"t-1"}"#)).unwrap();
    let Some(Write::Entity { stored, expect, .. }) = writes.last() else { panic!("{writes:?}") };
    assert_eq!(*expect, Some(Seq(4)));
    assert_eq!(stored.saga.as_ref().unwrap().timers["answer"].nonce, Seq(5));
}

#[test]
fn a_saga_that_was_deleted_never_comes_back() {
    let no = step_on(None).unwrap_err();
    assert!(no.contains("t-1"), "{no}");
}
