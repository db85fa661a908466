//! Reads an event as the code knows it, whichever version of it was written: brought up step by step from an older one, or
//! taken from beside a newer one. Must not know: consumers, queues.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::envelope::place_of;
use crate::{Command, Envelope, Event, Failure};

/// The event in an envelope. Data that does not fit its type is a retry, like an unknown version: the code that can read it
/// may be on its way.
pub(crate) fn decode<E: Event>(envelope: &Envelope) -> Result<E, Failure> {
    match envelope.older.get(E::VERSION) {
        Some(beside) if envelope.event_version > E::VERSION => read(E::VERSION, beside.as_str()),
        _ => read(envelope.event_version, envelope.data.as_str()),
    }
}

/// The command in an envelope, as [`decode`].
pub(crate) fn decode_command<C: Command>(envelope: &Envelope) -> Result<C, Failure> {
    read_command(envelope.event_version, envelope.data.as_str())
}

/// Reads an event's data of any version up to the current one.
///
/// # Errors
/// A retry: `unknown event version`, if a step of [`Event::upcast`] is missing; `undecodable data`, if the data does not fit.
pub fn read<E: Event>(version: u32, data: &str) -> Result<E, Failure> {
    read_as(E::TYPE, E::VERSION, E::upcast, version, data)
}

/// Reads a command's data of any version up to the current one.
///
/// # Errors
/// As [`read`].
pub fn read_command<C: Command>(version: u32, data: &str) -> Result<C, Failure> {
    read_as(C::TYPE, C::VERSION, C::upcast, version, data)
}

fn read_as<T: DeserializeOwned>(
    name: &str,
    current: u32,
    upcast: fn(u32, Value) -> Option<Value>,
    version: u32,
    data: &str,
) -> Result<T, Failure> {
    let unfit = |error: serde_json::Error| {
        let why = format!("the data of {name} v{version} does not fit: {}", place_of(&error));
        Failure::retry("undecodable data", why)
    };
    if version >= current {
        return serde_json::from_str(data).map_err(unfit);
    }
    let mut data = serde_json::from_str(data).map_err(unfit)?;
    for from in version..current {
        let why = || format!("{name} v{from} has no upcast to v{}: write one, and deploy it", from + 1);
        data = upcast(from, data).ok_or_else(|| Failure::retry("unknown event version", why()))?;
    }
    serde_json::from_value(data).map_err(unfit)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;
    use crate::envelope::tests::envelope;
    use crate::{Aggregate, AggregateId, Consumer, Context, Data, Older, Received, Storage, Tx};

    struct Meter;

    impl Aggregate for Meter {
        const TYPE: &'static str = "meter";
        const STORAGE: Storage = Storage::Events;
    }

    /// v1 had kilowatt hours as `kwh`, v2 as `amount`; v3 has watt hours.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct MeterRead {
        meter: AggregateId,
        watt_hours: u64,
    }

    impl Event for MeterRead {
        type Of = Meter;
        const TYPE: &'static str = "meter.read";
        const VERSION: u32 = 3;
        fn aggregate_id(&self) -> AggregateId {
            self.meter.clone()
        }
        fn upcast(from: u32, mut data: Value) -> Option<Value> {
            let fields = data.as_object_mut()?;
            match from {
                1 => drop(fields.insert("amount".into(), fields.get("kwh")?.clone())),
                2 => drop(fields.insert("watt_hours".into(), (fields.get("amount")?.as_u64()? * 1_000).into())),
                _ => return None,
            }
            Some(data)
        }
        fn downcast(&self, to: u32) -> Option<Value> {
            (to == 2).then(|| json!({ "meter": self.meter, "amount": self.watt_hours / 1_000 }))
        }
    }

    fn meter(watt_hours: u64) -> MeterRead {
        MeterRead { meter: "m-1".parse().unwrap(), watt_hours }
    }

    fn row(version: u32, data: &str, older: &[(u32, &str)]) -> Envelope {
        let mut all = Older::default();
        older.iter().for_each(|(version, data)| all.insert(*version, Data::parse((*data).to_owned()).unwrap()));
        let event_type = "meter.read".parse().unwrap();
        let data = Data::parse(data.to_owned()).unwrap();
        Envelope { event_type, event_version: version, data, older: all, ..envelope(1, &[]) }
    }

    fn consumer() -> Consumer {
        Consumer::new("bills").on(async |_: &Context<'_>, _: Received<MeterRead>| Ok(Tx::new()))
    }

    #[test]
    fn an_old_version_is_brought_up_step_by_step() {
        assert_eq!(read(1, r#"{"meter":"m-1","kwh":5}"#), Ok(meter(5_000)));
        assert_eq!(read(2, r#"{"meter":"m-1","amount":5}"#), Ok(meter(5_000)));
        assert_eq!(read(3, r#"{"meter":"m-1","watt_hours":5}"#), Ok(meter(5)));
        let missing = read::<MeterRead>(0, "{}").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "retry: meter.read v0 has no upcast to v1: write one, and deploy it (unknown event version)"
        );
        assert_eq!(read::<MeterRead>(2, "{}").unwrap_err().reason().class, "unknown event version");
        assert_eq!(read::<MeterRead>(3, "{}").unwrap_err().reason().class, "undecodable data");
    }

    #[test]
    fn a_newer_version_is_read_if_it_brings_this_one_along_and_waits_otherwise() {
        let newer = row(4, "{}", &[(2, "{}"), (3, r#"{"meter":"m-1","watt_hours":7}"#)]);
        assert!(consumer().handler(&newer).is_ok());
        assert_eq!(decode(&newer), Ok(meter(7)));
        let alone = row(4, "{}", &[(2, "{}")]);
        let Err(failure) = consumer().handler(&alone) else { panic!("it is handled") };
        assert_eq!(failure.reason().class, "unknown event version");
        // What an older version says beside the current one is for others.
        let current = row(3, r#"{"meter":"m-1","watt_hours":1}"#, &[(2, r#"{"meter":"m-1","amount":9}"#)]);
        assert_eq!(decode(&current), Ok(meter(1)));
    }

    #[test]
    fn earlier_versions_are_written_beside_the_event_only_where_the_parameter_names_them() {
        let recorded = |also: &str| {
            let also: crate::AlsoWrites = also.parse().unwrap();
            let mut tx = Tx::new().record(meter(7_000)).keep_older(|kind, version| also.names(kind, version));
            let Some(crate::tx::Action::Append(draft)) = tx.actions.pop() else { panic!("nothing is recorded") };
            (draft.event_version, draft.older)
        };
        let (version, older) = recorded("meter.read@1,meter.read@2");
        assert_eq!((version, older.get(1)), (3, None));
        assert_eq!(older.get(2).unwrap().as_str(), r#"{"amount":7,"meter":"m-1"}"#);
        assert!(recorded("").1.is_empty() && recorded("meter.moved@2").1.is_empty());
        let sent = Rc::new(Envelope { older, ..row(3, "{}", &[]) });
        assert_eq!(Envelope::parse(&sent.to_body()), Ok((*sent).clone()));
    }
}
