//! Wakes and tickets of every kind.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::build::Step;
use crate::envelope::properties::any_envelope;
use crate::limits;

fn any_verb() -> impl Strategy<Value = Verb> {
    let order =
        (any::<u64>(), ".{0,20}", ".{0,20}").prop_map(|(rev, who, why)| Instruction { rev: Rev(rev), who, why });
    let types = vec("[a-z]{1,5}\\.[a-z]{1,5}", 0..3);
    let replay = (any::<[u64; 3]>(), types).prop_map(|([id, after, through], types)| Replay {
        id,
        after: Seq(after),
        through: Seq(through),
        types: types.iter().map(|kind| kind.parse().unwrap()).collect(),
    });
    prop_oneof![
        Just(Verb::Advance),
        order.clone().prop_map(Verb::Retry),
        order.prop_map(Verb::Skip),
        replay.prop_map(Verb::Replay),
        (any::<u32>(), prop_oneof![Just(Step::Fill), Just(Step::Keep), Just(Step::Discard)])
            .prop_map(|(build, step)| Verb::Rebuild(Rebuild { build, step })),
    ]
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    (any_envelope(), any::<(u64, u32)>(), ".{0,40}", 0..=Timestamp::MAX.as_millis()).prop_map(
        |(event, (rev, attempts), message, at)| Ticket {
            consumer: "inventory".parse().unwrap(),
            aggregate: event.aggregate(),
            rev: Rev(rev),
            event_id: event.event_id,
            event_type: event.event_type,
            seq: event.seq,
            class: "rejected".into(),
            message,
            attempts,
            since: event.occurred_at,
            parked_at: Timestamp::from_millis(at),
            producer: event.producer,
        },
    )
}

proptest! {
    #[test]
    fn any_wake_is_read_as_it_was_written(event in any_envelope(), verb in any_verb()) {
        let wake = Wake { aggregate: event.aggregate(), verb };
        prop_assert_eq!(Wake::parse(&wake.to_body()), Ok(wake));
    }

    #[test]
    fn what_is_no_wake_is_refused_without_a_word_of_it(secret in "[A-Z]{8}", at in 0_usize..3) {
        let body = match at {
            0 => format!(r#"{{"aggregate":"acme#order#o-1","verb":"{secret}"}}"#),
            1 => format!(r#"{{"aggregate":"{secret}","verb":"advance"}}"#),
            _ => format!("{secret}{{"),
        };
        prop_assert!(!Wake::parse(&body).unwrap_err().contains(&secret));
    }

    #[test]
    fn any_ticket_is_read_as_it_was_written_and_taken_for_no_event(ticket in any_ticket()) {
        prop_assert!(crate::Envelope::parse(&ticket.to_body()).is_err());
        prop_assert_eq!(Ticket::parse(&ticket.to_body()), Some(ticket));
    }

    #[test]
    fn a_ticket_travels_in_a_group_of_its_tenant_that_sqs_accepts(ticket in any_ticket()) {
        let group = ticket.group();
        prop_assert_eq!(group.split('#').next(), Some(ticket.aggregate.tenant.as_str()));
        prop_assert!(group.len() <= limits::GROUP_ID_CHARS && ticket.deduplication_id().len() <= limits::GROUP_ID_CHARS);
    }

    #[test]
    fn two_tickets_are_one_message_only_if_they_stand_for_one_parking(one in any_ticket(), two in any_ticket(), same in any::<[bool; 3]>()) {
        let two = Ticket {
            event_id: if same[0] { one.event_id } else { two.event_id },
            rev: if same[1] { one.rev } else { two.rev },
            parked_at: if same[2] { one.parked_at } else { two.parked_at },
            ..two
        };
        let parking = |ticket: &Ticket| (ticket.event_id, ticket.rev, ticket.parked_at);
        prop_assert_eq!(one.deduplication_id() == two.deduplication_id(), parking(&one) == parking(&two));
    }

    /// So a replay never moves the live cursor, nor that of another replay.
    #[test]
    fn each_replay_has_a_cursor_of_its_own(name in "[a-z-]{1,64}", one in any::<u64>(), two in any::<u64>()) {
        let live: ConsumerName = name.parse().unwrap();
        let cursors = |id| Replay { id, after: Seq(0), through: Seq(1), types: vec![] }.cursors_of(&live);
        match (cursors(one), cursors(two)) {
            (Ok(first), Ok(second)) => {
                prop_assert_ne!(&first, &live);
                prop_assert_eq!(first == second, one == two);
            }
            _ => prop_assert!(name.len() + 1 + 20 > ConsumerName::MAX_BYTES),
        }
    }
}
