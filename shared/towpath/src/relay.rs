//! The relay machine: journal rows in, published messages out; sequential within a group, concurrent across groups.
//! Must not know: SNS, streams, Lambda. It reaches the world through `ports`.
//!
//! A hint that cannot be sent now is reported, so that the stream offers it again. Nothing is marked as sent: the
//! stream's position is the mark.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;

use crate::limits;
use crate::planted::is_on;
use crate::ports::{Host, JournalRow, Publication, Publisher};
use crate::{AggregateKey, Lanes, Seq, Visibility};

/// Requests at a time.
const WORKERS: usize = 8;
/// A worker is worth it from this many messages on: fewer would leave its requests half empty.
const MESSAGES_A_WORKER: usize = 25;
/// Tries of one group within one invocation.
const TRIES: u32 = 5;
/// Time to leave to the caller at the end.
const MARGIN: Duration = Duration::from_secs(2);

/// What became of the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// Indexes of rows that were not published, in order.
    pub failed: Vec<usize>,
    /// Messages published.
    pub published: u64,
    /// Publish requests made.
    pub requests: u64,
    /// Entries that were refused, before any retry.
    pub refusals: u64,
    /// Rows that nobody else may see.
    pub private: u64,
    /// The last refusal of each group that was given up.
    pub reasons: BTreeMap<String, String>,
}

/// The message group of an aggregate: its tenant, and its lane within the tenant.
pub fn group_of(aggregate: &AggregateKey, lanes: u16) -> String {
    let lane = if lanes <= 1 { 0 } else { hash_of(aggregate) % u64::from(lanes) };
    format!("{}#{lane}", aggregate.tenant)
}

/// FNV-1a: a group must be the same pure function of the event in every version, so the hash is spelt out.
fn hash_of(aggregate: &AggregateKey) -> u64 {
    aggregate
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Publishes the rows of one invocation.
pub async fn relay(publisher: &dyn Publisher, host: &dyn Host, lanes: &Lanes, rows: Vec<JournalRow>) -> RelayReport {
    let mut report = RelayReport::default();
    let mut messages = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if row.visibility == Visibility::Private {
            report.private += 1;
        } else {
            let lanes = lanes.of(&row.envelope.tenant_id);
            messages.push((index, publication(row, lanes)));
        }
    }
    if !is_on("1 stream order trusted") {
        restore_order(&mut messages);
    }
    if is_on("11 equal contents are one event") {
        let mut contents = BTreeSet::new();
        messages.retain(|(_, message)| contents.insert(content_of(message)));
    }
    for done in join_all(share_out(messages).into_iter().map(|share| work(publisher, host, share))).await {
        report.failed.extend(done.failed);
        report.published += done.published;
        report.requests += done.requests;
        report.refusals += done.refusals;
        report.reasons.extend(done.reasons);
    }
    report.failed.sort_unstable();
    report
}

type Numbered = (usize, Publication);

fn publication(row: JournalRow, lanes: u16) -> Publication {
    let aggregate = row.envelope.aggregate();
    Publication {
        topic: row.kind,
        group: group_of(&aggregate, lanes),
        event_id: row.envelope.event_id,
        event_type: row.envelope.event_type.clone(),
        to: row.to,
        body: row.envelope.to_body(),
        place: (aggregate, row.envelope.seq),
    }
}

/// What two events may have in common without being the same.
fn content_of(message: &Publication) -> Option<String> {
    let envelope: crate::Envelope = serde_json::from_str(&message.body).ok()?;
    Some(format!("{} {}", message.event_type, envelope.data.as_str()))
}

/// The stream orders only the records of one item, so rows of an aggregate may arrive in any order; within the batch
/// they are put back, each aggregate's rows into the places that it has. This saves gaps, nothing rests on it.
fn restore_order(messages: &mut [Numbered]) {
    let mut places: BTreeMap<AggregateKey, Vec<usize>> = BTreeMap::new();
    for (index, (_, message)) in messages.iter().enumerate() {
        places.entry(message.place.0.clone()).or_default().push(index);
    }
    for indexes in places.into_values().filter(|indexes| indexes.len() > 1) {
        let mut sorted: Vec<Numbered> = indexes.iter().map(|index| messages[*index].clone()).collect();
        sorted.sort_by_key(|(_, message)| -> Seq { message.place.1 });
        if is_on("8 order of ids instead of seq") {
            sorted.sort_by_key(|(_, message)| message.event_id);
        }
        for (index, message) in indexes.into_iter().zip(sorted) {
            messages[index] = message;
        }
    }
}

