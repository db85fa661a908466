//! Objects: fields that come, go, are renamed, become required or optional, and fields that nobody has named.
//! Must not know: values, texts, arrays.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Comparison, Effect};
use crate::alternatives::required;
use crate::schema::{Place, escaped, is_annotation};

impl Comparison<'_> {
    pub(super) fn object(&mut self, old: &Place, new: &Place) {
        let renamed = self.fields(old, new);
        self.required(old, new, &renamed);
        self.part(old, new, "additionalProperties", "field that it does not name");
        self.part(old, new, "unevaluatedProperties", "field that it does not name");
        self.part(old, new, "propertyNames", "name of a field");
        self.patterns(old, new);
    }

    /// Returns the new names of fields that seem to be renamed.
    fn fields(&mut self, old: &Place, new: &Place) -> BTreeSet<String> {
        let (was, is) = (named(old, "properties"), named(new, "properties"));
        let (had_to, has_to) = (names(old), names(new));
        let come: Vec<&String> = is.keys().filter(|name| !was.contains_key(*name)).collect();
        let mut renamed = BTreeSet::new();
        for (name, field) in &was {
            let at = |place: &Place| format!("{}/properties/{}", place.at, escaped(name));
            if let Some(now) = is.get(name) {
                let (field, now) = (field.clone(), now.clone());
                self.schema(Place { at: at(old), schema: field }, Place { at: at(new), schema: now });
                continue;
            }
            let alike = come
                .iter()
                .find(|other| bare(&is[**other]) == bare(field) && has_to.contains(**other) == had_to.contains(name));
            match (alike, had_to.contains(name)) {
                (Some(other), _) => {
                    let says =
                        format!("renamed to {other:?}? Old events have it under {name:?}, and so have their readers");
                    self.refuse(at(old), says);
                    renamed.insert((*other).clone());
                }
                (None, true) => self.refuse(at(old), "removed, but it was required: its readers rely on it"),
                (None, false) if is_closed(new) => {
                    self.refuse(at(old), "removed, but old events have it, and other fields are not allowed");
                }
                (None, false) => self.say(Effect::Harmless, at(old), "removed; it was optional"),
            }
        }
        for name in come.into_iter().filter(|name| !has_to.contains(*name) && !renamed.contains(*name)) {
            let at = format!("{}/properties/{}", new.at, escaped(name));
            if is_closed(old) {
                self.consumers_first(at, "added, optional, where other fields were not allowed");
            } else {
                self.say(Effect::Harmless, at, "added, optional");
            }
        }
        renamed
    }

    fn required(&mut self, old: &Place, new: &Place, renamed: &BTreeSet<String>) {
        let (was, is) = (names(old), names(new));
        let (had, has) = (named(old, "properties"), named(new, "properties"));
        for name in is.difference(&was).filter(|name| !renamed.contains(*name)) {
            let at = format!("{}/properties/{}", new.at, escaped(name));
            if had.contains_key(name) {
                self.refuse(at, "optional → required: old events need not have it");
            } else {
                self.refuse(at, "added as required: old events do not have it; make it optional");
            }
        }
        for name in was.difference(&is).filter(|name| has.contains_key(*name) || !had.contains_key(*name)) {
            self.consumers_first(format!("{}/properties/{}", new.at, escaped(name)), "required → optional");
        }
    }

    fn patterns(&mut self, old: &Place, new: &Place) {
        let (was, is) = (named(old, "patternProperties"), named(new, "patternProperties"));
        for pattern in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
            let at = |place: &Place| format!("{}/patternProperties/{}", place.at, escaped(pattern));
            match (was.get(pattern), is.get(pattern)) {
                (Some(was), Some(is)) => {
                    let (was, is) = (was.clone(), is.clone());
                    self.schema(Place { at: at(old), schema: was }, Place { at: at(new), schema: is });
                }
                (None, _) => self.refuse(at(new), "narrowed: a rule for fields of such names is added"),
                (_, None) => self.consumers_first(at(new), "there is no rule for fields of such names any more"),
            }
        }
    }
}

fn named(place: &Place, keyword: &str) -> Map<String, Value> {
    place.schema[keyword].as_object().cloned().unwrap_or_default()
}

fn names(place: &Place) -> BTreeSet<String> {
    required(&place.schema).map(str::to_owned).collect()
}

fn is_closed(place: &Place) -> bool {
    ["additionalProperties", "unevaluatedProperties"].iter().any(|keyword| place.schema[keyword] == false)
}

/// A field's schema without words.
fn bare(schema: &Value) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    Value::Object(object.iter().filter(|(word, _)| !is_annotation(word)).map(|(k, v)| (k.clone(), v.clone())).collect())
}
