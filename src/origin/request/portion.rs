//! How much is read at once of what an origin sends: the more connections there are, the less of each.
//!
//! The HTTP library doubles its read buffer whenever a read fills it, up to the longest head, and keeps it as long as the
//! connection. A few large ones are cheap to read with; of a thousand, each with a body on its way, nobody would know.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts open connections to origins. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Portions {
    open: Arc<AtomicUsize>,
}

impl Portions {
    /// One more connection, until it is dropped.
    pub(super) fn of<S>(&self, stream: S) -> Portioned<S> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Portioned { stream, portions: self.clone() }
    }
}

/// Bytes that each of `open` connections may read at once.
fn portion(open: usize) -> usize {
    match BUFFERS_BYTES / open.max(1) {
        share if share >= PORTION_MAX_BYTES => PORTION_MAX_BYTES,
        // One byte less than a doubling does not fill a buffer, which then stays as large as that.
        share => (1 << share.max(PORTION_MIN_BYTES).ilog2()) - 1,
    }
}

/// A stream that is read in portions.
#[derive(Debug)]
pub(super) struct Portioned<S> {
    stream: S,
    portions: Portions,
}

impl<S> Drop for Portioned<S> {
    fn drop(&mut self) {
        self.portions.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Portioned<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let portion = portion(this.portions.open.load(Ordering::Relaxed));
        if buffer.remaining() <= portion || portion == PORTION_MAX_BYTES {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(portion));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        let bytes = part.filled().len();
        buffer.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Portioned<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Of all read buffers together, as long as that leaves each the least: a fifth of what may be uncounted beside the smallest
/// bounds.
const BUFFERS_BYTES: usize = 16 << 20;

/// As much as a read buffer may grow to: a chunk of what is stored and the head before it, since a chunk that comes in two
/// pieces is copied once more. What is read for a client that is slow waits in such buffers.
pub(super) const PORTION_MAX_BYTES: usize = 80 << 10;

/// A body of 64 KiB in pieces of this size costs half as much again as in one.
const PORTION_MIN_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn the_more_connections_the_less_of_each() {
        for (open, kibibytes) in
            [(0, 80), (204, 80), (205, 64), (256, 64), (257, 32), (512, 32), (513, 16), (100_000, 16)]
        {
            assert_eq!(portion(open).next_multiple_of(1 << 10), kibibytes << 10, "{open} connections");
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_between_portions_and_those_that_left_do_not_count() {
        let portions = Portions::default();
        let (mut ours, theirs) = duplex(1 << 20);
        let mut stream = portions.of(theirs);
        let others: Vec<_> = (0..1000).map(|_| portions.of(())).collect();
        let sent: Vec<_> = (0_u32..).map(|number| number as u8).take(200_000).collect();
        ours.write_all(&sent).await.expect("there is room");
        drop(ours);
        let mut received = Vec::with_capacity(1 << 20);
        stream.read_buf(&mut received).await.expect("it is open");
        assert_eq!(received.len(), PORTION_MIN_BYTES - 1);
        drop(others);
        stream.read_buf(&mut received).await.expect("it is open");
        assert!(received.len() >= PORTION_MIN_BYTES - 1 + PORTION_MAX_BYTES);
        while stream.read_buf(&mut received).await.expect("it is open") > 0 {}
        assert_eq!(received, sent);
    }
}
