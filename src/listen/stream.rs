//! The deadline of one HTTP/2 stream: a response that its client does not take, though it takes others.
//!
//! A connection that moves at all is not stalled, so one stream could wait for ever beside others that move. What runs a
//! stream is dropped once its client has kept it waiting too long, which resets the stream and leaves the others alone.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::deadline::worth;
use crate::clock::Clock;

/// Since when one stream waits, and for how long it may.
#[derive(Debug)]
pub(super) struct StreamWatch {
    clock: Clock,
    began: Instant,
    window: Duration,
    /// Microseconds after `began`; zero while the client is not waited for.
    due: AtomicU64,
}

impl StreamWatch {
    /// A stream whose client may take nothing for `window`.
    pub(super) fn new(clock: Clock, window: Duration) -> Self {
        Self { began: clock.now().monotonic, clock, window, due: AtomicU64::new(0) }
    }

    /// So many bytes wait for the client. It may take its time with them, but not less than a byte at the least speed.
    pub(super) fn waits(&self, bytes: usize) {
        let due = self.clock.now().monotonic.saturating_duration_since(self.began) + self.window + worth(bytes);
        self.due.store(u64::try_from(due.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// There is room for more.
    pub(super) fn moves(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// Runs `stream` to its end; `None` when the client has kept it waiting too long.
    pub(super) async fn held<F: Future>(&self, mut stream: Pin<&mut F>) -> Option<F::Output> {
        let mut alarm: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(|context: &mut Context<'_>| {
            loop {
                if let Poll::Ready(output) = stream.as_mut().poll(context) {
                    return Poll::Ready(Some(output));
                }
                let Some(due) = self.due() else { return Poll::Pending };
                if due <= self.clock.now().monotonic {
                    return Poll::Ready(None);
                }
                // A deadline that moved away needs no new alarm: the old one asks, and is told the new one.
                let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
                if alarm.is_elapsed() {
                    alarm.as_mut().reset(due.into());
                }
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn due(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::Relaxed);
        (due > 0).then(|| self.began + Duration::from_micros(due))
    }
}

/// The watch of the stream that began last: what makes a stream's answer and what runs it do not know each other, but are
/// called one right after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct NewestStream(Arc<Mutex<Option<Arc<StreamWatch>>>>);

impl NewestStream {
    pub(super) fn put(&self, stream: Arc<StreamWatch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    pub(super) fn take(&self) -> Option<Arc<StreamWatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
