//! Several events in one commit: what the earlier ones will have written is what the later ones see, and the writes of
//! all of them are merged into one write per item.
//! Must not know: handlers, messages, how a commit is carried out.

use std::collections::BTreeMap;

use crate::commit::{Commit, bytes_of};
use crate::limits;
use crate::planted::is_on;
use crate::ports::{CursorKey, Head, JournalRow, Stored, Write};
use crate::tx::TxError;
use crate::{AggregateKey, IdempotencyKey, Place, Seq, TenantId};

/// What the writes of a group, committed or about to be, leave behind.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entities: BTreeMap<AggregateKey, Stored>,
    heads: BTreeMap<AggregateKey, Head>,
    rows: BTreeMap<AggregateKey, Vec<JournalRow>>,
}

impl Overlay {
    pub(crate) fn entity(&self, key: &AggregateKey) -> Option<&Stored> {
        self.entities.get(key)
    }

    pub(crate) fn head(&self, key: &AggregateKey) -> Option<&Head> {
        self.heads.get(key)
    }

    /// Rows that this group adds to an aggregate's journal, in order.
    pub(crate) fn rows(&self, key: &AggregateKey) -> &[JournalRow] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    fn see(&mut self, write: &Write) {
        match write {
            Write::Entity { key, stored, .. } => {
                self.entities.insert(key.clone(), stored.clone());
            }
            Write::Append(row) => {
                let key = row.envelope.aggregate();
                self.heads.insert(key.clone(), Head::at(&row.envelope));
                self.rows.entry(key).or_default().push(row.clone());
            }
            _ => {}
        }
    }
}

/// An item, as far as DynamoDB allows one action on it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Entity(AggregateKey),
    Row(AggregateKey, Seq),
    Cursor(CursorKey),
    Skip(CursorKey, Seq),
    Place(TenantId, Place),
    Answer(TenantId, IdempotencyKey),
}

fn item_of(write: &Write) -> Item {
    match write {
        Write::Entity { key, .. } | Write::CheckEntity { key, .. } => Item::Entity(key.clone()),
        Write::Append(row) => Item::Row(row.envelope.aggregate(), row.envelope.seq),
        Write::CheckVacant { key, seq } => Item::Row(key.clone(), *seq),
        Write::Cursor { key, .. } => Item::Cursor(key.clone()),
        Write::Skip { key, skipped } => Item::Skip(key.clone(), skipped.seq),
        Write::Put { tenant, place, .. } | Write::Remove { tenant, place } => {
            Item::Place(tenant.clone(), place.clone())
        }
        Write::Answer { tenant, key, .. } => Item::Answer(tenant.clone(), key.clone()),
    }
}

/// Writes of one tenant that will be one commit.
#[derive(Debug, Default)]
pub(crate) struct Group {
    overlay: Overlay,
    writes: Vec<Write>,
    items: BTreeMap<Item, usize>,
    bytes: usize,
}

impl Group {
    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Would these writes fit into the same commit?
    pub(crate) fn has_room_for(&self, writes: &[Write]) -> bool {
        let new = writes.iter().filter(|write| !self.items.contains_key(&item_of(write))).count();
        let bytes: usize = writes.iter().map(bytes_of).sum();
        self.writes.len() + new <= limits::TRANSACTION_ACTIONS && self.bytes + bytes <= limits::TRANSACTION_BYTES
    }

    /// Adds the writes of one event, which were planned on this group's overlay.
    pub(crate) fn add(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.overlay.see(&write);
            self.bytes += bytes_of(&write);
            let item = item_of(&write);
            match self.items.get(&item).filter(|_| !is_on("24 the same item twice in one transaction")) {
                Some(at) => merge(&mut self.writes[*at], write),
                None => {
                    self.items.insert(item, self.writes.len());
                    self.writes.push(write);
                }
            }
        }
    }

    /// The commit; the overlay stays, for what comes after it.
    pub(crate) fn take(&mut self) -> Result<Commit, TxError> {
        self.items.clear();
        self.bytes = 0;
        Commit::new(std::mem::take(&mut self.writes))
    }
}

/// Two writes of one item: the condition is that of the first, the effect that of the last.
fn merge(first: &mut Write, last: Write) {
    match (&mut *first, last) {
        // What was read on the overlay needs no check of its own.
        (Write::Entity { .. } | Write::CheckEntity { .. }, Write::CheckEntity { .. }) => {}
        (Write::CheckEntity { expect, .. } | Write::Entity { expect, .. }, Write::Entity { key, stored, .. }) => {
            *first = Write::Entity { key, stored, expect: *expect };
        }
        (Write::Cursor { expect, .. }, Write::Cursor { home, key, position, .. }) => {
            *first = Write::Cursor { home, key, position, expect: *expect };
        }
        (_, last) => *first = last,
    }
}

#[cfg(test)]
mod properties;
