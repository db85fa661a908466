//! What an author writes down: each event with who answers for it, the consumers, and the stories that show them at work.
//! Must not know: folders, rules.

use std::marker::PhantomData;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use towpath::{Aggregate, Consumer, Entity, Event, Visibility};

use crate::listing::{Before, Listed, Reader};
use crate::schema::{PUBLIC, VISIBILITY};
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
        const _: () = {
            use $crate::probe::{NoEntity as _, NoSchema as _, Probe};
            assert!(
                !Probe::<$event>::IS_ENTITY,
                concat!(stringify!($event), " is an entity: an event has fields of its own, or each change of the state changes what was promised")
            );
            assert!(
                !Probe::<<$event as $crate::probe::Event>::Of>::HAS_SCHEMA,
                concat!("the aggregate of ", stringify!($event), " derives JsonSchema, so an event could be, or flatten, its state: remove the derive")
            );
        };
        $crate::Entry::of::<$event>()
    }};
}

/// Tells at compile time what a type is: an inherent constant wins over that of a trait, where it exists.
#[doc(hidden)]
pub mod probe {
    use super::{Entity, JsonSchema, PhantomData};
    pub use towpath::Event;

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

/// One event, as its type and its author describe it.
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
        let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<E>().to_value();
        if E::VISIBILITY == Visibility::Public {
            schema[VISIBILITY] = PUBLIC.into();
        }
        let visibility = match E::VISIBILITY {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => PUBLIC,
        };
        let listed = Listed {
            event_type: E::TYPE.to_owned(),
            version: E::VERSION,
            aggregate: E::Of::TYPE.to_owned(),
            visibility: visibility.to_owned(),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
            owner: String::new(),
            retention: String::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
            before: (1..E::VERSION)
                .map(|version| Before { version, sunset: None, upcast: false, downcast: false })
                .collect(),
        };
        let reads: Reads = |version, data| {
            let event =
                towpath::read::<E>(version, &data.to_string()).map_err(|failure| failure.reason().message.clone())?;
            serde_json::to_value(&event).map_err(|error| error.to_string())
        };
        let writes: Writes = |data, version| serde_json::from_value::<E>(data.clone()).ok()?.downcast(version);
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

    /// Who records it: names of functions. The stories show it.
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

/// A product's events, consumers and stories.
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
