//! Where fuzzing begins: real encodings, made by the code itself. Must not know: where they are kept.

use commerce::order::{Lines, Order};
use serde_json::{Value, json};
use towpath::ports::JournalRow;
use towpath::trouble::Trouble;
use towpath::{
    Data, Envelope, Era, EventId, FORMAT, Instruction, Kind, Replay, Rev, Seq, Ticket, Timestamp, Verb, Visibility,
    Wake,
};
use towpath_aws::decode::{Row, as_stream_record};

/// Inputs of each target: its name, the input's name, the input.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("envelope", "placed", placed().to_body()),
        ("envelope", "traced", Envelope { traceparent: Some(TRACE.parse().unwrap()), ..placed() }.to_body()),
        ("envelope", "of_a_newer_format", placed().to_body().replace("\"format\":1", "\"format\":2")),
        ("wake", "advance", wake(Verb::Advance)),
        ("wake", "retry", wake(Verb::Retry(order()))),
        ("wake", "skip", wake(Verb::Skip(order()))),
        ("wake", "replay", wake(Verb::Replay(replay()))),
        ("ticket", "parked", ticket().to_body()),
        ("stream_record", "insert", stream(&placed(), Visibility::Public)),
        ("stream_record", "private", stream(&Envelope { seq: Seq(9), ..placed() }, Visibility::Private)),
        ("queue_event", "event", queue("q.fifo", &placed().to_body())),
        ("queue_event", "ticket", queue("q.fifo", &ticket().to_body())),
        ("queue_event", "wake", queue("wakes", &wake(Verb::Advance))),
        ("page_token", "shard", r#"{"hour":498682,"shard":2}"#.to_owned()),
        ("page_token", "row", r#"{"hour":498682,"shard":0,"row":{"aggregate":"acme#order#o-1","seq":3}}"#.to_owned()),
        ("cli_words", "times", "2h\n2026-11-21T09:00:00Z\ndivision by 0 at order o-1, line 12".to_owned()),
        ("cli_words", "fingerprint", "7d\n90s\n1a2b3c4d".to_owned()),
        ("http_request", "order", format!("acme\nc-1\nk-1\napplication/json\nno\n{ORDER}")),
        ("token", "signed", format!("{TOKEN}\n{KEYS}")),
        ("http_request", "encoded", "acme\n-\nk-1\napplication/json; charset=utf-8\nbase64\ne30=".to_owned()),
    ];
    let words = ["acme", "acme#order#o-1", "order.placed", "order-summary@2", "inventory@1.8.3+b", TRACE, "beginning"];
    let times = ["1970-01-01T00:00:00Z 9999-12-31T23:59:59.999Z", "2026-11-21T11:00:00.007+01:00", ID];
    let named = ["tenant", "key", "type", "consumer", "producer", "trace", "start", "ends", "offset", "event"];
    seeds.extend(named.iter().zip(words.iter().chain(&times)).map(|(name, word)| ("ids", *name, (*word).to_owned())));
    let mut seeds: Vec<_> = seeds.into_iter().map(|(of, name, text)| (of, name, text.into_bytes())).collect();
    let kind = |kind: Row| Row::ALL.iter().position(|each| *each == kind).and_then(|at| u8::try_from(at).ok()).unwrap();
    seeds.extend(
        rows()
            .into_iter()
            .map(|(row, name, item)| ("row", name, [vec![kind(row)], item.to_string().into_bytes()].concat())),
    );
    seeds.extend(plays().map(|(name, play)| ("machine", name, play.to_vec())));
    seeds
}

const ID: &str = "019aa7a0-03e8-7200-8000-000000000000";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// A token of the key `k`, with a signature that nobody made.
const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwiYXVkIjoiYSIsImV4cCI6OTk5OTk5OTk5OSwidCI6ImFjbWUifQ.AAAA";
/// The keys of an issuer that has none of the private ones.
const KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"k","use":"sig","n":"AQAB","e":"AQAB"},{"kty":"EC","kid":"e","crv":"P-256","x":"AA","y":"AA"}]}"#;
const ORDER: &str = r#"{"customer_id":"c-1","lines":[{"sku":"tea","quantity":2,"unit_price_cents":450}]}"#;

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_255_200_007)
}

fn placed() -> Envelope {
    let lines = serde_json::from_value::<Lines>(json!([{ "sku": "tea", "quantity": 2, "unit_price_cents": 450 }]));
    let (_, event) = Order::place("o-1".parse().unwrap(), "c-1".parse().unwrap(), lines.unwrap());
    Envelope {
        format: FORMAT,
        event_id: EventId::new(at(), 7),
        event_type: "order.placed".parse().unwrap(),
        event_version: 1,
        tenant_id: "acme".parse().unwrap(),
        aggregate_type: "order".parse().unwrap(),
        aggregate_id: "o-1".parse().unwrap(),
        seq: Seq(3),
        prior: [("order.placed".parse().unwrap(), Seq(1)), ("order.noted".parse().unwrap(), Seq(2))]
            .into_iter()
            .collect(),
        era: Era::FIRST,
        occurred_at: at(),
        correlation_id: "c-1".parse().unwrap(),
        causation_id: "r-1".parse().unwrap(),
        producer: "orders-api@0.1.0".parse().unwrap(),
        traceparent: None,
        hops: 1,
        data: Data::parse(serde_json::to_string(&event).unwrap()).unwrap(),
        older: towpath::Older::default(),
    }
}

