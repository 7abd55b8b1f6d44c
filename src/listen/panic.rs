//! A panic costs what ran into it, and nothing beside.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `call`; if it panics, what the panic said.
///
/// # Errors
/// The panic's message. What `call` has lent must not be used in a way that minds what it left half done.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| message(panic.as_ref()))
}

/// Runs `future`; if it panics, what the panic said. It takes a pinned future, because one that was moved in would lie in
/// memory twice, and the ones that run here are large.
///
/// # Errors
/// The panic's message. The future must not be polled again, so that nothing sees what it left half done.
pub(super) async fn caught_in<F: Future + Unpin>(mut future: F) -> Result<F::Output, String> {
    std::future::poll_fn(|context| match caught(|| Pin::new(&mut future).poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
