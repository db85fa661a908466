//! Values, numbers, texts and arrays: what a change of each keyword means.
//! Must not know: objects, alternatives.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Value, json};

use super::Comparison;
use crate::schema::Place;

/// Keywords that have a rule, here or in `object`.
pub(super) const RULED: &[&str] = &[
    "additionalProperties",
    "allOf",
    "contentEncoding",
    "contentMediaType",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "type",
    "unevaluatedProperties",
    "uniqueItems",
];

/// A keyword, and whether data below it is forbidden.
const BOUNDS: &[(&str, bool)] = &[
    ("exclusiveMaximum", false),
    ("exclusiveMinimum", true),
    ("maxItems", false),
    ("maxLength", false),
    ("maxProperties", false),
    ("maximum", false),
    ("minItems", true),
    ("minLength", true),
    ("minProperties", true),
    ("minimum", true),
];

/// Formats of which the earlier ones fit into the later ones.
const WIDER: &[&[&str]] = &[
    &["int8", "int16", "int32", "int64", "int128"],
    &["uint8", "uint16", "uint32", "uint64", "uint128"],
    &["float", "double"],
];

impl Comparison<'_> {
    pub(super) fn values(&mut self, old: &Place, new: &Place) {
        let at = format!("{}/enum", new.at);
        let listed = |place: &Place| place.schema["enum"].as_array().cloned();
        match (listed(old), listed(new)) {
            (None, None) => {}
            (None, Some(is)) => self.refuse(at, format!("narrowed: it may now only be {}", named(&is))),
            (Some(was), None) => {
                self.consumers_first(at, format!("it may now be something else than {}", named(&was)));
            }
            (Some(was), Some(is)) => {
                let without = |of: &[Value], these: &[Value]| -> Vec<Value> {
                    of.iter().filter(|value| !these.contains(value)).cloned().collect()
                };
                let (gone, more) = (without(&was, &is), without(&is, &was));
                if !gone.is_empty() {
                    self.refuse(&*at, format!("narrowed: it may no longer be {}, but old events say so", named(&gone)));
                }
                if !more.is_empty() {
                    self.consumers_first(at, format!("it may now also be {}", named(&more)));
                }
            }
        }
    }

    pub(super) fn bounds(&mut self, old: &Place, new: &Place) {
        for (keyword, is_lower) in BOUNDS {
            let counts = matches!(*keyword, "minItems" | "minLength" | "minProperties"); // there are never less than none
            let bound = |place: &Place| number(&place.schema[keyword]).or(counts.then_some(Number::Whole(0)));
            let at = format!("{}/{keyword}", new.at);
            match (bound(old), bound(new)) {
                (Some(was), Some(is)) if was == is => {}
                (Some(was), Some(is)) if (is > was) == *is_lower => {
                    self.refuse(
                        at,
                        format!("narrowed: `{keyword}` was {was}, it is {is}, but old events may lie between"),
                    );
                }
                (Some(was), Some(is)) => self.consumers_first(at, format!("`{keyword}` was {was}, it is {is}")),
                (None, Some(is)) => {
                    self.refuse(at, format!("narrowed: `{keyword}` is {is}, but old events had no such limit"));
                }
                (Some(was), None) => self.consumers_first(at, format!("`{keyword}` was {was}, now there is no limit")),
                (None, None) => {}
            }
        }
        let step = |place: &Place| place.schema["multipleOf"].as_f64();
        let at = format!("{}/multipleOf", new.at);
        match (step(old), step(new)) {
            (None, Some(is)) => self.refuse(at, format!("narrowed: it must now be a multiple of {is}")),
            (Some(was), Some(is)) if was != is && was % is != 0.0 => {
                self.refuse(at, format!("narrowed: it was a multiple of {was}, it must be one of {is}"));
            }
            (was, is) if was != is => self.consumers_first(at, "it need no longer be such a multiple"),
            _ => {}
        }
    }

    pub(super) fn texts(&mut self, old: &Place, new: &Place) {
        for keyword in ["format", "pattern", "contentEncoding", "contentMediaType"] {
            let text = |place: &Place| place.schema[keyword].as_str().map(str::to_owned);
            let at = format!("{}/{keyword}", new.at);
            match (text(old), text(new)) {
                (was, is) if was == is => {}
                (None, Some(is)) => {
                    self.refuse(at, format!("narrowed: `{keyword}` is {is:?}, but old events were not held to it"));
                }
                (Some(was), Some(is)) if keyword == "format" && is_wider(&was, &is) => {
                    self.consumers_first(at, format!("`format` was {was:?}, it is {is:?}"));
                }
                (Some(was), Some(is)) => {
                    self.refuse(at, format!("`{keyword}` was {was:?}, it is {is:?}: old events need not fit"));
                }
                (was, None) => {
                    let was = was.unwrap_or_default();
                    self.consumers_first(at, format!("`{keyword}` was {was:?}, now there is none"));
                }
            }
        }
    }

    pub(super) fn items(&mut self, old: &Place, new: &Place) {
        let unique = |place: &Place| place.schema["uniqueItems"] == true;
        let at = format!("{}/uniqueItems", new.at);
        match (unique(old), unique(new)) {
            (false, true) => self.refuse(at, "narrowed: its items must now differ, but old events may repeat some"),
            (true, false) => self.consumers_first(at, "its items may now be equal"),
            _ => {}
        }
        self.part(old, new, "items", "of its items");
        for keyword in ["prefixItems", "allOf"] {
            let list = |place: &Place| place.schema[keyword].as_array().cloned().unwrap_or_default();
            let (was, is) = (list(old), list(new));
            let at = format!("{}/{keyword}", new.at);
            if was.len() == is.len() {
                for (index, (was, is)) in was.into_iter().zip(is).enumerate() {
                    let at = format!("{at}/{index}");
                    self.schema(Place { at: at.clone(), schema: was }, Place { at, schema: is });
                }
            } else if keyword == "allOf" && is.len() < was.len() {
                self.consumers_first(at, "it need no longer fulfil all that it had to");
            } else {
                self.refuse(at, format!("`{keyword}` had {} entries, it has {}", was.len(), is.len()));
            }
        }
    }

    /// A keyword whose schema holds for a part; absent, anything is allowed there.
    pub(super) fn part(&mut self, old: &Place, new: &Place, keyword: &str, of: &str) {
        let at = |place: &Place| format!("{}/{keyword}", place.at);
        let part = |place: &Place| match place.schema.get(keyword) {
            None | Some(Value::Bool(true)) => None,
            Some(Value::Object(object)) if object.is_empty() => None,
            Some(schema) => Some(Place { at: at(place), schema: schema.clone() }),
        };
        let closed = |place: &Place| place.schema.get(keyword) == Some(&json!(false));
        match (part(old), part(new)) {
            (None, None) => {}
            (None, Some(_)) if closed(new) => self.refuse(at(new), format!("closed: it allowed any {of}, now none")),
            (None, Some(_)) => self.refuse(at(new), format!("narrowed: it allowed any {of}, now not all")),
            (Some(_), None) => self.consumers_first(at(new), format!("opened: any {of} is allowed now")),
            (Some(_), Some(_)) if closed(old) && closed(new) => {}
            (Some(_), Some(_)) if closed(old) => {
                self.consumers_first(at(new), format!("opened: more {of} are allowed"))
            }
            (Some(_), Some(_)) if closed(new) => self.refuse(at(new), format!("closed: none {of} is allowed any more")),
            (Some(was), Some(is)) => self.schema(was, is),
        }
    }
}

/// A limit: whole numbers beyond 2^53 are compared exactly.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Broken(f64),
}

fn number(value: &Value) -> Option<Number> {
    let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    whole.map(Number::Whole).or_else(|| value.as_f64().map(Number::Broken))
}

impl Number {
    #[allow(clippy::cast_precision_loss, reason = "only beside a number that is no whole one")]
    fn about(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Broken(number) => number,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.partial_cmp(b),
            _ => self.about().partial_cmp(&other.about()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Broken(number) => number.fmt(f),
        }
    }
}

fn is_wider(was: &str, is: &str) -> bool {
    let place = |row: &&&[&str], name: &str| row.iter().position(|format| *format == name);
    WIDER.iter().any(|row| matches!((place(&row, was), place(&row, is)), (Some(was), Some(is)) if was < is))
}

fn named(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}
