//! What a value may be: one schema, or one of several. `anyOf`, `oneOf`, a list of types and a list of values are all
//! brought into one form, so that it does not matter which of them a schema was written with.
//! Must not know: events, files, old and new.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::schema::{Place, both, is_annotation, resolved};

/// All that a value may be, each as a schema without `$ref`, `anyOf`, `oneOf` and `const`, of at most one type.
pub(crate) fn alternatives(root: &Value, place: Place) -> Vec<Place> {
    let mut all = Vec::new();
    flatten(root, place, &mut all);
    merge_values(all)
}

fn flatten(root: &Value, place: Place, all: &mut Vec<Place>) {
    let place = resolved(root, place);
    let Some(object) = place.schema.as_object() else {
        let schema = if place.schema == false { json!({ "not": {} }) } else { json!({}) };
        return all.push(Place { schema, ..place });
    };
    for union in ["anyOf", "oneOf"] {
        if let Some(Value::Array(variants)) = object.get(union) {
            let mut beside = object.clone();
            beside.remove(union);
            beside.retain(|keyword, _| !is_annotation(keyword));
            for (index, variant) in variants.iter().enumerate() {
                let at = format!("{}/{union}/{index}", place.at);
                let variant = resolved(root, Place { at, schema: variant.clone() });
                flatten(root, Place { schema: both(&beside, variant.schema), at: variant.at }, all);
            }
            return;
        }
    }
    let mut object = object.clone();
    if let Some(only) = object.remove("const") {
        object.insert("enum".to_owned(), json!([only]));
    }
    match object.get("type").cloned() {
        Some(Value::Array(types)) => {
            for name in types {
                all.push(Place { at: place.at.clone(), schema: of_type(&object, &name) });
            }
        }
        _ => all.push(Place { at: place.at, schema: Value::Object(object) }),
    }
}

/// The same schema for one of its types only.
fn of_type(object: &Map<String, Value>, name: &Value) -> Value {
    if name == "null" {
        return json!({ "type": "null" });
    }
    let mut object = object.clone();
    object.insert("type".to_owned(), name.clone());
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    Value::Object(object)
}

/// `oneOf: [{const: a}, {const: b}]` is `enum: [a, b]`.
fn merge_values(all: Vec<Place>) -> Vec<Place> {
    let mut merged: Vec<Place> = Vec::new();
    for place in all {
        let same = |other: &&mut Place| {
            is_plain_values(&other.schema)
                && is_plain_values(&place.schema)
                && other.schema["type"] == place.schema["type"]
        };
        match merged.iter_mut().find(same) {
            Some(other) => {
                if let (Value::Array(values), Some(more)) = (&mut other.schema["enum"], place.schema["enum"].as_array())
                {
                    values.extend(more.iter().cloned());
                }
            }
            None => merged.push(place),
        }
    }
    merged
}

fn is_plain_values(schema: &Value) -> bool {
    let only = |object: &Map<String, Value>| {
        object.keys().all(|keyword| matches!(keyword.as_str(), "type" | "enum") || is_annotation(keyword))
    };
    schema.get("enum").is_some() && schema.as_object().is_some_and(only)
}

/// By what a reader tells alternatives apart: the type, and an object's tag.
pub(crate) fn key(schema: &Value) -> String {
    let kind = schema["type"].as_str().unwrap_or("anything");
    let Some(properties) = schema["properties"].as_object() else { return kind.to_owned() };
    let tags: Vec<String> =
        properties.iter().filter_map(|(name, field)| Some(format!("{name} = {}", only_value(field)?))).collect();
    let required: BTreeSet<&str> = required(schema).collect();
    match (tags.is_empty(), properties.len() == 1 && required.len() == 1) {
        (false, _) => format!("an object with {}", tags.join(", ")),
        (true, true) => format!("an object with {:?}", required.into_iter().collect::<String>()),
        (true, false) => kind.to_owned(),
    }
}

fn only_value(field: &Value) -> Option<&Value> {
    let listed = field["enum"].as_array().filter(|values| values.len() == 1).map(|values| &values[0]);
    field.get("const").or(listed)
}

/// The names that an object must have.
pub(crate) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
}
