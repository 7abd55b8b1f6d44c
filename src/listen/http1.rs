//! An HTTP/1 connection, which rests between requests: hyper and its buffers go, and come back with the next byte.
//!
//! hyper holds 20 KiB for a connection whether it speaks or not, and most connections are silent most of the time.

use std::error::Error;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;

type Fault = Box<dyn Error + Send + Sync>;

/// One HTTP/1 connection, to be polled until it ends. It begins at rest.
pub(super) struct Http1<IO, S: HttpService<Incoming>> {
    builder: http1::Builder,
    watch: Arc<Watch>,
    state: State<IO, S>,
}

enum State<IO, S: HttpService<Incoming>> {
    Resting(Resting<IO, S>),
    Awake(Box<http1::Connection<TokioIo<Rewound<IO>>, S>>),
    /// While one turns into the other.
    Turning,
}

impl<IO, S, B> Http1<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B, Error: Into<Fault>>,
    B: Body<Error: Into<Fault>> + 'static,
{
    pub(super) fn new(builder: http1::Builder, io: IO, service: S, watch: Arc<Watch>) -> Self {
        let stream = Rewound { unread: Bytes::new(), io, watch: Arc::clone(&watch) };
        Self { builder, watch, state: State::Resting(Resting { stream, service, closing: false }) }
    }

    /// Closes after the requests in flight; to be polled until then.
    pub(super) fn finish(self: Pin<&mut Self>) {
        match &mut self.get_mut().state {
            State::Resting(resting) => resting.closing = true,
            State::Awake(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            State::Turning => {}
        }
    }

    /// Gives up all that a silent connection can do without; only between two messages, as
    /// [`verdict`](super::deadline::verdict) has it, because bytes that hyper was to send would be lost.
    pub(super) fn rest(self: Pin<&mut Self>) {
        let this = self.get_mut();
        this.state = match mem::replace(&mut this.state, State::Turning) {
            State::Awake(connection) => {
                let parts = connection.into_parts();
                let mut stream = parts.io.into_inner();
                stream.put_back(&parts.read_buf);
                this.watch.rests();
                State::Resting(Resting { stream, service: parts.service, closing: false })
            }
            other => other,
        };
    }

    fn wake(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Turning) {
            State::Resting(Resting { stream, service, .. }) => {
                self.watch.wakes();
                State::Awake(Box::new(self.builder.serve_connection(TokioIo::new(stream), service)))
            }
            other => other,
        };
    }
}

impl<IO, S, B> Future for Http1<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B, Error: Into<Fault>>,
    B: Body<Error: Into<Fault>> + 'static,
{
    type Output = Result<(), Fault>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Resting(resting) => match ready!(resting.poll_end(context))? {
                    EndOfRest::Woken => this.wake(),
                    EndOfRest::Closed => return Poll::Ready(Ok(())),
                },
                State::Awake(connection) => return Pin::new(&mut **connection).poll(context).map_err(Into::into),
                State::Turning => return Poll::Ready(Ok(())),
            }
        }
    }
}

// The service is never pinned.
impl<IO, S: HttpService<Incoming>> Unpin for Http1<IO, S> {}

/// A connection without hyper.
struct Resting<IO, S> {
    stream: Rewound<IO>,
    service: S,
    closing: bool,
}

enum EndOfRest {
    /// The client said something.
    Woken,
    /// The client, or we, closed the connection.
    Closed,
}

impl<IO: AsyncRead + AsyncWrite + Unpin, S> Resting<IO, S> {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<EndOfRest>> {
        if !self.closing {
            match self.stream.poll_read_ahead(context)? {
                Poll::Ready(0) => self.closing = true,
                Poll::Ready(_) => return Poll::Ready(Ok(EndOfRest::Woken)),
                Poll::Pending => {
                    // What TLS has to say by itself, such as the answer to a key update (RFC 8446 §4.6.3).
                    let _ = Pin::new(&mut self.stream).poll_flush(context)?;
                    return Poll::Pending;
                }
            }
        }
        Pin::new(&mut self.stream).poll_shutdown(context).map_ok(|()| EndOfRest::Closed)
    }
}

/// A stream, some bytes of which were read before it came to hyper; it tells whether all that hyper wrote was flushed.
struct Rewound<IO> {
    unread: Bytes,
    io: IO,
    watch: Arc<Watch>,
}

impl<IO: AsyncRead + Unpin> Rewound<IO> {
    /// Reads so little that it needs no buffer while there is nothing; 0 is the end of the stream.
    fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            let mut bytes = [0; READ_AHEAD_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            self.unread = Bytes::copy_from_slice(buffer.filled());
        }
        Poll::Ready(Ok(self.unread.len()))
    }

    /// What hyper read of the next head and did not use; a copy, because its own buffer is as large as ever.
    fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.watch.read_ahead();
            self.unread = [bytes, &self.unread].concat().into();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.io).poll_read(context, buffer);
        }
        let bytes = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread.split_to(bytes));
        if this.unread.is_empty() {
            this.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch.flush_is_owed();
        Pin::new(&mut this.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.watch.flush_is_owed();
        Pin::new(&mut this.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(context))?;
        this.watch.flushed();
        Poll::Ready(Ok(()))
    }

    /// Once begun it is owed for good, so that a connection which closes cannot come to rest.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch.flush_is_owed();
        Pin::new(&mut this.io).poll_shutdown(context)
    }
}

/// A head fits most of the time; what does not is read by hyper.
const READ_AHEAD_BYTES: usize = 1024;

#[cfg(test)]
mod tests;