/// Shares whole groups out, the largest first, each to the worker with the least to do.
fn share_out(messages: Vec<Numbered>) -> Vec<VecDeque<Numbered>> {
    let workers = (messages.len() / MESSAGES_A_WORKER).clamp(1, WORKERS);
    let mut groups: BTreeMap<(bool, String), Vec<Numbered>> = BTreeMap::new();
    if is_on("3 parallel within a group") {
        return messages.into_iter().map(|message| VecDeque::from([message])).collect();
    }
    for message in messages {
        let command = message.1.topic == crate::Kind::Command;
        groups.entry((command, message.1.group.clone())).or_default().push(message);
    }
    let mut groups: Vec<Vec<Numbered>> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut shares = vec![VecDeque::new(); workers];
    for group in groups {
        if let Some(least) = shares.iter_mut().min_by_key(|share| share.len()) {
            least.extend(group);
        }
    }
    shares
}

/// One worker: its groups one request after the other.
async fn work(publisher: &dyn Publisher, host: &dyn Host, mut waiting: VecDeque<Numbered>) -> RelayReport {
    let mut done = RelayReport::default();
    let mut tries: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(batch) = next_batch(&mut waiting) {
        let messages: Vec<Publication> = batch.iter().map(|(_, message)| message.clone()).collect();
        done.requests += 1;
        let answers = match publisher.publish(messages[0].topic, &messages).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(error.to_string()); messages.len()],
        };
        let mut refused: BTreeMap<String, String> = BTreeMap::new();
        let mut again = Vec::new();
        for (numbered, answer) in batch.into_iter().zip(answers) {
            match answer {
                Ok(()) => done.published += 1,
                Err(_) if is_on("9 failed entries ignored") => done.published += 1,
                Err(why) => {
                    done.refusals += 1;
                    refused.insert(numbered.1.group.clone(), why);
                    again.push(numbered);
                }
            }
        }
        if refused.is_empty() {
            continue;
        }
        if is_on("2 later entries before the refused one") {
            waiting.extend(std::mem::take(&mut again));
        }
        again.into_iter().rev().for_each(|numbered| waiting.push_front(numbered));
        for (group, why) in refused {
            let tried = tries.entry(group.clone()).or_insert(0);
            *tried += 1;
            if *tried >= TRIES || host.remaining() < MARGIN {
                let (lost, kept): (VecDeque<Numbered>, _) =
                    waiting.into_iter().partition(|(_, message)| message.group == group);
                waiting = kept;
                done.failed.extend(lost.into_iter().map(|(index, _)| index));
                done.reasons.insert(group, why);
            }
        }
        let tried = tries.values().copied().max().unwrap_or(1);
        host.sleep(backoff(tried, host.random())).await;
    }
    done
}

