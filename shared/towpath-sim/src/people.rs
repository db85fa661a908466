//! People: clients who ask until they are answered, operators who look after what is parked.
//! Must not know: how a machine carries out what they order.

use std::rc::Rc;

use futures_util::FutureExt;
use towpath::ports::{Consistency, CursorKey, Host, Position, Store, Wakes};
use towpath::trouble::Trouble;
use towpath::{Instruction, Rev, Status, Verb, Wake};

use crate::Instance;
use crate::cloud::Cloud;
use crate::dice::Millis;
use crate::lambda::{Done, Role, Source};
use crate::mishap::Mishap;
use crate::plan::{Command, Crew, HOUR, MINUTE, SECOND};
use crate::seen::Sight;

/// An HTTP request's time.
const REQUEST: Millis = 29 * SECOND;
/// Time of one use of the command line.
pub(crate) const SITTING: Millis = 10 * MINUTE;

/// Somebody with one command.
pub(crate) struct Client {
    pub(crate) command: Command,
    /// Answered, or tired of asking.
    pub(crate) content: bool,
}

impl Cloud {
    /// Asks once; some ask twice at once.
    pub(crate) fn ask(&mut self, client: usize) {
        let twice = !self.odds.is_calm() && self.dice.chance(500);
        for _ in 0..=usize::from(twice) {
            let ask = Rc::clone(&self.clients[client].command.ask);
            let name = self.clients[client].command.name.clone();
            self.note("ask", client as u64, || (format!("client {client}"), name));
            self.start(Role::Client(client), REQUEST, move |instance| {
                async move { Done::Client { answered: ask(Rc::new(instance)).await } }.boxed_local()
            });
        }
    }

    /// A request has ended. Without an answer it is sent again, with the same key; a few give up.
    pub(crate) fn client_done(&mut self, client: usize, answered: bool) {
        if answered || (!self.odds.is_calm() && self.dice.chance(300)) {
            self.clients[client].content = true;
        }
        if !self.clients[client].content {
            // Most ask again at once, some when they are back from lunch.
            let late = !self.odds.is_calm() && self.dice.chance(500);
            let (least, most) = if late { (5 * MINUTE, HOUR) } else { (100, 20 * SECOND) };
            let wait = self.dice.between(least, most);
            self.after(wait, move |cloud| {
                if !cloud.clients[client].content {
                    cloud.ask(client);
                }
            });
        }
    }

    /// An operator looks at what is parked and does something about it.
    pub(crate) fn operate(&mut self) {
        // An emptied wake queue may have held the retry of a ticket: the row is still parked, its ticket is gone until it
        // is renewed after 13 days, and only the command line sees it.
        let emptied = self.seen.times(Sight::Mishap(Mishap::QueuePurged)) > 0 && self.now() > self.settings.repair_at;
        let console = match self.settings.crew {
            Crew::Absent => return,
            Crew::CommandLine => false,
            // Where the outcome is unknown a redrive changes nothing: somebody has to ask the provider and say so.
            Crew::Console => !(emptied || self.is_somewhere_unknown() && self.dice.chance(5_000)),
            Crew::Both => self.dice.chance(5_000),
        };
        for consumer in 0..self.consumers.len() {
            if console {
                let default_button = !self.odds.is_calm() && self.dice.chance(2_000);
                self.redrive(consumer, default_button);
            } else {
                self.use_command_line(consumer);
            }
        }
    }

    fn is_somewhere_unknown(&self) -> bool {
        let is_unknown = |at: &Position| at.cursor.trouble.as_ref().is_some_and(Trouble::is_unknown);
        self.db.tables.progress.values().any(|at| at.cursor.status == Status::Parked && is_unknown(at))
    }

    /// The console's redrive moves messages to the end of the queue, one after the other (23). Its default button knows no
    /// destination for what was sent to the dead-letter queue instead of moved there, and moves nothing (31).
    pub(crate) fn redrive(&mut self, consumer: usize, default_button: bool) {
        let all = self.consumers[consumer].dead_letters.take_all();
        let (moved, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|message| !default_button || message.moved);
        for message in kept {
            self.consumers[consumer].dead_letters.put_back(message);
        }
        let how = if default_button { "console redrive by its default button" } else { "console redrive" };
        self.seen.count(Sight::Happened(how));
        self.note(how, consumer as u64, || {
            let moved: Vec<String> = moved.iter().map(crate::say::message).collect();
            (format!("operator at {consumer}"), format!("{how}: {}", moved.join("; ")))
        });
        let mut wait = 0;
        for message in moved {
            wait += self.dice.between(1, 20);
            self.after(wait, move |cloud| {
                cloud.consumers[consumer].fifo.move_here(message, false);
                cloud.poke(consumer, Source::Fifo);
            });
        }
    }

    fn use_command_line(&mut self, consumer: usize) {
        let of = Rc::clone(&self.consumers[consumer].subject);
        let home = of.consumer.home();
        // Some look at rows that are not parked, too: an order about those is no more than a wake.
        let all = !self.odds.is_calm() && self.dice.chance(5_000);
        let stuck = |status| status == Status::Parked || all && status == Status::Retrying;
        let parked = self
            .db
            .tables
            .home(home)
            .iter()
            .filter(|(key, position)| key.consumer == *of.consumer.name() && stuck(position.cursor.status));
        let parked: Vec<CursorKey> = parked.map(|(key, _)| key.clone()).collect();
        // Who skips an event skips what does not make sense without it, too.
        let mut orders = Vec::new();
        for key in parked {
            let senseless = self.watch.has_skipped(consumer, &key.aggregate);
            orders.push((key, self.settings.skips && (senseless || self.dice.chance(2_000))));
        }
        if orders.is_empty() {
            return;
        }
        self.start(Role::Operator, SITTING, move |instance| {
            async move {
                for (key, skip) in &orders {
                    order(&instance, &of, key, *skip).await;
                }
                Done::Operator
            }
            .boxed_local()
        });
    }
}

/// Reads the row and sends one wake with its rev. What does not work is left to the next sitting.
async fn order(instance: &Instance, of: &crate::Subject, key: &CursorKey, skip: bool) {
    let keys = std::slice::from_ref(key);
    let found = instance.positions(of.consumer.home(), keys, Consistency::Strong).await;
    let cursor = found.ok().and_then(|found| found.into_iter().next().flatten()).map(|position| position.cursor);
    let Some(cursor) = cursor.filter(|cursor| cursor.status != Status::Ready) else { return };
    // What may have happened outside is asked for before anything is ordered.
    let unknown = cursor.trouble.as_ref().filter(|trouble| trouble.is_unknown());
    if unknown.is_some() && instance.is_at_work(key) {
        return; // the provider's answer may be another one in a moment
    }
    let asked = unknown.and_then(|trouble| Some((of.was_done.as_ref()?)(trouble.event_id)));
    let wake = Wake { aggregate: key.aggregate.clone(), verb: verb(cursor.rev, asked.unwrap_or(skip)) };
    let _sent_or_left = instance.wake(&key.consumer, &wake).await;
    if let Some(wait) = instance.impatience() {
        instance.sleep(wait).await;
        let _sent_or_left = instance.wake(&key.consumer, &wake).await;
    }
}

fn verb(rev: Rev, skip: bool) -> Verb {
    let order = Instruction { rev, who: "operator".to_owned(), why: "simulated".to_owned() };
    if skip { Verb::Skip(order) } else { Verb::Retry(order) }
}
