//! How many client connections are open, over all workers, and how many may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::unsent::{SHARED_BYTES, share};

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
    /// Those of [`SHARED_BYTES`] that no connection has.
    ungranted_bytes: AtomicUsize,
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
            ungranted_bytes: AtomicUsize::new(SHARED_BYTES),
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

/// What one connection may leave unsent in the kernel beyond what every one may; given back when dropped.
#[derive(Debug)]
pub(super) struct Grant {
    connections: Arc<Connections>,
    bytes: usize,
}

impl Grant {
    /// Nothing yet, of what `connections` share.
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, bytes: 0 }
    }

    /// Whether there is nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes the [`share`] of a quick client; the bytes of it then.
    pub(super) fn grow(&mut self) -> usize {
        let had = self.bytes;
        let rest = |left| Some(had + left - share(had, left)).filter(|&rest| rest < left);
        let ungranted = &self.connections.ungranted_bytes;
        if let Ok(left) = ungranted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
            self.bytes = share(had, left);
        }
        self.bytes
    }

    /// Gives back all but `bytes`.
    pub(super) fn keep(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.connections.ungranted_bytes.fetch_add(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.keep(0);
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
    use std::time::Duration;

    use super::*;
    use crate::listen::unsent::{Taken, Unsent};

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
    fn what_all_may_leave_unsent_is_bounded_whatever_they_do() {
        let connections = Arc::new(Connections::new(0));
        let newcomer = || (Unsent::new(), Grant::new(Arc::clone(&connections)));
        let mut clients: Vec<_> = std::iter::repeat_with(newcomer).take(300).collect();
        let (mut random, mut now, mut most) = (fastrand::Rng::with_seed(9), Duration::ZERO, 0);
        for _ in 0..100_000 {
            let index = random.usize(..clients.len());
            let (unsent, grant) = &mut clients[index];
            now += Duration::from_millis(random.u64(..2));
            match random.u32(..1000) {
                0 => clients[index] = newcomer(),
                1..=20 => {
                    unsent.refused(now);
                    if unsent.refused(now + Duration::from_secs(1)).is_some() {
                        unsent.gave_way(4096);
                    }
                }
                21..=30 => {
                    unsent.refused(now);
                    unsent.taken(now + Duration::from_secs(1));
                }
                _ => {
                    unsent.refused(now);
                    if unsent.taken(now) == Taken::Quick {
                        unsent.grant(grant.grow());
                    }
                }
            }
            let (unsent, grant) = &mut clients[index];
            grant.keep(unsent.granted());
            let granted = clients.iter().map(|(unsent, _)| unsent.granted()).sum::<usize>();
            assert_eq!(granted + connections.ungranted_bytes.load(Ordering::Relaxed), SHARED_BYTES);
            most = most.max(granted);
        }
        assert!(most > SHARED_BYTES - (1 << 20), "only {most} bytes were granted");
        drop(clients);
        assert_eq!(connections.ungranted_bytes.load(Ordering::Relaxed), SHARED_BYTES);
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
