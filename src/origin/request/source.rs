//! What one connection brings of a body.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::claim::Claim;
use super::idle::Destination;
use super::incoming::Framing;
use super::pace::{Pace, Speed};
use super::retry::FailureKind;
use super::wire::Wire;
use crate::clock::Clock;

/// The connection that the bytes come over at the moment.
pub(super) struct Source {
    pub(super) place: Destination,
    pub(super) sender: Wire,
    pub(super) framing: Framing,
    /// What is held of the endpoint while the body lasts.
    pub(super) claim: Option<Claim>,
    /// The term in which its head came.
    pub(super) term: Option<u64>,
    /// What of it was read before its head was believed.
    pub(super) ahead: VecDeque<Bytes>,
    pub(super) incoming: Incoming,
    /// How long the connection may be idle after it.
    pub(super) idle_time: Duration,
    /// Bytes that were delivered before and come once more.
    pub(super) skip: u64,
    /// How long the head took, of a response that counts as a success once it is whole.
    pub(super) latency: Option<Duration>,
    /// How long nothing has come.
    pub(super) silence: Duration,
}

/// What came of waiting for bytes.
pub(super) enum Read {
    /// Bytes that were not delivered before.
    Bytes(Bytes),
    /// The end of what the connection brings.
    End,
    /// They come too slowly, and may go on to.
    TooSlow,
}

impl Source {
    /// Waits for the next bytes: for `idle` at most, and as long as the `pace` allows where there is one.
    pub(super) async fn read(
        &mut self,
        idle: Duration,
        mut pace: Option<&mut Pace>,
        clock: &Clock,
    ) -> Result<Read, FailureKind> {
        loop {
            if let Some(data) = self.ahead.pop_front() {
                match self.new_part(data) {
                    Some(data) => return Ok(Read::Bytes(data)),
                    None => continue,
                }
            }
            let (frame, waited) = match poll_fn(|context| Poll::Ready(self.poll_frame(context))).await {
                // What is there costs no look at the clock.
                Poll::Ready(frame) => (Ok(frame), Duration::ZERO),
                Poll::Pending => {
                    let patience = idle.saturating_sub(self.silence);
                    let patience = pace.as_ref().map_or(patience, |pace| patience.min(pace.patience()));
                    let began = clock.monotonic();
                    let frame = timeout(patience, self.incoming.frame()).await;
                    (frame, clock.monotonic().saturating_duration_since(began))
                }
            };
            let bytes = match frame {
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    let bytes = data.len() as u64;
                    self.ahead.push_back(data);
                    self.silence = Duration::ZERO;
                    bytes
                }
                Ok(Some(Err(_))) => return Err(FailureKind::BodyBroken),
                Ok(None) => return Ok(Read::End),
                Err(_) => {
                    self.silence += waited;
                    0
                }
            };
            if self.silence >= idle {
                return Err(FailureKind::BodyStalled);
            }
            if pace.as_mut().is_some_and(|pace| pace.take(bytes, waited) == Speed::TooSlow) {
                return Ok(Read::TooSlow);
            }
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.incoming).poll_frame(context)
    }

    /// What of `data` was not delivered before.
    fn new_part(&mut self, mut data: Bytes) -> Option<Bytes> {
        let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(data.len());
        self.skip -= known as u64;
        data.advance(known);
        (!data.is_empty()).then_some(data)
    }
}
