//! A request body that tells when it last moved, so that an origin is not blamed for a slow client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};

use super::connect::RequestBody;

/// Counts the frames taken from a request body; clones of the counter see the same number.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Frames taken so far.
    pub fn frames(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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
        if polled.is_ready() {
            self.progress.0.fetch_add(1, Ordering::Relaxed);
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
