//! What must hold of the catalogue before it is released: complete entries, sound schemas, no broken promise, and for each
//! earlier version a way to read it, samples, and a day on which it ends. Must not know: types, files.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::compare::{Effect, compare};
use crate::folder::{Folder, Version};
use crate::listing::{Listed, is_day};
use crate::schema::flaws;

/// Something that is wrong, or that whoever deploys must know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Is it refused? If not, it is to be known.
    pub refused: bool,
    /// `order.placed v1`.
    pub of: String,
    /// JSON pointer into its schema; empty when it is about the whole.
    pub at: String,
    /// A sentence.
    pub says: String,
}

/// Everything that is to be said; what is refused comes first. `today` is a day like `2026-11-21`.
pub fn check(folder: &Folder, today: &str) -> Vec<Finding> {
    let mut check = Check { folder, today, findings: Vec::new() };
    check.listing();
    for listed in &folder.listing.events {
        check.entry(listed);
        check.schema(listed);
        check.versions(listed);
        check.samples(listed);
    }
    let mut findings = check.findings;
    findings.sort_by_key(|finding| !finding.refused);
    findings
}

/// What differs from the released state, so that a deploy would bring what was never promised.
pub fn unreleased(folder: &Folder) -> Vec<Finding> {
    let differs = |version: &&Version| folder.released.schemas.get(version) != folder.current.schemas.get(version);
    let says = "it is not released as it stands: run `towpath catalogue release`, and commit schemas/released";
    let finding =
        |version: &Version| Finding { refused: true, of: name(version), at: String::new(), says: says.into() };
    folder.current.schemas.keys().filter(differs).map(finding).collect()
}

fn name((event, version): &Version) -> String {
    format!("{event} v{version}")
}

