//! The life of an event: listed, released, changed to a second version, and past the sunset of the first; and each thing
//! that is forgotten on the way. The events are those of a lamp. Must not know: what a change of a schema means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towpath::command::{Reply, Request, Verdict, execute};
use towpath::{Aggregate, AggregateId, Consumer, Context, Event, OrReject, Received, Storage, Tx};
use towpath_catalogue::{Catalogue, Entry, Folder, Stage, check, event, lay_out, pages, release, unreleased};

struct Lamp;

impl Aggregate for Lamp {
    const TYPE: &'static str = "lamp";
    const STORAGE: Storage = Storage::Events;
}

/// A lamp was lit.
#[derive(Serialize, Deserialize, JsonSchema)]
struct First {
    lamp: AggregateId,
    /// How bright.
    watts: u64,
}

impl Event for First {
    type Of = Lamp;
    const TYPE: &'static str = "lamp.lit";
    const VERSION: u32 = 1;
    fn aggregate_id(&self) -> AggregateId {
        self.lamp.clone()
    }
}

/// A lamp was lit, in finer steps. `UP`: it reads the first version. `DOWN`: it can be written as the first version.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Second<const UP: bool, const DOWN: bool> {
    lamp: AggregateId,
    /// How bright.
    milliwatts: u64,
    /// By whom.
    #[schemars(extend("x-personal" = true))]
    by: Option<String>,
}

impl<const UP: bool, const DOWN: bool> Event for Second<UP, DOWN> {
    type Of = Lamp;
    const TYPE: &'static str = "lamp.lit";
    const VERSION: u32 = 2;
    fn aggregate_id(&self) -> AggregateId {
        self.lamp.clone()
    }
    fn upcast(from: u32, data: Value) -> Option<Value> {
        (UP && from == 1)
            .then(|| json!({ "lamp": data["lamp"], "milliwatts": data["watts"].as_u64().unwrap_or(0) * 1_000 }))
    }
    fn downcast(&self, to: u32) -> Option<Value> {
        (DOWN && to == 1).then(|| json!({ "lamp": self.lamp, "watts": self.milliwatts / 1_000 }))
    }
}

fn first(watts: u64) -> First {
    First { lamp: "l-1".parse().expect("it is an id"), watts }
}

fn second() -> Second<true, true> {
    Second { lamp: "l-1".parse().expect("it is an id"), milliwatts: 7_000, by: None }
}

/// The bill takes any brightness but that of 13 watts.
fn bill<E: Event>(milliwatts: fn(&E) -> u64) -> Consumer {
    Consumer::new("bill").on(async move |_: &Context<'_>, lit: Received<E>| {
        (milliwatts(&lit) != 13_000).then(Tx::new).or_reject("13 watts are not sold")
    })
}

fn first_bill() -> Vec<Consumer> {
    vec![bill(|lit: &First| lit.watts * 1_000)]
}

fn second_bill() -> Vec<Consumer> {
    vec![bill(|lit: &Second<true, true>| lit.milliwatts)]
}

async fn light<E: Event>(stage: &Stage, event: fn() -> E) {
    let producer = "switch@0".parse().expect("it is name@version");
    let request = Request {
        tenant: "acme".parse().expect("it is a name"),
        key: None,
        hash: String::new(),
        correlation_id: "c-1".parse().expect("it is a name"),
        traceparent: None,
    };
    let decide = async |_: &Context<'_>| Ok(Verdict::Accept(Tx::new().record(event()), Reply::new(201, &0)));
    execute(stage.ports(&producer), &request, decide).await.expect("nothing is in the way");
}

fn owned(entry: Entry) -> Entry {
    entry.owner("house").kept("a year").by(&["switch"])
}

fn first_catalogue() -> Catalogue {
    let lit = owned(event!(First));
    Catalogue::new("The house", first_bill).event(lit).story("evening", async |stage| light(stage, || first(5)).await)
}

