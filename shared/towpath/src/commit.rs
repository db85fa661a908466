//! From a handler's `Tx` to the writes of one commit: places in the journal, versions to expect, limits to keep.
//! Must not know: how conditions are spelt, where the time and the random bits come from.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::FORMAT;
use crate::limits;
use crate::planted::is_on;
use crate::ports::{Head, JournalRow, Store, Stored, Unavailable, Write};
use crate::saga::SagaRow;
use crate::tx::{Action, Draft, Target, Tx, TxError};
use crate::{
    AggregateKey, CausationId, CorrelationId, Envelope, Era, EventId, Prior, Producer, Seq, Storage, TenantId,
    Timestamp, Traceparent,
};

/// Writes that are known to fit one DynamoDB call. One write is a plain conditional put, more are a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    writes: Vec<Write>,
}

impl Commit {
    /// Checks the limits of the whole.
    pub fn new(writes: Vec<Write>) -> Result<Self, TxError> {
        if writes.len() > limits::TRANSACTION_ACTIONS {
            return Err(TxError::TooManyActions(writes.len()));
        }
        let mut total = 0;
        for write in &writes {
            let (item, bytes) = size_of(write);
            if bytes > limits::ITEM_BYTES {
                return Err(TxError::ItemTooBig { item, bytes });
            }
            total += bytes;
        }
        if total > limits::TRANSACTION_BYTES {
            return Err(TxError::TooManyBytes(total));
        }
        Ok(Self { writes })
    }

    /// The writes, in the order in which a refusal counts them.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    pub(crate) fn into_writes(self) -> Vec<Write> {
        self.writes
    }
}

/// An item's size as stored, estimated from above: its texts, and an allowance for attribute names and numbers.
fn size_of(write: &Write) -> (String, usize) {
    const NAMES_AND_NUMBERS: usize = 512;
    let (item, bytes) = match write {
        Write::Entity { key, stored, .. } => {
            let saga = stored.saga.as_ref().map_or(0, SagaRow::bytes);
            (key.to_string(), stored.state.as_ref().map_or(0, String::len) + saga)
        }
        Write::CheckEntity { key, .. } | Write::CheckVacant { key, .. } => (key.to_string(), 0),
        Write::Append(row) => {
            (row.envelope.aggregate().to_string(), row.envelope.data.as_str().len() + row.envelope.older.bytes())
        }
        Write::Cursor { key, position, .. } => {
            let trouble = position.cursor.trouble.as_ref().map_or(0, |trouble| trouble.message.len());
            let beside = position.beside.as_ref().and_then(|beside| beside.state.as_ref()).map_or(0, String::len);
            (key.aggregate.to_string(), position.state.as_ref().map_or(0, String::len) + beside + trouble)
        }
        Write::Skip { key, skipped } => (key.aggregate.to_string(), skipped.why.len() + skipped.who.len()),
        Write::Put { place, state, .. } => (format!("a row of {}", place.view), state.len()),
        Write::Remove { place, .. } => (format!("a row of {}", place.view), 0),
        Write::Answer { answer, .. } => ("the kept answer".to_owned(), answer.body.len()),
    };
    let bytes = bytes + item.len() + NAMES_AND_NUMBERS;
    (item, bytes)
}

/// An upper bound of what a write counts for in a transaction.
pub(crate) fn bytes_of(write: &Write) -> usize {
    size_of(write).1
}

/// An aggregate as it was read; `None` where there was none.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) storage: Storage,
    pub(crate) head: Option<Head>,
}

/// What a handler read under guard.
pub(crate) type Reads = BTreeMap<AggregateKey, Read>;

/// What the rows of one commit share.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) tenant: TenantId,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) causation_id: CausationId,
    pub(crate) traceparent: Option<Traceparent>,
    pub(crate) hops: u8,
    pub(crate) producer: Producer,
    pub(crate) era: Era,
    pub(crate) now: Timestamp,
}

