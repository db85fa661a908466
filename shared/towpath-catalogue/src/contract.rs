//! Contract tests: what each producer records, against its entry and schema; and every sample of every version ever
//! released, against the handlers of each consumer, in the story in which it was recorded.
//! Must not know: any one event, files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use towpath::{EventType, Kind};

use crate::check::misfits;
use crate::entry::{Catalogue, Entry, Story};
use crate::folder::{Shelf, Version, text_of};
use crate::listing::{Addressed, Listing};
use crate::release::story_name;
use crate::story::{Happened, Instead, Told, tell};

/// What the types and the stories say.
pub struct Generated {
    /// What is said of each event and command.
    pub listing: Listing,
    /// The current version of each.
    pub shelf: Shelf,
    stories: Vec<Told>,
}

/// What the contract tests found.
pub struct Evidence {
    /// A sentence for each broken contract.
    pub broken: Vec<String>,
    /// The page that shows what was tested.
    pub page: String,
}

impl Generated {
    /// The files of `schemas/`, without what was released.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = self.shelf.files();
        files.insert(crate::folder::LISTING.to_owned(), text_of(&self.listing));
        files
    }
}

impl Catalogue {
    /// Generates schemas and samples. What was released tells whether earlier versions can still be read.
    pub fn generate(&self, released: &Shelf) -> Generated {
        let stories: Vec<Told> = self.stories.iter().map(|story| tell(story, (self.consumers)(), None)).collect();
        let mut shelf = Shelf::default();
        let mut events = Vec::new();
        for entry in &self.entries {
            let mut listed = entry.listed().clone();
            let of = (listed.event_type.clone(), listed.version);
            let own = |event: &&Happened| event.event_type == of.0 && event.version == of.1;
            let samples: BTreeMap<String, Value> = stories
                .iter()
                .flat_map(|told| &told.events)
                .filter(own)
                .map(|event| (event.sample.clone(), event.data.clone()))
                .collect();
            for before in &mut listed.before {
                let old = (of.0.clone(), before.version);
                let mut old = released.samples_of(&old).peekable();
                before.upcast =
                    old.peek().is_some() && old.all(|(_, data)| (entry.reads)(before.version, data).is_ok());
                let written = |data: &Value| (entry.writes)(data, before.version).is_some();
                before.downcast = !samples.is_empty() && samples.values().all(written);
            }
            listed.consumers = self.readers(&of.0);
            if let Some(command) = &mut listed.command {
                let hears = |answer: &String| self.hears(&listed.producers, answer);
                command.answers = recorded_for(&stories, &of.0, command).into_iter().filter(hears).collect();
            }
            shelf.schemas.insert(of.clone(), entry.schema.clone());
            shelf.samples.insert(of, samples);
            events.push(listed);
        }
        events.sort_by(|a, b| a.event_type.cmp(&b.event_type));
        Generated { listing: Listing { title: self.title.clone(), events }, shelf, stories }
    }

    /// Does a sender handle this type of event? One that handles nothing, such as an API, hears of it by its state.
    fn hears(&self, senders: &[String], event_type: &str) -> bool {
        let consumers = (self.consumers)();
        let mut names = consumers.iter().map(|consumer| consumer.name().as_str());
        let is_deaf = !names.any(|name| senders.iter().any(|sender| sender == name));
        is_deaf || self.readers(event_type).iter().any(|reader| senders.contains(&reader.consumer))
    }

    /// Tests every contract.
    pub fn contract_tests(&self, generated: &Generated, released: &Shelf) -> Evidence {
        let mut tests = Tests { catalogue: self, generated, released, broken: Vec::new(), read: Vec::new() };
        for (story, told) in self.stories.iter().zip(&generated.stories) {
            tests.broken.extend(told.failures.iter().map(|why| format!("the story {}: {why}", story.name)));
            told.events.iter().for_each(|event| tests.recorded(event));
        }
        tests.declared();
        for entry in &self.entries {
            tests.samples(entry);
        }
        let page = crate::evidence::page(generated, &tests.read);
        Evidence { broken: tests.broken, page }
    }
}

/// The types of events that the consumer of this command recorded when it carried it out. That of a command that was passed
/// over is not among them: it is known without a story.
fn recorded_for(stories: &[Told], of: &str, command: &Addressed) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for told in stories {
        let sent: BTreeSet<&str> =
            told.events.iter().filter(|sent| sent.event_type == of).map(|sent| sent.id.as_str()).collect();
        let answers = told.events.iter().filter(|answer| {
            answer.kind == Kind::Event && answer.producer == command.to && sent.contains(answer.cause.as_str())
        });
        found.extend(answers.map(|answer| answer.event_type.clone()));
    }
    found.remove(&command.skipped);
    found
}

/// A sample that consumers were given.
pub(crate) struct Read {
    pub(crate) of: Version,
    pub(crate) sample: String,
    pub(crate) taken: Vec<String>,
    pub(crate) is_passed_over: bool,
}

struct Tests<'a> {
    catalogue: &'a Catalogue,
    generated: &'a Generated,
    released: &'a Shelf,
    broken: Vec<String>,
    read: Vec<Read>,
}