fn second_catalogue(entry: Entry) -> Catalogue {
    let tell = async |stage: &Stage| light(stage, second).await;
    Catalogue::new("The house", second_bill).event(entry).story("evening", tell)
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn generate(catalogue: &Catalogue, at: &Path) -> Folder {
    let released = Folder::read_released(at).expect("it can be read");
    let files = catalogue.generate(&released).files();
    lay_out(at, &files, Some("released"), true).expect("it can be written");
    Folder::read(at).expect("it can be read")
}

fn release_to(at: &Path) {
    let folder = Folder::read(at).expect("it can be read");
    lay_out(&at.join("released"), &release(&folder), None, true).expect("it can be written");
}

fn refused(folder: &Folder, today: &str) -> Vec<String> {
    let findings = check(folder, today).into_iter().filter(|finding| finding.refused);
    findings.map(|finding| format!("{} {}", finding.of, finding.says)).collect()
}

fn with_first_released(name: &str) -> PathBuf {
    let at = folder(name);
    assert_eq!(refused(&generate(&first_catalogue(), &at), "2026-11-21"), [""; 0]);
    release_to(&at);
    at
}

#[test]
fn a_second_version_lives_beside_the_first_until_its_sunset_and_reads_it_for_ever() {
    let at = with_first_released("life");
    let both = second_catalogue(owned(event!(Second<true, true>)).sunset(1, "2027-03-01"));
    let now = generate(&both, &at);
    assert_eq!(refused(&now, "2026-11-21"), [""; 0]);
    assert_eq!(refused(&now, "2027-03-01"), [""; 0], "the sunset is the last day");
    let late = refused(&now, "2027-03-02");
    assert_eq!(
        late,
        ["lamp.lit v1 its sunset was 2027-03-01: take it out of `fn downcast` and of AlsoWrites; its upcast stays"]
    );
    assert_eq!(unreleased(&now).len(), 1, "v2 is not released yet");

    let tests = both.contract_tests(&both.generate(&now.released), &now.released);
    assert_eq!(tests.broken, [""; 0]);
    assert!(tests.page.contains("| `lamp.lit` | 1 | switch.evening | bill |"), "{}", tests.page);
    assert!(tests.page.contains("| `lamp.lit` | 2 | switch.evening | bill |"), "{}", tests.page);

    release_to(&at);
    let only = second_catalogue(owned(event!(Second<true, false>)).sunset(1, "2027-03-01"));
    let after = generate(&only, &at);
    assert_eq!(refused(&after, "2027-03-02"), [""; 0]);
    assert_eq!(unreleased(&after), []);
    let page = &pages(&after)["lamp.lit.md"];
    assert!(page.contains("| [v1](../../schemas/released/lamp.lit/v1.json) | 2027-03-01 |"), "{page}");
    assert!(page.contains("| personal data | `by` |"), "{page}");
}

#[test]
fn a_second_version_needs_an_upcast_a_sunset_and_the_first_one_beside_it() {
    let at = with_first_released("forgotten");
    let of = |entry: Entry| refused(&generate(&second_catalogue(owned(entry)), &at), "2026-11-21");
    assert_eq!(of(event!(Second<true, true>).sunset(1, "2027-03-01")), [""; 0]);
    let no_sunset = of(event!(Second<true, true>));
    assert!(no_sunset.len() == 1 && no_sunset[0].starts_with("lamp.lit v1 it has no sunset"), "{no_sunset:?}");
    let no_upcast = of(event!(Second<false, true>).sunset(1, "2027-03-01"));
    assert!(no_upcast.len() == 1 && no_upcast[0].contains("write `fn upcast` from v1 to v2"), "{no_upcast:?}");
    let no_downcast = of(event!(Second<true, false>).sunset(1, "2027-03-01"));
    assert!(
        no_downcast.len() == 1 && no_downcast[0].contains("must still be written until 2027-03-01"),
        "{no_downcast:?}"
    );
    let no_day = of(event!(Second<true, true>).sunset(1, "2027-02-30"));
    assert!(no_day.len() == 1 && no_day[0].contains("is no day"), "{no_day:?}");
    std::fs::remove_dir_all(at.join("released/lamp.lit/v1.samples")).expect("it is there");
    let no_samples = of(event!(Second<true, true>).sunset(1, "2027-03-01"));
    assert!(no_samples[0].contains("released without samples"), "{no_samples:?}");
}

#[test]
fn versions_only_grow_by_one_and_stay_listed() {
    let at = with_first_released("growing");
    let sound = generate(&first_catalogue(), &at);
    let broken = |change: fn(&mut Folder)| {
        let mut folder = sound.clone();
        change(&mut folder);
        refused(&folder, "2026-11-21").join("\n")
    };
    assert!(broken(|folder| folder.listing.events[0].version = 3).contains("the version after v1 is v2"));
    assert!(broken(|folder| folder.listing.events.clear()).contains("is no longer listed"));
    assert!(broken(|folder| folder.listing.events.push(folder.listing.events[0].clone())).contains("listed twice"));
    assert!(broken(|folder| folder.current.schemas.clear()).contains("its schema is missing"));
    assert!(broken(|folder| folder.current.samples.clear()).contains("it has no sample"));
    let newer = |folder: &mut Folder| {
        let schema = folder.released.schemas[&("lamp.lit".to_owned(), 1)].clone();
        folder.released.schemas.insert(("lamp.lit".into(), 2), schema);
    };
    assert!(broken(newer).contains("v2 was released: versions only grow"));
    let golden = |folder: &mut Folder| {
        let samples = folder.released.samples.get_mut(&("lamp.lit".to_owned(), 1)).expect("it is there");
        samples.insert("switch.evening~2".into(), json!({ "lamp": "l-1", "watts": "many" }));
    };
    assert!(broken(golden).contains("the sample switch.evening~2 does not fit"));
}

#[test]
fn an_entry_says_who_answers_for_it_how_long_it_is_kept_and_who_records_it() {
    let at = folder("incomplete");
    let catalogue = Catalogue::new("The house", first_bill).event(event!(First));
    let found = refused(&generate(&catalogue, &at), "2026-11-21").join("\n");
    for says in ["it has no owner", "it has no retention", "nobody records it", "it has no sample"] {
        assert!(found.contains(says), "{says}: {found}");
    }
}

#[test]
fn a_released_sample_is_never_changed_and_what_looks_different_is_kept_beside_it() {
    let at = with_first_released("samples");
    let brighter = Catalogue::new("The house", first_bill)
        .event(owned(event!(First)))
        .story("evening", async |stage| light(stage, || first(60)).await);
    assert_eq!(refused(&generate(&brighter, &at), "2026-11-21"), [""; 0]);
    release_to(&at);
    release_to(&at);
    let released = Folder::read_released(&at).expect("it can be read");
    let samples: BTreeMap<&str, &Value> = released
        .samples_of(&("lamp.lit".to_owned(), 1))
        .map(|(name, sample)| (name.as_str(), &sample["watts"]))
        .collect();
    assert_eq!(samples, BTreeMap::from([("switch.evening", &json!(5)), ("switch.evening~2", &json!(60))]));
    let tests = brighter.contract_tests(&brighter.generate(&released), &released);
    assert_eq!(tests.broken, [""; 0]);
    assert!(tests.page.contains("switch.evening~2"), "{}", tests.page);
}

#[test]
fn each_broken_contract_is_named() {
    let at = with_first_released("contracts");
    let broken = |catalogue: Catalogue| {
        let released = Folder::read_released(&at).expect("it can be read");
        catalogue.contract_tests(&catalogue.generate(&released), &released).broken.join("\n")
    };
    let evening = |watts: fn() -> First| {
        let of = Catalogue::new("The house", first_bill).event(owned(event!(First)));
        of.story("evening", async move |stage: &Stage| light(stage, watts).await)
    };
    assert_eq!(broken(evening(|| first(5))), "");
    assert!(broken(evening(|| first(13))).contains("bill cannot take lamp.lit v1: rejected: 13 watts are not sold"));
    let renamed = Catalogue::new("The house", first_bill).event(owned(event!(First)));
    let renamed = broken(renamed.story("morning", async |stage| light(stage, || first(5)).await));
    assert!(renamed.contains("switch.evening: the story that recorded it is gone"), "{renamed}");
    let unlisted = Catalogue::new("The house", first_bill);
    let unlisted = broken(unlisted.story("evening", async |stage| light(stage, || first(5)).await));
    assert!(unlisted.contains("switch records lamp.lit, which is not listed"), "{unlisted}");
    assert!(unlisted.contains("bill handles lamp.lit, which is not listed"), "{unlisted}");
    let other =
        Catalogue::new("The house", first_bill).event(event!(First).owner("house").kept("a year").by(&["sensor"]));
    let other = broken(other.story("evening", async |stage| light(stage, || first(5)).await));
    assert!(other.contains("switch records lamp.lit, but its entry does not say so"), "{other}");
    assert!(other.contains("sensor is said to record lamp.lit, but no story shows it"), "{other}");
}

#[test]
fn a_file_that_is_no_schema_of_a_version_is_named() {
    let at = with_first_released("strange");
    std::fs::write(at.join("lamp.lit/v01.json"), "{}").expect("it can be written");
    let error = Folder::read(&at).expect_err("v01 would be a second v1").to_string();
    assert!(error.contains("v01.json: no v1.json, v2.json"), "{error}");
}