/// The event-sourced aggregates whose head must be read before planning.
pub(crate) fn heads_needed(tx: &Tx, tenant: &TenantId, reads: &Reads) -> BTreeSet<AggregateKey> {
    let appended = tx.actions.iter().filter_map(|action| match action {
        Action::Append(draft) if draft.storage == Storage::Events => Some(key_of(tenant, &draft.target)),
        _ => None,
    });
    appended.filter(|key| !reads.contains_key(key)).collect()
}

/// What was read, and the heads that are still needed, as the store has them.
pub(crate) async fn with_heads(
    store: &dyn Store,
    tx: &Tx,
    tenant: &TenantId,
    mut reads: Reads,
) -> Result<Reads, Unavailable> {
    for key in heads_needed(tx, tenant, &reads) {
        let head = store.head(&key).await?;
        reads.insert(key, Read { storage: Storage::Events, head });
    }
    Ok(reads)
}

/// Gives every action its place and its condition. `heads` holds what was read, by the handler or for it.
pub(crate) fn plan(
    tx: Tx,
    heads: &Reads,
    cause: &Cause,
    mut random: impl FnMut() -> u128,
) -> Result<Vec<Write>, TxError> {
    if let Some(problem) = tx.problems.into_iter().next() {
        return Err(problem);
    }
    let mut plan = Plan { cause, heads, grown: BTreeMap::new(), touched: BTreeSet::new(), writes: Vec::new() };
    let (appends, others): (Vec<Action>, Vec<Action>) =
        tx.actions.into_iter().partition(|action| matches!(action, Action::Append(_)));
    let written: BTreeSet<Target> = others.iter().filter_map(changed_target).cloned().collect();
    for action in appends {
        if let Action::Append(draft) = action {
            plan.append(draft, &written, random())?;
        }
    }
    for action in others {
        plan.other(action)?;
    }
    plan.guard_the_rest();
    Ok(plan.writes)
}

fn changed_target(action: &Action) -> Option<&Target> {
    match action {
        Action::Create { target, .. } | Action::Replace { target, .. } | Action::Delete { target } => Some(target),
        _ => None,
    }
}

fn key_of(tenant: &TenantId, target: &Target) -> AggregateKey {
    AggregateKey { tenant: tenant.clone(), kind: target.kind.clone(), id: target.id.clone() }
}

struct Plan<'a> {
    cause: &'a Cause,
    heads: &'a Reads,
    /// Heads as they will be after this commit.
    grown: BTreeMap<AggregateKey, Head>,
    /// Items that have their one action.
    touched: BTreeSet<String>,
    writes: Vec<Write>,
}

