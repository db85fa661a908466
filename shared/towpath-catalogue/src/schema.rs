//! A JSON Schema as a tree of places: its subschemas, what a `$ref` points at, and whether it is one that can be compared.
//! Must not know: events, files, what a difference means.

use serde_json::{Map, Value};

/// The only dialect that is written and read.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords that hold subschemas by name, as a list, and as one.
const NAMED: &[&str] = &["$defs", "definitions", "properties", "patternProperties", "dependentSchemas"];
const LISTED: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const SINGLE: &[&str] = &[
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Ways to refer to a schema that are not followed.
const FOREIGN: &[&str] = &["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor"];

/// A subschema and its JSON pointer.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) at: String,
    pub(crate) schema: Value,
}

/// What is wrong with a schema, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// JSON pointer.
    pub at: String,
    /// A sentence.
    pub says: String,
}

/// Why this schema cannot be used, each thing once: not of the dialect, a `$ref` out of the file, to nowhere, or in a circle.
pub fn flaws(root: &Value) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if root["$schema"] != DIALECT {
        let says = format!("it does not say that it is of draft 2020-12: \"$schema\": \"{DIALECT}\"");
        flaws.push(Flaw { at: "/$schema".to_owned(), says });
    }
    visit(root, root, String::new(), &mut Vec::new(), &mut flaws);
    flaws.sort();
    flaws.dedup();
    if flaws.is_empty()
        && let Err(error) = jsonschema::meta::validate(root)
    {
        flaws.push(Flaw { at: error.instance_path().to_string(), says: format!("it is no JSON Schema: {error}") });
    }
    flaws
}

fn visit(root: &Value, schema: &Value, at: String, open: &mut Vec<String>, flaws: &mut Vec<Flaw>) {
    let mut flaw = |keyword: &str, says: String| flaws.push(Flaw { at: format!("{at}/{keyword}"), says });
    for keyword in FOREIGN.iter().filter(|keyword| schema.get(keyword).is_some()) {
        flaw(keyword, format!("`{keyword}` is not followed: put the schema under $defs and use $ref"));
    }
    if !at.is_empty() && schema.get("$id").is_some() {
        flaw("$id", "an `$id` inside a schema changes what $ref means: remove it".to_owned());
    }
    if let Some(reference) = schema.get("$ref") {
        match pointer_of(reference) {
            Err(says) => flaw("$ref", says),
            Ok(pointer) if open.contains(&pointer) => flaw(
                "$ref",
                format!("the $ref to #{pointer} leads back to itself: an event is finite, so list what it nests"),
            ),
            Ok(pointer) => match root.pointer(&pointer) {
                None => flaw("$ref", format!("there is nothing at #{pointer}: define it under $defs")),
                Some(target) => {
                    open.push(pointer.clone());
                    visit(root, target, pointer, open, flaws);
                    open.pop();
                }
            },
        }
    }
    for (step, child) in children(schema) {
        visit(root, child, format!("{at}{step}"), open, flaws);
    }
}

/// The pointer of a reference within its own file.
fn pointer_of(reference: &Value) -> Result<String, String> {
    match reference.as_str() {
        Some("#") => Ok(String::new()),
        Some(text) if text.starts_with("#/") => Ok(text[1..].to_owned()),
        Some(text) => Err(format!("the $ref to {text:?} leaves this file: nothing is fetched, put it under $defs")),
        None => Err("a $ref is a text".to_owned()),
    }
}

/// Every subschema, with the way to it.
fn children(schema: &Value) -> Vec<(String, &Value)> {
    let Some(object) = schema.as_object() else { return Vec::new() };
    let mut all = Vec::new();
    for (keyword, value) in object {
        if NAMED.contains(&keyword.as_str()) {
            let named = value.as_object().into_iter().flatten();
            all.extend(named.map(|(name, child)| (format!("/{keyword}/{}", escaped(name)), child)));
        } else if LISTED.contains(&keyword.as_str()) {
            let listed = value.as_array().into_iter().flatten().enumerate();
            all.extend(listed.map(|(index, child)| (format!("/{keyword}/{index}"), child)));
        } else if SINGLE.contains(&keyword.as_str()) {
            all.push((format!("/{keyword}"), value));
        }
    }
    all
}

