//! The body of every response to a client.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::laggard::Laggard;
use super::outcome::Outcome;
use super::parts::Parts;
use crate::cache::content::StoredContent;
use crate::cache::fill::{BodyBroken, FillReader};
use crate::origin::request::fetch::FetchError;

/// Yields the response's bytes and, when it ends or is dropped, closes the request's record.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    /// Bytes still to come, when the length is known.
    remaining: Option<u64>,
    outcome: Option<Box<Outcome>>,
}

/// Where the bytes come from.
#[derive(Debug, Default)]
pub enum Source {
    /// Nowhere.
    #[default]
    Empty,
    /// A body that is still arriving; of one that may turn out not to be kept, with what helps whoever falls behind.
    Fill(FillReader<FetchError>, Option<Box<Laggard>>),
    /// An origin, through the task that reads it.
    Origin(mpsc::Receiver<Result<Bytes, BodyError>>),
    /// Several parts of a body.
    Parts(Box<Parts>),
    /// A complete body, from this offset on.
    Stored(StoredContent, u64),
    /// One piece.
    Whole(Bytes),
}

/// The response cannot be completed; the connection or stream is reset, never ended as if it were whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response broke off")]
pub struct BodyError;

impl ResponseBody {
    /// A body of `length` bytes out of `source`, or of unknown length.
    pub fn new(source: Source, length: Option<u64>) -> Self {
        Self { source, remaining: length, outcome: None }
    }

    /// No body.
    pub fn empty() -> Self {
        Self::new(Source::Empty, Some(0))
    }

    /// One piece.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::new(Source::Whole(bytes), Some(length))
    }

    /// Bytes still to come, when that is known.
    pub fn length(&self) -> Option<u64> {
        self.remaining
    }

    /// Hands over the record that this body's end closes.
    pub fn closes(&mut self, outcome: Box<Outcome>) {
        self.outcome = Some(outcome);
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Fill(reader, laggard) => match ready!(reader.poll_read(context)) {
                Some(Err(BodyBroken::Behind { offset })) => match laggard.take() {
                    Some(laggard) => {
                        self.source = laggard.left_at(offset);
                        self.poll_source(context)
                    }
                    None => Poll::Ready(Some(Err(BodyError))),
                },
                read => Poll::Ready(read.map(|read| read.map_err(|_| BodyError))),
            },
            Source::Origin(receiver) => receiver.poll_recv(context),
            Source::Parts(parts) => parts.poll_read(context),
            Source::Stored(..) => Poll::Ready(self.read_stored().map(Ok)),
            Source::Whole(bytes) => {
                let bytes = mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
        }
    }

    /// The next bytes of a stored body, unless it has ended.
    fn read_stored(&mut self) -> Option<Bytes> {
        let Source::Stored(body, offset) = mem::take(&mut self.source) else { return None };
        let bytes = body.into_rest(offset).unwrap_or_else(|body| {
            let bytes = body.read(offset);
            self.source = Source::Stored(body, offset + bytes.len() as u64);
            bytes
        });
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.remaining == Some(0) {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_source(context));
        Poll::Ready(match (next, self.remaining) {
            (Some(Ok(mut bytes)), remaining) => {
                if let Some(remaining) = remaining {
                    bytes.truncate(usize::try_from(remaining).unwrap_or(usize::MAX));
                    self.remaining = Some(remaining - bytes.len() as u64);
                }
                if let Some(outcome) = &mut self.outcome {
                    outcome.sent(bytes.len() as u64);
                }
                Some(Ok(Frame::data(bytes)))
            }
            // An end before the promised length is not an end.
            (Some(Err(_)) | None, Some(_)) | (Some(Err(_)), None) => {
                self.source = Source::Empty;
                if let Some(outcome) = &mut self.outcome {
                    outcome.broke_off();
                }
                Some(Err(BodyError))
            }
            (None, None) => {
                self.remaining = Some(0);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(mut outcome) = self.outcome.take() {
            outcome.close(self.remaining == Some(0));
        }
    }
}
