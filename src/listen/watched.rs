//! The wrappers that tell a [`Watch`] what happens: around the socket, a request's body, a response's body.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protocol::Protocol;
use super::room::Room;
use super::stream::{NewestStream, StreamWatch};
pub use super::watch::Watch;

/// A socket whose bytes are counted; goes underneath TLS, where what leaves is what the client took.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    watch: Option<Arc<Watch>>,
    blocked: bool,
}

impl<IO> Watched<IO> {
    /// A socket nobody watches yet, as during a TLS handshake, which has a deadline of its own.
    pub fn new(io: IO) -> Self {
        Self { io, watch: None, blocked: false }
    }

    /// From here on `watch` is told.
    pub fn watch(&mut self, watch: Arc<Watch>) {
        self.watch = Some(watch);
        self.blocked = false;
    }

    /// The socket itself.
    pub(super) fn get_ref(&self) -> &IO {
        &self.io
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(watch), Poll::Ready(Ok(bytes))) = (&self.watch, &outcome) {
            watch.wrote(*bytes);
        }
        self.set_blocked(outcome.is_pending());
        outcome
    }

    fn set_blocked(&mut self, blocked: bool) {
        if let Some(watch) = self.watch.as_ref().filter(|_| blocked != self.blocked) {
            self.blocked = blocked;
            if blocked { watch.response_waits() } else { watch.response_moves() }
        }
    }
}

impl<IO: Room> Room for Watched<IO> {
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = self.io.poll_room(context);
        self.set_blocked(room.is_pending());
        room
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        if let Some(watch) = this.watch.as_ref().filter(|_| bytes > 0) {
            watch.read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(context, bytes);
        this.wrote(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = match slices {
            // The kernel takes one slice for less than a list of one.
            [bytes] => Pin::new(&mut this.io).poll_write(context, bytes),
            _ => Pin::new(&mut this.io).poll_write_vectored(context, slices),
        };
        this.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

/// A request in flight, from its head until its response's body is used up or dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    watch: Arc<Watch>,
    /// Over HTTP/2.
    stream: Option<Arc<StreamWatch>>,
}

impl InFlight {
    /// `newest` is told of its stream.
    pub(super) fn begin(watch: &Arc<Watch>, newest: &NewestStream) -> Self {
        watch.request_begins();
        let stream = (watch.protocol() == Protocol::Http2).then(|| Arc::new(watch.stream()));
        if let Some(stream) = &stream {
            newest.put(Arc::clone(stream));
        }
        Self { watch: Arc::clone(watch), stream }
    }

    /// The watch of the connection the request came by.
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.watch.request_ends();
    }
}

/// A request's body; tells when a handler waits for it, and when all of it was read.
#[derive(Debug)]
pub(super) struct WatchedRequest<B> {
    body: B,
    watch: Arc<Watch>,
    waiting: bool,
    ended: bool,
}

impl<B> WatchedRequest<B> {
    pub(super) fn new(body: B, watch: Arc<Watch>) -> Self {
        watch.request_body_begins();
        Self { body, watch, waiting: false, ended: false }
    }

    fn set_waiting(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            if waiting { self.watch.request_waits() } else { self.watch.request_moves() }
        }
    }
}

impl<B: Body + Unpin> Body for WatchedRequest<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        this.set_waiting(frame.is_pending());
        // One with a length may be asked for no more once all of it has come.
        let ends = matches!(frame, Poll::Ready(None)) || this.body.is_end_stream();
        if ends && !mem::replace(&mut this.ended, true) {
            this.watch.request_body_ends();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for WatchedRequest<B> {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

/// A response's body; over HTTP/2 it tells when data in hand waits for the client's window.
///
/// Over HTTP/1 a response that waits for the client is a blocked write, which the socket's wrapper sees.
#[derive(Debug)]
pub(super) struct WatchedResponse<B> {
    /// `None` is an empty body.
    body: Option<B>,
    in_flight: InFlight,
    waiting: bool,
}

impl<B> WatchedResponse<B> {
    pub(super) fn new(body: Option<B>, in_flight: InFlight) -> Self {
        Self { body, in_flight, waiting: false }
    }

    fn set_waiting(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            if waiting { self.in_flight.watch.response_waits() } else { self.in_flight.watch.response_moves() }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedResponse<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        // To be asked for more means that what was given before has found room.
        this.set_waiting(false);
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if let Some(stream) = &this.in_flight.stream {
            let given = match &frame {
                Poll::Ready(Some(Ok(frame))) => Some(frame.data_ref().map_or(0, Bytes::len)),
                Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
            };
            given.map_or_else(|| stream.moves(), |bytes| stream.waits(bytes));
            this.set_waiting(given.is_some());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B> Drop for WatchedResponse<B> {
    fn drop(&mut self) {
        if let Some(stream) = &self.in_flight.stream {
            stream.moves();
        }
        self.set_waiting(false);
    }
}