/// As many messages of one topic as one request takes.
fn next_batch(waiting: &mut VecDeque<Numbered>) -> Option<Vec<Numbered>> {
    let topic = waiting.front()?.1.topic;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some((_, message)) = waiting.front() {
        bytes += message.body.len() + limits::PUBLISH_OVERHEAD_BYTES;
        let full = batch.len() == limits::PUBLISH_ENTRIES || bytes > limits::PUBLISH_BYTES || message.topic != topic;
        if full && !batch.is_empty() {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    Some(batch)
}

/// 25 ms, doubled with each try, with jitter of the same size.
fn backoff(tried: u32, random: u128) -> Duration {
    let step = 25_u64 << tried.min(6);
    let jitter = u64::try_from(random % u128::from(step)).unwrap_or(0);
    Duration::from_millis(step + jitter)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::FutureExt;
    use futures_util::future::{LocalBoxFuture, ready};
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::tests::envelope;
    use crate::ports::{Answer, Unavailable};
    use crate::{Envelope, EventId, Kind, Timestamp};

    /// Topics that refuse the events whose number is in `refuse`, as often as it says.
    #[derive(Default)]
    struct Topics {
        refuse: RefCell<BTreeMap<EventId, u32>>,
        sent: RefCell<Vec<Publication>>,
        largest: RefCell<usize>,
        away: bool,
    }

    impl Publisher for Topics {
        fn publish<'a>(&'a self, _: Kind, batch: &'a [Publication]) -> Answer<'a, Vec<Result<(), String>>> {
            if self.away {
                return ready(Err(Unavailable { call: "PublishBatch", why: "reset".into() })).boxed_local();
            }
            let largest = (*self.largest.borrow()).max(batch.len());
            *self.largest.borrow_mut() = largest;
            let answers = batch.iter().map(|message| {
                if let Some(left) = self.refuse.borrow_mut().get_mut(&message.event_id).filter(|left| **left > 0) {
                    *left -= 1;
                    return Err("InternalError".to_owned());
                }
                self.sent.borrow_mut().push(message.clone());
                Ok(())
            });
            ready(Ok(answers.collect())).boxed_local()
        }
    }

    struct Still;

    impl Host for Still {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
        fn random(&self) -> u128 {
            7
        }
        fn remaining(&self) -> Duration {
            Duration::from_secs(60)
        }
        fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
            ready(()).boxed_local()
        }
    }

    pub(super) fn row(tenant: usize, aggregate: usize, seq: u64, visibility: Visibility) -> JournalRow {
        let number = ((tenant * 1_000 + aggregate) as u128) << 16 | u128::from(seq);
        let envelope = Envelope {
            tenant_id: format!("t{tenant}").parse().unwrap(),
            aggregate_id: format!("a{aggregate}").parse().unwrap(),
            event_id: EventId::new(Timestamp::default(), number),
            ..envelope(seq, &[])
        };
        JournalRow { envelope, kind: Kind::Event, visibility, to: None }
    }

    fn relayed(topics: &Topics, rows: Vec<JournalRow>) -> RelayReport {
        relay(topics, &Still, &Lanes::all(1), rows).now_or_never().expect("nothing in this test waits")
    }

    #[test]
    fn a_full_batch_of_one_tenant_takes_a_tenth_of_the_requests() {
        let report = relayed(&Topics::default(), (1..=100).map(|seq| row(1, 1, seq, Visibility::Internal)).collect());
        assert_eq!((report.published, report.requests, report.failed), (100, 10, vec![]));
    }

    #[test]
    fn a_thousand_events_of_fifty_tenants_take_at_most_150_requests() {
        let rows = (0..1_000).map(|n| row(n % 50, 1, n as u64 / 50 + 1, Visibility::Internal)).collect();
        let report = relayed(&Topics::default(), rows);
        assert!(report.published == 1_000 && report.requests <= 150, "{report:?}");
    }

    #[test]
    fn a_private_row_is_never_published() {
        let topics = Topics::default();
        let report = relayed(&topics, vec![row(1, 1, 1, Visibility::Private), row(1, 1, 2, Visibility::Internal)]);
        assert_eq!((report.private, report.published), (1, 1));
        assert_eq!(topics.sent.borrow()[0].place.1, Seq(2));
    }

    #[test]
    fn a_refused_entry_is_sent_again_within_the_call() {
        let topics = Topics::default();
        let rows: Vec<JournalRow> = (1..=5).map(|seq| row(1, 1, seq, Visibility::Internal)).collect();
        topics.refuse.borrow_mut().insert(rows[1].envelope.event_id, 2);
        let report = relayed(&topics, rows);
        assert_eq!((report.published, report.failed, report.refusals), (5, vec![], 2));
    }

    #[test]
    fn a_group_that_keeps_failing_is_reported_and_the_others_are_sent() {
        let topics = Topics::default();
        let rows: Vec<JournalRow> = (0..60).map(|n| row(n % 2, 1, n as u64 / 2 + 1, Visibility::Internal)).collect();
        topics.refuse.borrow_mut().insert(rows[0].envelope.event_id, u32::MAX);
        let report = relayed(&topics, rows);
        assert!(report.failed.contains(&0) && report.failed.iter().all(|index| index % 2 == 0), "{report:?}");
        assert_eq!(topics.sent.borrow().iter().filter(|sent| sent.group == "t1#0").count(), 30);
        assert_eq!(report.reasons.keys().collect::<Vec<_>>(), ["t0#0"]);
    }

    #[test]
    fn when_the_topic_is_away_every_row_is_reported() {
        let topics = Topics { away: true, ..Topics::default() };
        let report = relayed(&topics, (1..=30).map(|seq| row(1, 1, seq, Visibility::Internal)).collect());
        assert_eq!(report.failed, (0..30).collect::<Vec<_>>());
    }

    proptest! {
        /// Every row is either published or reported, and a group's messages leave in the order of each aggregate.
        #[test]
        fn every_row_is_published_or_reported(
            picks in proptest::collection::vec((0_usize..6, 0_usize..3), 0..150),
            refused in proptest::collection::vec((any::<prop::sample::Index>(), 1_u32..9), 0..6),
            shuffle in any::<u64>(),
        ) {
            let mut seqs = BTreeMap::new();
            let mut rows: Vec<JournalRow> = picks.iter().map(|(tenant, aggregate)| {
                let seq = seqs.entry((*tenant, *aggregate)).or_insert(0);
                *seq += 1;
                row(*tenant, *aggregate, *seq, Visibility::Internal)
            }).collect();
            rows.sort_by_key(|row| hash_of(&row.envelope.aggregate()) ^ row.envelope.seq.0.wrapping_mul(shuffle | 1));
            let topics = Topics::default();
            for (index, times) in refused.iter().filter(|_| !rows.is_empty()) {
                topics.refuse.borrow_mut().insert(rows[index.index(rows.len())].envelope.event_id, *times);
            }
            let report = relayed(&topics, rows.clone());
            let sent = topics.sent.borrow();
            for (index, row) in rows.iter().enumerate() {
                let published = sent.iter().any(|sent| sent.event_id == row.envelope.event_id);
                prop_assert!(published || report.failed.contains(&index), "row {} vanished", index);
            }
            if refused.is_empty() {
                let mut last: BTreeMap<AggregateKey, Seq> = BTreeMap::new();
                for message in sent.iter() {
                    let before = last.insert(message.place.0.clone(), message.place.1).unwrap_or(Seq::ZERO);
                    prop_assert!(before < message.place.1);
                }
            }
            prop_assert!(*topics.largest.borrow() <= limits::PUBLISH_ENTRIES);
        }
    }
}
