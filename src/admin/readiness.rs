//! Whether a node should get new clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Ready or not; clones are the same. Origins have no part in it: without them the node serves what it has stored.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Listeners are bound and workers serve.
    pub fn ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }

    /// The node is about to stop.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    /// The word for status and probes: `ready`, or why not.
    pub fn as_str(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            READY => "ready",
            DRAINING => "draining",
            _ => "starting",
        }
    }

    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == READY
    }
}

const READY: u8 = 1;
const DRAINING: u8 = 2;
