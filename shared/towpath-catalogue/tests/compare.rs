//! What a change of a schema means, as tables: old, new, and a value that shows it. Each refusal has a witness, a value
//! that only one of the two schemas accepts; each allowed change has a value of before that is still accepted.
//! Must not know: events, files.

use serde_json::{Value, json};
use towpath_catalogue::{DIALECT, Effect, compare, flaws};

/// What, old, new, a value that one of them refuses, where, and a word of the sentence.
type Refused = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);
/// What, old, new, an old value, and what the change asks for.
type Allowed = (&'static str, &'static str, &'static str, &'static str, Option<Effect>);

const FIRST: Option<Effect> = Some(Effect::ConsumersFirst);
const HARMLESS: Option<Effect> = Some(Effect::Harmless);

fn schema(text: &str) -> Value {
    let mut schema: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    schema["$schema"] = json!(DIALECT);
    assert_eq!(flaws(&schema), [], "{text}");
    schema
}

fn accepts(schema: &Value, value: &str) -> bool {
    let value: Value = serde_json::from_str(value).expect("a value is JSON");
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(schema).expect("it has no flaws").is_valid(&value)
}

#[rustfmt::skip]
const REFUSED: &[Refused] = &[
    // fields
    ("a required field is removed", r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"properties":{}}"#, r#"{}"#, "/properties/a", "removed, but it was required"),
    ("a required field is renamed", r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"properties":{"b":{"type":"string"}},"required":["b"]}"#, r#"{"a":"x"}"#, "/properties/a", "renamed to \"b\"?"),
    ("an optional field is renamed", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"b":{"type":"string"}}}"#, r#"{"b":1}"#, "/properties/a", "renamed to \"b\"?"),
    ("a required field is added", r#"{"properties":{}}"#, r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{}"#, "/properties/a", "added as required"),
    ("a required field without a schema is added", r#"{}"#, r#"{"required":["a"]}"#, r#"{}"#, "/properties/a", "added as required"),
    ("optional becomes required", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{}"#, "/properties/a", "optional → required"),
    ("an optional field is removed from a closed object", r#"{"properties":{"a":{}},"additionalProperties":false}"#, r#"{"properties":{},"additionalProperties":false}"#, r#"{"a":1}"#, "/properties/a", "removed, but old events have it"),
    ("a field's name differs in case only", r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"properties":{"A":{"type":"string"}},"required":["A"]}"#, r#"{"a":"x"}"#, "/properties/a", "renamed"),
    // types
    ("text becomes a number", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":"integer"}}}"#, r#"{"a":"x"}"#, "/properties/a", "changed type: it was string, it is integer"),
    ("a whole number becomes any number", r#"{"properties":{"a":{"type":"integer"}}}"#, r#"{"properties":{"a":{"type":"number"}}}"#, r#"{"a":1.5}"#, "/properties/a", "changed type"),
    ("any number becomes a whole one", r#"{"properties":{"a":{"type":"number"}}}"#, r#"{"properties":{"a":{"type":"integer"}}}"#, r#"{"a":1.5}"#, "/properties/a", "changed type"),
    ("one becomes a list", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":"array","items":{"type":"string"}}}}"#, r#"{"a":"x"}"#, "/properties/a", "changed type"),
    ("a type becomes anything", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{}}}"#, r#"{"a":1}"#, "/properties/a", "changed type"),
    ("anything becomes a type", r#"{"properties":{"a":{}}}"#, r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"a":1}"#, "/properties/a", "changed type"),
    ("a second type comes", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":["string","integer"]}}}"#, r#"{"a":1}"#, "/properties/a", "may now also be integer"),
    ("null is gone", r#"{"properties":{"a":{"type":["string","null"]}}}"#, r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"a":null}"#, "/properties/a", "no longer be null"),
    ("null is gone behind a $ref", r##"{"properties":{"a":{"anyOf":[{"$ref":"#/$defs/A"},{"type":"null"}]}},"$defs":{"A":{"type":"object"}}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object"}}}"##, r#"{"a":null}"#, "/properties/a", "no longer be null"),
    ("the whole is another type", r#"{"type":"object"}"#, r#"{"type":"array"}"#, r#"{}"#, "", "changed type"),
    ("a field is forbidden", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":false}}"#, r#"{"a":"x"}"#, "/properties/a", "changed type"),
    // values
    ("a value is gone", r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#, r#""b""#, "/enum", "no longer be \"b\""),
    ("a value is gone from a oneOf of constants", r#"{"oneOf":[{"type":"string","const":"a"},{"type":"string","const":"b"}]}"#, r#"{"oneOf":[{"type":"string","const":"a"}]}"#, r#""b""#, "/oneOf/0/enum", "no longer be \"b\""),
    ("a value is renamed", r#"{"type":"string","enum":["placed","cancelled"]}"#, r#"{"type":"string","enum":["placed","canceled"]}"#, r#""cancelled""#, "/enum", "no longer be \"cancelled\""),
    ("a constant changes", r#"{"const":1}"#, r#"{"const":2}"#, "1", "/enum", "no longer be 1"),
    ("a free text becomes one of a few", r#"{"type":"string"}"#, r#"{"type":"string","enum":["a"]}"#, r#""b""#, "/enum", "may now only be \"a\""),
    // alternatives
    ("a tagged alternative is gone", r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"}},"required":["kind"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}"#, r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"}},"required":["kind"]}]}"#, r#"{"kind":"b"}"#, "", "no longer be an object with kind = \"b\""),
    ("a named alternative is gone", r#"{"oneOf":[{"type":"object","properties":{"A":{}},"required":["A"],"additionalProperties":false},{"type":"object","properties":{"B":{}},"required":["B"],"additionalProperties":false}]}"#, r#"{"oneOf":[{"type":"object","properties":{"A":{}},"required":["A"],"additionalProperties":false}]}"#, r#"{"B":1}"#, "", "no longer be an object with \"B\""),
    ("a field within a tagged alternative changes", r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["kind"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}"#, r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]},{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"string"}},"required":["kind"]}]}"#, r#"{"kind":"a","n":1}"#, "/oneOf/1/properties/n", "changed type: it was integer, it is string"),
    ("a type of several is gone", r#"{"type":["string","integer"]}"#, r#"{"type":"string"}"#, "1", "", "narrowed: it may no longer be integer"),
    // numbers and texts
    ("a minimum is raised", r#"{"type":"integer","minimum":0}"#, r#"{"type":"integer","minimum":1}"#, "0", "/minimum", "was 0, it is 1"),
    ("a minimum is added", r#"{"type":"integer"}"#, r#"{"type":"integer","minimum":0}"#, "-1", "/minimum", "no such limit"),
    ("a maximum is lowered", r#"{"type":"integer","maximum":9}"#, r#"{"type":"integer","maximum":8}"#, "9", "/maximum", "narrowed"),
    ("a maximum beyond 2^53 is lowered by one", r#"{"type":"integer","maximum":9007199254740993}"#, r#"{"type":"integer","maximum":9007199254740992}"#, "9007199254740993", "/maximum", "narrowed"),
    ("an exclusive limit is added", r#"{"type":"number"}"#, r#"{"type":"number","exclusiveMaximum":1.5}"#, "2", "/exclusiveMaximum", "1.5"),
    ("a step is added", r#"{"type":"integer"}"#, r#"{"type":"integer","multipleOf":5}"#, "3", "/multipleOf", "multiple of 5"),
    ("a step grows", r#"{"type":"integer","multipleOf":5}"#, r#"{"type":"integer","multipleOf":10}"#, "15", "/multipleOf", "multiple of 5"),
    ("a text must be longer", r#"{"type":"string"}"#, r#"{"type":"string","minLength":1}"#, r#""""#, "/minLength", "was 0, it is 1"),
    ("a text must be shorter", r#"{"type":"string","maxLength":9}"#, r#"{"type":"string","maxLength":1}"#, r#""ab""#, "/maxLength", "narrowed"),
    ("a pattern is added", r#"{"type":"string"}"#, r#"{"type":"string","pattern":"^a"}"#, r#""b""#, "/pattern", "not held to it"),
    ("a pattern changes", r#"{"type":"string","pattern":"^b"}"#, r#"{"type":"string","pattern":"^a"}"#, r#""b""#, "/pattern", "need not fit"),
    ("a format is added", r#"{"type":"string"}"#, r#"{"type":"string","format":"date-time"}"#, r#""b""#, "/format", "not held to it"),
    ("a format changes", r#"{"type":"string","format":"email"}"#, r#"{"type":"string","format":"uuid"}"#, r#""a@example.com""#, "/format", "need not fit"),
    ("a number's format narrows", r#"{"type":"integer","format":"uint64","minimum":0}"#, r#"{"type":"integer","format":"uint32","minimum":0,"maximum":4294967295}"#, "4294967296", "/format", "need not fit"),
    ("a text's encoding changes", r#"{"type":"string"}"#, r#"{"type":"string","contentEncoding":"base64","maxLength":2}"#, r#""abc""#, "/contentEncoding", "base64"),
    // arrays
    ("an item changes its type", r#"{"type":"array","items":{"type":"string"}}"#, r#"{"type":"array","items":{"type":"integer"}}"#, r#"["x"]"#, "/items", "changed type"),
    ("an item's field is removed", r#"{"items":{"properties":{"a":{"type":"string"}},"required":["a"]}}"#, r#"{"items":{"properties":{}}}"#, r#"[{}]"#, "/items/properties/a", "removed, but it was required"),
    ("items get a type", r#"{"type":"array"}"#, r#"{"type":"array","items":{"type":"string"}}"#, "[1]", "/items", "now not all"),
    ("a list must be shorter", r#"{"type":"array","maxItems":20}"#, r#"{"type":"array","maxItems":1}"#, "[1,2]", "/maxItems", "narrowed"),
    ("a list must not be empty", r#"{"type":"array"}"#, r#"{"type":"array","minItems":1}"#, "[]", "/minItems", "was 0, it is 1"),
    ("items must differ", r#"{"type":"array"}"#, r#"{"type":"array","uniqueItems":true}"#, "[1,1]", "/uniqueItems", "must now differ"),
    ("a tuple grows", r#"{"type":"array","prefixItems":[{"type":"string"}],"minItems":1}"#, r#"{"type":"array","prefixItems":[{"type":"string"},{"type":"string"}],"minItems":1}"#, r#"["a",1]"#, "/prefixItems", "had 1 entries, it has 2"),
    ("a place of a tuple changes", r#"{"prefixItems":[{"type":"string"}]}"#, r#"{"prefixItems":[{"type":"integer"}]}"#, r#"["a"]"#, "/prefixItems/0", "changed type"),
    // nested, $ref, other fields
    ("a nested field changes", r#"{"properties":{"a":{"properties":{"b":{"type":"string"}}}}}"#, r#"{"properties":{"a":{"properties":{"b":{"type":"boolean"}}}}}"#, r#"{"a":{"b":"x"}}"#, "/properties/a/properties/b", "changed type"),
    ("a field behind a $ref changes", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"properties":{"n":{"maximum":5}}}}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"properties":{"n":{"maximum":4}}}}}"##, r#"{"a":{"n":5}}"#, "/$defs/A/properties/n/maximum", "narrowed"),
    ("a $ref points elsewhere", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"},"B":{"type":"integer"}}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/B"}},"$defs":{"A":{"type":"string"},"B":{"type":"integer"}}}"##, r#"{"a":"x"}"#, "/$defs/B", "changed type"),
    ("a limit is added beside a $ref", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"integer"}}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/A","maximum":3}},"$defs":{"A":{"type":"integer"}}}"##, r#"{"a":4}"#, "/$defs/A/maximum", "no such limit"),
    ("an object is closed", r#"{"type":"object"}"#, r#"{"type":"object","additionalProperties":false}"#, r#"{"a":1}"#, "/additionalProperties", "closed"),
    ("an object with flattened parts is closed", r#"{"type":"object"}"#, r#"{"type":"object","unevaluatedProperties":false}"#, r#"{"a":1}"#, "/unevaluatedProperties", "closed"),
    ("other fields get a type", r#"{"type":"object"}"#, r#"{"type":"object","additionalProperties":{"type":"string"}}"#, r#"{"a":1}"#, "/additionalProperties", "now not all"),
    ("a map's values change", r#"{"additionalProperties":{"type":"string"}}"#, r#"{"additionalProperties":{"type":"integer"}}"#, r#"{"a":"x"}"#, "/additionalProperties", "changed type"),
    ("a map is closed", r#"{"additionalProperties":{"type":"string"}}"#, r#"{"additionalProperties":false}"#, r#"{"a":"x"}"#, "/additionalProperties", "closed"),
    ("a rule for names is added", r#"{"type":"object"}"#, r#"{"type":"object","propertyNames":{"maxLength":3}}"#, r#"{"abcd":1}"#, "/propertyNames", "now not all"),
    ("a rule for fields by name is added", r#"{"type":"object"}"#, r#"{"type":"object","patternProperties":{"^a":{"type":"string"}}}"#, r#"{"a":1}"#, "/patternProperties/^a", "is added"),
    ("a condition is added", r#"{"type":"object"}"#, r#"{"type":"object","allOf":[{"required":["a"]}]}"#, "{}", "/allOf", "had 0 entries"),
    ("a keyword without a rule changes", r#"{"type":"array"}"#, r#"{"type":"array","contains":{"type":"string"}}"#, "[]", "/contains", "cannot be told"),
];

#[rustfmt::skip]
const ALLOWED: &[Allowed] = &[
    ("nothing changes", r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"a":"x"}"#, None),
    ("words change", r#"{"title":"A","description":"old","properties":{"a":{"description":"old"}}}"#, r#"{"title":"B","description":"new","examples":[1],"properties":{"a":{"description":"new","default":1}}}"#, "{}", None),
    ("a field is marked as personal data", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{"a":{"type":"string","x-personal":true}}}"#, "{}", None),
    ("a mark of personal data is removed", r#"{"properties":{"a":{"type":"string","x-personal":true}}}"#, r#"{"properties":{"a":{"type":"string"}}}"#, "{}", HARMLESS),
    ("the order of required names changes", r#"{"required":["a","b"]}"#, r#"{"required":["b","a"]}"#, r#"{"a":1,"b":1}"#, None),
    ("an optional field is added", r#"{"properties":{}}"#, r#"{"properties":{"a":{"type":"string"}}}"#, "{}", HARMLESS),
    ("an optional field is removed", r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"properties":{}}"#, r#"{"a":"x"}"#, HARMLESS),
    ("an optional nested object is added", r##"{"properties":{}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"required":["b"]}}}"##, "{}", HARMLESS),
    ("an optional field is added to a closed object", r#"{"properties":{},"additionalProperties":false}"#, r#"{"properties":{"a":{}},"additionalProperties":false}"#, "{}", FIRST),
    ("an optional field is added to a nested object", r#"{"properties":{"a":{"type":"object"}}}"#, r#"{"properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}}}"#, r#"{"a":{}}"#, HARMLESS),
    ("an optional field is added to an item", r#"{"items":{"type":"object"}}"#, r#"{"items":{"type":"object","properties":{"b":{"type":"string"}}}}"#, "[{}]", HARMLESS),
    ("required becomes optional", r#"{"properties":{"a":{"type":"string"}},"required":["a"]}"#, r#"{"properties":{"a":{"type":"string"}}}"#, r#"{"a":"x"}"#, FIRST),
    ("null is allowed", r#"{"properties":{"a":{"type":"string","maxLength":3}}}"#, r#"{"properties":{"a":{"type":["string","null"],"maxLength":3}}}"#, r#"{"a":"x"}"#, FIRST),
    ("null is allowed for a $ref", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object"}}}"##, r##"{"properties":{"a":{"anyOf":[{"$ref":"#/$defs/A"},{"type":"null"}]}},"$defs":{"A":{"type":"object"}}}"##, r#"{"a":{}}"#, FIRST),
    ("a value is added", r#"{"type":"string","enum":["a"]}"#, r#"{"type":"string","enum":["b","a"]}"#, r#""a""#, FIRST),
    ("a value is added to a oneOf of constants", r#"{"oneOf":[{"type":"string","const":"a"}]}"#, r#"{"oneOf":[{"type":"string","const":"a"},{"type":"string","const":"b"}]}"#, r#""a""#, FIRST),
    ("values get words of their own", r#"{"type":"string","enum":["a","b"]}"#, r#"{"oneOf":[{"type":"string","const":"a","description":"A."},{"type":"string","const":"b"}]}"#, r#""b""#, None),
    ("one of a few becomes a free text", r#"{"type":"string","enum":["a"]}"#, r#"{"type":"string"}"#, r#""a""#, FIRST),
    ("an alternative is added", r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"}},"required":["kind"]}]}"#, r#"{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"}},"required":["kind"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}"#, r#"{"kind":"a"}"#, FIRST),
    ("alternatives are reordered", r#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#, r#"{"oneOf":[{"type":"integer"},{"type":"string"}]}"#, "1", None),
    ("anyOf is written as a list of types", r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, r#"{"type":["string","null"]}"#, "null", None),
    ("a definition is renamed", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}"##, r##"{"properties":{"a":{"$ref":"#/$defs/B"}},"$defs":{"B":{"type":"string"}}}"##, r#"{"a":"x"}"#, None),
    ("a $ref is written out", r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}"##, r##"{"properties":{"a":{"type":"string"}}}"##, r#"{"a":"x"}"#, None),
    ("a definition that nobody uses goes", r##"{"$defs":{"A":{"type":"string"}}}"##, r##"{}"##, "{}", None),
    ("a limit is loosened", r#"{"type":"integer","minimum":1,"maximum":9}"#, r#"{"type":"integer","minimum":0,"maximum":10}"#, "1", FIRST),
    ("a limit is removed", r#"{"type":"integer","maximum":9}"#, r#"{"type":"integer"}"#, "9", FIRST),
    ("a limit is written as a broken number", r#"{"type":"number","maximum":9}"#, r#"{"type":"number","maximum":9.0}"#, "9", None),
    ("a least length of nothing is written down", r#"{"type":"string"}"#, r#"{"type":"string","minLength":0}"#, r#""""#, None),
    ("a step becomes finer", r#"{"type":"integer","multipleOf":10}"#, r#"{"type":"integer","multipleOf":5}"#, "10", FIRST),
    ("a number's format widens", r#"{"type":"integer","format":"uint32","minimum":0}"#, r#"{"type":"integer","format":"uint64","minimum":0}"#, "1", FIRST),
    ("a format is removed", r#"{"type":"string","format":"uuid"}"#, r#"{"type":"string"}"#, r#""0190b0a0-0000-7000-8000-000000000000""#, FIRST),
    ("a pattern is removed", r#"{"type":"string","pattern":"^a"}"#, r#"{"type":"string"}"#, r#""a""#, FIRST),
    ("a list may be longer", r#"{"type":"array","maxItems":20}"#, r#"{"type":"array","maxItems":30}"#, "[]", FIRST),
    ("items may be equal", r#"{"type":"array","uniqueItems":true}"#, r#"{"type":"array"}"#, "[1]", FIRST),
    ("an object is opened", r#"{"type":"object","additionalProperties":false}"#, r#"{"type":"object"}"#, "{}", FIRST),
    ("other fields may be anything", r#"{"additionalProperties":{"type":"string"}}"#, r#"{"additionalProperties":true}"#, r#"{"a":"x"}"#, FIRST),
    ("other fields are allowed with a type", r#"{"additionalProperties":false}"#, r#"{"additionalProperties":{"type":"string"}}"#, "{}", FIRST),
    ("other fields are said to be allowed", r#"{"type":"object"}"#, r#"{"type":"object","additionalProperties":true}"#, r#"{"a":1}"#, None),
    ("a rule for fields by name goes", r#"{"patternProperties":{"^a":{"type":"string"}}}"#, r#"{}"#, r#"{"a":"x"}"#, FIRST),
    ("a condition goes", r#"{"allOf":[{"required":["a"]}]}"#, r#"{}"#, r#"{"a":1}"#, FIRST),
];

#[test]
fn every_breaking_change_is_refused_at_its_place_with_a_sentence_and_has_a_witness() {
    for (what, old, new, witness, at, says) in REFUSED {
        let (old, new) = (schema(old), schema(new));
        let changes = compare(&old, &new);
        let refused: Vec<_> = changes.iter().filter(|change| change.effect == Effect::Refused).collect();
        let fits = refused.iter().any(|change| change.at == *at && change.says.contains(says));
        assert!(fits, "{what}: {refused:#?}");
        // A format or an encoding that validators do not hold numbers or texts to is shown by its limits.
        assert_ne!(accepts(&old, witness), accepts(&new, witness), "{what}: {witness} shows no difference");
    }
}

#[test]
fn every_compatible_change_is_allowed_and_old_events_still_fit() {
    for (what, old, new, value, effect) in ALLOWED {
        let (old, new) = (schema(old), schema(new));
        let changes = compare(&old, &new);
        assert_eq!(changes.first().map(|change| change.effect), *effect, "{what}: {changes:#?}");
        assert!(accepts(&old, value) && accepts(&new, value), "{what}: {value}");
    }
}

#[test]
fn no_schema_differs_from_itself() {
    let all = REFUSED.iter().flat_map(|case| [case.1, case.2]).chain(ALLOWED.iter().flat_map(|case| [case.1, case.2]));
    for text in all {
        assert_eq!(compare(&schema(text), &schema(text)), [], "{text}");
    }
    assert!(REFUSED.len() + ALLOWED.len() >= 60, "{} and {} cases", REFUSED.len(), ALLOWED.len());
}

/// What is internal may become public, and then stays so.
#[test]
fn an_event_that_was_public_stays_public() {
    let (internal, public) = (schema(r#"{"type":"object"}"#), schema(r#"{"type":"object","x-visibility":"public"}"#));
    let effects = |old, new| compare(old, new).iter().map(|change| change.effect).collect::<Vec<_>>();
    assert_eq!(effects(&internal, &public), [Effect::Harmless]);
    assert_eq!(effects(&public, &internal), [Effect::Refused]);
    assert_eq!(effects(&public, &public), []);
    assert!(compare(&public, &internal)[0].says.contains("no longer public"));
}

/// What was sent lies in the journal under its address.
#[test]
fn a_command_keeps_its_address_and_stays_a_command() {
    let (event, command) = (schema(r#"{"type":"object"}"#), schema(r#"{"type":"object","x-to":"inventory"}"#));
    let other = schema(r#"{"type":"object","x-to":"payments"}"#);
    let refused = |old, new, says: &str| {
        let changes = compare(old, new);
        assert!(changes.len() == 1 && changes[0].effect == Effect::Refused, "{changes:?}");
        assert!(changes[0].says.contains(says), "{changes:?}");
    };
    refused(&command, &other, "it goes to payments, but what was sent is addressed to inventory");
    refused(&command, &event, "no longer a command");
    refused(&event, &command, "it becomes a command");
    assert_eq!(compare(&command, &command), []);
}

#[test]
fn a_refused_place_is_found_at_any_depth() {
    for (what, old, new, ..) in REFUSED {
        let within = |text: &str| {
            let mut inner = schema(text);
            let definitions = inner.as_object_mut().and_then(|object| object.remove("$defs")).unwrap_or(json!({}));
            inner.as_object_mut().map(|object| object.remove("$schema"));
            let nested = json!({ "properties": { "list": { "items": { "properties": { "x": inner } } } } });
            let mut outer = nested.clone();
            outer["$schema"] = json!(DIALECT);
            outer["$defs"] = definitions;
            outer
        };
        let changes = compare(&within(old), &within(new));
        assert_eq!(changes.first().map(|change| change.effect), Some(Effect::Refused), "{what}: {changes:#?}");
    }
}

#[test]
fn a_schema_that_leaves_its_file_turns_in_a_circle_or_is_none_is_refused_with_its_place() {
    let of = |text: &str| {
        let mut schema: Value = serde_json::from_str(text).unwrap();
        schema["$schema"] = json!(DIALECT);
        flaws(&schema).into_iter().map(|flaw| format!("{}: {}", flaw.at, flaw.says)).collect::<Vec<_>>()
    };
    let cases = [
        (
            r#"{"properties":{"a":{"$ref":"https://example.com/a.json"}}}"#,
            "/properties/a/$ref: the $ref to \"https://example.com/a.json\" leaves this file",
        ),
        (r#"{"properties":{"a":{"$ref":"other.json#/$defs/A"}}}"#, "/properties/a/$ref: the $ref to"),
        (r##"{"properties":{"a":{"$ref":"#/$defs/A"}}}"##, "/properties/a/$ref: there is nothing at #/$defs/A"),
        (
            r##"{"$defs":{"A":{"items":{"$ref":"#/$defs/A"}}}}"##,
            "/$defs/A/items/$ref: the $ref to #/$defs/A leads back to itself",
        ),
        (r##"{"$defs":{"A":{"$ref":"#/$defs/B"},"B":{"$ref":"#/$defs/A"}}}"##, "leads back to itself"),
        (r##"{"items":{"$ref":"#"}}"##, "/items/$ref: the $ref to # leads back to itself"),
        (r#"{"items":{"$dynamicRef":"x"}}"#, "/items/$dynamicRef: `$dynamicRef` is not followed"),
        (r#"{"items":{"$id":"x"}}"#, "/items/$id: an `$id` inside"),
        (r#"{"type":"text"}"#, "/type: it is no JSON Schema"),
    ];
    for (text, says) in cases {
        let found = of(text);
        assert!(found.iter().any(|flaw| flaw.contains(says)), "{text}: {found:#?}");
    }
    assert_eq!(
        of(r##"{"properties":{"$ref":{"type":"string"},"a":{"enum":[{"$ref":"x"}]}}}"##),
        [""; 0],
        "names and values are no references"
    );
    assert_eq!(flaws(&json!({}))[0].at, "/$schema");
}
