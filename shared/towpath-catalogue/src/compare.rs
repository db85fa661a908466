//! What a change of a schema means, place by place: may the data of all times still be read, and does what was promised
//! still come? Must not know: events, files. It reads two JSON values and says sentences.
//!
//! Under one version there is one promise in two directions. Today's code reads every event that was ever written under the
//! version, so nothing that was allowed may become forbidden. And what was always there stays there, under its name and in
//! its type. What only *adds* possibilities is allowed: consumers are deployed first.

mod keywords;
mod object;

use serde_json::Value;

use crate::alternatives::{alternatives, key};
use crate::schema::{PUBLIC, Place, TO, VISIBILITY, is_annotation};

/// What a change asks of those who deploy it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It breaks the version: a new version is needed.
    Refused,
    /// Code of before cannot read what may be written from now on: deploy the consumers before the producers.
    ConsumersFirst,
    /// Nobody notices.
    Harmless,
}

/// One difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What it asks for.
    pub effect: Effect,
    /// JSON pointer of the place.
    pub at: String,
    /// A sentence.
    pub says: String,
}

/// Every difference that is more than words, the worst first. Both must be without [`flaws`](crate::flaws).
pub fn compare(old: &Value, new: &Value) -> Vec<Change> {
    let mut comparison = Comparison { old, new, changes: Vec::new() };
    let root = |schema: &Value| Place { at: String::new(), schema: schema.clone() };
    comparison.visibility();
    comparison.address();
    comparison.schema(root(old), root(new));
    let mut changes = comparison.changes;
    changes.sort();
    changes.dedup();
    changes
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn refuse(&mut self, at: impl Into<String>, says: impl Into<String>) {
        self.say(Effect::Refused, at, says);
    }

    fn consumers_first(&mut self, at: impl Into<String>, says: impl Into<String>) {
        self.say(Effect::ConsumersFirst, at, says);
    }

    fn say(&mut self, effect: Effect, at: impl Into<String>, says: impl Into<String>) {
        self.changes.push(Change { effect, at: at.into(), says: says.into() });
    }

    /// Who may see it is part of the promise: others than this pipeline read what is public, and nobody knows them all.
    fn visibility(&mut self) {
        match (self.old[VISIBILITY] == PUBLIC, self.new[VISIBILITY] == PUBLIC) {
            (true, false) => self.refuse("", "it is no longer public, but others outside of the pipeline rely on it"),
            (false, true) => {
                self.say(Effect::Harmless, "", "it becomes public: a promise to others than this pipeline")
            }
            _ => {}
        }
    }

    /// So is to whom a command goes: those that were sent and not carried out yet lie in the journal under that address.
    fn address(&mut self) {
        match (self.old[TO].as_str(), self.new[TO].as_str()) {
            (None, Some(_)) => self.refuse("", "it becomes a command, but events of this type lie in the journal"),
            (Some(_), None) => {
                self.refuse("", "it is no longer a command, but commands of this type lie in the journal")
            }
            (Some(old), Some(new)) if old != new => {
                let says = format!(
                    "it goes to {new}, but what was sent is addressed to {old}: a command to another consumer is another type"
                );
                self.refuse("", says);
            }
            _ => {}
        }
    }

    fn schema(&mut self, old: Place, new: Place) {
        let unmarked = old.schema["x-personal"] == true && new.schema["x-personal"] != true;
        if unmarked {
            self.say(Effect::Harmless, &*new.at, "it is no longer marked as personal data");
        }
        let at = new.at.clone();
        let (old, new) = (alternatives(self.old, old), alternatives(self.new, new));
        match (&*old, &*new) {
            ([old], [new]) => self.plain(old, new),
            _ => self.union(&at, &old, &new),
        }
    }

    /// Each old alternative must live on in a new one; what is new beside them is more than there was.
    fn union(&mut self, at: &str, old: &[Place], new: &[Place]) {
        let mut taken = vec![false; new.len()];
        for one in old {
            let tries: Vec<Vec<Change>> = new.iter().map(|other| self.attempt(one, other)).collect();
            let sound = |index: &usize| tries[*index].iter().all(|change| change.effect != Effect::Refused);
            let alike = |index: &usize| key(&one.schema) == key(&new[*index].schema);
            let all = || 0..new.len();
            let best = all().filter(alike).find(sound).or_else(|| all().find(alike)).or_else(|| all().find(sound));
            match best {
                Some(index) => {
                    taken[index] = true;
                    self.changes.extend(tries[index].iter().cloned());
                }
                None if one.schema["type"] == "null" => {
                    self.refuse(at, "it may no longer be null, but old events have null there");
                }
                None => {
                    let only = if old.len() == 1 { "changed type: it was" } else { "narrowed: it may no longer be" };
                    self.refuse(at, format!("{only} {}", key(&one.schema)));
                }
            }
        }
        for (more, _) in new.iter().zip(taken).filter(|(_, taken)| !taken) {
            let same_kind = old.iter().any(|one| one.schema["type"] == more.schema["type"]);
            if more.schema["type"] == "null" {
                self.consumers_first(at, "it may now be null");
            } else if old.iter().any(|one| one.schema["type"].is_null()) {
                // Anything was allowed, so this is not more.
            } else if same_kind {
                self.consumers_first(at, format!("it may now also be {}", key(&more.schema)));
            } else {
                self.refuse(at, format!("changed type: it may now also be {}", key(&more.schema)));
            }
        }
    }

    fn attempt(&self, old: &Place, new: &Place) -> Vec<Change> {
        let mut attempt = Comparison { old: self.old, new: self.new, changes: Vec::new() };
        attempt.plain(old, new);
        attempt.changes
    }

    /// Two schemas without alternatives.
    fn plain(&mut self, old: &Place, new: &Place) {
        let kind = |place: &Place| place.schema["type"].as_str().map(str::to_owned);
        let (was, is) = (kind(old), kind(new));
        if was != is {
            let name = |kind: Option<String>| kind.unwrap_or_else(|| "anything".to_owned());
            return self.refuse(&*new.at, format!("changed type: it was {}, it is {}", name(was), name(is)));
        }
        self.values(old, new);
        self.bounds(old, new);
        self.texts(old, new);
        self.items(old, new);
        self.object(old, new);
        self.others(old, new);
    }

    /// Keywords that have no rule of their own are compared as they stand.
    fn others(&mut self, old: &Place, new: &Place) {
        let keywords = |place: &Place| place.schema.as_object().cloned().unwrap_or_default();
        let (was, is) = (keywords(old), keywords(new));
        let mut all: Vec<&String> = was.keys().chain(is.keys()).collect();
        all.sort();
        all.dedup();
        for keyword in all {
            if !is_annotation(keyword) && !keywords::RULED.contains(&&**keyword) && was.get(keyword) != is.get(keyword)
            {
                let says = format!("`{keyword}` changed, and it cannot be told whether old events still fit");
                self.refuse(format!("{}/{keyword}", new.at), says);
            }
        }
    }
}
