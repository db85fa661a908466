//! Rows that do not advance, read from the tables themselves and never from a dead-letter queue: the row is the truth.
//! Must not know: how rows are shown, what is ordered about them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use towpath::ports::{Consistency, CursorHome, CursorKey, Ledger, Store};
use towpath::trouble::{TicketState, Trouble};
use towpath::{
    AggregateKey, ConsumerName, Cursor, EventId, EventType, OUTCOME_UNKNOWN, Producer, Rev, Seq, Status, TenantId,
    Timestamp,
};

use crate::fingerprint::Fingerprint;
use crate::output::{Usage, now, short_class};
use crate::pipeline::Pipeline;
use crate::when::{Span, When};

/// Which rows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filters {
    /// Only of this consumer.
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<ConsumerName>,
    /// Only of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<TenantId>,
    /// Only where an event of this type failed.
    #[arg(long = "type", value_name = "order.placed")]
    pub(crate) event_type: Option<EventType>,
    /// Only where it failed with an error of this class.
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Only where it failed first at this time or later: 2026-11-21T10:00:00Z, or 2h ago.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Only where it failed first at this time or earlier.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Only rows of this kind, as `dlq list` names it.
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Only this aggregate.
    #[arg(long, value_name = "TENANT#TYPE#ID")]
    pub(crate) aggregate: Option<AggregateKey>,
}

/// In which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Those that wait for an operator.
    #[default]
    Parked,
    /// Those that are being tried again.
    Retrying,
    /// Those that somebody stopped.
    Held,
    /// All of these.
    All,
}

/// A row that does not advance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Whose.
    pub(crate) key: CursorKey,
    /// In which table.
    pub(crate) home: CursorHome,
    /// As it was read.
    pub(crate) cursor: Cursor,
    /// What holds it up.
    pub(crate) trouble: Trouble,
}

/// A row as JSON shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    consumer: ConsumerName,
    aggregate: String,
    status: &'static str,
    fingerprint: String,
    event_type: EventType,
    event_id: EventId,
    seq: Seq,
    class: String,
    message: String,
    attempts: u32,
    since: Timestamp,
    next_look: Timestamp,
    ticket: Option<TicketState>,
    failed_in: Producer,
    cursor: Seq,
    rev: Rev,
}

/// Rows that fail in the same way.
#[derive(Debug)]
pub(crate) struct Kind<'a> {
    /// Its name.
    pub(crate) fingerprint: Fingerprint,
    /// How many there are, by their status.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The one that has waited longest.
    pub(crate) oldest: &'a Row,
}

impl Filters {
    /// Does anything narrow the choice?
    pub(crate) fn is_everything(&self) -> bool {
        let Self { consumer, tenant, event_type, class, since, until, fingerprint, aggregate } = self;
        consumer.is_none()
            && tenant.is_none()
            && event_type.is_none()
            && class.is_none()
            && (since.is_none() && until.is_none())
            && fingerprint.is_none()
            && aggregate.is_none()
    }

    /// May rows be tried again of which nobody knows whether their effect outside happened? Only if they were asked for by name:
    /// one of them, or their kind.
    pub(crate) fn allows_unknown(&self) -> bool {
        self.aggregate.is_some() || self.fingerprint.is_some() || self.class.as_deref() == Some(OUTCOME_UNKNOWN)
    }

    fn names(&self, key: &CursorKey) -> bool {
        self.consumer.as_ref().is_none_or(|name| *name == key.consumer)
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == key.aggregate.tenant)
            && self.aggregate.as_ref().is_none_or(|aggregate| *aggregate == key.aggregate)
    }

    fn describes(&self, row: &Row, span: &Span) -> bool {
        let Trouble { event_type, class, since, .. } = &row.trouble;
        self.event_type.as_ref().is_none_or(|wanted| wanted == event_type)
            && self.class.as_ref().is_none_or(|wanted| wanted == class || *wanted == short_class(class))
            && self.fingerprint.is_none_or(|wanted| wanted == row.fingerprint())
            && span.includes(*since)
    }
}

impl Wanted {
    fn includes(self, status: Status) -> bool {
        match self {
            Self::Parked => status == Status::Parked,
            Self::Retrying => status == Status::Retrying,
            Self::Held => status == Status::Held,
            Self::All => status != Status::Ready,
        }
    }
}

