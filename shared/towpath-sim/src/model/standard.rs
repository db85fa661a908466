//! A standard queue, of wakes mostly: at least once, in any order, with visibility and receive counts.
//! Must not know: what its messages mean.

use crate::dice::{Dice, Millis};

/// A message in the queue.
#[derive(Debug, Clone)]
pub(crate) struct Waiting<T> {
    pub(crate) id: u64,
    pub(crate) body: T,
    pub(crate) receives: u32,
    visible_at: Millis,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Standard<T> {
    messages: Vec<Waiting<T>>,
    next_id: u64,
}

impl<T> Default for Standard<T> {
    fn default() -> Self {
        Self { messages: Vec::new(), next_id: 0 }
    }
}

impl<T: Clone> Standard<T> {
    pub(crate) fn send(&mut self, body: T) {
        self.next_id += 1;
        self.messages.push(Waiting { id: self.next_id, body, receives: 0, visible_at: 0 });
    }

    /// Any one of the visible messages.
    pub(crate) fn receive(&mut self, visibility: Millis, now: Millis, dice: &mut Dice) -> Option<Waiting<T>> {
        let mut visible: Vec<&mut Waiting<T>> = self.messages.iter_mut().filter(|m| m.visible_at <= now).collect();
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

    /// Makes a message visible at a time. Of one that is not in flight any more, the visibility cannot be changed
    /// (`MessageNotInflight`), and with an older receipt neither.
    pub(crate) fn show(&mut self, id: u64, receives: u32, at: Millis, now: Millis) {
        let is_ours = |m: &&mut Waiting<T>| m.id == id && m.receives == receives && m.visible_at > now;
        if let Some(message) = self.messages.iter_mut().find(is_ours) {
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

    pub(crate) fn messages(&self) -> &[Waiting<T>] {
        &self.messages
    }
}
