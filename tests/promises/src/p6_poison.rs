//! P6: a failing event holds back its own aggregate and nothing else. It is tried again, climbs the ladder, and is parked
//! with its error.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath::ports::{Host, Store, Stored, Write};
use towpath::trouble::{TicketState, Trouble, backoff};
use towpath::{AggregateKey, Status, Verb};

use crate::Test;
use crate::hands::{Row, host, overdue};
use crate::operator::instruction;
use crate::processes::{Processes, Seen};
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("p6_a_failure_that_passes_climbs_the_ladder_and_is_applied", ladder),
    ("p6_a_rejected_event_is_parked_with_its_error_while_its_neighbours_go_on", poison),
    ("p6_data_that_cannot_be_decoded_holds_back_its_own_order_only", undecodable),
    ("p6_an_entity_that_this_code_cannot_read_holds_back_its_own_order_only_and_the_row_says_so", unreadable),
];

pub(crate) const ALONE: &[Test] =
    &[("p6_an_event_whose_process_dies_three_times_is_parked_and_its_neighbours_go_on", deadly)];

/// Orders with which the test that kills is tried.
const TRIES: u64 = 10;

/// A row of the read model that this code cannot read: its fold fails until somebody mends the row.
fn ladder(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p6-ladder", "k-1", "tea")?;
        let good = stack.applied("order-summary", &order, 1).await?.state.context("a row was folded")?;
        let broken = Some(r#"{"written":"by a newer version"}"#.to_owned());
        stack.rewrite("order-summary", &order, |position| position.state.clone_from(&broken)).await?;
        stack.ask("POST", &format!("/orders/{}/cancel", order.id), "p6-ladder", "k-2", "{}")?;
        for attempt in 1..=2 {
            let (trouble, tried) = until(&format!("attempt {attempt} has failed"), async || {
                let cursor = stack.blocked("order-summary", &order, Status::Retrying).await?;
                let failed = cursor.trouble.filter(|trouble| cursor.attempt == attempt && trouble.running.is_none());
                Ok(failed.map(|trouble| (trouble, host().now())))
            })
            .await?;
            ensure!(trouble.class.ends_with("serde_json::error::Error"), "{trouble:?}");
            ensure!((trouble.seq.0, trouble.deaths) == (2, 0), "{trouble:?}");
            let wait = Duration::from_millis(trouble.due.millis_since(tried));
            ensure!(wait <= backoff(attempt), "attempt {attempt} waits {wait:?}");
            ensure!(wait + Duration::from_millis(900) > backoff(attempt), "attempt {attempt} waits only {wait:?}");
        }
        stack.rewrite("order-summary", &order, |position| position.state = Some(good.clone())).await?;
        let position = stack.applied("order-summary", &order, 2).await?;
        ensure!((position.cursor.status, position.cursor.attempt) == (Status::Ready, 0), "{position:?}");
        let summary = stack.ask("GET", &format!("/orders/{}", order.id), "p6-ladder", "", "")?;
        ensure!(summary.field("status")? == "cancelled" && summary.field("version")? == "2", "{summary:?}");
        ensure!(stack.tickets("order-summary", &order)?.is_empty(), "a failure that passed has a ticket");
        stack.holds("OrderSummaryWakeQueueUrl", &order.to_string(), 0).await
    })
}

fn poison(stack: &Stack) -> Result<()> {
    wait(async {
        let poison = stack.poison("p6-poison").await?;
        let mut neighbours = Vec::new();
        for n in 0..20 {
            neighbours.push(stack.place("p6-poison", &format!("k-{n}"), "tea")?);
        }
        for neighbour in &neighbours {
            stack.applied("inventory", neighbour, 1).await?;
        }
        ensure!(stack.stock("p6-poison", "tea").await?["on_hand"] == 58);
        let row = stack.parked("inventory", &poison.order).await?;
        let trouble = row.trouble.context("a parked row says why")?;
        ensure!((trouble.class.as_str(), trouble.seq.0) == ("rejected", 2), "{trouble:?}");
        ensure!(trouble.message == "the cancelled order does not exist", "{trouble:?}");
        ensure!(trouble.ticket == Some(TicketState::Sent), "{trouble:?}");
        let mut tickets = stack.tickets("inventory", &poison.order)?;
        ensure!(tickets.len() == 1, "{tickets:?}");
        let ticket = tickets.remove(0);
        let event = &stack.journal(&poison.order).await?[1].envelope;
        ensure!((ticket.event_id, ticket.seq, ticket.rev) == (event.event_id, event.seq, row.rev), "{ticket:?}");
        ensure!((&ticket.message, ticket.attempts) == (&trouble.message, 1), "{ticket:?}");
        ensure!(ticket.producer.to_string().starts_with("inventory@"), "{ticket:?}");
        let body = ticket.to_body();
        ensure!(!body.contains("c-1") && !body.contains("by hand"), "a ticket tells whose order it is: {body}");
        let shown = stack.about("InventoryDeadLetterQueueUrl", &poison.order.to_string())?.remove(0);
        ensure!(shown["MessageAttributes"]["ticket"]["StringValue"] == "rejected", "{shown}");
        // The other consumers have no trouble with it.
        stack.applied("crm-timeline", &poison.order, 2).await?;
        stack.applied("order-summary", &poison.order, 2).await.map(|_| ())
    })
}

