//! A command is listed, promised and tested as an event is: a switch has a janitor change the bulb of a lamp.
//! Must not know: what a change of a schema means, versions of events.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towpath::command::{Reply, Request, Verdict, execute};
use towpath::{Aggregate, AggregateId, Command, Consumer, Context, Event, OrReject, Received, Storage, Tx};
use towpath_catalogue::{Addressed, Catalogue, Entry, Folder, Stage, check, command, event, lay_out, pages, release};

struct Lamp;

impl Aggregate for Lamp {
    const TYPE: &'static str = "lamp";
    const STORAGE: Storage = Storage::Events;
}

struct Bulb;

impl Aggregate for Bulb {
    const TYPE: &'static str = "bulb";
    const STORAGE: Storage = Storage::Events;
}

macro_rules! event_of_bulb {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize, JsonSchema)]
        struct $name {
            lamp: AggregateId,
        }

        impl Event for $name {
            type Of = Bulb;
            const TYPE: &'static str = $kind;
            const VERSION: u32 = 1;
            fn aggregate_id(&self) -> AggregateId {
                self.lamp.clone()
            }
        }
    };
}

event_of_bulb!(
    /// A bulb was changed.
    BulbChanged, "bulb.changed"
);
event_of_bulb!(
    /// A bulb stays as it is.
    BulbLeft, "bulb.left"
);

/// `bulb.change`, as a type of its version, addressed to this consumer.
macro_rules! change {
    ($name:ident v $version:literal to $to:literal { $field:ident: $of:ty }, $upcast:expr) => {
        /// Change a bulb.
        #[derive(Serialize, Deserialize, JsonSchema)]
        struct $name {
            lamp: AggregateId,
            /// Of which kind.
            $field: $of,
        }

        impl Command for $name {
            type From = Lamp;
            type Skipped = BulbLeft;
            const TYPE: &'static str = "bulb.change";
            const VERSION: u32 = $version;
            const TO: &'static str = $to;
            fn sender_id(&self) -> AggregateId {
                self.lamp.clone()
            }
            fn skipped(&self) -> BulbLeft {
                BulbLeft { lamp: self.lamp.clone() }
            }
            fn upcast(from: u32, data: Value) -> Option<Value> {
                let upcast: fn(u32, Value) -> Option<Value> = $upcast;
                upcast(from, data)
            }
        }
    };
}

change!(Change v 1 to "janitor" { kind: String }, |_, _| None);
change!(Renamed v 1 to "janitor" { sort: String }, |_, _| None);
change!(Elsewhere v 1 to "electrician" { kind: String }, |_, _| None);
change!(Unread v 2 to "janitor" { watts: u64 }, |_, _| None);
change!(Second v 2 to "janitor" { watts: u64 }, |from, data| (from == 1).then(|| json!({ "lamp": data["lamp"], "watts": 60 })));

fn lamp() -> AggregateId {
    "l-1".parse().expect("it is an id")
}

fn round() -> Change {
    Change { lamp: lamp(), kind: "round".into() }
}

/// The janitor has no square bulbs, and says nothing when nothing is to be done.
fn janitor() -> Consumer {
    Consumer::new("janitor").on_command(async |_: &Context<'_>, change: Received<Change>| {
        (change.kind != "square").then_some(()).or_reject("there are no square bulbs")?;
        let changed = BulbChanged { lamp: change.lamp.clone() };
        Ok(if change.kind == "none" { Tx::new() } else { Tx::new().record(changed) })
    })
}

fn takes_second() -> Consumer {
    Consumer::new("janitor").on_command(async |_: &Context<'_>, change: Received<Second>| {
        Ok(Tx::new().record(BulbChanged { lamp: change.lamp.clone() }))
    })
}

async fn send<C: Command>(stage: &Stage, command: fn() -> C) {
    let producer = "switch@0".parse().expect("it is name@version");
    let request = Request {
        tenant: "acme".parse().expect("it is a name"),
        key: None,
        hash: String::new(),
        correlation_id: "c-1".parse().expect("it is a name"),
        traceparent: None,
    };
    let decide = async |_: &Context<'_>| Ok(Verdict::Accept(Tx::new().send(command()), Reply::new(202, &0)));
    execute(stage.ports(&producer), &request, decide).await.expect("nothing is in the way");
}

fn owned(entry: Entry, by: &str) -> Entry {
    entry.owner("house").kept("a year").by(&[by])
}

/// The house, in which this command is listed, and sent in a story.
fn house<C: Command>(entry: Option<Entry>, consumers: fn() -> Vec<Consumer>, sent: fn() -> C) -> Catalogue {
    let catalogue = Catalogue::new("The house", consumers).event(owned(event!(BulbChanged), "janitor"));
    let catalogue = entry.into_iter().fold(catalogue, Catalogue::command);
    catalogue.story("dark", async move |stage: &Stage| send(stage, sent).await)
}

