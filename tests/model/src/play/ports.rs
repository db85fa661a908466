//! Every port as the player answers it: from what was answered before, or not at all.
//! Must not know: which machine asks.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use towpath::batch;
use towpath::commit::Commit;
use towpath::ports::{
    Answer as Port, AuditState, CommitError, Consistency, CursorHome, CursorKey, DeadLetters, DueTimer, Head, Host,
    IndexRow, JournalRow, KeptAnswer, Ledger, Position, Registered, Store, Stored, Wakes,
};
use towpath::{
    AggregateKey, AllHolds, Builds, ConsumerName, Holds, IdempotencyKey, Rev, Seq, Skipped, Status, TenantId, Ticket,
    Timestamp, Wake,
};

use super::{PLENTY, Player, away, change_of, done, verb_of};
use crate::call::{Call, Said};
use crate::journal::{self, Code, consumer, key, now};
use crate::row::{OWN_TOKEN, Row, small};
use crate::state::Hold;

impl Store for Player<'_> {
    fn positions<'a>(
        &'a self,
        _: CursorHome,
        keys: &'a [CursorKey],
        consistency: Consistency,
    ) -> Port<'a, Vec<Option<Position>>> {
        let of = keys.len();
        self.ask(Call::Look { strong: consistency == Consistency::Strong }, move |said| match said {
            Said::Row(row) => Ok(vec![row.map(Row::to_real); of]),
            _ => Err(away("BatchGetItem")),
        })
    }

    fn entity<'a>(&'a self, key: &'a AggregateKey) -> Port<'a, Option<Stored>> {
        let seq = key.id.as_str().parse().expect("it is a seq");
        self.ask(Call::Run(seq), |said| match said {
            Said::Ends(mood) => Ok(Some(journal::ending(mood))),
            _ => Err(away("GetItem")),
        })
    }

    fn journal<'a>(&'a self, _: &'a AggregateKey, after: Seq, through: Seq, limit: usize) -> Port<'a, Vec<JournalRow>> {
        let rows = |head| self.rows(head).filter(|row| row.envelope.seq > after && row.envelope.seq <= through);
        self.ask(Call::Journal, |said| match said {
            Said::Rows(head) => Ok(rows(head).take(limit).collect()),
            _ => Err(away("Query")),
        })
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Port<'a, (), CommitError> {
        self.ask(Call::Commit(change_of(commit)), |said| match said {
            Said::Done => Ok(()),
            Said::Refused => Err(CommitError::Refused(vec![0])),
            _ => Err(CommitError::Unavailable(away("TransactWriteItems"))),
        })
    }

    fn head<'a>(&'a self, _: &'a AggregateKey) -> Port<'a, Option<Head>> {
        unreachable!("no handler here records an event")
    }

    fn skipped<'a>(&'a self, _: &'a CursorKey) -> Port<'a, Vec<Skipped>> {
        let skipped = |seq: u8| Skipped {
            seq: Seq(seq.into()),
            event_id: journal::event_id(seq),
            event_type: journal::event_type(0),
            who: String::new(),
            why: String::new(),
            at: now(),
        };
        self.ask(Call::Skipped, move |said| match said {
            Said::Skipped(bits) => Ok((1..8).filter(|seq| bits & 1 << seq != 0).map(skipped).collect()),
            _ => Err(away("Query")),
        })
    }

    fn holds<'a>(&'a self, _: &'a ConsumerName, consistency: Consistency) -> Port<'a, Holds> {
        if consistency == Consistency::Eventual {
            return ready(Ok(held(if self.holds { Hold::Ordered } else { Hold::No }))).boxed_local();
        }
        self.ask(Call::Holds, |said| match said {
            Said::Held(is) => Ok(held(if is { Hold::Ordered } else { Hold::No })),
            _ => Err(away("GetItem")),
        })
    }

    fn builds<'a>(&'a self, _: &'a ConsumerName, _: Consistency) -> Port<'a, Builds> {
        unreachable!("nothing is rebuilt here")
    }

    fn view<'a>(&'a self, _: &'a TenantId, _: &'a str, _: &'a str) -> Port<'a, Vec<String>> {
        unreachable!("nobody asks for a read model here")
    }

    fn kept_answer<'a>(&'a self, _: &'a TenantId, _: &'a IdempotencyKey) -> Port<'a, Option<KeptAnswer>> {
        unreachable!("no command is executed here")
    }
}

impl Host for Player<'_> {
    fn now(&self) -> Timestamp {
        now()
    }
    fn random(&self) -> u128 {
        OWN_TOKEN.into()
    }
    fn remaining(&self) -> Duration {
        if self.late.get() { Duration::ZERO } else { PLENTY }
    }
    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

