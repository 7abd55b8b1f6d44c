//! When a client connection has kept the node waiting long enough.
//!
//! hyper has no deadline for most of what a client may leave undone, so all of them are here, in one place: the head of
//! a request, its body, the response nobody reads, idleness, age. Waiting for an origin is never held against a client.

use std::time::{Duration, Instant};

use super::protocol::Protocol;
use crate::config::model::Listen;

/// What a connection has been doing, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    pub(super) protocol: Protocol,
    /// When HTTP began: after the TLS handshake.
    pub(super) started: Instant,
    /// Request heads received so far.
    pub(super) requests: u32,
    /// Requests whose response is not yet out of the handler's and the body's hands.
    pub(super) in_flight: u32,
    /// When the last request ended or a response last moved, whichever was later; `started` before the first.
    pub(super) idle_since: Instant,
    /// When the first byte since the last request came, while none is in flight.
    pub(super) first_byte: Option<Instant>,
    /// While a response is ready and the client does not take it: when patience ends.
    pub(super) response_patience: Option<Instant>,
    /// While a handler waits for a request's body: when patience ends.
    pub(super) request_patience: Option<Instant>,
    /// Requests whose body was not read to its end.
    pub(super) unread_bodies: u32,
    /// Part of a response, or of the connection's end, is still in buffers above the socket.
    pub(super) flush_owed: bool,
    /// Whether an HTTP/1 connection has its buffers, which it gives up when it rests.
    pub(super) awake: bool,
    /// When the connection was asked to finish.
    pub(super) finishing: Option<Instant>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go on; ask again at `until`, or when it did something.
    Keep { until: Instant },
    /// It is between two messages, and should give up its buffers.
    Rest,
    /// It should close after the requests in flight.
    Finish,
    /// It is closed at once.
    Abort(AbortReason),
}

/// Why a connection was closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// The connection was to finish and did not.
    FinishOverdue,
    /// No whole request head within `head_timeout`.
    HeadOverdue,
    /// The client stopped sending a request's body, or sent too little of it.
    RequestStalled,
    /// The client took nothing of a response, or too little of it.
    ResponseStalled,
}

/// Judges a connection by the earliest of its deadlines.
pub(super) fn verdict(activity: &Activity, limits: &Listen, now: Instant) -> Verdict {
    let response = activity.response_patience.map(|at| (at, Verdict::Abort(AbortReason::ResponseStalled)));
    let request = activity.request_patience.map(|at| (at, Verdict::Abort(AbortReason::RequestStalled)));
    let age = activity.finishing.is_none().then(|| (activity.started + limits.age_max, Verdict::Finish));
    let quiet = earlier(quiet_deadline(activity, limits), rest(activity));
    match earlier(earlier(response, request), earlier(quiet, age)) {
        Some((at, due)) if at <= now => due,
        // HTTP/2 bodies change state in tasks of their own, which do not wake whoever asks for this verdict.
        Some((at, _)) if activity.in_flight == 0 => Verdict::Keep { until: at },
        deadline => {
            Verdict::Keep { until: deadline.map_or(now + LOOK_INTERVAL, |(at, _)| at.min(now + LOOK_INTERVAL)) }
        }
    }
}

/// When something is due, and what.
type Deadline = (Instant, Verdict);

fn earlier(one: Option<Deadline>, other: Option<Deadline>) -> Option<Deadline> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// The deadline of a connection on which nothing is in flight and nothing is left to deliver.
fn quiet_deadline(activity: &Activity, limits: &Listen) -> Option<Deadline> {
    if activity.in_flight > 0 || activity.response_patience.is_some() {
        return None;
    }
    let head_overdue = |since| (since + limits.head_timeout, Verdict::Abort(AbortReason::HeadOverdue));
    Some(match (activity.finishing, activity.requests, activity.protocol, activity.first_byte) {
        (Some(since), ..) => {
            (since.max(activity.idle_since) + FINISH_TIMEOUT, Verdict::Abort(AbortReason::FinishOverdue))
        }
        (None, 0, ..) => head_overdue(activity.started),
        (None, _, Protocol::Http1, Some(first_byte)) => head_overdue(first_byte),
        (None, _, Protocol::Http1, None) => (activity.idle_since + limits.idle_timeout, Verdict::Finish),
        // Frames that are no request (PING, SETTINGS) must not keep a connection, so bytes count for nothing here.
        (None, _, Protocol::Http2, _) => (activity.idle_since + limits.h2_idle_timeout, Verdict::Finish),
    })
}

/// When a connection rests. Nothing of a message may be in its buffers: bytes of a response would be lost, and the rest of
/// a request's body would be taken for the next request.
fn rest(activity: &Activity) -> Option<Deadline> {
    let between_messages = activity.in_flight == 0
        && activity.first_byte.is_none()
        && activity.response_patience.is_none()
        && activity.request_patience.is_none()
        && activity.unread_bodies == 0
        && !activity.flush_owed;
    let rests = activity.awake && between_messages && activity.finishing.is_none();
    rests.then_some((activity.idle_since + REST_AFTER, Verdict::Rest))
}

/// How much longer a client may keep the node waiting: a leaky bucket that holds time.
///
/// It drains while the node waits for the client and fills while it does not; every [`FLOOR_BYTES_PER_SECOND`] that
/// move are worth one second. So a client that moves nothing is given up after `window`, one that drips below the floor
/// somewhat later, and one above the floor never. Times are counted from the start of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// While waiting, when the bucket is empty; while not, when it is full again.
    pub(super) mark: Duration,
    pub(super) window: Duration,
}

impl Patience {
    /// Waiting begins or ends: what is left turns into what is missing, and the other way around.
    pub(super) fn turn(self, now: Duration) -> Self {
        let ahead = self.mark.saturating_sub(now).min(self.window);
        Self { mark: now + (self.window - ahead), ..self }
    }

    /// `bytes` moved while the node waits.
    pub(super) fn pay_waiting(self, now: Duration, bytes: usize) -> Self {
        Self { mark: (self.mark.max(now) + worth(bytes)).min(now + self.window), ..self }
    }

    /// `bytes` moved while the node does not wait.
    pub(super) fn pay(self, bytes: usize) -> Self {
        Self { mark: self.mark.saturating_sub(worth(bytes)), ..self }
    }
}

/// How long a client at the least speed takes for so many bytes.
pub(super) fn worth(bytes: usize) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / FLOOR_BYTES_PER_SECOND)
}

/// A client slower than this, in either direction, holds more than it is worth.
const FLOOR_BYTES_PER_SECOND: u64 = 1024;

/// From being asked to finish, or from the end of the last request after that, to having finished.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a connection with requests in flight is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Silence after which a connection rests. Long enough that a burst of requests finds the buffers it needs in place;
/// short, because only what rests is small.
const REST_AFTER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