fn sound() -> Catalogue {
    house(Some(owned(command!(Change), "switch")), || vec![janitor()], round)
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("commands-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn generate(catalogue: &Catalogue, at: &Path) -> Folder {
    let released = Folder::read_released(at).expect("it can be read");
    let files = catalogue.generate(&released).files();
    lay_out(at, &files, Some("released"), true).expect("it can be written");
    Folder::read(at).expect("it can be read")
}

fn with_released(name: &str) -> PathBuf {
    let at = folder(name);
    let folder = generate(&sound(), &at);
    assert_eq!(refused(&folder), [""; 0]);
    lay_out(&at.join("released"), &release(&folder), None, true).expect("it can be written");
    at
}

fn refused(folder: &Folder) -> Vec<String> {
    let findings = check(folder, "2026-11-21").into_iter().filter(|finding| finding.refused);
    findings.map(|finding| format!("{} {}", finding.of, finding.says)).collect()
}

fn broken(catalogue: &Catalogue, at: &Path) -> String {
    let released = Folder::read_released(at).expect("it can be read");
    catalogue.contract_tests(&catalogue.generate(&released), &released).broken.join("\n")
}

#[test]
fn a_command_is_listed_with_who_sends_it_who_carries_it_out_and_what_answers() {
    let at = folder("listed");
    let folder = generate(&sound(), &at);
    let listed = folder.listing.events.iter().find(|listed| listed.event_type == "bulb.change").expect("it is listed");
    let addressed =
        Addressed { to: "janitor".into(), answers: vec!["bulb.changed".into()], skipped: "bulb.left".into() };
    assert_eq!((listed.aggregate.as_str(), listed.command.as_ref()), ("lamp", Some(&addressed)));
    let pages = pages(&folder);
    let page = &pages["bulb.change.md"];
    for says in
        ["| sent by | switch |", "| carried out by | janitor |", "As `switch` sends it", "[`bulb.left`](bulb.left.md)"]
    {
        assert!(page.contains(says), "{says}: {page}");
    }
    assert!(pages["bulb.changed.md"].contains("| answer to | [`bulb.change`](bulb.change.md) |"));
    assert!(
        pages["README.md"]
            .contains("| [`bulb.change`](bulb.change.md) v1 | Change a bulb. | house | switch | janitor |")
    );
    let tests = sound().contract_tests(&sound().generate(&folder.released), &folder.released);
    assert_eq!(tests.broken, [""; 0]);
    assert!(tests.page.contains("| `bulb.change` | 1 | switch.dark | janitor |"), "{}", tests.page);
}

#[test]
fn a_released_command_keeps_its_fields_and_its_address() {
    let at = with_released("broken");
    let says = |entry: Entry| refused(&generate(&house(Some(entry), || vec![janitor()], round), &at)).join("\n");
    assert_eq!(says(owned(command!(Change), "switch")), "");
    assert!(says(owned(command!(Renamed), "switch")).contains("bulb.change v1 renamed to \"sort\"?"));
    let moved = says(owned(command!(Elsewhere), "switch"));
    assert!(
        moved.contains("bulb.change v1 it goes to electrician, but what was sent is addressed to janitor"),
        "{moved}"
    );
}

#[test]
fn a_second_version_of_a_command_needs_an_upcast_and_no_sunset() {
    let at = with_released("second");
    let second = |entry: Entry| {
        house(Some(owned(entry, "switch")), || vec![takes_second()], || Second { lamp: lamp(), watts: 7 })
    };
    let unread = refused(&generate(&second(command!(Unread)), &at));
    assert!(unread.len() == 1 && unread[0].contains("bulb.change v1 its samples cannot be read"), "{unread:?}");
    assert_eq!(refused(&generate(&second(command!(Second)), &at)), [""; 0]);
    assert_eq!(broken(&second(command!(Second)), &at), "", "the janitor takes the sample of the first version");
}

#[test]
fn each_broken_contract_of_a_command_is_named() {
    let at = with_released("contracts");
    let listed = || Some(owned(command!(Change), "switch"));
    assert_eq!(broken(&sound(), &at), "");

    let unlisted = broken(&house(None, || vec![janitor()], round), &at);
    assert!(unlisted.contains("switch sends bulb.change, which is not listed: add command!(…)"), "{unlisted}");
    assert!(unlisted.contains("janitor carries out bulb.change, which is not listed: add command!(…)"), "{unlisted}");
    let other = broken(&house(Some(owned(command!(Change), "sensor")), || vec![janitor()], round), &at);
    assert!(other.contains("switch sends bulb.change, but its entry does not say so"), "{other}");
    assert!(other.contains("sensor is said to send bulb.change, but no story shows it"), "{other}");
    let nobody = broken(&house(listed(), Vec::new, round), &at);
    assert!(nobody.contains("bulb.change is addressed to janitor, which does not carry it out"), "{nobody}");
    let square = broken(&house(listed(), || vec![janitor()], || Change { kind: "square".into(), ..round() }), &at);
    assert!(square.contains("janitor cannot take bulb.change v1: rejected: there are no square bulbs"), "{square}");
    let silent = broken(&house(listed(), || vec![janitor()], || Change { kind: "none".into(), ..round() }), &at);
    assert!(silent.contains("bulb.change is never answered"), "{silent}");
    let late = sound().story("late", async |stage| {
        stage.late("bulb.change");
        send(stage, round).await;
    });
    assert!(broken(&late, &at).contains("in the story late, a command is late and no timer waits for it"));
}
