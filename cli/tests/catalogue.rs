//! `towpath catalogue check` as a person runs it: each kind of breaking change is refused, each compatible one passes.
//! Must not know: how changes are compared; the table of all cases is with the rule.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use towpath_catalogue::{DIALECT, Folder, Listed, Listing, Reader, Shelf};

/// What `order.placed` v1 was released as.
fn released() -> Value {
    json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "order_id": { "type": "string" },
            "status": { "enum": ["placed", "paid"] },
            "note": { "type": "string" },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/Line" } },
        },
        "required": ["order_id", "status", "lines"],
        "$defs": { "Line": { "type": "object", "properties": { "sku": { "type": "string" } }, "required": ["sku"] } },
    })
}

fn sample() -> Value {
    json!({ "order_id": "o-1", "status": "placed", "lines": [{ "sku": "tea" }] })
}

fn write(file: PathBuf, value: &impl serde::Serialize) {
    std::fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("it can be made");
    std::fs::write(file, serde_json::to_string(value).expect("it is JSON")).expect("it can be written");
}

/// Lays out a catalogue in which v1 was released, and now is `now`.
fn catalogue(name: &str, now: &Value) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&root);
    let listed = Listed {
        event_type: "order.placed".into(),
        version: 1,
        aggregate: "order".into(),
        command: None,
        visibility: "public".into(),
        description: "An order was taken.".into(),
        owner: "sales".into(),
        retention: "10 years".into(),
        producers: vec!["orders-api".into()],
        consumers: vec![Reader { consumer: "inventory".into(), since: "beginning".into() }],
        before: Vec::new(),
    };
    write(root.join("catalogue.json"), &Listing { title: "The shop".into(), events: vec![listed] });
    for (folder, schema) in [(root.clone(), now), (root.join("released"), &released())] {
        write(folder.join("order.placed/v1.json"), schema);
        write(folder.join("order.placed/v1.samples/orders-api.served.json"), &sample());
    }
    root
}

fn towpath(root: &Path, arguments: &[&str]) -> (i32, String) {
    let (verb, options) = arguments.split_first().expect("a verb");
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath"));
    let Output { status, stdout, stderr } =
        command.args(["catalogue", verb, "--schemas"]).arg(root).args(options).output().expect("it runs");
    let text = [stdout, stderr].concat();
    (status.code().expect("it ends by itself"), String::from_utf8(text).expect("it says text"))
}

fn changed(change: impl Fn(&mut Value)) -> Value {
    let mut schema = released();
    change(&mut schema);
    schema
}

