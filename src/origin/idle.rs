//! Idle connections to origins, kept by one worker for its next requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::connect::RequestBody;
use super::pool::Pool;
use super::ranking::Candidate;

/// Idle connections by site, origin and address, so that none outlives the address it belongs to for long.
#[derive(Debug, Default)]
pub struct IdleConnections {
    idle: Mutex<HashMap<Place, Vec<Idle>>>,
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The site's name: origins of two sites never share connections.
    pub site: Arc<str>,
    /// Index of the origin within the site.
    pub origin: usize,
    /// The address.
    pub address: SocketAddr,
}

impl Place {
    /// Where connections to a candidate lead.
    pub fn of(pool: &Pool, candidate: Candidate) -> Self {
        Self { site: Arc::clone(&pool.site), origin: candidate.origin, address: candidate.address }
    }
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

impl IdleConnections {
    /// The connection to `place` that was used last, if one is still open.
    pub fn take(&self, place: &Place, now: Instant) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.lock();
        let connections = idle.get_mut(place)?;
        while let Some(connection) = connections.pop() {
            if connection.usable(now) {
                return Some(connection.sender);
            }
        }
        idle.remove(place);
        None
    }

    /// Keeps a connection whose last response was read to its end.
    pub fn put(&self, place: Place, sender: SendRequest<RequestBody>, now: Instant) {
        let mut idle = self.lock();
        let connections = idle.entry(place).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(Idle { sender, since: now });
        }
    }

    /// Closes what was idle for too long; for a loop that calls it every few seconds.
    pub fn sweep(&self, now: Instant) {
        self.lock().retain(|_, connections| {
            connections.retain(|connection| connection.usable(now));
            !connections.is_empty()
        });
    }

    /// The map is whole between any two of its operations.
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && now.saturating_duration_since(self.since) < IDLE_TIMEOUT
    }
}

/// Idle connections kept per worker and address.
const IDLE_MAX: usize = 32;

/// Shorter than the keep-alive of common origins, so that theirs rarely ends under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How often [`IdleConnections::sweep`] is worth calling.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
