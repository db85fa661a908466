//! P16: the tables of the model answer as the real ones do. Random sequences of the pipeline's own reads and writes go
//! through `towpath-aws` to the tables of the stack and to the model's, and every answer is compared.
//! Must not know: consumers, queues.

use anyhow::{Result, ensure};
use towpath::commit::Commit;
use towpath::ports::{
    CommitError, Consistency, CursorHome, CursorKey, Head, JournalRow, KeptAnswer, Position, Snapshot, Store, Stored,
    Write,
};
use towpath::trouble::{TicketState, Trouble};
use towpath::{
    AggregateKey, Beside, Cursor, Data, Envelope, Era, EventId, FORMAT, Kind, Place, Prior, Rev, Seq, Skipped, Status,
    TenantId, Timestamp, Visibility,
};
use towpath_aws::AwsStore;
use towpath_sim::{Dice, Tables, World};

use crate::Test;
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[("p16_the_model_answers_as_the_tables_do_in_2000_random_sequences", sequences)];

const SEQUENCES: u64 = 2_000;
const STEPS: u64 = 8;
/// Far away, so that no auditor looks at what only this test knows.
const LATER: u64 = 4_000_000_000_000;

fn sequences(stack: &Stack) -> Result<()> {
    wait(async {
        let store = stack.store()?;
        let (mut answers, mut refused) = (0_u64, 0_u64);
        for seed in 0..SEQUENCES {
            let mut case = Case { dice: Dice::new(seed), tenant: format!("p16-{seed}").parse()?, drawn: 0 };
            let world = World::new(Tables::default());
            for step in 0..STEPS {
                let (what, real, model) = case.step(&store, &world).await?;
                ensure!(
                    real == model,
                    "sequence {seed}, step {step}: {what}\n  the tables say {real}\n  the model {model}"
                );
                answers += 1;
                refused += u64::from(real.starts_with("Err(Refused"));
            }
        }
        ensure!(answers == SEQUENCES * STEPS, "{answers} answers");
        ensure!(
            refused > answers / 20 && refused < answers / 2,
            "{refused} of {answers} were refused: the mix is dull"
        );
        Ok(())
    })
}

/// One sequence, with a tenant of its own.
struct Case {
    dice: Dice,
    tenant: TenantId,
    drawn: u64,
}

impl Case {
    /// What was done, and both answers.
    async fn step(&mut self, real: &AwsStore, model: &World) -> Result<(String, String, String)> {
        if self.dice.chance(6_500) {
            let writes = self.writes(&model.tables())?;
            let what = format!("{writes:?}");
            let commit = Commit::new(writes)?;
            return Ok((what, said(real.commit(&commit).await), said(model.commit(&commit).await)));
        }
        let (key, cursor) = (self.aggregate()?, self.cursor_key()?);
        let home = *self.dice.pick(&[CursorHome::Progress, CursorHome::Views]);
        let tenant = self.tenant.clone();
        Ok(match self.dice.between(0, 7) {
            0 => {
                let keys = [cursor, self.cursor_key()?];
                let keys = if keys[0] == keys[1] { &keys[..1] } else { &keys[..] };
                let ask = async |store: &dyn Store| store.positions(home, keys, Consistency::Strong).await;
                (format!("positions {home:?} {keys:?}"), text(ask(real).await), text(ask(model).await))
            }
            1 => (format!("entity {key}"), text(real.entity(&key).await), text(model.entity(&key).await)),
            2 => (format!("head {key}"), text(real.head(&key).await), text(model.head(&key).await)),
            3 => {
                let (after, through) = (Seq(self.dice.between(0, 3)), Seq(self.dice.between(0, 5)));
                let limit = usize::try_from(self.dice.between(1, 3))?;
                let ask = async |store: &dyn Store| store.journal(&key, after, through, limit).await;
                (format!("journal {key} {after}..{through}, {limit}"), text(ask(real).await), text(ask(model).await))
            }
            4 => (format!("skipped {cursor:?}"), text(real.skipped(&cursor).await), text(model.skipped(&cursor).await)),
            5 => {
                let ask = async |store: &dyn Store| store.view(&tenant, "model-rows", "a").await;
                ("view".to_owned(), text(ask(real).await), text(ask(model).await))
            }
            6 => {
                let (seq, event_id) =
                    (Seq(self.dice.between(1, 3)), EventId::new(Timestamp::default(), self.dice.roll().into()));
                let snapshot = Snapshot { seq, event_id, folds: "these".to_owned(), state: "{}".to_owned() };
                let ask = async |store: &dyn Store| {
                    store.keep_snapshot(&key, &snapshot).await;
                    store.snapshot(&key).await
                };
                (format!("snapshot {key} at {seq}"), text(ask(real).await), text(ask(model).await))
            }
            _ => {
                let name = format!("key-{}", self.dice.between(1, 2)).parse()?;
                let ask = async |store: &dyn Store| store.kept_answer(&tenant, &name).await;
                (format!("kept answer {name}"), text(ask(real).await), text(ask(model).await))
            }
        })
    }