impl Plan<'_> {
    fn append(&mut self, draft: Draft, written: &BTreeSet<Target>, random: u128) -> Result<(), TxError> {
        let key = key_of(&self.cause.tenant, &draft.target);
        if draft.storage == Storage::State && !written.contains(&draft.target) {
            return Err(TxError::EventWithoutChange { event_type: draft.event_type, item: key.to_string() });
        }
        if self.cause.hops > limits::HOPS {
            return Err(TxError::Loop);
        }
        let head = self.grown.remove(&key).or_else(|| self.read(&key).cloned());
        let (before, mut prior, era, earliest) = match head {
            Some(head) => (head.seq, head.prior, head.era, head.occurred_at),
            None => (Seq::ZERO, Prior::default(), self.cause.era, Timestamp::default()),
        };
        let (era, occurred_at) = (era.max(self.cause.era), self.cause.now.max(earliest));
        let envelope = Envelope {
            format: FORMAT,
            event_id: EventId::new(occurred_at, random),
            event_type: draft.event_type.clone(),
            event_version: draft.event_version,
            tenant_id: key.tenant.clone(),
            aggregate_type: key.kind.clone(),
            aggregate_id: key.id.clone(),
            seq: before.next(),
            prior: prior.clone(),
            era,
            occurred_at,
            correlation_id: self.cause.correlation_id.clone(),
            causation_id: self.cause.causation_id.clone(),
            producer: self.cause.producer.clone(),
            traceparent: self.cause.traceparent.clone(),
            hops: self.cause.hops,
            data: draft.data,
            older: draft.older,
        };
        let bytes = envelope.to_body().len();
        if bytes > limits::EVENT_BYTES {
            return Err(TxError::EventTooBig { event_type: draft.event_type, bytes });
        }
        prior.note(draft.event_type, envelope.seq);
        if prior.types() > limits::PRIOR_TYPES {
            return Err(TxError::TooManyTypes { item: key.to_string(), types: prior.types() });
        }
        self.grown.insert(key, Head { seq: envelope.seq, prior, era, occurred_at });
        self.writes.push(Write::Append(JournalRow {
            envelope,
            kind: draft.kind,
            visibility: draft.visibility,
            to: draft.to,
        }));
        Ok(())
    }

    fn other(&mut self, action: Action) -> Result<(), TxError> {
        let tenant = self.cause.tenant.clone();
        match action {
            Action::Create { target, state, saga } => {
                let key = self.touch_entity(&target)?;
                if self.read(&key).is_some() {
                    return Err(TxError::CreateOfExisting(key.to_string()));
                }
                self.change(key, Some(state), saga, None)
            }
            Action::Replace { target, state, saga } => {
                let key = self.touch_entity(&target)?;
                let expect = self.version_read(&key)?;
                self.change(key, Some(state), saga, Some(expect))
            }
            Action::Delete { target } => {
                let key = self.touch_entity(&target)?;
                let expect = self.version_read(&key)?;
                self.change(key, None, None, Some(expect))
            }
            Action::Check { target } => {
                let key = self.touch_entity(&target)?;
                let expect = Some(self.version_read(&key)?);
                self.writes.push(Write::CheckEntity { key, expect });
                Ok(())
            }
            Action::Put { place, state } => {
                self.touch(format!("the row {} of {} in {}", place.sort, place.partition, place.view))?;
                self.writes.push(Write::Put { tenant, place, state });
                Ok(())
            }
            Action::Remove { place } => {
                self.touch(format!("the row {} of {} in {}", place.sort, place.partition, place.view))?;
                self.writes.push(Write::Remove { tenant, place });
                Ok(())
            }
            Action::Append(_) => Ok(()), // planned before
        }
    }

    fn change(
        &mut self,
        key: AggregateKey,
        state: Option<String>,
        saga: Option<SagaRow>,
        expect: Option<Seq>,
    ) -> Result<(), TxError> {
        let Some(head) = self.grown.get(&key).cloned() else {
            return Err(TxError::ChangeWithoutEvent(key.to_string()));
        };
        self.writes.push(Write::Entity { key, stored: Stored { head, state, saga }, expect });
        Ok(())
    }

    fn version_read(&self, key: &AggregateKey) -> Result<Seq, TxError> {
        self.read(key).map(|head| head.seq).ok_or_else(|| TxError::WriteWithoutRead(key.to_string()))
    }

    fn read(&self, key: &AggregateKey) -> Option<&Head> {
        self.heads.get(key)?.head.as_ref()
    }

    fn touch_entity(&mut self, target: &Target) -> Result<AggregateKey, TxError> {
        let key = key_of(&self.cause.tenant, target);
        self.touch(key.to_string())?;
        Ok(key)
    }

    fn touch(&mut self, item: String) -> Result<(), TxError> {
        if self.touched.insert(item.clone()) { Ok(()) } else { Err(TxError::SameItem(item)) }
    }

    /// What was read decided what is written, so it must still be so: no write skew.
    fn guard_the_rest(&mut self) {
        for (key, read) in self.heads {
            let unwritten = !self.touched.contains(&key.to_string()) && !self.grown.contains_key(key);
            if unwritten && !is_on("67 a read that guards nothing") {
                let (key, expect) = (key.clone(), read.head.as_ref().map(|head| head.seq));
                self.writes.push(match read.storage {
                    Storage::State => Write::CheckEntity { key, expect },
                    Storage::Events => Write::CheckVacant { key, seq: expect.unwrap_or(Seq::ZERO).next() },
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
