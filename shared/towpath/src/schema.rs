//! What names and times look like in JSON, as JSON Schema: for domains that derive `schemars::JsonSchema` on their events.
//! Must not know: any one event. Behind the feature `schema`, so that the core stays as light as it was.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    AggregateId, AggregateType, CausationId, ConsumerName, CorrelationId, EventId, EventType, Redacted, Seq, TenantId,
    Timestamp,
};

macro_rules! schema {
    ($($name:ident: $schema:tt),* $(,)?) => {
        $(impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

/// As the value's own, and marked.
impl<T: JsonSchema> JsonSchema for Redacted<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("x-personal".to_owned(), true.into());
        schema
    }
}

schema! {
    AggregateId: { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" },
    AggregateType: { "type": "string", "pattern": "^[a-z0-9_]{1,32}$" },
    CausationId: { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" },
    ConsumerName: { "type": "string", "pattern": "^[a-z0-9-]+(@[0-9]+)?$", "maxLength": 64 },
    CorrelationId: { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" },
    EventId: { "type": "string", "format": "uuid" },
    EventType: { "type": "string", "pattern": "^[a-z0-9_]+[.][a-z0-9_]+$", "maxLength": 64 },
    Seq: { "type": "integer", "format": "uint64", "minimum": 0 },
    TenantId: { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" },
    Timestamp: { "type": "string", "format": "date-time" },
}