    /// One to four writes on different items. Mostly they expect what is there.
    fn writes(&mut self, tables: &Tables) -> Result<Vec<Write>> {
        let mut writes = Vec::new();
        let mut kinds = vec![0, 1, 2, 3, 4, 5, 6];
        for _ in 0..self.dice.between(1, 4) {
            let at = usize::try_from(self.dice.roll() % kinds.len() as u64)?;
            writes.push(self.write(kinds.remove(at), tables)?);
        }
        Ok(writes)
    }

    fn write(&mut self, kind: u64, tables: &Tables) -> Result<Write> {
        let key = self.aggregate()?;
        let honest = self.dice.chance(8_500);
        Ok(match kind {
            0 => {
                let known = tables.outbox.keys().filter(|(of, _)| *of == key).count() as u64;
                let seq = if honest { known + 1 } else { self.dice.between(1, 4) };
                if self.dice.chance(2_000) {
                    Write::CheckVacant { key, seq: Seq(seq) }
                } else {
                    Write::Append(self.row(&key, seq)?)
                }
            }
            1 => {
                let known = tables.entities.get(&key).map(|stored| stored.head.seq);
                let expect = if honest { known } else { self.any(Seq) };
                if self.dice.chance(2_000) {
                    Write::CheckEntity { key, expect }
                } else {
                    let stored = self.stored(expect.map_or(Seq(1), Seq::next))?;
                    Write::Entity { key, stored, expect }
                }
            }
            2 | 3 => {
                let (home, known) = match kind {
                    2 => (CursorHome::Progress, &tables.progress),
                    _ => (CursorHome::Views, &tables.summaries),
                };
                // A consumer keeps all its cursors in one table.
                let consumer = if kind == 2 { "model-1" } else { "model-2" };
                let key = CursorKey { consumer: consumer.parse()?, ..self.cursor_key()? };
                let known = known.get(&key).map(|position| position.cursor.rev);
                let expect = if honest { known } else { self.any(Rev) };
                let position = self.position(home, expect.map_or(Rev(1), Rev::next))?;
                Write::Cursor { home, key, position, expect }
            }
            4 => {
                let (key, seq) = (self.cursor_key()?, Seq(self.dice.between(1, 40)));
                let (who, why, at) = ("ann".to_owned(), "a \"reason\"".to_owned(), self.time());
                let (event_id, event_type) = (self.event_id(), "model.made".parse()?);
                Write::Skip { key, skipped: Skipped { seq, event_id, event_type, who, why, at } }
            }
            5 => {
                let sort = format!("{}", self.dice.between(1, 3));
                let place = Place { view: "model-rows".to_owned(), partition: "a".to_owned(), sort };
                let tenant = self.tenant.clone();
                if self.dice.chance(3_000) {
                    Write::Remove { tenant, place }
                } else {
                    Write::Put { tenant, place, state: format!(r#"{{"n":{}}}"#, self.dice.between(0, 9)) }
                }
            }
            _ => {
                let answer = KeptAnswer { request_hash: "h".to_owned(), code: 201, body: r#"{"ok":1}"#.to_owned() };
                let name = format!("key-{}", self.dice.between(1, 40));
                Write::Answer { tenant: self.tenant.clone(), key: name.parse()?, answer }
            }
        })
    }

    fn any<T>(&mut self, of: impl Fn(u64) -> T) -> Option<T> {
        self.dice.chance(5_000).then(|| of(self.dice.between(1, 3)))
    }

    fn aggregate(&mut self) -> Result<AggregateKey> {
        Ok(format!("{}#model#m-{}", self.tenant, self.dice.between(1, 2)).parse()?)
    }

    fn cursor_key(&mut self) -> Result<CursorKey> {
        let consumer = format!("model-{}", self.dice.between(1, 2)).parse()?;
        Ok(CursorKey { aggregate: self.aggregate()?, consumer })
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_millis(LATER + self.dice.between(0, 1_000_000_000))
    }

    fn event_id(&mut self) -> EventId {
        let (time, random) = (self.time(), u128::from(self.dice.roll()) << 16);
        EventId::new(time, random)
    }

    fn prior(&mut self, seq: u64) -> Result<Prior> {
        let mut prior = Prior::default();
        for kind in ["model.made", "model.other"] {
            if seq > 1 && self.dice.chance(5_000) {
                prior.note(kind.parse()?, Seq(self.dice.between(1, seq - 1)));
            }
        }
        Ok(prior)
    }

    /// Private: no relay takes it anywhere.
    fn row(&mut self, key: &AggregateKey, seq: u64) -> Result<JournalRow> {
        self.drawn += 1;
        let to = if self.dice.chance(2_000) { Some("model-1".parse()?) } else { None };
        let event_id = self.event_id();
        let envelope = Envelope {
            format: FORMAT,
            event_id,
            event_type: "model.made".parse()?,
            event_version: 1,
            tenant_id: key.tenant.clone(),
            aggregate_type: key.kind.clone(),
            aggregate_id: key.id.clone(),
            seq: Seq(seq),
            prior: self.prior(seq)?,
            era: Era::FIRST,
            occurred_at: event_id.at(),
            correlation_id: "p16".parse()?,
            causation_id: "p16".parse()?,
            producer: "model@1".parse()?,
            traceparent: None,
            hops: 2,
            data: Data::parse(format!(r#"{{"n":{},"text":"ü \" 漢"}}"#, self.drawn))?,
            older: towpath::Older::default(),
        };
        let kind = if to.is_some() { Kind::Command } else { Kind::Event };
        Ok(JournalRow { envelope, kind, visibility: Visibility::Private, to })
    }

    fn stored(&mut self, seq: Seq) -> Result<Stored> {
        let head = Head { seq, prior: self.prior(seq.0)?, era: Era::FIRST, occurred_at: self.time() };
        let state = self.dice.chance(8_000).then(|| format!(r#"{{"n":{}}}"#, self.dice.between(0, 9)));
        Ok(Stored { head, state, saga: None })
    }

    fn position(&mut self, home: CursorHome, rev: Rev) -> Result<Position> {
        let seq = self.dice.between(0, 5);
        let event_id = self.event_id();
        let status = *self.dice.pick(&[Status::Ready, Status::Ready, Status::Retrying, Status::Parked]);
        let trouble = (status != Status::Ready).then(|| self.trouble(seq + 1, status)).transpose()?;
        let cursor = Cursor {
            seq: Seq(seq),
            event_id: (seq > 0).then_some(event_id),
            era: Era::FIRST,
            generation: 1,
            status,
            attempt: u32::try_from(self.dice.between(0, 3))?,
            rev,
            trouble,
        };
        let folded = home == CursorHome::Views && seq > 0;
        let state = folded.then(|| r#"{"seen":1}"#.to_owned());
        let beside = (folded && self.dice.chance(3_000)).then(|| Beside {
            build: 2,
            seq: Seq(self.dice.between(0, seq)),
            state: state.clone(),
        });
        Ok(Position { cursor, state, beside })
    }

    fn trouble(&mut self, seq: u64, status: Status) -> Result<Trouble> {
        Ok(Trouble {
            seq: Seq(seq),
            event_id: self.event_id(),
            event_type: "model.made".parse()?,
            since: self.time(),
            due: self.time(),
            class: "rejected".to_owned(),
            message: "it is not so".to_owned(),
            producer: "model@1".parse()?,
            running: self.dice.chance(3_000).then(|| self.dice.roll()),
            deaths: u32::try_from(self.dice.between(0, 2))?,
            ticket: (status == Status::Parked).then_some(TicketState::Sent),
        })
    }
}

/// What a commit said; of what is invalid or unavailable only that it is.
fn said(answer: Result<(), CommitError>) -> String {
    match answer {
        Err(CommitError::Invalid(_)) => "invalid".to_owned(),
        other => format!("{other:?}"),
    }
}

fn text<T: std::fmt::Debug, E: std::fmt::Debug>(answer: Result<T, E>) -> String {
    format!("{answer:?}")
}
