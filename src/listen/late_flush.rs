//! An HTTP/2 connection whose frames leave together.

use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that writes to a [`LateFlush`]; what it has written in one poll is flushed at the end of it.
#[derive(Debug)]
pub(super) struct Flushed<C, IO> {
    /// Boxed, so that an HTTP/1 connection does not lie in memory as large as this one.
    connection: Pin<Box<C>>,
    io: LateFlush<IO>,
    finish: fn(Pin<&mut C>),
}

impl<C, IO> Flushed<C, IO> {
    /// `finish` makes `connection`, which writes to `io`, close after the requests in flight.
    pub(super) fn new(connection: C, io: LateFlush<IO>, finish: fn(Pin<&mut C>)) -> Self {
        Self { connection: Box::pin(connection), io, finish }
    }

    /// Closes after the requests in flight; to be polled until then.
    pub(super) fn finish(self: Pin<&mut Self>) {
        let this = self.get_mut();
        (this.finish)(this.connection.as_mut());
    }
}

impl<C, IO, E> Future for Flushed<C, IO>
where
    C: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
    IO: AsyncWrite + Unpin,
{
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(ended) = this.connection.as_mut().poll(context) {
            return Poll::Ready(ended.map_err(Into::into));
        }
        // While the socket takes nothing, it wakes the connection, which brings us here again.
        let _ = this.io.poll_flush_now(context)?;
        Poll::Pending
    }
}

/// A stream for two: a writer that flushes after every piece, and whoever knows when there are no more pieces.
///
/// An HTTP/2 connection flushes after every frame of data. Here that is put off until the connection has been polled,
/// which [`Flushed`] sees to.
#[derive(Debug)]
pub(super) struct LateFlush<IO>(Arc<Mutex<IO>>);

impl<IO> LateFlush<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self(Arc::new(Mutex::new(io)))
    }

    /// Held within one poll only, and both holders are polled by one task.
    fn io(&self) -> MutexGuard<'_, IO> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<IO: AsyncWrite + Unpin> LateFlush<IO> {
    /// Flushes what was written.
    fn poll_flush_now(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_flush(context)
    }
}

impl<IO> Clone for LateFlush<IO> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for LateFlush<IO> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for LateFlush<IO> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_flush_waits_for_the_end_of_a_poll() {
        let io = LateFlush::new(Flushes(0));
        let mut writer = io.clone();
        let mut frames = 0;
        let connection = std::future::poll_fn(move |context| {
            for _ in 0..3 {
                assert!(Pin::new(&mut writer).poll_write(context, b"frame").is_ready());
                assert!(Pin::new(&mut writer).poll_flush(context).is_ready());
            }
            frames += 3;
            if frames < 9 { Poll::Pending } else { Poll::Ready(io::Result::Ok(())) }
        });
        let mut flushed = Flushed::new(connection, io.clone(), |_| {});
        let context = &mut Context::from_waker(Waker::noop());
        for expected in [1, 2] {
            assert!(Pin::new(&mut flushed).poll(context).is_pending());
            assert_eq!(io.io().0, expected);
        }
        assert!(Pin::new(&mut flushed).poll(context).is_ready());
    }

    /// How often a writer was flushed.
    struct Flushes(usize);

    impl AsyncWrite for Flushes {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0 += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
