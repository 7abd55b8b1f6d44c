//! A panic costs what ran into it, and nothing beside.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `future`; if it panics, what the panic said. It takes a pinned future, because one that was moved in would lie in
/// memory twice, and the ones that run here are large.
///
/// # Errors
/// The panic's message. The future must not be polled again, so that nothing sees what it left half done.
pub(super) async fn caught<F: Future + Unpin>(mut future: F) -> Result<F::Output, String> {
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
