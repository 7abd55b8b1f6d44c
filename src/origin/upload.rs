//! A request body that tells when it last moved, so that an origin is not blamed for a slow client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};

use super::connect::RequestBody;

/// Counts the frames taken from a request body; clones of the counter see the same number.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    broke_off: AtomicBool,
}

impl Progress {
    /// Frames taken so far.
    pub fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }

    /// Whether the body ended in an error of its own.
    pub fn broke_off(&self) -> bool {
        self.0.broke_off.load(Ordering::Relaxed)
    }
}

/// The body to send: `body`, counted by `progress`, or none.
pub fn counted(body: Option<RequestBody>, progress: Progress) -> RequestBody {
    match body {
        Some(body) => Counted { body, progress }.boxed_unsync(),
        None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
    }
}

struct Counted {
    body: RequestBody,
    progress: Progress,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = <RequestBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            self.progress.0.frames.fetch_add(1, Ordering::Relaxed);
            self.progress.0.broke_off.fetch_or(matches!(frame, Some(Err(_))), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
