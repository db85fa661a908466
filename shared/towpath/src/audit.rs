//! The auditor: compares the journal with the cursors of every registered consumer, and wakes what is behind.
//! Must not know: DynamoDB, queues, schedules.

use std::collections::BTreeMap;

use crate::ports::{Host, Ledger, Store, Unavailable, Wakes};
use crate::{ConsumerName, Timestamp};

/// What the auditor needs of the world.
#[derive(Clone, Copy)]
pub struct AuditPorts<'a> {
    /// The journal's index and the registry.
    pub ledger: &'a dyn Ledger,
    /// Cursors.
    pub store: &'a dyn Store,
    /// Wake queues.
    pub wakes: &'a dyn Wakes,
    /// Time.
    pub host: &'a dyn Host,
}

/// What the auditor found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditReport {
    /// By consumer.
    pub consumers: BTreeMap<ConsumerName, Found>,
    /// When the last sweep of the whole journal ended.
    pub swept: Option<Timestamp>,
    /// Pages of the journal's index that were read.
    pub pages: u64,
}

/// What the auditor found of one consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Events that were compared with a cursor.
    pub compared: u64,
    /// Events that are older than a backlog explains, and neither applied nor behind a blocked row.
    pub unaccounted: u64,
    /// Rows whose time to be looked at had passed.
    pub overdue: u64,
    /// Wakes sent.
    pub woken: u64,
}

/// One tick.
pub async fn tick(ports: AuditPorts<'_>) -> Result<AuditReport, Unavailable> {
    let _ = ports;
    todo!()
}
