//! `docs/catalogue/`: an index with who tells whom, and a page for each event and command. Made of `schemas/` alone.
//! Must not know: types, files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use crate::folder::Folder;
use crate::listing::{Listed, Reader};
use crate::schema::personal_fields;

const HEAD: &str = "<!-- Written by `make catalogue` from schemas/: do not edit. -->\n";

/// Each page by its name.
pub fn pages(folder: &Folder) -> BTreeMap<String, String> {
    let mut pages: BTreeMap<String, String> =
        folder.listing.events.iter().map(|listed| (page_of(listed), page(folder, listed))).collect();
    pages.insert("README.md".to_owned(), index(folder));
    pages
}

fn page_of(listed: &Listed) -> String {
    format!("{}.md", listed.event_type)
}

fn index(folder: &Folder) -> String {
    let (commands, events): (Vec<&Listed>, Vec<&Listed>) =
        folder.listing.events.iter().partition(|listed| listed.command.is_some());
    let what = if commands.is_empty() { "events" } else { "events and commands" };
    let mut page = format!("# {}: {what}\n\n{HEAD}\n", folder.listing.title);
    page += &flow(&folder.listing.events);
    page += "\n| event | what happened | owner | recorded by | handled by |\n|---|---|---|---|---|\n";
    for listed in events {
        let (producers, readers) = (listed.producers.join(", "), names(&listed.consumers));
        let _ = writeln!(page, "{} {producers} | {readers} |", beginning(listed));
    }
    if !commands.is_empty() {
        page += "\n| command | what is to be done | owner | sent by | carried out by | answered by |\n|---|---|---|---|---|---|\n";
    }
    for listed in commands {
        let Some(command) = &listed.command else { continue };
        let (producers, answers) = (listed.producers.join(", "), linked(&command.answers));
        let _ = writeln!(page, "{} {producers} | {} | {answers} |", beginning(listed), command.to);
    }
    page + "\n[Contract tests](contract-tests.md) show who takes what.\n"
}

/// The first cells of a line of the index.
fn beginning(listed: &Listed) -> String {
    let Listed { event_type, version, description, owner, .. } = listed;
    format!("| [`{event_type}`]({}) v{version} | {} | {} |", page_of(listed), cell(description), cell(owner))
}

/// Types, each with its page.
fn linked(types: &[String]) -> String {
    types.iter().map(|name| format!("[`{name}`]({name}.md)")).collect::<Vec<_>>().join(", ")
}

/// Producers → events and commands → consumers.
fn flow(events: &[Listed]) -> String {
    let mut text = String::from("```mermaid\nflowchart LR\n");
    let mut functions: BTreeSet<&str> = BTreeSet::new();
    for listed in events {
        functions.extend(listed.producers.iter().map(String::as_str));
        functions.extend(listed.consumers.iter().map(|reader| reader.consumer.as_str()));
    }
    for name in functions {
        let _ = writeln!(text, "    {}[{name}]", node(name));
    }
    for listed in events {
        let event = node(&listed.event_type);
        let (open, close) = if listed.command.is_some() { ("[/", "/]") } else { ("([", "])") };
        let _ = writeln!(text, "    {event}{open}{}{close}", listed.event_type);
        for name in &listed.producers {
            let _ = writeln!(text, "    {} --> {event}", node(name));
        }
        for reader in &listed.consumers {
            let _ = writeln!(text, "    {event} --> {}", node(&reader.consumer));
        }
    }
    text + "```\n"
}

/// A name as mermaid allows it.
fn node(name: &str) -> String {
    name.replace(['.', '-', '@'], "_")
}

fn page(folder: &Folder, listed: &Listed) -> String {
    let of = (listed.event_type.clone(), listed.version);
    let schema = folder.current.schemas.get(&of).cloned().unwrap_or_default();
    let personal = personal_fields(&schema);
    let personal = if personal.is_empty() {
        "none".to_owned()
    } else {
        personal.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
    };
    let mut page = format!("# `{}` v{}\n\n{HEAD}\n{}\n\n", listed.event_type, listed.version, listed.description);
    page += "| | |\n|---|---|\n";
    for (name, value) in facts(folder, listed).into_iter().chain([("personal data", personal)]) {
        let _ = writeln!(page, "| {name} | {} |", cell(&value));
    }
    page += "\n## Data\n\n| field | type | | what it is |\n|---|---|---|---|\n";
    let mut rows = Vec::new();
    fields(&schema, &schema, "", &mut rows);
    rows.iter().for_each(|row| page += row);
    let (event, version) = &of;
    let _ = writeln!(page, "\nSchema: [v{version}.json](../../schemas/{event}/v{version}.json).");
    if let Some((name, sample)) = folder.current.samples_of(&of).next() {
        let text = serde_json::to_string_pretty(sample).unwrap_or_default();
        let does = if listed.command.is_some() { "sends" } else { "records" };
        let _ = writeln!(page, "\n## Example\n\nAs `{}` {does} it:\n\n```json\n{text}\n```", producer(name));
    }
    page + &earlier(folder, listed)
}

