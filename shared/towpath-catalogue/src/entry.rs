//! What an author writes down: each event and command with who answers for it, the consumers, and the stories that show them
//! at work.
//! Must not know: folders, rules.

use std::marker::PhantomData;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;
use towpath::{Aggregate, Command, Consumer, Entity, Event, Failure, Visibility};

use crate::listing::{Addressed, Before, Listed, Reader};
use crate::schema::{PUBLIC, TO, VISIBILITY};
use crate::story::Stage;

/// An entry for a type of event.
///
/// Neither the event nor anything in it may be an entity: state changes when code changes, an event is a promise. So this
/// does not compile if the event is an entity, or if the aggregate's state has a schema, without which no event can hold it.
///
/// ```compile_fail
/// # use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # use towpath::{Aggregate, AggregateId, Entity, Event, Storage};
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Meter { id: String }
/// # impl Aggregate for Meter { const TYPE: &'static str = "meter"; const STORAGE: Storage = Storage::State; }
/// # impl Entity for Meter { fn id(&self) -> AggregateId { self.id.parse().unwrap() } }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct MeterRead {
///     #[serde(flatten)]
///     meter: Meter,
/// }
/// # impl Event for MeterRead {
/// #     type Of = Meter; const TYPE: &'static str = "meter.read"; const VERSION: u32 = 1;
/// #     fn aggregate_id(&self) -> AggregateId { self.meter.id() }
/// # }
/// towpath_catalogue::event!(MeterRead);
/// ```
///
/// With fields of its own, it does:
///
/// ```
/// # use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # use towpath::{Aggregate, AggregateId, Entity, Event, Storage};
/// #[derive(Serialize, Deserialize)]
/// struct Meter { id: String }
/// # impl Aggregate for Meter { const TYPE: &'static str = "meter"; const STORAGE: Storage = Storage::State; }
/// # impl Entity for Meter { fn id(&self) -> AggregateId { self.id.parse().unwrap() } }
/// /// A meter was read.
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct MeterRead { id: String }
/// # impl Event for MeterRead {
/// #     type Of = Meter; const TYPE: &'static str = "meter.read"; const VERSION: u32 = 1;
/// #     fn aggregate_id(&self) -> AggregateId { self.id.parse().unwrap() }
/// # }
/// towpath_catalogue::event!(MeterRead).owner("billing").kept("10 years").by(&["meters-api"]);
/// ```
///
/// An event that is itself the entity does not:
///
/// ```compile_fail
/// # use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # use towpath::{Aggregate, AggregateId, Entity, Event, Storage};
/// # struct Of; impl Aggregate for Of { const TYPE: &'static str = "meter"; const STORAGE: Storage = Storage::State; }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Meter { id: String }
/// # impl Aggregate for Meter { const TYPE: &'static str = "meter"; const STORAGE: Storage = Storage::State; }
/// impl Entity for Meter { fn id(&self) -> AggregateId { self.id.parse().unwrap() } }
/// # impl Event for Meter {
/// #     type Of = Of; const TYPE: &'static str = "meter.read"; const VERSION: u32 = 1;
/// #     fn aggregate_id(&self) -> AggregateId { self.id.parse().unwrap() }
/// # }
/// towpath_catalogue::event!(Meter);
/// ```
#[macro_export]
macro_rules! event {
    ($event:ty) => {{
        $crate::no_state!($event, <$event as $crate::probe::Event>::Of);
        $crate::Entry::of::<$event>()
    }};
}

/// An entry for a type of command: `command!(Authorise).owner(…).kept(…).by(&["signup"])`, where `by` says who sends it. To whom
/// it goes, its type says; what answers it, the stories show. What [`event!`] does not take does not compile here, either.
#[macro_export]
macro_rules! command {
    ($command:ty) => {{
        $crate::no_state!($command, <$command as $crate::probe::Command>::From);
        $crate::Entry::of_command::<$command>()
    }};
}

/// Does not compile if the type is an entity, or could hold the state of this aggregate.
#[doc(hidden)]
#[macro_export]
macro_rules! no_state {
    ($type:ty, $of:ty) => {
        const _: () = {
            use $crate::probe::{NoEntity as _, NoSchema as _, Probe};
            assert!(
                !Probe::<$type>::IS_ENTITY,
                concat!(
                    stringify!($type),
                    " is an entity: what is sent has fields of its own, or each change of the state changes what was promised"
                )
            );
            assert!(
                !Probe::<$of>::HAS_SCHEMA,
                concat!(
                    "the aggregate of ",
                    stringify!($type),
                    " derives JsonSchema, so what is sent could be, or flatten, its state: remove the derive"
                )
            );
        };
    };
}

/// Tells at compile time what a type is: an inherent constant wins over that of a trait, where it exists.
#[doc(hidden)]
pub mod probe {
    use super::{Entity, JsonSchema, PhantomData};
    pub use towpath::{Command, Event};

    pub struct Probe<T>(PhantomData<T>);

    pub trait NoEntity {
        const IS_ENTITY: bool = false;
    }
    impl<T> NoEntity for Probe<T> {}
    impl<T: Entity> Probe<T> {
        pub const IS_ENTITY: bool = true;
    }

    pub trait NoSchema {
        const HAS_SCHEMA: bool = false;
    }
    impl<T> NoSchema for Probe<T> {}
    impl<T: JsonSchema> Probe<T> {
        pub const HAS_SCHEMA: bool = true;
    }
}

