//! What a test does to the tables by hand, so that a deployed consumer meets honest trouble: rows in the journal that no
//! command wrote, entities that are lost and found, rows that somebody else has touched.
//! Must not know: queues, what a consumer makes of it.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use towpath::commit::Commit;
use towpath::ports::{CommitError, CursorKey, Host, JournalRow, Position, Store, Stored, Write};
use towpath::{
    AggregateKey, Data, Envelope, Era, EventId, FORMAT, Kind, Place, Producer, Rev, Seq, Timestamp, Visibility,
};
use towpath_aws::LambdaHost;

use crate::stack::{Stack, home_of, until};

/// A journal row that is all right but for what it says.
pub(crate) struct Row<'a> {
    pub(crate) of: &'a AggregateKey,
    pub(crate) seq: u64,
    /// Latest earlier row of each type.
    pub(crate) prior: &'a [(&'a str, u64)],
    pub(crate) event_type: &'a str,
    pub(crate) version: u32,
    pub(crate) data: String,
}

impl<'a> Row<'a> {
    /// `order.placed`, for two pieces of `sku`.
    pub(crate) fn placed(of: &'a AggregateKey, seq: u64, prior: &'a [(&'a str, u64)], sku: &str) -> Self {
        let line = format!(r#"{{"sku":"{sku}","quantity":2,"unit_price_cents":450}}"#);
        let data = format!(r#"{{"order_id":"{}","customer_id":"c-1","lines":[{line}],"total_cents":900}}"#, of.id);
        Self { of, seq, prior, event_type: "order.placed", version: 1, data }
    }

    /// `order.cancelled`.
    pub(crate) fn cancelled(of: &'a AggregateKey, seq: u64, prior: &'a [(&'a str, u64)]) -> Self {
        let data = format!(r#"{{"order_id":"{}","customer_id":"c-1","reason":"by hand"}}"#, of.id);
        Self { of, seq, prior, event_type: "order.cancelled", version: 1, data }
    }

    pub(crate) fn build(self) -> Result<JournalRow> {
        let host = host();
        let now = host.now();
        let prior = self.prior.iter().map(|(kind, seq)| Ok((kind.parse()?, Seq(*seq)))).collect::<Result<_>>()?;
        let envelope = Envelope {
            format: FORMAT,
            event_id: EventId::new(now, host.random()),
            event_type: self.event_type.parse()?,
            event_version: self.version,
            tenant_id: self.of.tenant.clone(),
            aggregate_type: self.of.kind.clone(),
            aggregate_id: self.of.id.clone(),
            seq: Seq(self.seq),
            prior,
            era: Era::FIRST,
            occurred_at: now,
            correlation_id: "by-hand".parse()?,
            causation_id: "by-hand".parse()?,
            producer: Producer::parse("hands@1")?,
            traceparent: None,
            hops: 0,
            data: Data::parse(self.data)?,
            older: towpath::Older::default(),
        };
        Ok(JournalRow { envelope, kind: Kind::Event, visibility: Visibility::Public, to: None })
    }
}

/// An order whose cancellation inventory refuses, because the order itself is lost.
pub(crate) struct Poison {
    pub(crate) order: AggregateKey,
    lost: Stored,
}

pub(crate) fn host() -> LambdaHost {
    LambdaHost::ending_in(std::time::Duration::from_secs(30))
}

/// Moves the time at which a blocked row is looked at into the past, instead of waiting for it.
pub(crate) fn overdue(position: &mut Position) {
    if let Some(trouble) = &mut position.cursor.trouble {
        trouble.due = Timestamp::default();
    }
}

impl Stack {
    /// Writes rows into the journal, one by one; the stream and the relay do the rest.
    pub(crate) async fn append(&self, rows: impl IntoIterator<Item = JournalRow>) -> Result<()> {
        for row in rows {
            self.write(Write::Append(row)).await?;
        }
        Ok(())
    }

    pub(crate) async fn write(&self, write: Write) -> Result<()> {
        Ok(self.store()?.commit(&Commit::new(vec![write])?).await?)
    }

    /// Stocks up, places an order, waits until inventory has reserved for it, loses the order, and cancels it all the
    /// same: the row after it is one that inventory rejects.
    pub(crate) async fn poison(&self, tenant: &str) -> Result<Poison> {
        self.stock_up(tenant, "tea", 100)?;
        let order = self.place(tenant, "k-poison", "tea")?;
        for consumer in ["inventory", "order-summary", "crm-timeline"] {
            self.applied(consumer, &order, 1).await?;
        }
        let lost = self.store()?.entity(&order).await?.context("the order was stored")?;
        let tombstone = Stored { state: None, ..lost.clone() };
        let expect = Some(lost.head.seq);
        self.write(Write::Entity { key: order.clone(), stored: tombstone, expect }).await?;
        self.append([Row::cancelled(&order, 2, &[("order.placed", 1)]).build()?]).await?;
        Ok(Poison { order, lost })
    }

    /// Puts the lost order back, so that its cancellation can be handled.
    pub(crate) async fn cure(&self, poison: &Poison) -> Result<()> {
        let expect = Some(poison.lost.head.seq);
        self.write(Write::Entity { key: poison.order.clone(), stored: poison.lost.clone(), expect }).await
    }

    /// Changes a cursor's row as somebody else would: with its next rev, and only if nobody was faster.
    pub(crate) async fn rewrite(
        &self,
        consumer: &str,
        aggregate: &AggregateKey,
        change: impl Fn(&mut Position),
    ) -> Result<Rev> {
        for _ in 0..20 {
            let mut position = self.position(consumer, aggregate).await?.context("there is no row to change")?;
            let expect = Some(position.cursor.rev);
            change(&mut position);
            position.cursor.rev = position.cursor.rev.next();
            let rev = position.cursor.rev;
            let key = CursorKey { aggregate: aggregate.clone(), consumer: consumer.parse()? };
            let write = Write::Cursor { home: home_of(consumer), key, position, expect };
            match self.store()?.commit(&Commit::new(vec![write])?).await {
                Ok(()) => return Ok(rev),
                Err(CommitError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("somebody else was always faster at {aggregate}")
    }

    /// What became of an order's stock, in the order of the sku's journal.
    pub(crate) async fn story(&self, order: &AggregateKey, sku: &str) -> Result<Vec<String>> {
        let rows = self.journal(&format!("{}#stock#{sku}", order.tenant).parse()?).await?;
        let mut story = Vec::new();
        for row in rows {
            let data: Value = serde_json::from_str(row.envelope.data.as_str())?;
            if data["order_id"] == order.id.as_str() {
                story.push(row.envelope.event_type.to_string());
            }
        }
        Ok(story)
    }

    /// A customer's timeline, as the CRM is told.
    pub(crate) fn timeline(&self, tenant: &str, customer: &str) -> Result<Vec<Value>> {
        let answer = self.ask("GET", &format!("/customers/{customer}/timeline"), tenant, "", "")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json()?["entries"].as_array().cloned().unwrap_or_default())
    }

    /// Loses the entry that a customer's timeline has for an event.
    pub(crate) async fn lose_entry(&self, event: &Envelope, customer: &str) -> Result<()> {
        let sort = format!("{}#{}", event.occurred_at, event.event_id);
        let place = Place { view: "crm-timeline".to_owned(), partition: customer.to_owned(), sort };
        self.write(Write::Remove { tenant: event.tenant_id.clone(), place }).await
    }

    /// Waits until an aggregate's effects are these.
    pub(crate) async fn story_is(&self, order: &AggregateKey, expected: &[&str]) -> Result<()> {
        until(&format!("the stock's story of {order} is {expected:?}"), async || {
            Ok((self.story(order, "tea").await? == expected).then_some(()))
        })
        .await
    }
}