impl Tests<'_> {
    /// What is recorded is listed, with its producer, and fits its schema.
    fn recorded(&mut self, event: &Happened) {
        let Happened { producer, event_type, version, sample, .. } = event;
        if event.is_private {
            return;
        }
        let (does, adds) = match event.kind {
            Kind::Event => ("records", "event!"),
            Kind::Command => ("sends", "command!"),
        };
        let Some(entry) = self.catalogue.entry(event_type) else {
            let why = format!("{producer} {does} {event_type}, which is not listed: add {adds}(…) for it");
            return self.broken.push(why);
        };
        let listed = entry.listed();
        if listed.version != *version {
            let now = listed.version;
            self.broken.push(format!("{producer} {does} {event_type} v{version}, but the catalogue lists v{now}"));
        }
        if !listed.producers.contains(producer) {
            self.broken
                .push(format!("{producer} {does} {event_type}, but its entry does not say so: .by(&[{producer:?}])"));
        }
        for (at, why) in misfits(&entry.schema, &event.data) {
            self.broken.push(format!(
                "{event_type} v{version}, {sample}: {producer} {does} what does not fit its schema at {at}: {why}"
            ));
        }
        for before in &listed.before {
            let schema = self.released.schemas.get(&(event_type.clone(), before.version));
            let (Some(schema), Some(data)) = (schema, (entry.writes)(&event.data, before.version)) else { continue };
            for (at, why) in misfits(schema, &data) {
                let of = before.version;
                self.broken.push(format!(
                    "{event_type} v{version}, {sample}: as v{of} it does not fit that schema at {at}: {why}"
                ));
            }
        }
    }

    /// Nobody is said to record or to send what no story shows, nothing is handled that is not listed, and each command has one
    /// who carries it out and answers.
    fn declared(&mut self) {
        let shown: BTreeSet<(&str, &str)> = self
            .generated
            .stories
            .iter()
            .flat_map(|told| &told.events)
            .map(|event| (event.producer.as_str(), event.event_type.as_str()))
            .collect();
        for listed in &self.generated.listing.events {
            let silent = listed.producers.iter().filter(|name| !shown.contains(&(name, &listed.event_type)));
            let (of, does) = (&listed.event_type, if listed.command.is_some() { "send" } else { "record" });
            self.broken.extend(silent.map(|name| format!("{name} is said to {does} {of}, but no story shows it")));
            let Some(command) = &listed.command else { continue };
            if listed.consumers.is_empty() {
                let to = &command.to;
                self.broken.push(format!("{of} is addressed to {to}, which does not carry it out: .on_command(…)"));
            } else if command.answers.is_empty() {
                let to = &command.to;
                let why = format!("no story shows an event that {to} records and its sender hears");
                self.broken.push(format!("{of} is never answered: {why}"));
            }
        }
        for consumer in (self.catalogue.consumers)() {
            let is_unlisted = |kind: &&EventType| self.catalogue.entry(kind.as_str()).is_none();
            let name = consumer.name();
            let events = consumer.event_types().filter(is_unlisted);
            let says = |kind| format!("{name} handles {kind}, which is not listed: add event!(…) for it");
            self.broken.extend(events.map(says));
            let commands = consumer.command_types().filter(is_unlisted);
            let says = |kind| format!("{name} carries out {kind}, which is not listed: add command!(…) for it");
            self.broken.extend(commands.map(says));
        }
    }

    /// Each consumer of an event, and the one of a command, takes every sample of it, of every version.
    fn samples(&mut self, entry: &Entry) {
        let (generated, released) = (self.generated, self.released);
        let event_type = &entry.listed().event_type;
        let mut seen = BTreeSet::new();
        for shelf in [released, &generated.shelf] {
            for (of, samples) in shelf.samples.iter().filter(|((event, _), _)| event == event_type) {
                for (name, data) in samples {
                    if seen.insert((of.clone(), name.clone(), data.to_string())) {
                        self.sample(entry, of, name, data);
                    }
                }
            }
        }
    }

    fn sample(&mut self, entry: &Entry, of: &Version, name: &str, data: &Value) {
        let (event_type, version) = of;
        if let Err(why) = (entry.reads)(*version, data) {
            return self.broken.push(format!("{event_type} v{version}, {name}: it cannot be read: {why}"));
        }
        let story = self.story_of(name);
        let instead = Instead {
            event_type: event_type.clone(),
            sample: story_name(name).to_owned(),
            version: *version,
            data: data.clone(),
        };
        let told = story.map(|story| tell(story, (self.catalogue.consumers)(), Some(instead)));
        let is_it = |event: &&Happened| event.event_type == *event_type && event.sample == story_name(name);
        let Some((told, event)) = told.as_ref().and_then(|told| Some((told, told.events.iter().find(is_it)?))) else {
            let why = "the story that recorded it is gone, or no longer does: stories of released samples stay";
            return self.broken.push(format!("{event_type} v{version}, {name}: {why}"));
        };
        self.broken.extend(told.failures.iter().map(|why| format!("{event_type} v{version}, {name}: {why}")));
        for reader in self.catalogue.readers(event_type) {
            let is_dealt_with = event.taken.contains(&reader.consumer) || event.is_passed_over;
            if !is_dealt_with && told.failures.is_empty() && reader.since == "beginning" {
                self.broken.push(format!("{event_type} v{version}, {name}: {} was not given it", reader.consumer));
            }
        }
        let (taken, is_passed_over) = (event.taken.clone(), event.is_passed_over);
        self.read.push(Read { of: of.clone(), sample: name.to_owned(), taken, is_passed_over });
    }

    /// `orders-api.served.2~3` is of the story `served`.
    fn story_of(&self, sample: &str) -> Option<&Story> {
        let name = story_name(sample).split('.').nth(1)?;
        self.catalogue.stories.iter().find(|story| story.name == name)
    }
}
