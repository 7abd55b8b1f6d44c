//! What a connection's socket, its bodies and its driver know of each other.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::deadline::{Activity, Patience};
use super::protocol::Protocol;
use super::stream::StreamWatch;
use crate::clock::Clock;
use crate::config::model::Listen;

/// Notes what happens on one connection, for [`super::deadline::verdict`].
///
/// In production all of it happens on one thread; atomics only keep the futures `Send`, so relaxed order is enough.
/// Times are microseconds since the connection began.
#[derive(Debug)]
pub struct Watch {
    protocol: Protocol,
    started: Instant,
    clock: Clock,
    latest: AtomicU64,
    requests: AtomicU32,
    in_flight: AtomicU32,
    idle_since: AtomicU64,
    /// Zero while there is none.
    first_byte: AtomicU64,
    unread_bodies: AtomicU32,
    flush_owed: AtomicBool,
    awake: AtomicBool,
    /// For the client to take a response: blocked writes and HTTP/2 bodies with data in hand.
    responses: Waits,
    /// For the client to send the body of a request.
    request_bodies: Waits,
}

impl Watch {
    /// A connection on which HTTP begins at this moment.
    pub fn new(protocol: Protocol, limits: &Listen, clock: Clock) -> Self {
        Self {
            protocol,
            started: clock.now().monotonic,
            clock,
            latest: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            first_byte: AtomicU64::new(0),
            unread_bodies: AtomicU32::new(0),
            flush_owed: AtomicBool::new(false),
            awake: AtomicBool::new(false),
            responses: Waits::new(limits.write_timeout),
            request_bodies: Waits::new(limits.head_timeout),
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// That of one of its streams.
    pub(super) fn stream(&self) -> StreamWatch {
        StreamWatch::new(self.clock.clone(), self.responses.window)
    }

    /// Reads the clock, for all that happens in one poll of the connection.
    pub(super) fn look(&self) -> Instant {
        let now = self.clock.monotonic();
        self.latest.store(micros(now.saturating_duration_since(self.started)), Ordering::Relaxed);
        now
    }

    /// The present, as far as the poll of an HTTP/1 connection has read the clock at its beginning.
    pub(super) fn present(&self) -> Instant {
        self.instant(self.now())
    }

    /// The last look, from the start of the connection.
    pub(super) fn moment(&self) -> Duration {
        Duration::from_micros(self.latest.load(Ordering::Relaxed))
    }

    pub(super) fn activity(&self, finishing: Option<Instant>) -> Activity {
        let first_byte = self.first_byte.load(Ordering::Relaxed);
        Activity {
            protocol: self.protocol,
            started: self.started,
            requests: self.requests.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            idle_since: self.instant(self.idle_since.load(Ordering::Relaxed)),
            first_byte: (first_byte > 0).then(|| self.instant(first_byte)),
            response_patience: self.responses.patience().map(|end| self.started + end),
            request_patience: self.request_bodies.patience().map(|end| self.started + end),
            unread_bodies: self.unread_bodies.load(Ordering::Relaxed),
            flush_owed: self.flush_owed.load(Ordering::Relaxed),
            awake: self.awake.load(Ordering::Relaxed),
            finishing,
        }
    }

    /// The socket gave `bytes`; only called within a poll of the connection.
    pub(super) fn read(&self, bytes: usize) {
        let now = self.latest.load(Ordering::Relaxed);
        if self.in_flight.load(Ordering::Relaxed) == 0 && self.first_byte.load(Ordering::Relaxed) == 0 {
            self.first_byte.store(now.max(1), Ordering::Relaxed);
        }
        self.request_bodies.pay(now, bytes);
    }

    /// Bytes of the next head were read together with the last request.
    pub(super) fn read_ahead(&self) {
        self.first_byte.store(self.latest.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
    }

    /// The socket took `bytes`; only called within a poll of the connection.
    pub(super) fn wrote(&self, bytes: usize) {
        if bytes >= DELIVERY_BYTES {
            let now = self.latest.load(Ordering::Relaxed);
            self.idle_since.store(now, Ordering::Relaxed);
            self.responses.pay(now, bytes);
        }
    }

    /// A response waits for the client.
    pub(super) fn response_waits(&self) {
        self.responses.begin(self.now());
    }

    /// It does no longer.
    pub(super) fn response_moves(&self) {
        self.responses.end(self.now());
    }

    /// Whether the client has not taken a response in time, at the last look.
    pub(super) fn has_stalled(&self) -> bool {
        self.responses.patience().is_some_and(|end| end <= self.moment())
    }

    /// A handler waits for a request's body.
    pub(super) fn request_waits(&self) {
        self.request_bodies.begin(self.now());
    }

    /// It does no longer.
    pub(super) fn request_moves(&self) {
        self.request_bodies.end(self.now());
    }

    pub(super) fn request_begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.first_byte.store(0, Ordering::Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.idle_since.store(self.now(), Ordering::Relaxed);
    }

    /// A request has a body, of which nothing was read yet.
    pub(super) fn request_body_begins(&self) {
        self.unread_bodies.fetch_add(1, Ordering::Relaxed);
    }

    /// It was read to its end. One that is dropped before never ends.
    pub(super) fn request_body_ends(&self) {
        self.unread_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    /// hyper has written.
    pub(super) fn flush_is_owed(&self) {
        self.flush_owed.store(true, Ordering::Relaxed);
    }

    /// All that hyper has written, and wanted to, is with the socket.
    pub(super) fn flushed(&self) {
        self.flush_owed.store(false, Ordering::Relaxed);
    }

    /// An HTTP/1 connection gets its buffers.
    pub(super) fn wakes(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    /// It has given them up.
    pub(super) fn rests(&self) {
        self.awake.store(false, Ordering::Relaxed);
    }

    /// Whether an HTTP/1 connection has none, because there has been nothing to do for a while.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.awake.load(Ordering::Relaxed)
    }

    /// HTTP/1 bodies and handlers are polled by the connection, which has just read the clock; HTTP/2 ones are not.
    fn now(&self) -> u64 {
        if self.protocol == Protocol::Http2 {
            self.look();
        }
        self.latest.load(Ordering::Relaxed)
    }

    fn instant(&self, since_start: u64) -> Instant {
        self.started + Duration::from_micros(since_start)
    }
}

/// Waits of one kind, several at once, with one patience for all.
#[derive(Debug)]
struct Waits {
    window: Duration,
    count: AtomicU32,
    mark: AtomicU64,
}

impl Waits {
    fn new(window: Duration) -> Self {
        Self { window, count: AtomicU32::new(0), mark: AtomicU64::new(0) }
    }

    fn begin(&self, now: u64) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.change(|patience| patience.turn(Duration::from_micros(now)));
        }
    }

    fn end(&self, now: u64) {
        if self.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.change(|patience| patience.turn(Duration::from_micros(now)));
        }
    }

    fn pay(&self, now: u64, bytes: usize) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.change(|patience| patience.pay_waiting(Duration::from_micros(now), bytes));
        } else {
            self.change(|patience| patience.pay(bytes));
        }
    }

    /// When patience ends, from the start of the connection; `None` while nothing waits.
    fn patience(&self) -> Option<Duration> {
        (self.count.load(Ordering::Relaxed) > 0).then(|| Duration::from_micros(self.mark.load(Ordering::Relaxed)))
    }

    fn change(&self, change: impl FnOnce(Patience) -> Patience) {
        let mark = Duration::from_micros(self.mark.load(Ordering::Relaxed));
        let changed = change(Patience { mark, window: self.window });
        self.mark.store(micros(changed.mark), Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes below this are control frames, such as our own PING, and deliver nothing.
const DELIVERY_BYTES: usize = 128;