/// What is said of it, besides its data.
fn facts(folder: &Folder, listed: &Listed) -> Vec<(&'static str, String)> {
    let (owner, kept) = (listed.owner.clone(), listed.retention.clone());
    let (producers, readers) = (listed.producers.join(", "), names(&listed.consumers));
    let Some(command) = &listed.command else {
        let of = |other: &&Listed| {
            let command = other.command.as_ref();
            command.is_some_and(|command| command.answers.contains(&listed.event_type))
        };
        let answered: Vec<String> =
            folder.listing.events.iter().filter(of).map(|other| other.event_type.clone()).collect();
        let mut facts = vec![
            ("aggregate", listed.aggregate.clone()),
            ("visibility", listed.visibility.clone()),
            ("owner", owner),
            ("kept", kept),
            ("recorded by", producers),
            ("handled by", readers),
        ];
        if !answered.is_empty() {
            facts.push(("answer to", linked(&answered)));
        }
        return facts;
    };
    vec![
        ("command of", listed.aggregate.clone()),
        ("owner", owner),
        ("kept", kept),
        ("sent by", producers),
        ("carried out by", command.to.clone()),
        ("answered by", linked(&command.answers)),
        ("when an operator passes it over", linked(std::slice::from_ref(&command.skipped))),
    ]
}

fn earlier(folder: &Folder, listed: &Listed) -> String {
    let before = listed
        .before
        .iter()
        .filter(|before| folder.released.schemas.contains_key(&(listed.event_type.clone(), before.version)));
    let mut text = String::new();
    for before in before {
        let (event, version) = (&listed.event_type, before.version);
        let sunset = match &before.sunset {
            _ if listed.command.is_some() => format!("v{}", version + 1),
            Some(day) => day.clone(),
            None => "no sunset".to_owned(),
        };
        let file = format!("../../schemas/released/{event}/v{version}.json");
        let _ = writeln!(text, "| [v{version}]({file}) | {sunset} | by its upcast, for ever |");
    }
    if text.is_empty() {
        return text;
    }
    format!("\n## Earlier versions\n\n| version | written until | read |\n|---|---|---|\n{text}")
}

/// A row for each field, what is nested below its parent.
fn fields(root: &Value, schema: &Value, path: &str, rows: &mut Vec<String>) {
    let schema = target(root, schema);
    let required: Vec<&str> = crate::alternatives::required(schema).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let need = if required.contains(&name.as_str()) { "required" } else { "optional" };
        let mark = if field["x-personal"] == true { ", personal data" } else { "" };
        let said = field["description"].as_str().unwrap_or_default();
        rows.push(format!("| `{path}` | {} | {need}{mark} | {} |\n", kind(root, field), cell(said)));
        let inner = target(root, field);
        if inner["items"].is_object() {
            fields(root, &inner["items"], &format!("{path}[]"), rows);
        } else {
            fields(root, inner, &path, rows);
        }
    }
}

fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointed = schema["$ref"].as_str().and_then(|to| root.pointer(to.strip_prefix('#')?));
    pointed.map_or(schema, |schema| target(root, schema))
}

/// What a value may be, in a few words.
fn kind(root: &Value, field: &Value) -> String {
    let field = target(root, field);
    let named = |value: &Value| match value {
        Value::String(one) => one.clone(),
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    };
    let mut text = match (field["anyOf"].as_array().or(field["oneOf"].as_array()), &field["enum"]) {
        (_, Value::Array(values)) => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or "),
        (Some(all), _) => all.iter().map(|one| kind(root, one)).collect::<Vec<_>>().join(" or "),
        _ if field.get("const").is_some() => format!("`{}`", field["const"]),
        _ => named(&field["type"]),
    };
    if field["items"].is_object() {
        text = format!("{text} of {}", kind(root, &field["items"]));
    }
    let limits: Vec<String> =
        ["format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"]
            .iter()
            .filter_map(|word| field.get(word).map(|value| format!("{word} {}", value.to_string().replace('"', "`"))))
            .collect();
    if limits.is_empty() { cell(&text) } else { cell(&format!("{text}, {}", limits.join(", "))) }
}

fn names(readers: &[Reader]) -> String {
    let name = |reader: &Reader| match reader.since.as_str() {
        "beginning" => reader.consumer.clone(),
        since => format!("{} (since {since})", reader.consumer),
    };
    if readers.is_empty() { "nobody".to_owned() } else { readers.iter().map(name).collect::<Vec<_>>().join(", ") }
}

fn producer(sample: &str) -> &str {
    sample.split('.').next().unwrap_or(sample)
}

/// Text that stays within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}
