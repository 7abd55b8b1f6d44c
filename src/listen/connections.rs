//! How many client connections are open, over all workers, and how many may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Counts the client connections of a node and bounds them; shared by all its workers.
#[derive(Debug)]
pub struct Connections {
    max: usize,
    is_shut: AtomicBool,
    open: AtomicUsize,
    refused: AtomicU64,
    handshakes_failed: AtomicU64,
    stalled: AtomicU64,
    pinned_bytes: AtomicUsize,
}

impl Connections {
    /// None open, at most `max` at once.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            is_shut: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            pinned_bytes: AtomicUsize::new(0),
        }
    }

    /// Open at the moment, TLS handshakes included.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Lets nobody else in, or lets them in again; those who are in may stay.
    pub fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::Relaxed);
    }

    /// Closed right after accept, because the most were open or nobody was let in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Closed because TLS was not established, in time or at all.
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Ordering::Relaxed)
    }

    /// Closed because the client kept the node waiting too long.
    pub fn stalled(&self) -> u64 {
        self.stalled.load(Ordering::Relaxed)
    }

    /// A place for one more connection, given back when dropped; `None` if all are taken or nobody is let in, which counts as
    /// refused.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        if open < self.max && !self.is_shut.load(Ordering::Relaxed) {
            return Some(Place(Arc::clone(self)));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stalled_once(&self) {
        self.stalled.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one connection has in hand that its client does not take; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    connections: Arc<Connections>,
    bytes: usize,
}

impl Pinned {
    /// Nothing yet, of one of `connections`.
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, bytes: 0 }
    }

    /// It is so many bytes now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.connections.pinned_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.connections.pinned_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// Whether all connections together have so much in hand that none should take more.
    pub(super) fn is_tight(&self) -> bool {
        self.connections.pinned_bytes.load(Ordering::Relaxed) > PINNED_BYTES
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Place(Arc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What clients who take nothing may have in hand together before bursts become short: what a few hundred do at most.
const PINNED_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_have_in_hand_is_counted_until_they_are_gone() {
        let connections = Arc::new(Connections::new(2));
        let mut pinned = [0; 2].map(|_| Pinned::new(Arc::clone(&connections)));
        pinned[0].set(PINNED_BYTES);
        assert!(!pinned[1].is_tight());
        pinned[1].set(1);
        assert!(pinned[0].is_tight());
        pinned[1].set(0);
        assert!(!pinned[0].is_tight());
        pinned[1].set(PINNED_BYTES);
        assert!(pinned[0].is_tight());
        let [first, second] = pinned;
        drop(second);
        assert!(!first.is_tight());
        drop(first);
        assert_eq!(connections.pinned_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.admit();
        let second = connections.admit();
        assert!(first.is_some() && second.is_some() && connections.admit().is_none());
        assert_eq!((connections.open(), connections.refused()), (2, 1));
        drop(first);
        assert!(connections.admit().is_some());
    }

    #[test]
    fn nobody_is_let_in_while_the_door_is_shut() {
        let connections = Arc::new(Connections::new(2));
        let first = connections.admit();
        connections.shut(true);
        assert!(connections.admit().is_none());
        assert_eq!((connections.open(), connections.refused()), (1, 1));
        connections.shut(false);
        assert!(first.is_some() && connections.admit().is_some());
    }
}