/// A name as a JSON pointer spells it.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Follows `$ref` to the end. Keywords beside a `$ref` hold, too.
pub(crate) fn resolved(root: &Value, place: Place) -> Place {
    let Some(reference) = place.schema.get("$ref") else { return place };
    let found = pointer_of(reference).ok().and_then(|at| Some((root.pointer(&at)?.clone(), at)));
    let Some((target, at)) = found else { return place }; // refused by `flaws` before anything is compared
    let mut beside = place.schema.as_object().cloned().unwrap_or_default();
    beside.remove("$ref");
    resolved(root, Place { at, schema: both(&beside, target) })
}

/// A schema that demands what both demand.
pub(crate) fn both(beside: &Map<String, Value>, schema: Value) -> Value {
    let Value::Object(mut joined) = schema else { return schema };
    for (keyword, value) in beside {
        match (keyword.as_str(), joined.get_mut(keyword)) {
            (_, None) => drop(joined.insert(keyword.clone(), value.clone())),
            (_, Some(same)) if same == value || is_annotation(keyword) => {}
            ("properties", Some(Value::Object(properties))) => {
                for (name, more) in value.as_object().into_iter().flatten() {
                    let of_beside = more.as_object().cloned().unwrap_or_default();
                    let entry = properties.remove(name);
                    properties.insert(name.clone(), entry.map_or(more.clone(), |entry| both(&of_beside, entry)));
                }
            }
            ("required", Some(Value::Array(names))) => {
                names.extend(value.as_array().into_iter().flatten().cloned());
            }
            (_, Some(_)) => {
                let all = joined.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(all) = all {
                    all.push(Value::Object([(keyword.clone(), value.clone())].into_iter().collect()));
                }
            }
        }
    }
    Value::Object(joined)
}

/// Says in an event's schema who may see it, if that is more than the pipeline.
pub(crate) const VISIBILITY: &str = "x-visibility";
/// Says in a command's schema which consumer carries it out.
pub(crate) const TO: &str = "x-to";
/// Everybody.
pub(crate) const PUBLIC: &str = "public";

/// Does this keyword say nothing about which data is allowed?
pub(crate) fn is_annotation(keyword: &str) -> bool {
    const ANNOTATIONS: &[&str] = &[
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    ];
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

/// The pointers of all fields that are marked `"x-personal": true`, as a reader of the data would write them.
pub fn personal_fields(root: &Value) -> Vec<String> {
    let mut found = Vec::new();
    marked(root, Place { at: String::new(), schema: root.clone() }, String::new(), &mut found);
    found.sort();
    found.dedup();
    found
}

fn marked(root: &Value, place: Place, path: String, found: &mut Vec<String>) {
    let is_marked = |schema: &Value| schema["x-personal"] == true;
    let here = is_marked(&place.schema);
    let place = resolved(root, place);
    if (here || is_marked(&place.schema)) && !path.is_empty() {
        found.push(path);
        return;
    }
    for (step, child) in children(&place.schema) {
        let path = match step.split('/').nth(1) {
            Some("$defs" | "definitions") => continue,
            Some("properties") => {
                let name = step["/properties/".len()..].to_owned();
                if path.is_empty() { name } else { format!("{path}.{name}") }
            }
            Some("items" | "prefixItems" | "contains") => format!("{path}[]"),
            Some("additionalProperties" | "patternProperties") => format!("{path}.*"),
            _ => path.clone(),
        };
        marked(root, Place { at: step, schema: child.clone() }, path, found);
    }
}
