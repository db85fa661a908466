//! The schema of a name accepts what the name's own rule accepts. Must not know: events.

use std::str::FromStr;

use schemars::{JsonSchema, schema_for};
use towpath::{
    AggregateId, AggregateType, CausationId, ConsumerName, CorrelationId, EventId, EventType, TenantId, Timestamp,
};

fn agrees<T: JsonSchema + FromStr>() {
    let schema = schema_for!(T).to_value();
    let schema =
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("it is a schema");
    let long = |letters: usize| "a".repeat(letters);
    let mut texts: Vec<String> = [
        "",
        "a",
        "A",
        "a-b",
        "a_b",
        "a.b",
        "a.b.c",
        "A.b",
        "a@2",
        "a@",
        "@2",
        "a#b",
        "a/b",
        "a b",
        "a\n",
        "é",
        "a.",
        ".a",
        "order.placed",
        "order-summary@2",
        "2026-11-21T10:00:00.123Z",
        "019b76da-abe8-75c8-ad5c-95888a50763c",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([32, 33, 64, 65, 128, 129].map(long));
    texts.extend([31, 32, 61, 62].map(|letters| format!("a.{}", long(letters))));
    let mut accepted = 0;
    for text in texts {
        let parsed = T::from_str(&text).is_ok();
        accepted += usize::from(parsed);
        assert_eq!(schema.is_valid(&text.as_str().into()), parsed, "{}: {text:?}", T::schema_name());
    }
    assert!(accepted > 0, "{}", T::schema_name());
}

#[test]
fn the_schema_of_a_name_accepts_what_its_rule_accepts() {
    agrees::<AggregateId>();
    agrees::<AggregateType>();
    agrees::<CausationId>();
    agrees::<ConsumerName>();
    agrees::<CorrelationId>();
    agrees::<EventType>();
    agrees::<TenantId>();
    agrees::<Timestamp>();
}

#[test]
fn an_event_id_is_a_uuid() {
    assert_eq!(schema_for!(EventId).to_value()["format"], "uuid");
}