impl Row {
    /// Its kind of failure.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.key, &self.trouble)
    }

    /// For JSON.
    pub(crate) fn line(&self) -> Line {
        let trouble = self.trouble.clone();
        Line {
            consumer: self.key.consumer.clone(),
            aggregate: self.key.aggregate.to_string(),
            status: status_name(self.cursor.status),
            fingerprint: self.fingerprint().to_string(),
            event_type: trouble.event_type,
            event_id: trouble.event_id,
            seq: trouble.seq,
            class: trouble.class,
            message: trouble.message,
            attempts: self.cursor.attempt,
            since: trouble.since,
            next_look: trouble.due,
            ticket: trouble.ticket,
            failed_in: trouble.producer,
            cursor: self.cursor.seq,
            rev: self.cursor.rev,
        }
    }
}

/// The word for a status.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ready => "ready",
        Status::Retrying => "retrying",
        Status::Parked => "parked",
        Status::Held => "held",
    }
}

/// Reads the rows that `filters` choose, those that have waited longest first.
pub(crate) async fn read(pipeline: &Pipeline, filters: &Filters, wanted: Wanted) -> Result<Vec<Row>> {
    let span = Span::new(filters.since, filters.until, Timestamp::default(), now())?;
    // A clock that is ahead of ours must not hide a row.
    let span = if filters.until.is_none() { Span { until: Timestamp::MAX, ..span } } else { span };
    let consumers = pipeline.consumers_named(filters.consumer.as_ref())?;
    if let Some(wanted) = &filters.event_type
        && !consumers.iter().any(|known| known.consumer.handles.iter().any(|handled| handled.event_type == *wanted))
    {
        return Err(Usage(format!("no such consumer handles {wanted}: `towpath status` names the consumers")).into());
    }
    let mut rows = Vec::new();
    let holds = pipeline.store.all_holds().await.context("it cannot be read who is held")?;
    for home in [CursorHome::Progress, CursorHome::Views] {
        let mut keys: Vec<CursorKey> = match &filters.aggregate {
            Some(aggregate) => consumers
                .iter()
                .filter(|known| known.consumer.home == home)
                .map(|known| CursorKey { aggregate: aggregate.clone(), consumer: known.consumer.name.clone() })
                .collect(),
            None => {
                let due = pipeline.store.due(home, Timestamp::MAX, usize::MAX).await;
                due.context("the index of waiting rows cannot be read")?
            }
        };
        if filters.aggregate.is_none() && wanted.includes(Status::Held) {
            for known in consumers.iter().filter(|known| known.consumer.home == home) {
                let of = &known.consumer.name;
                for tenant in holds.get(of).into_iter().flat_map(|holds| holds.tenants.keys()) {
                    let held = pipeline.store.held(home, of, tenant, usize::MAX).await;
                    keys.extend(held.context("the held rows cannot be read")?);
                }
            }
        }
        keys.retain(|key| filters.names(key));
        rows.extend(self::rows(pipeline, home, keys).await?);
    }
    rows.retain(|row| wanted.includes(row.cursor.status) && filters.describes(row, &span));
    rows.sort_by_key(|row| row.trouble.since);
    Ok(rows)
}

/// The rows of these keys that have a trouble, strongly consistent.
async fn rows(pipeline: &Pipeline, home: CursorHome, keys: Vec<CursorKey>) -> Result<Vec<Row>> {
    let positions = pipeline.store.positions(home, &keys, Consistency::Strong).await;
    let positions = positions.context("the waiting rows cannot be read")?;
    let row = |(key, position): (CursorKey, Option<towpath::ports::Position>)| {
        let cursor = position?.cursor;
        let trouble = cursor.trouble.clone()?;
        Some(Row { key, home, cursor, trouble })
    };
    Ok(keys.into_iter().zip(positions).filter_map(row).collect())
}