/// One event or command, as its type and its author describe it.
#[must_use]
pub struct Entry {
    listed: Listed,
    pub(crate) schema: Value,
    pub(crate) reads: Reads,
    pub(crate) writes: Writes,
}

/// Data of a version, read and written again as the current one; or why it cannot be read.
type Reads = fn(u32, &Value) -> Result<Value, String>;
/// Data of the current version as an earlier one, if it is still written.
type Writes = fn(&Value, u32) -> Option<Value>;

impl Entry {
    #[doc(hidden)]
    pub fn of<E: Event + JsonSchema>() -> Self {
        let mut schema = schema_of::<E>();
        if E::VISIBILITY == Visibility::Public {
            schema[VISIBILITY] = PUBLIC.into();
        }
        let visibility = match E::VISIBILITY {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => PUBLIC,
        };
        let reads: Reads = |version, data| again(towpath::read::<E>(version, &data.to_string()));
        let writes: Writes = |data, version| serde_json::from_value::<E>(data.clone()).ok()?.downcast(version);
        Self::new((E::TYPE, E::VERSION), E::Of::TYPE, visibility, schema, reads, writes)
    }

    #[doc(hidden)]
    pub fn of_command<C: Command + JsonSchema>() -> Self {
        let mut schema = schema_of::<C>();
        schema[TO] = C::TO.into();
        let reads: Reads = |version, data| again(towpath::read_command::<C>(version, &data.to_string()));
        let mut entry = Self::new((C::TYPE, C::VERSION), C::From::TYPE, "addressed", schema, reads, |_, _| None);
        let skipped = C::Skipped::TYPE.to_owned();
        entry.listed.command = Some(Addressed { to: C::TO.to_owned(), answers: Vec::new(), skipped });
        entry
    }

    fn new(
        (event_type, version): (&str, u32),
        aggregate: &str,
        visibility: &str,
        schema: Value,
        reads: Reads,
        writes: Writes,
    ) -> Self {
        let before = |version| Before { version, sunset: None, upcast: false, downcast: false };
        let listed = Listed {
            event_type: event_type.to_owned(),
            version,
            aggregate: aggregate.to_owned(),
            command: None,
            visibility: visibility.to_owned(),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
            owner: String::new(),
            retention: String::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
            before: (1..version).map(before).collect(),
        };
        Self { listed, schema, reads, writes }
    }

    /// Who answers for it.
    pub fn owner(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.listed.owner);
        self
    }

    /// How long it is kept, and why.
    pub fn kept(mut self, retention: &str) -> Self {
        retention.clone_into(&mut self.listed.retention);
        self
    }

    /// Who records it, or sends it: names of functions. The stories show it.
    pub fn by(mut self, producers: &[&str]) -> Self {
        self.listed.producers = producers.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The last day on which an earlier version is written beside the current one: `2027-03-01`.
    pub fn sunset(mut self, version: u32, day: &str) -> Self {
        for before in self.listed.before.iter_mut().filter(|before| before.version == version) {
            before.sunset = Some(day.to_owned());
        }
        self
    }

    pub(crate) fn listed(&self) -> &Listed {
        &self.listed
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// What was read, written again; or why it was not.
fn again<T: Serialize>(read: Result<T, Failure>) -> Result<Value, String> {
    let read = read.map_err(|failure| failure.reason().message.clone())?;
    serde_json::to_value(&read).map_err(|error| error.to_string())
}

/// A product's events, commands, consumers and stories.
#[must_use]
pub struct Catalogue {
    pub(crate) title: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) consumers: fn() -> Vec<Consumer>,
    pub(crate) stories: Vec<Story>,
}

/// Commands that make producers record events, told in a world of its own.
pub(crate) struct Story {
    pub(crate) name: String,
    pub(crate) tell: Box<Tell>,
}

type Tell = dyn for<'a> Fn(&'a Stage) -> LocalBoxFuture<'a, ()>;

impl Catalogue {
    /// A catalogue without events, of these consumers.
    pub fn new(title: &str, consumers: fn() -> Vec<Consumer>) -> Self {
        Self { title: title.to_owned(), entries: Vec::new(), consumers, stories: Vec::new() }
    }

    /// Adds an event: `event!(OrderPlaced).owner(…).kept(…).by(…)`.
    pub fn event(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds a command: `command!(ReserveStock).owner(…).kept(…).by(…)`.
    pub fn command(self, entry: Entry) -> Self {
        self.event(entry)
    }

    /// Adds a story: commands, as clients give them. What they and the consumers record are the samples. Its name is part of
    /// the names of its samples: `a-z`, `0-9` and `-`.
    pub fn story(mut self, name: &str, tell: impl AsyncFn(&Stage) + 'static) -> Self {
        let tell = Rc::new(tell);
        let tell: Box<Tell> = Box::new(move |stage| {
            let tell = Rc::clone(&tell);
            Box::pin(async move { tell(stage).await })
        });
        self.stories.push(Story { name: name.to_owned(), tell });
        self
    }

    pub(crate) fn entry(&self, event_type: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.listed.event_type == event_type)
    }

    /// Who handles a type.
    pub(crate) fn readers(&self, event_type: &str) -> Vec<Reader> {
        let all = (self.consumers)();
        let reader = |consumer: &Consumer| {
            let registered = consumer.registration();
            let handled = registered.handles.iter().find(|handled| handled.event_type.as_str() == event_type)?;
            Some(Reader { consumer: registered.name.to_string(), since: handled.start.to_string() })
        };
        all.iter().filter_map(reader).collect()
    }
}
