//! Rows, cursors and publications as the pipeline writes them, with as little in them as a case needs.
//! Must not know: any case.

use anyhow::Result;
use towpath::commit::Commit;
use towpath::ports::{
    CommitError, CursorHome, CursorKey, Head, JournalRow, Position, Publication, Store, Stored, Write,
};
use towpath::trouble::Trouble;
use towpath::{
    AggregateKey, Cursor, Data, Envelope, Era, EventId, FORMAT, Kind, Older, Place, Prior, Rev, Seq, Status, TenantId,
    Timestamp, Visibility,
};

/// An hour in which nothing else happens: no other run's rows are in its time index.
pub(super) const BEGIN: u64 = 3_600_000 * 500_000;
pub(super) const MADE: &str = "case.made";
pub(super) const OTHER: &str = "case.other";

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(BEGIN + millis)
}

pub(super) fn aggregate(tenant: &TenantId, id: &str) -> Result<AggregateKey> {
    Ok(format!("{tenant}#case#{id}").parse()?)
}

/// An event of one aggregate at one place; equal arguments make equal events.
pub(super) fn envelope(key: &AggregateKey, seq: u64, time: Timestamp, data: &str) -> Result<Envelope> {
    let salt = key.to_string().bytes().fold(seq, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Ok(Envelope {
        format: FORMAT,
        event_id: EventId::new(time, u128::from(salt) << 16),
        event_type: MADE.parse()?,
        event_version: 1,
        tenant_id: key.tenant.clone(),
        aggregate_type: key.kind.clone(),
        aggregate_id: key.id.clone(),
        seq: Seq(seq),
        prior: Prior::default(),
        era: Era::FIRST,
        occurred_at: time,
        correlation_id: "case".parse()?,
        causation_id: "case".parse()?,
        producer: "case@1".parse()?,
        traceparent: None,
        hops: 0,
        older: Older::default(),
        data: Data::parse(data.to_owned())?,
    })
}

pub(super) fn row(key: &AggregateKey, seq: u64, time: Timestamp, data: &str) -> Result<JournalRow> {
    let envelope = envelope(key, seq, time, data)?;
    Ok(JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Private, to: None })
}

pub(super) fn append(key: &AggregateKey, seq: u64) -> Result<Write> {
    Ok(Write::Append(row(key, seq, at(seq), r#"{"n":1}"#)?))
}

pub(super) fn entity(key: &AggregateKey, version: u64, expect: Option<u64>) -> Write {
    let head = Head { seq: Seq(version), prior: Prior::default(), era: Era::FIRST, occurred_at: at(version) };
    let stored = Stored { head, state: Some(format!(r#"{{"version":{version}}}"#)), saga: None };
    Write::Entity { key: key.clone(), stored, expect: expect.map(Seq) }
}

pub(super) fn put(tenant: &TenantId, sort: &str, state: &str) -> Write {
    Write::Put { tenant: tenant.clone(), place: place(sort), state: state.to_owned() }
}

pub(super) fn place(sort: &str) -> Place {
    Place { view: "case-rows".to_owned(), partition: "a".to_owned(), sort: sort.to_owned() }
}

pub(super) async fn rows_of(store: &dyn Store, tenant: &TenantId) -> Result<Vec<String>> {
    Ok(store.view(tenant, "case-rows", "a").await?)
}

pub(super) fn cursor_key(tenant: &TenantId, id: &str) -> Result<CursorKey> {
    Ok(CursorKey { aggregate: aggregate(tenant, id)?, consumer: "case-consumer".parse()? })
}

/// A cursor at `rev`; one that is due is retrying.
pub(super) fn position(rev: u64, due: Option<Timestamp>) -> Result<Position> {
    let trouble = due.map(trouble).transpose()?;
    let cursor = Cursor {
        seq: Seq(rev),
        event_id: Some(EventId::new(at(rev), 0)),
        era: Era::FIRST,
        generation: 1,
        status: if due.is_some() { Status::Retrying } else { Status::Ready },
        attempt: 0,
        rev: Rev(rev),
        trouble,
    };
    Ok(Position::new(cursor, None))
}

pub(super) fn cursor(key: &CursorKey, position: Position, expect: Option<u64>) -> Write {
    Write::Cursor { home: CursorHome::Progress, key: key.clone(), position, expect: expect.map(Rev) }
}

fn trouble(due: Timestamp) -> Result<Trouble> {
    Ok(Trouble {
        seq: Seq(9),
        event_id: EventId::new(due, 0),
        event_type: MADE.parse()?,
        since: at(0),
        due,
        class: "away".to_owned(),
        message: "it is away".to_owned(),
        producer: "case@1".parse()?,
        running: None,
        deaths: 0,
        ticket: None,
    })
}

pub(super) async fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<Result<(), CommitError>> {
    Ok(store.commit(&Commit::new(writes)?).await)
}

/// A message on its way out; its deduplication id is made of the number alone.
pub(super) fn publication(group: &str, event_type: &str, number: u64, body: &str) -> Result<Publication> {
    Ok(Publication {
        topic: Kind::Event,
        group: group.to_owned(),
        event_id: EventId::new(at(number), u128::from(number)),
        event_type: event_type.parse()?,
        to: None,
        place: ("t#case#a".parse()?, Seq(number)),
        body: body.to_owned(),
    })
}
