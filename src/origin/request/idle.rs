//! Idle connections to origins, kept by one worker for its next requests.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};

use super::ranking::Candidate;
use super::wire::Wire;
use crate::origin::pool::Pool;

/// Idle connections by site, origin and address, so that none outlives the address it belongs to for long.
#[derive(Debug, Default)]
pub struct IdleConnections {
    idle: Mutex<BTreeMap<Destination, Shelf>>,
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The site's name: origins of two sites never share connections.
    pub site: Arc<str>,
    /// Index of the origin within the site.
    pub origin: usize,
    /// The address.
    pub address: SocketAddr,
}

impl Destination {
    /// Where connections to a candidate lead.
    pub fn of(pool: &Pool, candidate: Candidate) -> Self {
        Self { site: Arc::clone(&pool.site), origin: candidate.origin, address: candidate.address }
    }

    /// The candidate that it is.
    pub fn candidate(&self) -> Candidate {
        Candidate { origin: self.origin, address: self.address }
    }
}

/// The idle connections to one place.
#[derive(Debug, Default)]
struct Shelf {
    /// Those that may not carry another request yet, as far as is known; the first that may is the first.
    resting: VecDeque<Idle>,
    /// The others; the one that was used last is the last.
    rested: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    sender: Wire,
    /// When it may carry another request.
    time: Range<Instant>,
}

impl IdleConnections {
    /// The connection to `place` that was used last, of those that are open and may carry another request by now.
    pub fn take(&self, place: &Destination, now: Instant) -> Option<Wire> {
        let mut idle = self.lock();
        let shelf = idle.get_mut(place)?;
        while let Some(rested) = shelf.resting.pop_front_if(|connection| connection.time.start <= now) {
            shelf.rested.push(rested);
        }
        while let Some(connection) = shelf.rested.pop() {
            if connection.usable(now) {
                return Some(connection.sender);
            }
        }
        None
    }

    /// Keeps a connection that may carry another request in this `time`.
    pub fn put(&self, place: Destination, sender: Wire, time: Range<Instant>) {
        let mut idle = self.lock();
        let shelf = idle.entry(place).or_default();
        if shelf.resting.len() + shelf.rested.len() >= IDLE_MAX {
            return;
        }
        let is_first = shelf.resting.front().is_some_and(|first| time.start < first.time.start);
        let connection = Idle { sender, time };
        if is_first { shelf.resting.push_front(connection) } else { shelf.resting.push_back(connection) }
    }

    /// How many connections to `place` there will be at a time to come, if none is used or closed.
    pub fn count(&self, place: &Destination, then: Instant) -> usize {
        self.lock().get(place).map_or(0, |shelf| shelf.iter().filter(|idle| idle.usable(then)).count())
    }

    /// Closes what was idle for too long, or leads where nobody is to go any more; for a loop that calls it every few
    /// seconds.
    pub fn sweep(&self, now: Instant, in_use: impl Fn(&Destination) -> bool) {
        self.lock().retain(|place, shelf| {
            shelf.resting.retain(|connection| connection.usable(now));
            shelf.rested.retain(|connection| connection.usable(now));
            shelf.iter().next().is_some() && in_use(place)
        });
    }

    /// The map is whole between any two of its operations.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Destination, Shelf>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn iter(&self) -> impl Iterator<Item = &Idle> {
        self.resting.iter().chain(&self.rested)
    }
}

impl Idle {
    /// Whether it may carry a request, now or in a moment.
    fn usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && now < self.time.end
    }
}

/// How long a connection may be idle after a response: `ours`, or the time that the origin tells in `Keep-Alive`
/// where that is shorter, less a second, so that it does not end under a request.
pub fn idle_time(headers: &HeaderMap, ours: Duration) -> Duration {
    let values = headers.get_all(KEEP_ALIVE).into_iter().filter_map(|value| value.to_str().ok());
    let parameters = values.flat_map(|value| value.split(',')).filter_map(|parameter| parameter.split_once('='));
    let timeouts = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    let seconds = timeouts.filter_map(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok());
    seconds.map(|seconds: u32| Duration::from_secs(seconds.saturating_sub(1).into())).fold(ours, Duration::min)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How often connections are tended: those to an address that is gone stay no longer than this.
pub const TEND_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection carries no other request after a response: what an origin sends beyond the end of one comes right
/// behind it, though not always with it, and would be taken for the next.
pub const REST: Duration = Duration::from_millis(2);

/// Idle connections kept per worker and address: those that [`REST`] at forty thousand requests a second, and twice as many
/// that a crowd has left.
const IDLE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use hyper::client::conn::http1::Builder;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::clock::Clock;

    #[track_caller]
    fn check(values: &[&'static str], expected: u64) {
        let fields = values.iter().map(|value| (KEEP_ALIVE, HeaderValue::from_static(value)));
        let time = idle_time(&fields.collect(), Duration::from_secs(15));
        assert_eq!(time, Duration::from_secs(expected), "{values:?}");
    }

    #[tokio::test]
    async fn connections_rest_before_they_are_taken() {
        let (idle, tasks, now) = (IdleConnections::default(), TaskTracker::new(), Clock::new().monotonic());
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let place = Destination { site: Arc::from("shop"), origin: 0, address };
        let (rested, end) = (now + REST, now + 10 * REST);
        let mut ends = Vec::new();
        for start in [rested, rested, now] {
            let (stream, other_end) = tokio::io::duplex(64);
            let wire = Wire::open(&Builder::new(), stream, &tasks).await.expect("it is open");
            idle.put(place.clone(), wire, start..end);
            ends.push(other_end);
        }
        let mut taken = Vec::new();
        let mut take = |at| {
            taken.extend(idle.take(&place, at));
            taken.len()
        };
        assert_eq!((take(now), take(now)), (1, 1), "two of them rest");
        assert_eq!(take(rested), 2);
        assert_eq!((take(end), idle.count(&place, now)), (2, 0), "one was idle for too long");
    }

    #[test]
    fn an_origin_can_shorten_the_time_and_not_prolong_it() {
        check(&[], 15);
        check(&["timeout=5"], 4);
        check(&["timeout=5, max=100"], 4);
        check(&["max=100, Timeout = 5"], 4);
        check(&["timeout=\"5\""], 4);
        check(&["timeout=300"], 15);
    }

    #[test]
    fn a_connection_that_is_about_to_end_is_not_kept() {
        check(&["timeout=1"], 0);
        check(&["timeout=0"], 0);
    }

    #[test]
    fn the_shortest_of_several_counts_and_what_is_none_is_ignored() {
        check(&["timeout=9, timeout=5"], 4);
        check(&["timeout=9", "timeout=5"], 4);
        check(&["timeout=soon"], 15);
        check(&["timeout=-1"], 15);
        check(&["timeout"], 15);
    }
}
