//! Panics of handlers as failures: the message and the place, instead of a dead process.
//! Must not know: who logs them.

use std::any::Any;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::Failure;

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes every later panic of this process remember its place, so that a failure can name it. Once, in init.
pub fn record() {
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        PLACE.with_borrow_mut(|last| *last = place);
        earlier(info);
    }));
}

/// Runs `work`; a panic in it is a failure that may pass, because a deploy may mend it.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(failure(panic.as_ref())))
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
    let place = PLACE.take().unwrap_or_else(|| "an unrecorded place".to_owned());
    Failure::retry("panic", format!("panicked at {place}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_place() {
        record();
        let bad = async { if true { panic!("no such {}", "row") } else { Ok(()) } };
        let failure = caught(bad).now_or_never().expect("it does not wait").unwrap_err();
        let reason = failure.reason();
        assert_eq!(reason.class, "panic");
        assert!(reason.message.starts_with("panicked at ") && reason.message.ends_with(": no such row"), "{failure}");
        assert!(reason.message.contains("panics.rs:"), "{failure}");
    }
}