struct Check<'a> {
    folder: &'a Folder,
    today: &'a str,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn refuse(&mut self, of: &Version, at: impl Into<String>, says: impl Into<String>) {
        self.findings.push(Finding { refused: true, of: name(of), at: at.into(), says: says.into() });
    }

    /// Each type once, and nothing that is no longer listed.
    fn listing(&mut self) {
        let mut seen = BTreeSet::new();
        for listed in &self.folder.listing.events {
            if !seen.insert(listed.event_type.clone()) {
                self.refuse(
                    &current(listed),
                    "",
                    "it is listed twice: one type has one entry, whose type is the newest version",
                );
            }
        }
        let known = |version: &Version| self.folder.listing.events.iter().any(|listed| current(listed) == *version);
        let strays: Vec<Version> = self.folder.current.schemas.keys().filter(|of| !known(of)).cloned().collect();
        for stray in strays {
            self.refuse(&stray, "", "there is a schema, but the catalogue lists no such version: run `make catalogue`");
        }
        let released: BTreeSet<&String> = self.folder.released.schemas.keys().map(|(event, _)| event).collect();
        let gone: Vec<Version> =
            released.into_iter().filter(|event| !seen.contains(*event)).map(|event| (event.clone(), 1)).collect();
        for gone in gone {
            self.refuse(
                &gone,
                "",
                "it was released and is no longer listed: the journal holds it for ever, so keep its type",
            );
        }
    }

    fn entry(&mut self, listed: &Listed) {
        let of = current(listed);
        let texts = [
            ("description", &listed.description, "write a doc comment above its type"),
            ("owner", &listed.owner, "say who answers for it: `.owner(…)`"),
            ("retention", &listed.retention, "say how long it is kept: `.kept(…)`"),
        ];
        for (what, text, hint) in texts {
            if text.trim().is_empty() {
                self.refuse(&of, "", format!("it has no {what}: {hint}"));
            }
        }
        if listed.producers.is_empty() {
            let does = if listed.command.is_some() { "sends" } else { "records" };
            self.refuse(&of, "", format!("nobody {does} it: say who does, `.by(&[…])`"));
        }
    }

    fn schema(&mut self, listed: &Listed) {
        let of = current(listed);
        let Some(schema) = self.folder.current.schemas.get(&of) else {
            return self.refuse(&of, "", "its schema is missing: run `make catalogue`");
        };
        let released = self.folder.released.schemas.get(&of);
        let mut sound = true;
        for flaw in [Some(schema), released].into_iter().flatten().flat_map(flaws).collect::<BTreeSet<_>>() {
            sound = false;
            self.refuse(&of, flaw.at, flaw.says);
        }
        if let Some(released) = released.filter(|_| sound) {
            for change in compare(released, schema) {
                let refused = change.effect == Effect::Refused;
                let hint = if change.effect == Effect::ConsumersFirst {
                    ": deploy the consumers before the producers"
                } else {
                    ""
                };
                let says = format!("{}{hint}", change.says);
                self.findings.push(Finding { refused, of: name(&of), at: change.at, says });
            }
        }
    }

    /// Every version that was ever released can be read, and ends on a day.
    fn versions(&mut self, listed: &Listed) {
        let of = current(listed);
        let released = self.folder.released.schemas.keys().filter(|(event, _)| *event == listed.event_type);
        let versions: Vec<u32> = released.map(|(_, version)| *version).collect();
        let newest = versions.iter().max().copied().unwrap_or(0);
        if listed.version < newest {
            self.refuse(
                &of,
                "",
                format!("v{newest} was released: versions only grow, so the type must stay at v{newest} or above"),
            );
        } else if listed.version > newest + 1 {
            self.refuse(&of, "", format!("the version after v{newest} is v{}", newest + 1));
        }
        for version in versions.into_iter().filter(|version| *version < listed.version) {
            self.before(listed, (listed.event_type.clone(), version));
        }
    }

    fn before(&mut self, listed: &Listed, of: Version) {
        let version = of.1;
        if self.folder.released.samples_of(&of).next().is_none() {
            self.refuse(&of, "", "it was released without samples, so that nothing shows that it can still be read");
        }
        let before = listed.before(version);
        if !before.is_some_and(|before| before.upcast) {
            let says = format!(
                "its samples cannot be read: write `fn upcast` from v{version} to v{} of its type",
                version + 1
            );
            self.refuse(&of, "", says);
        }
        // A command has one reader, which is deployed before its senders: no earlier version is written beside it.
        if listed.command.is_some() {
            return;
        }
        let written = before.is_some_and(|before| before.downcast);
        match before.and_then(|before| before.sunset.as_deref()) {
            None => {
                self.refuse(&of, "", format!("it has no sunset: say the last day on which it is written, `.sunset({version}, \"2027-03-01\")`"));
            }
            Some(day) if !is_day(day) => self.refuse(&of, "", format!("its sunset {day:?} is no day like 2027-03-01")),
            Some(day) if self.today <= day && !written => {
                self.refuse(
                    &of,
                    "",
                    format!("it must still be written until {day}, but `fn downcast` does not give it"),
                );
            }
            Some(day) if self.today > day && written => {
                let says =
                    format!("its sunset was {day}: take it out of `fn downcast` and of AlsoWrites; its upcast stays");
                self.refuse(&of, "", says);
            }
            Some(_) => {}
        }
    }

    /// Samples fit the schema of their version, those that were released also today's. Of a schema that is refused, that its
    /// old samples do not fit is no news.
    fn samples(&mut self, listed: &Listed) {
        let of = current(listed);
        if self.folder.current.samples_of(&of).next().is_none() {
            self.refuse(&of, "", "it has no sample: no story in the catalogue's crate shows it");
        }
        let (now, then) = (&self.folder.current, &self.folder.released);
        let mut pairs: Vec<(Version, String, &Value, Option<&Value>)> = Vec::new();
        let is_refused = self.findings.iter().any(|finding| finding.refused && finding.of == name(&of));
        for shelf in [Some(now), Some(then).filter(|_| !is_refused)].into_iter().flatten() {
            pairs.extend(
                shelf.samples_of(&of).map(|(at, sample)| (of.clone(), at.clone(), sample, now.schemas.get(&of))),
            );
        }
        for version in 1..listed.version {
            let of = (listed.event_type.clone(), version);
            pairs.extend(
                then.samples_of(&of).map(|(at, sample)| (of.clone(), at.clone(), sample, then.schemas.get(&of))),
            );
        }
        for (of, sample, value, schema) in pairs {
            for (at, says) in schema.map(|schema| misfits(schema, value)).unwrap_or_default() {
                self.refuse(&of, at, format!("the sample {sample} does not fit: {says}"));
            }
        }
    }
}

/// Where a value does not fit a schema, and why.
pub(crate) fn misfits(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    match options.build(schema) {
        Err(error) => vec![(error.instance_path().to_string(), "its schema cannot be used".to_owned())],
        Ok(schema) => {
            schema.iter_errors(value).map(|error| (error.instance_path().to_string(), error.to_string())).collect()
        }
    }
}

fn current(listed: &Listed) -> Version {
    (listed.event_type.clone(), listed.version)
}