/// The kinds of failure among `rows`, the most frequent first.
pub(crate) fn kinds(rows: &[Row]) -> Vec<Kind<'_>> {
    let mut kinds: BTreeMap<Fingerprint, Kind<'_>> = BTreeMap::new();
    for row in rows {
        let fingerprint = row.fingerprint();
        let kind = kinds.entry(fingerprint).or_insert(Kind { fingerprint, counts: BTreeMap::new(), oldest: row });
        *kind.counts.entry(status_name(row.cursor.status)).or_default() += 1;
        if row.trouble.since < kind.oldest.trouble.since {
            kind.oldest = row;
        }
    }
    let mut kinds: Vec<Kind<'_>> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| (Reverse(kind.counts.values().sum::<u64>()), kind.oldest.trouble.since));
    kinds
}

#[cfg(test)]
pub(crate) mod tests {
    use towpath::Era;

    use super::*;

    /// A parked row of `inventory` that failed `seconds` after 1970.
    pub(crate) fn row(id: &str, class: &str, message: &str, seconds: u64) -> Row {
        let since = Timestamp::from_millis(seconds * 1_000);
        let aggregate = format!("acme#order#{id}").parse().unwrap();
        let trouble = Trouble {
            seq: Seq(3),
            event_id: EventId::new(since, 3),
            event_type: "order.placed".parse().unwrap(),
            since,
            due: since,
            class: class.into(),
            message: message.into(),
            producer: Producer::parse("inventory@1.0.0").unwrap(),
            running: None,
            deaths: 0,
            ticket: Some(TicketState::Sent),
        };
        let status = Status::Parked;
        let start = Cursor::start(Era::FIRST, 1);
        let cursor = Cursor { seq: Seq(2), status, rev: Rev(7), attempt: 2, trouble: Some(trouble.clone()), ..start };
        let key = CursorKey { aggregate, consumer: "inventory".parse().unwrap() };
        Row { key, home: CursorHome::Progress, cursor, trouble }
    }

    #[test]
    fn rows_that_fail_alike_are_one_kind_and_the_most_frequent_comes_first() {
        let rows = [
            row("o-1", "rejected", "no", 9),
            row("o-2", "rejected", "needs 3", 8),
            row("o-3", "rejected", "needs 4", 5),
            row("o-4", "rejected", "needs 5", 6),
        ];
        let kinds = kinds(&rows);
        assert_eq!(kinds.iter().map(|kind| kind.counts["parked"]).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(kinds[0].oldest.key.aggregate.to_string(), "acme#order#o-3");
    }

    #[test]
    fn each_filter_narrows() {
        let row = row("o-1", "a::b::Broken", "needs 3", 50);
        let always = Span { since: Timestamp::default(), until: Timestamp::MAX };
        let chosen = |filters: Filters| filters.names(&row.key) && filters.describes(&row, &always);
        let all = Filters::default;
        assert!(all().is_everything() && chosen(all()));
        let class = |class: &str| Filters { class: Some(class.into()), ..all() };
        assert!(chosen(class("Broken")) && chosen(class("a::b::Broken")) && !chosen(class("b::Broken")));
        let others = [
            Filters { consumer: "billing".parse().ok(), ..all() },
            Filters { tenant: "globex".parse().ok(), ..all() },
            Filters { event_type: "order.cancelled".parse().ok(), ..all() },
            Filters { fingerprint: "00000000".parse().ok(), ..all() },
            Filters { aggregate: "acme#order#o-2".parse().ok(), ..all() },
        ];
        for other in others {
            assert!(!other.is_everything() && !chosen(other.clone()), "{other:?}");
        }
        let earlier = Span { since: Timestamp::default(), until: Timestamp::from_millis(49_999) };
        assert!(!all().describes(&row, &earlier));
    }

    #[test]
    fn an_effect_that_may_have_happened_is_tried_again_only_if_it_was_asked_for_by_name() {
        let all = Filters::default;
        let class = |class: &str| Filters { class: Some(class.into()), ..all() };
        for narrow in [
            Filters { aggregate: "acme#order#o-1".parse().ok(), ..all() },
            Filters { fingerprint: "00000000".parse().ok(), ..all() },
            class(OUTCOME_UNKNOWN),
        ] {
            assert!(narrow.allows_unknown(), "{narrow:?}");
        }
        for wide in [all(), class("rejected"), Filters { consumer: "mailer".parse().ok(), ..all() }] {
            assert!(!wide.allows_unknown(), "{wide:?}");
        }
    }
}