impl DeadLetters for Player<'_> {
    fn keep<'a>(&'a self, _: &'a batch::Message, why: &'a str) -> Port<'a, ()> {
        unreachable!("every message here is readable: {why}")
    }
    fn ticket<'a>(&'a self, ticket: &'a Ticket) -> Port<'a, ()> {
        self.ask(Call::Ticket(small(ticket.rev.0)), done)
    }
}

impl Wakes for Player<'_> {
    fn wake<'a>(&'a self, _: &'a ConsumerName, wake: &'a Wake) -> Port<'a, ()> {
        self.ask(Call::Wake(verb_of(wake)), done)
    }
    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Port<'a, u64> {
        ready(Ok(0)).boxed_local()
    }
}

/// What the auditor reads. Only it does, and it is answered at once.
impl Ledger for Player<'_> {
    fn consumers(&self) -> Port<'_, Vec<Registered>> {
        ready(Ok(vec![consumer(Code::New).registration()])).boxed_local()
    }

    fn committed<'a>(
        &'a self,
        _: Timestamp,
        _: Timestamp,
        _: Option<&'a str>,
    ) -> Port<'a, (Vec<IndexRow>, Option<String>)> {
        // The window is one hour long; what is older is for the sweep.
        ready(Ok((Vec::new(), None))).boxed_local()
    }

    fn sweep<'a>(&'a self, _: Option<&'a str>) -> Port<'a, (Vec<IndexRow>, Option<String>)> {
        let head = self.world.map_or(0, |(_, head)| head);
        let index = self.rows(head).map(|JournalRow { envelope, .. }| IndexRow {
            aggregate: envelope.aggregate(),
            seq: envelope.seq,
            event_id: envelope.event_id,
            event_type: envelope.event_type,
            weight: None,
        });
        ready(Ok((index.collect(), None))).boxed_local()
    }

    fn due(&self, home: CursorHome, before: Timestamp, _: usize) -> Port<'_, Vec<CursorKey>> {
        let cursor = self.world.and_then(|(row, _)| row).map(|row| row.to_real().cursor);
        let overdue = cursor.is_some_and(|cursor| {
            home == CursorHome::Progress
                && !matches!(cursor.status, Status::Ready | Status::Held)
                && cursor.trouble.is_some_and(|trouble| trouble.due < before)
        });
        let key = CursorKey { aggregate: key().clone(), consumer: consumer(Code::New).name().clone() };
        ready(Ok(if overdue { vec![key] } else { Vec::new() })).boxed_local()
    }

    fn timers(&self, _: Timestamp, _: usize) -> Port<'_, Vec<DueTimer>> {
        ready(Ok(Vec::new())).boxed_local()
    }

    fn all_holds(&self) -> Port<'_, AllHolds> {
        let holds = held(self.hold);
        let all = (self.hold != Hold::No).then(|| (consumer(Code::New).name().clone(), holds));
        ready(Ok(all.into_iter().collect())).boxed_local()
    }

    fn keep_holds<'a>(&'a self, _: &'a ConsumerName, _: &'a Holds, _: Rev) -> Port<'a, (), CommitError> {
        ready(Ok(())).boxed_local()
    }

    fn held<'a>(
        &'a self,
        home: CursorHome,
        of: &'a ConsumerName,
        _: &'a TenantId,
        _: usize,
    ) -> Port<'a, Vec<CursorKey>> {
        let is_held = self.world.and_then(|(row, _)| row).is_some_and(|row| row.status() == Status::Held);
        let key = CursorKey { aggregate: key().clone(), consumer: of.clone() };
        let rows = if is_held && home == CursorHome::Progress { vec![key] } else { Vec::new() };
        ready(Ok(rows)).boxed_local()
    }

    fn audit_state(&self) -> Port<'_, AuditState> {
        ready(Ok(AuditState::default())).boxed_local()
    }

    fn keep_audit_state<'a>(&'a self, _: &'a AuditState, _: Rev) -> Port<'a, (), CommitError> {
        ready(Ok(())).boxed_local()
    }
}

/// The holds of the consumer.
fn held(hold: Hold) -> Holds {
    let (who, why) = (String::new(), String::new());
    let resumed = (hold == Hold::Over).then(now);
    let order = towpath::Hold { since: now(), who, why, resumed };
    let tenants = if hold == Hold::No { None } else { Some((key().tenant.clone(), order)) };
    Holds { tenants: tenants.into_iter().collect(), rev: Rev(1) }
}
