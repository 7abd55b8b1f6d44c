//! A request body that tells when it last moved and who is waited for, so that an origin is not blamed for a slow client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};

use super::connect::RequestBody;
use crate::clock::Clock;

/// Watches how a request body is taken, if there is one; clones see the same.
#[derive(Clone, Debug)]
pub struct Progress {
    began: Instant,
    watched: Option<Arc<Watched>>,
}

#[derive(Debug)]
struct Watched {
    clock: Clock,
    frames: AtomicU64,
    /// When the last of them was taken, in microseconds since it began.
    moved: AtomicU64,
    awaits_client: AtomicBool,
    broke_off: AtomicBool,
}

impl Progress {
    /// Of a request that begins at `began`.
    pub fn new(has_body: bool, clock: &Clock, began: Instant) -> Self {
        let watched = has_body.then(|| {
            let (frames, moved) = (AtomicU64::new(0), AtomicU64::new(0));
            let (awaits_client, broke_off) = (AtomicBool::new(false), AtomicBool::new(false));
            Arc::new(Watched { clock: clock.clone(), frames, moved, awaits_client, broke_off })
        });
        Self { began, watched }
    }

    /// Frames taken so far.
    pub fn frames(&self) -> u64 {
        self.watched.as_ref().map_or(0, |watched| watched.frames.load(Ordering::Relaxed))
    }

    /// When the last frame was taken, or the request began: since then the origin has been waited for, if not the client.
    pub fn moved_at(&self) -> Instant {
        let moved = self.watched.as_ref().map_or(0, |watched| watched.moved.load(Ordering::Relaxed));
        self.began + Duration::from_micros(moved)
    }

    /// Whether the next frame was asked for and has not come yet.
    pub fn awaits_client(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.awaits_client.load(Ordering::Relaxed))
    }

    /// Whether the body ended in an error of its own.
    pub fn broke_off(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.broke_off.load(Ordering::Relaxed))
    }

    fn note(&self, polled: &Poll<Option<Result<Frame<Bytes>, <RequestBody as Body>::Error>>>) {
        let Some(watched) = &self.watched else { return };
        watched.awaits_client.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(frame) = polled {
            let moved = watched.clock.monotonic().saturating_duration_since(self.began);
            watched.moved.store(u64::try_from(moved.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            watched.frames.fetch_add(1, Ordering::Relaxed);
            watched.broke_off.fetch_or(matches!(frame, Some(Err(_))), Ordering::Relaxed);
        }
    }
}

/// The body to send: `body`, watched by `progress`, or none.
pub fn watched(body: Option<RequestBody>, progress: Progress) -> RequestBody {
    match body {
        Some(body) => WatchedBody { body, progress }.boxed_unsync(),
        None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
    }
}

struct WatchedBody {
    body: RequestBody,
    progress: Progress,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = <RequestBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.progress.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
