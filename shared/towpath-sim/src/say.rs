//! How the timeline names writes and messages, in the words of the documentation.
//! Must not know: when they happen.

use towpath::ports::{JournalRow, Write};
use towpath::{Envelope, Ticket, Verb, Wake};

use crate::model::fifo::Queued;

/// The writes of a commit, in short.
pub(crate) fn commit(writes: &[Write]) -> String {
    writes.iter().map(write).collect::<Vec<_>>().join(" + ")
}

fn write(of: &Write) -> String {
    match of {
        Write::Entity { key, stored, .. } => format!("{key} v{}", stored.head.seq),
        Write::CheckEntity { key, .. } => format!("check {key}"),
        Write::CheckVacant { key, seq } => format!("check {key} ends before {seq}"),
        Write::Append(of) => format!("append {}", row(of)),
        Write::Cursor { key, position, expect, .. } => {
            let cursor = &position.cursor;
            let expected = expect.map_or("none".to_owned(), |rev| rev.to_string());
            let (status, attempt) = (cursor.status, cursor.attempt);
            let trouble = cursor.trouble.as_ref().map_or(String::new(), |trouble| {
                let (due, deaths, ticket) = (trouble.due, trouble.deaths, trouble.ticket);
                let class = &trouble.class;
                format!(
                    " seq {} {class:?} due {due} deaths {deaths} ticket {ticket:?} running {:?}",
                    trouble.seq, trouble.running
                )
            });
            let at = format!("seq {} rev {expected}→{}", cursor.seq, cursor.rev);
            format!("cursor {} of {} {at} {status:?} attempt {attempt}{trouble}", key.aggregate, key.consumer)
        }
        Write::Put { place, .. } => format!("put {} {}", place.partition, place.sort),
        Write::Remove { place, .. } => format!("remove {} {}", place.partition, place.sort),
        Write::Skip { key, skipped } => format!("skip {} of {} seq {}", key.aggregate, key.consumer, skipped.seq),
        Write::Answer { key, .. } => format!("answer {key}"),
    }
}

/// A row of the journal, in short.
pub(crate) fn row(of: &JournalRow) -> String {
    let envelope = &of.envelope;
    format!("{} seq {} {}", envelope.aggregate(), envelope.seq, envelope.event_type)
}

/// A wake, in short.
pub(crate) fn wake(of: &Wake) -> String {
    match &of.verb {
        Verb::Advance => format!("advance {}", of.aggregate),
        Verb::Retry(order) => format!("retry {} at rev {} ({})", of.aggregate, order.rev, order.who),
        Verb::Timer(firing) => format!("timer {} of {}, set at {}", firing.name, of.aggregate, firing.nonce),
        Verb::Rebuild(rebuild) => format!("{:?} build {} of {}", rebuild.step, rebuild.build, of.aggregate),
        Verb::Replay(replay) => format!("replay {} up to {}", of.aggregate, replay.through),
        Verb::Skip(order) => format!("skip {} at rev {} ({})", of.aggregate, order.rev, order.who),
    }
}

/// A message in a queue, in short.
pub(crate) fn message(of: &Queued) -> String {
    let what = match (Envelope::parse(&of.body), Ticket::parse(&of.body)) {
        (Ok(envelope), _) => format!("{} seq {}", envelope.aggregate(), envelope.seq),
        (Err(_), Some(ticket)) => format!("ticket of {} seq {} at rev {}", ticket.aggregate, ticket.seq, ticket.rev),
        (Err(_), None) => "something unreadable".to_owned(),
    };
    format!("message {} in {}: {what}, delivery {}", of.id, of.group, of.receives)
}
