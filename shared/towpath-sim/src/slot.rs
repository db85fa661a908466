//! A place for one answer that comes later; awaiting it is awaiting the answer.
//! Must not know: who answers, when.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The place, shared by the one who waits and the one who answers.
pub(crate) struct Slot<T>(Rc<RefCell<Waiting<T>>>);

struct Waiting<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(Waiting { answer: None, waker: None })))
    }

    pub(crate) fn fill(&self, answer: T) {
        let mut waiting = self.0.borrow_mut();
        waiting.answer = Some(answer);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Future for Slot<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut waiting = self.0.borrow_mut();
        match waiting.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
