//! The write side of TLS: records are gathered, and leave together.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::burst::Burst;
use super::connections::{Connections, Pinned};
use super::room::Room;

/// A TLS stream that gives the socket many records at once, where the library would give it those of each write.
#[derive(Debug)]
pub(super) struct Corked<IO> {
    /// Boxed, because it is large and is handed on several times.
    tls: Box<TlsStream<IO>>,
    burst: Burst,
    pinned: Pinned,
}

impl<IO> Corked<IO> {
    /// What is written to `tls`, one of `connections`, from here on leaves when it is flushed, or when it is much.
    pub(super) fn new(mut tls: Box<TlsStream<IO>>, connections: Arc<Connections>) -> Self {
        // The burst is the limit; one that the library keeps would be a second.
        tls.get_mut().1.set_buffer_limit(None);
        Self { tls, burst: Burst::new(), pinned: Pinned::new(connections) }
    }
}

impl<IO: AsyncRead + AsyncWrite + Room + Unpin> Corked<IO> {
    /// Ready when something may be sealed: what was sealed before has been taken, and there is room for more.
    fn poll_uncorked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.burst.room() == 0 {
            ready!(self.poll_sent(context))?;
        }
        let is_tight = self.pinned.is_tight();
        if self.burst.asks(is_tight) && (is_tight || !self.tls.get_ref().0.is_quick()) {
            let room = self.tls.get_mut().0.poll_room(context);
            if room.is_pending() {
                self.burst.blocked();
            }
            return room;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the socket all that is sealed.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = Pin::new(&mut *self.tls).poll_flush(context);
        match sent {
            Poll::Ready(Ok(())) => {
                self.pinned.set(0);
                self.burst.taken(self.pinned.is_tight());
            }
            Poll::Pending => self.pinned.set(self.burst.blocked()),
            Poll::Ready(Err(_)) => {}
        }
        sent
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<IO> {
    /// One record, where the library would go on to ask the socket whether it has another.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut tls = Pin::new(&mut *self.get_mut().tls);
        let record = ready!(tls.as_mut().poll_fill_buf(context))?;
        let bytes = record.len().min(buffer.remaining());
        buffer.put_slice(&record[..bytes]);
        tls.consume(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Room + Unpin> AsyncWrite for Corked<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_uncorked(context))?;
        let bytes = write_some(&mut this.tls.get_mut().1.writer(), slices, this.burst.room())?;
        this.burst.seal(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sent(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().tls).poll_shutdown(context)
    }
}

/// Writes at most `room` bytes: as many whole slices as there is room for, or a part of the first.
fn write_some(writer: &mut impl Write, slices: &[IoSlice<'_>], room: usize) -> io::Result<usize> {
    let mut total = 0;
    let fitting = slices.iter().take_while(|slice| {
        total += slice.len();
        total <= room
    });
    match (fitting.count(), slices.first()) {
        (0, Some(first)) => writer.write(&first[..room.min(first.len())]),
        (fitting, _) => writer.write_vectored(&slices[..fitting]),
    }
}

#[cfg(test)]
mod tests;
