//! The decision alone: whatever comes in whatever order, what is done is undone in reverse, or all of it is done.

use proptest::prelude::*;
use towpath::{Command, Next, Saga, Stage};

use super::*;

fn submitted(cents: u64) -> Heard {
    let line = format!(r#"[{{"sku":"tea","quantity":1,"unit_price_cents":{cents}}}]"#);
    let lines: Lines = serde_json::from_str(&line).unwrap();
    let (_, event) = crate::checkout::Checkout::submit("c-1".parse().unwrap(), "ann".parse().unwrap(), lines);
    Heard::Submitted(event)
}

/// Every input that is not the first.
fn heard() -> impl Strategy<Value = Heard> {
    let step = || prop_oneof![Just(Step::Reserve), Just(Step::Authorise), Just(Step::Ship), Just(Step::Capture)];
    let commands = [
        ReserveStock::TYPE,
        ReleaseStock::TYPE,
        AuthorisePayment::TYPE,
        VoidPayment::TYPE,
        CapturePayment::TYPE,
        CreateShipment::TYPE,
        CancelShipment::TYPE,
        InquirePayment::TYPE,
    ];
    prop_oneof![
        8 => step().prop_map(Heard::Done),
        2 => step().prop_map(Heard::Refused),
        6 => step().prop_map(Heard::Undone),
        1 => any::<bool>().prop_map(Heard::Decided),
        1 => proptest::sample::select(commands.to_vec()).prop_map(|command| Heard::PassedOver(command.to_owned())),
        1 => proptest::sample::select(vec![APPROVAL, STEP, WHOLE]).prop_map(|timer| Heard::Time(timer.to_owned())),
    ]
}

const FORWARD: [&str; 4] = [ReserveStock::TYPE, AuthorisePayment::TYPE, CreateShipment::TYPE, CapturePayment::TYPE];
const BACK: [&str; 3] = [ReleaseStock::TYPE, VoidPayment::TYPE, CancelShipment::TYPE];

fn told(state: &mut Option<Fulfilment>, heard: Heard) -> Next<Fulfilment> {
    let next = Fulfilment::decide(state.clone(), heard);
    if let Some(new) = next.state() {
        *state = Some(new.clone());
    }
    next
}

proptest! {
    #[test]
    fn p5_what_is_ordered_goes_forward_once_and_back_once_in_reverse(cents in 1_u64..200_000, said in proptest::collection::vec(heard(), 0..60)) {
        let mut state = None;
        let mut ordered: Vec<String> = Vec::new();
        let mut ends = 0;
        for heard in std::iter::once(submitted(cents)).chain(said) {
            let was_over = state.as_ref().is_some_and(|saga: &Fulfilment| matches!(saga.stage(), Stage::Ended(_)));
            let next = told(&mut state, heard);
            prop_assert!(!was_over || next.state().is_none(), "it moved after its end");
            let rows = next.rows();
            ends += rows.iter().filter(|row| row.starts_with("fulfilment.")).count();
            ordered.extend(rows.into_iter().filter(|row| FORWARD.contains(&row.as_str()) || BACK.contains(&row.as_str())));
            let waits = state.as_ref().is_some_and(|saga| matches!(saga.stage(), Stage::Running(_)));
            prop_assert!(next.state().is_none() || !waits || !next.timers().is_empty(), "it waits without a timer");
        }
        let turn = ordered.iter().position(|row| BACK.contains(&row.as_str())).unwrap_or(ordered.len());
        let (forward, back) = ordered.split_at(turn);
        prop_assert_eq!(forward, &FORWARD[..forward.len()], "each step once, in their order");
        prop_assert!(back.iter().all(|row| BACK.contains(&row.as_str())), "a step was ordered on the way back");
        // The last step that was ordered may have been refused; all before it are done.
        let reverse = |steps: usize| BACK[..steps.min(3)].iter().rev().map(ToString::to_string).collect::<Vec<_>>();
        let possible = [reverse(forward.len()), reverse(forward.len().saturating_sub(1))];
        prop_assert!(possible.iter().any(|whole| whole.starts_with(back)), "{back:?} is not {forward:?} in reverse");
        prop_assert!(ends <= 1);
    }
}

#[test]
fn everything_goes_well() {
    let mut state = None;
    assert_eq!(told(&mut state, submitted(450)).rows(), [ReserveStock::TYPE]);
    assert_eq!(told(&mut state, Heard::Done(Step::Reserve)).rows(), [AuthorisePayment::TYPE]);
    assert_eq!(told(&mut state, Heard::Done(Step::Authorise)).rows(), [CreateShipment::TYPE]);
    assert_eq!(told(&mut state, Heard::Done(Step::Ship)).rows(), [CapturePayment::TYPE]);
    assert_eq!(told(&mut state, Heard::Done(Step::Capture)).rows(), ["fulfilment.completed"]);
    assert_eq!(state.unwrap().stage(), Stage::Ended("completed"));
}

#[test]
fn a_step_whose_time_is_over_is_asked_about_and_not_guessed() {
    let mut state = None;
    told(&mut state, submitted(450));
    told(&mut state, Heard::Done(Step::Reserve));
    assert_eq!(told(&mut state, Heard::Time(STEP.into())).rows(), [InquirePayment::TYPE]);
    // It was done after all, only late: nothing is lost.
    assert_eq!(told(&mut state, Heard::Done(Step::Authorise)).rows(), [CreateShipment::TYPE]);
    // The whole takes too long: the step that runs is asked about, and undone if it is done.
    assert_eq!(told(&mut state, Heard::Time(WHOLE.into())).rows(), [InquireShipment::TYPE]);
    assert_eq!(told(&mut state, Heard::Done(Step::Ship)).rows(), [CancelShipment::TYPE]);
    assert_eq!(told(&mut state, Heard::Undone(Step::Ship)).rows(), [VoidPayment::TYPE]);
    assert_eq!(told(&mut state, Heard::Undone(Step::Authorise)).rows(), [ReleaseStock::TYPE]);
    assert_eq!(told(&mut state, Heard::Undone(Step::Reserve)).rows(), ["fulfilment.compensated"]);
}

#[test]
fn what_an_operator_passed_over_on_the_way_back_is_left_to_people_by_name() {
    let mut state = None;
    told(&mut state, submitted(450));
    told(&mut state, Heard::Done(Step::Reserve));
    assert_eq!(told(&mut state, Heard::Refused(Step::Authorise)).rows(), [ReleaseStock::TYPE]);
    told(&mut state, Heard::PassedOver(ReleaseStock::TYPE.to_owned()));
    assert_eq!(state.unwrap().by_hand, [ReleaseStock::TYPE]);
}

#[test]
fn a_big_checkout_waits_for_a_person() {
    let begin = || {
        let mut state = None;
        assert_eq!(told(&mut state, submitted(APPROVAL_FROM_CENTS)).timers(), [APPROVAL]);
        state
    };
    let mut approved = begin();
    assert_eq!(told(&mut approved, Heard::Decided(true)).rows(), [ReserveStock::TYPE]);
    for no in [Heard::Decided(false), Heard::Time(APPROVAL.into())] {
        assert_eq!(told(&mut begin(), no).rows(), ["fulfilment.compensated"]);
    }
}