#[test]
fn each_breaking_kind_is_refused_with_a_sentence() {
    let field = |schema: &mut Value, name: &str, field: Value| schema["properties"][name] = field;
    let cases: [(&str, Value, &str); 9] = [
        (
            "renamed",
            changed(|schema| {
                let field =
                    schema["properties"].as_object_mut().and_then(|all| all.remove("order_id")).expect("it is there");
                schema["properties"]["id"] = field;
                schema["required"] = json!(["id", "status", "lines"]);
            }),
            "refused: order.placed v1 at /properties/order_id: renamed to \"id\"?",
        ),
        (
            "removed",
            changed(|schema| {
                schema["properties"].as_object_mut().map(|all| all.remove("status"));
                schema["required"] = json!(["order_id", "lines"]);
            }),
            "at /properties/status: removed, but it was required",
        ),
        (
            "retyped",
            changed(|schema| field(schema, "order_id", json!({ "type": "integer" }))),
            "at /properties/order_id: changed type: it was string, it is integer",
        ),
        (
            "required",
            changed(|schema| schema["required"] = json!(["order_id", "status", "lines", "note"])),
            "at /properties/note: optional → required",
        ),
        (
            "narrowed",
            changed(|schema| field(schema, "status", json!({ "enum": ["placed"] }))),
            "at /properties/status/enum: narrowed: it may no longer be \"paid\"",
        ),
        (
            "nested",
            changed(|schema| schema["$defs"]["Line"]["properties"]["sku"] = json!({ "type": "integer" })),
            "at /$defs/Line/properties/sku: changed type",
        ),
        ("closed", changed(|schema| schema["additionalProperties"] = json!(false)), "at /additionalProperties: closed"),
        (
            "remote",
            changed(|schema| field(schema, "note", json!({ "$ref": "https://example.com/note.json" }))),
            "at /properties/note/$ref: the $ref to \"https://example.com/note.json\" leaves this file",
        ),
        (
            "cyclic",
            changed(|schema| schema["$defs"]["Line"]["properties"]["part"] = json!({ "$ref": "#/$defs/Line" })),
            "at /$defs/Line/properties/part/$ref: the $ref to #/$defs/Line leads back to itself",
        ),
    ];
    for (name, now, says) in cases {
        let (code, said) = towpath(&catalogue(&format!("refused-{name}"), &now), &["check"]);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn each_compatible_kind_passes_and_what_consumers_must_know_is_noted() {
    let cases: [(&str, Value, &str); 5] = [
        ("same", released(), "The catalogue of 1 event breaks no promise."),
        (
            "optional",
            changed(|schema| schema["properties"]["gift"] = json!({ "type": "boolean" })),
            "note: order.placed v1 at /properties/gift: added, optional",
        ),
        (
            "gone",
            changed(|schema| drop(schema["properties"].as_object_mut().map(|all| all.remove("note")))),
            "removed; it was optional",
        ),
        (
            "widened",
            changed(|schema| schema["properties"]["status"] = json!({ "enum": ["placed", "paid", "sent"] })),
            "may now also be \"sent\": deploy the consumers before the producers",
        ),
        (
            "loosened",
            changed(|schema| schema["required"] = json!(["order_id", "lines"])),
            "required → optional: deploy the consumers before the producers",
        ),
    ];
    for (name, now, says) in cases {
        let (code, said) = towpath(&catalogue(&format!("passes-{name}"), &now), &["check"]);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn a_release_is_refused_or_written_and_a_deploy_wants_one() {
    let root = catalogue("release", &changed(|schema| schema["properties"]["gift"] = json!({ "type": "boolean" })));
    let (code, said) = towpath(&root, &["check", "--released", "--json"]);
    let report: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!((code, &report["refused"]), (1, &json!(1)), "{said}");
    assert_eq!(towpath(&root, &["release"]).0, 0);
    let folder = Folder::read(&root).expect("it can be read");
    assert_eq!(folder.released, Shelf { ..folder.current.clone() });
    assert_eq!(towpath(&root, &["check", "--released"]).0, 0);
    let broken = catalogue("release-refused", &changed(|schema| schema["type"] = json!("array")));
    assert_eq!(towpath(&broken, &["release"]).0, 1);
    assert_eq!(Folder::read(&broken).expect("it can be read").released.schemas.len(), 1);
}

#[test]
fn wrong_questions_end_with_2_and_a_missing_catalogue_says_what_to_do() {
    let root = catalogue("questions", &released());
    assert_eq!(
        towpath(&root, &["check", "--today", "tomorrow"]),
        (2, "towpath: --today must be a day like 2026-11-21\n".into())
    );
    let (code, said) = towpath(&root.join("nothing"), &["check"]);
    assert!(code == 1 && said.contains("run `make catalogue` in the root of the repository"), "{said}");
    let pages = root.with_file_name("questions-pages");
    let _ = std::fs::remove_dir_all(&pages);
    let pages = pages.display().to_string();
    assert_eq!(towpath(&root, &["docs", "--pages", &pages, "--check"]).0, 1);
    assert_eq!(towpath(&root, &["docs", "--pages", &pages]).0, 0);
    assert_eq!(towpath(&root, &["docs", "--pages", &pages, "--check"]).0, 0);
}
