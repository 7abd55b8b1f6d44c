//! The wrappers that tell a [`Watch`] what happens: around the socket, a request's body, a response's body.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::{Connections, Grant};
use super::protocol::Protocol;
use super::room::Room;
use super::stream::{NewestStream, StreamWatch};
use super::unsent::{PRESS_BYTES, Taken, UNSENT_MIN_BYTES, Unsent};
pub use super::watch::Watch;

/// A socket whose bytes are counted; goes underneath TLS, where what leaves is what the client took.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    watch: Option<Arc<Watch>>,
    blocked: bool,
    kernel: Option<Kernel<IO>>,
}

impl Watched<TcpStream> {
    /// One of `connections`, of which the kernel may take more at once while its client is quick.
    pub(super) fn tcp(stream: TcpStream, connections: Arc<Connections>) -> Self {
        let kernel = Kernel {
            unsent: Unsent::new(),
            grant: Grant::new(connections),
            socket: |stream| SockRef::from(stream),
            room: TcpStream::poll_room,
        };
        let mut watched = Self::new(stream);
        watched.kernel = Some(kernel);
        watched
    }
}

impl<IO> Watched<IO> {
    /// A socket nobody watches yet, as during a TLS handshake, which has a deadline of its own.
    pub fn new(io: IO) -> Self {
        Self { io, watch: None, blocked: false, kernel: None }
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

    /// The socket was given a list that begins with `first`.
    fn wrote(&mut self, first: &[u8], outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(watch) = &self.watch else { return outcome };
        // Over HTTP/2 streams have deadlines of their own, for which much in the kernel is silence.
        let kernel = self.kernel.as_mut().filter(|_| watch.protocol() == Protocol::Http1);
        let outcome = match (outcome, kernel) {
            (Poll::Pending, Some(kernel)) => kernel.refused(&self.io, watch, first),
            (Poll::Ready(Ok(bytes)), kernel) => {
                watch.wrote(bytes);
                if let Some(kernel) = kernel {
                    kernel.took(&self.io, watch);
                }
                Poll::Ready(Ok(bytes))
            }
            (outcome, _) => outcome,
        };
        self.set_blocked(outcome.is_pending());
        outcome
    }

    /// The client has sent nothing.
    fn heard_nothing(&mut self, context: &mut Context<'_>) {
        let kernel = self.kernel.as_mut().filter(|kernel| !kernel.grant.is_empty());
        if let (Some(watch), Some(kernel)) = (&self.watch, kernel)
            && watch.is_at_rest()
        {
            let _given_back = kernel.poll_rest(&mut self.io, context);
        }
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
        let mut room = self.io.poll_room(context);
        if let (Poll::Pending, Some(watch), Some(kernel)) = (&room, &self.watch, &mut self.kernel) {
            // Whoever is to be pressed has to be given something.
            if kernel.unsent.is_due(watch.moment()) {
                room = Poll::Ready(Ok(()));
            }
        }
        self.set_blocked(room.is_pending());
        room
    }

    fn is_quick(&self) -> bool {
        self.kernel.as_ref().is_some_and(|kernel| kernel.unsent.is_much())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        if read.is_pending() {
            this.heard_nothing(context);
        }
        ready!(read)?;
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
        this.wrote(bytes, outcome)
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
        this.wrote(slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |first| first), outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Once it is closed, nobody counts what the kernel goes on to send.
        if let Some(kernel) = &mut this.kernel {
            ready!(kernel.poll_rest(&mut this.io, context));
        }
        Pin::new(&mut this.io).poll_shutdown(context)
    }
}

impl<IO> Drop for Watched<IO> {
    /// The kernel would go on for minutes to offer what it has to a client that takes nothing, though the rest never comes.
    fn drop(&mut self) {
        if let (Some(watch), Some(kernel)) = (&self.watch, &self.kernel)
            && watch.has_stalled()
        {
            // One that cannot be reset is closed.
            let _ = (kernel.socket)(&self.io).set_linger(Some(Duration::ZERO));
        }
    }
}

/// What the kernel may take for one client.
#[derive(Debug)]
struct Kernel<IO> {
    unsent: Unsent,
    grant: Grant,
    socket: fn(&IO) -> SockRef<'_>,
    room: fn(&mut IO, &mut Context<'_>) -> Poll<io::Result<()>>,
}

impl<IO> Kernel<IO> {
    /// The socket took bytes by itself.
    fn took(&mut self, io: &IO, watch: &Watch) {
        match self.unsent.taken(watch.moment()) {
            Taken::Quick => {
                let granted = self.grant.grow();
                if granted > self.unsent.granted() {
                    let limit = self.unsent.grant(granted);
                    self.limit(io, limit);
                }
            }
            Taken::Same => {}
            Taken::Slow(limit) => self.limit(io, limit),
        }
        self.grant.keep(self.unsent.granted());
    }

    /// The socket took nothing of `bytes`. If that has lasted, it is asked again at once, whether or not it has said that it
    /// would take some.
    fn refused(&mut self, io: &IO, watch: &Watch, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(limit) = self.unsent.refused(watch.moment()) else { return Poll::Pending };
        self.limit(io, limit);
        // What fails otherwise fails again when the socket wakes the connection for it.
        let pressed = (self.socket)(io).send(&bytes[..PRESS_BYTES.min(bytes.len())]);
        let Ok(taken @ 1..) = pressed else { return Poll::Pending };
        let (limit, moved) = self.unsent.gave_way(taken);
        self.limit(io, limit);
        self.grant.keep(self.unsent.granted());
        watch.wrote(moved);
        Poll::Ready(Ok(taken))
    }

    /// There is nothing to send; ready once the kernel has no more left than of any client, and what was granted is given
    /// back.
    fn poll_rest(&mut self, io: &mut IO, context: &mut Context<'_>) -> Poll<()> {
        if self.grant.is_empty() {
            return Poll::Ready(());
        }
        if self.unsent.is_much() {
            self.unsent = Unsent::new();
            self.limit(io, UNSENT_MIN_BYTES);
        }
        // What has failed has nothing left.
        let _room = ready!((self.room)(io, context));
        self.grant.keep(0);
        Poll::Ready(())
    }

    /// A limit that cannot be set stays as it was, which only costs time.
    fn limit(&self, io: &IO, bytes: usize) {
        let _ = (self.socket)(io).set_tcp_notsent_lowat(u32::try_from(bytes).unwrap_or(u32::MAX));
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

#[cfg(test)]
mod tests;