fn undecodable(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p6-data", "k-1", "tea")?;
        stack.applied("crm-timeline", &order, 1).await?;
        let data = json!({ "order_id": 7, "customer_id": "SECRET" }).to_string();
        let row = Row { data, ..Row::cancelled(&order, 2, &[("order.placed", 1)]) }.build()?;
        stack.append([row]).await?;
        let neighbour = stack.place("p6-data", "k-2", "tea")?;
        for consumer in ["inventory", "order-summary", "crm-timeline"] {
            stack.applied(consumer, &neighbour, 1).await?;
            let row = stack.blocked(consumer, &order, Status::Retrying).await?;
            let Trouble { class, message, .. } = row.trouble.context("a blocked row says why")?;
            ensure!(class == "undecodable data" && row.seq.0 == 1, "{consumer}: {class}: {message}");
            ensure!(
                message.starts_with("the data of order.cancelled v1 does not fit") && !message.contains("SECRET"),
                "{message}"
            );
        }
        ensure!(stack.timeline("p6-data", "c-1")?.len() == 2);
        Ok(())
    })
}

/// The function is killed as soon as its row says that an attempt was begun, three times. A message that was delivered
/// before is suspicious from the start, so every attempt is counted before it runs.
fn deadly(stack: &Stack) -> Result<()> {
    wait(async {
        stack.stock_up("p6-deadly", "tea", 100)?;
        let queues = ["InventoryQueueUrl", "InventoryWakeQueueUrl"];
        for queue in queues {
            stack.hide_for(queue, 1).await?;
        }
        let mut survivors = 0;
        let order = loop {
            let order = stack.place_taken_before("p6-deadly", &format!("k-{survivors}"), "inventory").await?;
            if dies_three_times(stack, &order).await? {
                break order;
            }
            stack.applied("inventory", &order, 1).await?;
            survivors += 1;
            ensure!(survivors < TRIES, "{TRIES} orders were applied before anybody could see that they were begun");
        };
        let row = stack.parked("inventory", &order).await?;
        for queue in queues {
            stack.hide_for(queue, 180).await?;
        }
        let trouble = row.trouble.context("a parked row says why")?;
        ensure!(trouble.class == "process ended" && trouble.message.contains("ended 3 times"), "{trouble:?}");
        let tickets = stack.tickets("inventory", &order)?;
        ensure!(row.attempt == 3, "{} attempts, {trouble:?}", row.attempt);
        // Hidden for one second only, the wake may have come twice at once: then there is a ticket too many.
        ensure!(tickets.iter().any(|ticket| ticket.rev == row.rev), "{tickets:?}, but the row is at {:?}", row.rev);
        let left = 100 - 2 * survivors;
        ensure!(stack.stock("p6-deadly", "tea").await?["on_hand"] == left);
        let neighbour = stack.place("p6-deadly", "k-neighbour", "tea")?;
        stack.applied("inventory", &neighbour, 1).await?;
        // Nothing was wrong with the event: an operator's retry applies it.
        stack.wake("inventory", &order, Verb::Retry(instruction(row.rev, "ann"))).await?;
        stack.applied("inventory", &order, 1).await?;
        ensure!(stack.stock("p6-deadly", "tea").await?["on_hand"] == left - 4);
        Ok(())
    })
}

/// `false`: an attempt was over before it could be seen.
async fn dies_three_times(stack: &Stack, order: &AggregateKey) -> Result<bool> {
    let processes = Processes::of(stack, &stack.function_of("inventory")?);
    for deaths in 0..3 {
        let begun = async || {
            let Some(row) = stack.position("inventory", order).await? else { return Ok(Seen::NotYet) };
            let running = row.cursor.trouble.filter(|trouble| trouble.running.is_some());
            Ok(match running {
                Some(trouble) if trouble.deaths == deaths => Seen::Now,
                _ if row.cursor.status == Status::Ready => Seen::Over,
                _ => Seen::NotYet,
            })
        };
        if !processes.kill_when("an attempt is begun", begun).await? {
            return Ok(false);
        }
        // Its time is over: no need to wait for it.
        stack.rewrite("inventory", order, overdue).await?;
    }
    Ok(true)
}

/// As if newer code had written it: it may pass, so it is tried again, and the row says what cannot be read.
fn unreadable(stack: &Stack) -> Result<()> {
    wait(async {
        for sku in ["tea", "cup"] {
            stack.stock_up("p6-unreadable", sku, 10)?;
        }
        let cup = "p6-unreadable#stock#cup".parse()?;
        let good = stack.store()?.entity(&cup).await?.context("the cup is stored")?;
        let expect = Some(good.head.seq);
        let newer = Stored { state: Some(r#"{"shelves":[]}"#.to_owned()), ..good.clone() };
        stack.write(Write::Entity { key: cup.clone(), stored: newer, expect }).await?;
        let order = stack.place("p6-unreadable", "k-1", "cup")?;
        let neighbour = stack.place("p6-unreadable", "k-2", "tea")?;
        stack.applied("inventory", &neighbour, 1).await?;
        let row = stack.blocked("inventory", &order, Status::Retrying).await?;
        let trouble = row.trouble.context("a row that does not advance says why")?;
        ensure!(trouble.message.contains("the stored stock does not fit this version"), "{trouble:?}");
        stack.write(Write::Entity { key: cup, stored: good, expect }).await?;
        let cursor = stack.applied("inventory", &order, 1).await?.cursor;
        ensure!((cursor.status, cursor.attempt) == (Status::Ready, 0), "{cursor:?}");
        ensure!(stack.story(&order, "cup").await? == ["stock.reserved"]);
        Ok(())
    })
}