fn wake(verb: Verb) -> String {
    Wake { aggregate: placed().aggregate(), verb }.to_body()
}

fn order() -> Instruction {
    Instruction { rev: Rev(7), who: "ann".into(), why: "mended".into() }
}

fn replay() -> Replay {
    Replay { id: 42, after: Seq(1), through: Seq(9), types: vec!["order.placed".parse().unwrap()] }
}

fn ticket() -> Ticket {
    let event = placed();
    Ticket {
        consumer: "diarist".parse().unwrap(),
        aggregate: event.aggregate(),
        rev: Rev(7),
        event_id: event.event_id,
        event_type: event.event_type,
        seq: event.seq,
        class: "rejected".into(),
        message: "unknown sku".into(),
        attempts: 2,
        since: at(),
        parked_at: at(),
        producer: event.producer,
    }
}

fn stream(envelope: &Envelope, visibility: Visibility) -> String {
    let row = JournalRow { envelope: envelope.clone(), kind: Kind::Event, visibility, to: None };
    as_stream_record(&row).unwrap().to_string()
}

fn queue(name: &str, body: &str) -> String {
    let record = json!({
        "messageId": "m-1", "receiptHandle": "r", "body": body, "messageAttributes": {},
        "attributes": { "MessageGroupId": "acme#0", "ApproximateReceiveCount": "1" },
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:1:{name}"),
    });
    json!({ "Records": [record] }).to_string()
}

fn rows() -> Vec<(Row, &'static str, Value)> {
    let (text, number) = (|text: &str| json!({ "S": text }), |n: u64| json!({ "N": n.to_string() }));
    let time = text(&at().to_string());
    let record: Value = serde_json::from_str(&stream(&placed(), Visibility::Public)).unwrap();
    let journal = record["dynamodb"]["NewImage"].clone();
    let trouble = Trouble {
        seq: Seq(3),
        event_id: placed().event_id,
        event_type: placed().event_type,
        since: at(),
        due: at(),
        class: "panic".into(),
        message: "at lib.rs:1".into(),
        producer: placed().producer,
        running: Some(9),
        deaths: 1,
        ticket: None,
    };
    let cursor = json!({
        "format": number(1), "cursor": number(2), "event_id": text(ID), "era": number(1), "generation": number(1),
        "status": text("retrying"), "attempt": number(2), "rev": number(4), "due": number(9_000), "due_shard": text("1"),
        "trouble": text(&serde_json::to_string(&trouble).unwrap()),
    });
    let entity = json!({
        "aggregate": text("acme#order#o-1"), "format": number(1), "version": number(2), "era": number(1),
        "prior": { "M": { "order.placed": number(2) } }, "occurred_at": time, "state": text("{}"),
    });
    let order = json!({
        "format": number(1), "at": time, "who": text("ann"), "why": text("mended"), "what": text("retry"),
        "consumer": text("inventory"), "aggregate": text("acme#order#o-1"), "rev": number(7), "event_id": text(ID),
    });
    let registry = json!({
        "pk": text("~registry"), "sk": text("inventory"), "format": number(1), "storage": text("progress"),
        "handles": { "SS": ["order.cancelled", "order.placed"] }, "generation": number(1), "replayable": { "BOOL": true },
        "starts": { "M": { "order.placed": text("beginning"), "order.cancelled": time } }, "queue_url": text("https://q"),
    });
    vec![
        (Row::Journal, "journal", journal.clone()),
        (Row::Head, "head", journal.clone()),
        (Row::Index, "index", journal),
        (Row::Entity, "entity", entity),
        (Row::View, "view", json!({ "format": number(1), "state": text("{}") })),
        (
            Row::Answer,
            "answer",
            json!({ "format": number(1), "body_hash": text("a0"), "status": number(201), "answer": text("{}") }),
        ),
        (Row::Signature, "signature", cursor.clone()),
        (Row::Cursor, "cursor", cursor),
        (Row::Due, "due", json!({ "pk": text("acme#order#o-1"), "sk": text("inventory"), "due": number(5) })),
        (
            Row::Skip,
            "skip",
            json!({
                "format": number(1), "seq": number(3), "event_id": text(ID), "event_type": text("order.placed"),
                "who": text("ann"), "why": text("test"), "at": time,
            }),
        ),
        (Row::Order, "order", order),
        (Row::Registry, "registry", registry),
        (
            Row::Audit,
            "audit",
            json!({ "format": number(1), "rev": number(3), "audited_until": time, "sweep": text("{}") }),
        ),
    ]
}

/// Sequences for the machine: see its `input` for what a byte does.
fn plays() -> [(&'static str, &'static [u8]); 5] {
    [
        ("in_order", &[0, 0, 0, 3, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 2, 0, 3]),
        ("gap_then_crash", &[1, 0, 0, 4, 0, 0, 0, 2, 0, 1, 0, 0, 0, 1, 11, 3, 1, 0, 8, 0, 6, 5, 0]),
        (
            "rejected_and_skipped",
            &[0, 3, 5, 5, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 8, 5, 0, 5, 0, 10, 0, 5, 0, 5, 1],
        ),
        ("flaky_and_waiting", &[2, 1, 9, 3, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 5, 0, 7, 0, 5, 0, 7, 1, 5, 0, 9, 0, 5, 0]),
        (
            "poison_and_ticket",
            &[0, 2, 5, 6, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 2, 0, 2, 4, 5, 0, 7, 3, 5, 0, 14, 0, 12, 5, 0],
        ),
    ]
}
