//! Buckets of tenants and their usage, as processes reach them; and that usage is what the journal says, row by row.
//! Must not know: how a bucket fills, how usage is folded.

use std::collections::BTreeMap;

use towpath::limiter::Buckets;
use towpath::ports::{Answer, CommitError, Host};
use towpath::{Bucket, ConsumerName, Hour, Kind, Meters, Rev, TenantId, Timestamp, Usage};

use crate::cloud::{Call, Cloud};
use crate::mishap::Part;
use crate::{Instance, Tables, World};

/// The store's clock, as its answers tell it: in whole seconds.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1_000 * 1_000)
}

impl Buckets for Instance {
    fn bucket<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)> {
        let (tenant, named) = (tenant.clone(), tenant.to_string());
        let look =
            move |cloud: &mut Cloud| (cloud.db.tables.buckets.get(&tenant).copied(), whole_seconds(cloud.clock.now()));
        self.read("read bucket", move || named.clone(), look)
    }

    fn keep_bucket<'a>(&'a self, tenant: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError> {
        let (tenant, bucket, named) = (tenant.clone(), *bucket, tenant.to_string());
        let say = move || format!("{named} has {} thousandths", bucket.milli);
        let call = Call { name: "keep bucket", part: Part::Store, say };
        let keep = move |cloud: &mut Cloud| cloud.db.tables.keep_bucket(&tenant, &bucket, expect);
        self.call(call, keep, CommitError::Unavailable)
    }
}

impl Buckets for World {
    fn bucket<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, (Option<Bucket>, Timestamp)> {
        let (tenant, at) = (tenant.clone(), whole_seconds(self.now()));
        self.read(move |tables| (tables.buckets.get(&tenant).copied(), at))
    }

    fn keep_bucket<'a>(&'a self, tenant: &'a TenantId, bucket: &'a Bucket, expect: Rev) -> Answer<'a, (), CommitError> {
        let (tenant, bucket) = (tenant.clone(), *bucket);
        self.call(move |tables| tables.keep_bucket(&tenant, &bucket, expect), CommitError::Unavailable)
    }
}

impl Meters for Instance {
    fn usage(&self, hour: Hour) -> Answer<'_, BTreeMap<TenantId, (Usage, Rev)>> {
        self.read("usage", String::new, move |cloud| cloud.db.tables.usage_of(hour))
    }

    fn keep_usage<'a>(
        &'a self,
        hour: Hour,
        tenant: &'a TenantId,
        usage: &'a Usage,
        expect: Rev,
    ) -> Answer<'a, (), CommitError> {
        let (tenant, usage, named) = (tenant.clone(), usage.clone(), tenant.to_string());
        let call = Call { name: "keep usage", part: Part::Store, say: move || named.clone() };
        let keep = move |cloud: &mut Cloud| cloud.db.tables.keep_usage(hour, &tenant, &usage, expect);
        self.call(call, keep, CommitError::Unavailable)
    }
}

impl Meters for World {
    fn usage(&self, hour: Hour) -> Answer<'_, BTreeMap<TenantId, (Usage, Rev)>> {
        self.read(move |tables| tables.usage_of(hour))
    }

    fn keep_usage<'a>(
        &'a self,
        hour: Hour,
        tenant: &'a TenantId,
        usage: &'a Usage,
        expect: Rev,
    ) -> Answer<'a, (), CommitError> {
        let (tenant, usage) = (tenant.clone(), usage.clone());
        self.call(move |tables| tables.keep_usage(hour, &tenant, &usage, expect), CommitError::Unavailable)
    }
}

impl Tables {
    /// What the journal says of each tenant's hours, counted row by row. Runs are left out: they depend on cursors.
    pub fn counted(&self) -> BTreeMap<(Hour, TenantId), Usage> {
        let mut all: BTreeMap<(Hour, TenantId), Usage> = BTreeMap::new();
        for row in self.outbox.values() {
            let usage = all.entry((Hour::of(row.envelope.event_id.at()), row.envelope.tenant_id.clone())).or_default();
            let count = if row.kind == Kind::Event { &mut usage.events } else { &mut usage.commands };
            *count += 1;
            usage.bytes += row.envelope.to_body().len() as u64;
        }
        all
    }

    /// Compares the usage of the hours before `until` with the journal. No consumer has run more often than it has rows.
    pub fn check_usage(&self, until: Hour) -> Result<(), String> {
        let shown = |of: BTreeMap<(Hour, TenantId), Usage>| -> BTreeMap<(Hour, TenantId), Usage> {
            let hours = of.into_iter().filter(|((hour, _), _)| *hour < until);
            hours.map(|(at, usage)| (at, Usage { runs: BTreeMap::new(), ..usage })).collect()
        };
        let kept: BTreeMap<_, Usage> = self.usage.iter().map(|(at, (usage, _))| (at.clone(), usage.clone())).collect();
        let too_often = |usage: &Usage| -> Option<ConsumerName> {
            let rows = usage.events + usage.commands;
            usage.runs.iter().find(|(_, runs)| **runs > rows).map(|(name, _)| name.clone())
        };
        if let Some(((_, tenant), consumer)) = kept.iter().find_map(|(at, usage)| Some((at, too_often(usage)?))) {
            return Err(format!("{consumer} ran more often for {tenant} than there are rows"));
        }
        let (wanted, found) = (shown(self.counted()), shown(kept));
        match wanted.iter().find(|(at, usage)| found.get(*at) != Some(usage)) {
            Some((at, usage)) => Err(format!("usage of {at:?} is {usage:?}, and kept is {:?}", found.get(at))),
            None if wanted.len() < found.len() => Err("usage is kept of hours that nobody wrote in".to_owned()),
            None => Ok(()),
        }
    }
}

impl Cloud {
    /// What is billed is what the journal says.
    pub(crate) fn check_usage(&mut self) {
        let Some(metered) = self.db.audit_state().metered else { return };
        if let Err(why) = self.db.tables.check_usage(metered.next) {
            self.broken("usage", None, why);
        }
    }
}
