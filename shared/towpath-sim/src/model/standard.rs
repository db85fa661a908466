//! A standard queue of wakes: at least once, in any order, with visibility and receive counts.
//! Must not know: what a wake does.

use towpath::Wake;

use crate::dice::{Dice, Millis};

/// A wake in its queue.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) wake: Wake,
    pub(crate) receives: u32,
    visible_at: Millis,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Standard {
    messages: Vec<Waiting>,
    next_id: u64,
}

impl Standard {
    pub(crate) fn send(&mut self, wake: Wake) {
        self.next_id += 1;
        self.messages.push(Waiting { id: self.next_id, wake, receives: 0, visible_at: 0 });
    }

    /// Any one of the visible messages.
    pub(crate) fn receive(&mut self, visibility: Millis, now: Millis, dice: &mut Dice) -> Option<Waiting> {
        let mut visible: Vec<&mut Waiting> = self.messages.iter_mut().filter(|m| m.visible_at <= now).collect();
        if visible.is_empty() {
            return None;
        }
        let at = dice.index(visible.len());
        let message = &mut visible[at];
        message.receives += 1;
        message.visible_at = now + visibility;
        Some(message.clone())
    }

    /// Deletes a message. On a standard queue an old receipt deletes it too, unless it was received again meanwhile.
    pub(crate) fn delete(&mut self, id: u64, receives: u32) {
        self.messages.retain(|message| !(message.id == id && message.receives == receives));
    }

    /// Makes a message that is in flight visible at a time, unless it was delivered again meanwhile.
    pub(crate) fn show(&mut self, id: u64, receives: u32, at: Millis) {
        if let Some(message) = self.messages.iter_mut().find(|m| m.id == id && m.receives == receives) {
            message.visible_at = at;
        }
    }

    /// When something may be received, if nothing is sent.
    pub(crate) fn next_visible(&self, now: Millis) -> Option<Millis> {
        self.messages.iter().map(|message| message.visible_at.max(now)).min()
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    pub(crate) fn messages(&self) -> &[Waiting] {
        &self.messages
    }
}
