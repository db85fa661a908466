//! An SQS FIFO queue: groups, locks, visibility, receive counts, deduplication, the move to a dead-letter queue.
//! Must not know: what its messages mean, who reads it.

use std::collections::BTreeSet;

use super::deduplication::Remembered;
use crate::dice::{Dice, Millis};

/// A message in a FIFO queue.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) id: u64,
    pub(crate) group: String,
    pub(crate) body: String,
    pub(crate) receives: u32,
    /// It was moved here by a redrive policy, so that the console's default button knows where it came from (31).
    pub(crate) moved: bool,
    visible_at: Millis,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Fifo {
    messages: Vec<Queued>,
    remembered: Remembered,
    next_id: u64,
}

impl Fifo {
    /// Adds a message, unless its deduplication id was seen in its group less than 5 minutes ago.
    pub(crate) fn send(&mut self, group: &str, deduplication: &str, body: String, now: Millis) -> bool {
        if !self.remembered.accept(group, deduplication, now) {
            return false;
        }
        self.push(Queued { id: 0, group: group.to_owned(), body, receives: 0, moved: false, visible_at: 0 });
        true
    }

    /// What a redrive policy does: a new message with a new deduplication id (22), at the end of its group.
    pub(crate) fn move_here(&mut self, message: Queued, moved: bool) {
        self.push(Queued { receives: 0, visible_at: 0, moved, ..message });
    }

    /// As it was before [`Fifo::take_all`].
    pub(crate) fn put_back(&mut self, message: Queued) {
        self.messages.push(message);
    }

    fn push(&mut self, message: Queued) {
        self.next_id += 1;
        self.messages.push(Queued { id: self.next_id, ..message });
    }

    /// Up to `most` messages. A group with a message in flight gives none (21); a batch mixes groups (19). Messages
    /// received `max_receives` times already are returned apart, for the dead-letter queue.
    pub(crate) fn receive(
        &mut self,
        most: usize,
        visibility: Millis,
        max_receives: u32,
        now: Millis,
        dice: &mut Dice,
    ) -> (Vec<Queued>, Vec<Queued>) {
        let is_worn = |message: &Queued| message.receives >= max_receives && message.visible_at <= now;
        let worn: Vec<Queued> = self.messages.extract_if(.., |message| is_worn(message)).collect();
        let locked: BTreeSet<&str> =
            self.messages.iter().filter(|m| m.visible_at > now).map(|m| m.group.as_str()).collect();
        let mut seen = BTreeSet::new();
        let open = self.messages.iter().map(|m| m.group.as_str()).filter(|group| !locked.contains(group));
        let mut groups: Vec<String> = open.filter(|group| seen.insert(*group)).map(str::to_owned).collect();
        if groups.is_empty() {
            return (Vec::new(), worn);
        }
        let first = dice.index(groups.len());
        groups.rotate_left(first);
        groups.truncate(dice.index(groups.len()) + 1);
        let mut batch = Vec::new();
        for group in groups {
            for message in self.messages.iter_mut().filter(|message| message.group == group) {
                if batch.len() < most {
                    message.receives += 1;
                    message.visible_at = now + visibility;
                    batch.push(message.clone());
                }
            }
        }
        (batch, worn)
    }

    /// Deletes a message with the receipt of its `receives`-th delivery. A receipt that has expired deletes nothing.
    pub(crate) fn delete(&mut self, id: u64, receives: u32, now: Millis) -> bool {
        let before = self.messages.len();
        self.messages.retain(|m| !(m.id == id && m.receives == receives && m.visible_at > now));
        self.messages.len() < before
    }

    /// Makes a message visible at a time, unless it was delivered again meanwhile.
    pub(crate) fn show(&mut self, id: u64, receives: u32, at: Millis) {
        if let Some(message) = self.messages.iter_mut().find(|m| m.id == id && m.receives == receives) {
            message.visible_at = message.visible_at.min(at);
        }
    }

    /// When something may be received, if nothing is sent.
    pub(crate) fn next_visible(&self, now: Millis) -> Option<Millis> {
        self.messages.iter().map(|message| message.visible_at.max(now)).min()
    }

    pub(crate) fn take_all(&mut self) -> Vec<Queued> {
        std::mem::take(&mut self.messages)
    }

    pub(crate) fn messages(&self) -> &[Queued] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(groups: &[&str]) -> Fifo {
        let mut queue = Fifo::default();
        for (index, group) in groups.iter().enumerate() {
            assert!(queue.send(group, &index.to_string(), format!("m{index}"), 0));
        }
        queue
    }

    fn bodies(batch: &[Queued]) -> Vec<&str> {
        batch.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_group_is_locked_while_one_of_its_messages_is_in_flight() {
        let (mut queue, mut dice) = (queue(&["a", "a", "a"]), Dice::new(1));
        let (batch, _) = queue.receive(2, 100, 9, 0, &mut dice);
        assert_eq!(bodies(&batch), ["m0", "m1"]);
        assert!(queue.receive(2, 100, 9, 50, &mut dice).0.is_empty());
        assert!(queue.delete(batch[0].id, 1, 50) && queue.delete(batch[1].id, 1, 50));
        assert_eq!(bodies(&queue.receive(2, 100, 9, 60, &mut dice).0), ["m2"]);
    }

    #[test]
    fn an_expired_receipt_deletes_nothing() {
        let (mut queue, mut dice) = (queue(&["a"]), Dice::new(1));
        let (first, _) = queue.receive(1, 100, 9, 0, &mut dice);
        assert!(!queue.delete(first[0].id, 1, 100));
        let (second, _) = queue.receive(1, 100, 9, 100, &mut dice);
        assert_eq!(second[0].receives, 2);
        assert!(!queue.delete(first[0].id, 1, 110));
        assert!(queue.delete(first[0].id, 2, 110));
    }

    #[test]
    fn a_message_received_too_often_is_set_apart() {
        let (mut queue, mut dice) = (queue(&["a"]), Dice::new(1));
        queue.receive(1, 10, 1, 0, &mut dice);
        let (batch, worn) = queue.receive(1, 10, 1, 10, &mut dice);
        assert!(batch.is_empty());
        assert_eq!(bodies(&worn), ["m0"]);
    }

    #[test]
    fn a_message_is_added_once_even_when_it_is_gone_already() {
        let (mut queue, mut dice) = (queue(&["a"]), Dice::new(1));
        let (batch, _) = queue.receive(1, 100, 9, 0, &mut dice);
        assert!(queue.delete(batch[0].id, 1, 50));
        assert!(!queue.send("a", "0", "again".into(), 60));
    }
}
