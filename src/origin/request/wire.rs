//! A connection to an origin, and whether more came over it than a response announced.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connect::{RequestBody, Stream};
use super::incoming::Framing;
use super::meter::Meter;

/// Sends requests over one connection, one after another. The connection ends with it.
#[derive(Debug)]
pub struct Wire {
    sender: SendRequest<RequestBody>,
    count: Arc<Mutex<Count>>,
}

impl Wire {
    /// Speaks HTTP/1.1 over `stream`, as `builder` says, in a task of its own.
    pub(super) async fn open(
        builder: &Builder,
        stream: impl Stream + 'static,
        tasks: &TaskTracker,
    ) -> hyper::Result<Self> {
        let count = Arc::new(Mutex::new(Count::default()));
        let counted = Counted { stream, count: Arc::clone(&count), last_look: LastLook::ToCome };
        let (sender, connection) = builder.handshake(TokioIo::new(counted)).await?;
        // The sender hears of every error of the connection; here it would be reported twice.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self { sender, count })
    }

    /// Whether another request can be sent at once.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until another request can be sent.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn ready(&mut self) -> hyper::Result<()> {
        self.sender.ready().await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There was no response; the request comes back if nothing of it was sent.
    pub fn try_send_request(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        lock(&self.count).begin();
        self.sender.try_send_request(request)
    }

    /// Whether no further request can be sent.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether more has come after the latest response, whose end is known by `framing`, than belongs to it. What is still
    /// to be read of it does not count yet.
    pub(super) fn has_surplus(&self, framing: Framing) -> bool {
        exceeds(&lock(&self.count).meter, framing)
    }

    /// Whether more interim responses have come before the latest one than any exchange needs; nothing is read after that.
    pub(super) fn has_too_many_interims(&self) -> bool {
        lock(&self.count).meter.interims() > INTERIM_MAX
    }

    /// To hear of more that comes later.
    pub(super) fn aftermath(&self, framing: Framing) -> Aftermath {
        Aftermath { count: Arc::clone(&self.count), framing, number: lock(&self.count).meter.number() }
    }

    /// The same once the response has been read to its end, when the library has looked whether more has arrived: before it
    /// is ready for another request, or closes.
    pub(super) async fn ends_with_surplus(&mut self, framing: Framing) -> bool {
        let _is_closing_or_sends_its_request = timeout(LOOK_MAX, self.sender.ready()).await;
        self.has_surplus(framing)
    }
}

/// What comes over a connection behind a response that was read to its end.
#[derive(Debug)]
pub(super) struct Aftermath {
    count: Arc<Mutex<Count>>,
    framing: Framing,
    number: u64,
}

impl Aftermath {
    /// Calls `tell` once more has come than belongs to the response: never, if that is not before the connection ends or
    /// carries another request.
    pub(super) fn once_surplus_comes(self, tell: impl FnOnce() + Send + 'static) {
        let mut count = lock(&self.count);
        if count.meter.number() != self.number {
            return;
        }
        if exceeds(&count.meter, self.framing) {
            drop(count);
            tell();
        } else {
            count.behind = Some((self.framing, Box::new(tell)));
        }
    }
}

/// What came over a connection, and who is to hear of it.
#[derive(Default)]
struct Count {
    meter: Meter,
    behind: Option<(Framing, Box<dyn FnOnce() + Send>)>,
}

impl Count {
    fn begin(&mut self) {
        self.meter.begin();
        self.behind = None;
    }

    /// Takes the next bytes, and gives whom to tell of them.
    fn take(&mut self, bytes: &[u8]) -> Option<Box<dyn FnOnce() + Send>> {
        self.meter.take(bytes);
        let (_, tell) = self.behind.take_if(|(framing, _)| exceeds(&self.meter, *framing))?;
        Some(tell)
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Count").field("meter", &self.meter).finish_non_exhaustive()
    }
}

fn exceeds(meter: &Meter, framing: Framing) -> bool {
    match framing {
        Framing::Bodiless => meter.content() > 0,
        Framing::Length(length) => meter.content() > length,
        // A body in chunks ends by itself, and another one with the connection.
        Framing::Chunked | Framing::Close => false,
    }
}

/// Counts what is read from a stream.
struct Counted<S> {
    stream: S,
    count: Arc<Mutex<Count>>,
    last_look: LastLook,
}

/// Whether more than was announced comes before a connection ends. The library does not look.
enum LastLook {
    ToCome,
    Waiting(Pin<Box<Sleep>>),
    Done,
}

impl<S: Stream> Counted<S> {
    /// Waits for the first thing to come: the end, or more than was announced.
    fn poll_last_look(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; LOOK_BYTES];
        if matches!(self.last_look, LastLook::Done)
            || Pin::new(&mut *self).poll_read(context, &mut ReadBuf::new(&mut bytes)).is_ready()
        {
            return Poll::Ready(());
        }
        if matches!(self.last_look, LastLook::ToCome) {
            self.last_look = LastLook::Waiting(Box::pin(sleep(LAST_LOOK_MAX)));
        }
        match &mut self.last_look {
            LastLook::Waiting(time) => time.as_mut().poll(context),
            LastLook::ToCome | LastLook::Done => Poll::Ready(()),
        }
    }
}

impl<S: Stream> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let mut count = lock(&self.count);
        let surplus = count.take(buffer.filled().get(before..).unwrap_or_default());
        let is_flooded = count.meter.interims() > INTERIM_MAX;
        drop(count);
        if let Some(tell) = surplus {
            tell();
        }
        Poll::Ready(if is_flooded { Err(io::Error::other("too many interim responses")) } else { Ok(()) })
    }
}

impl<S: Stream> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_last_look(context));
        self.last_look = LastLook::Done;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A count is whole between any two of its operations.
fn lock(count: &Mutex<Count>) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Interim responses before a final one: more than any exchange needs, and an end to a flood of them before the deadline.
pub(super) const INTERIM_MAX: u32 = 8;

/// How long the end of a connection is waited for that its origin has announced: it follows the last byte at once.
const LAST_LOOK_MAX: Duration = Duration::from_millis(10);

/// How long a response may wait for that look; a request that is still being sent, for one, keeps the connection busy.
const LOOK_MAX: Duration = Duration::from_millis(20);

/// One byte would do; a TLS stream or a kernel has more ready.
const LOOK_BYTES: usize = 256;
