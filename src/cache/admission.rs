//! Memory of keys whose responses proved not storable, so that requests for them never queue behind one another.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::hashed::Hashed;
use crate::semantics::key::CacheKey;

/// Remembers keys for [`HOLD`]; a bounded number of them.
#[derive(Debug)]
pub struct Uncacheable {
    until: Cache<u64, Instant, Hashed>,
    hasher: RandomState,
}

impl Uncacheable {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        let until = Cache::builder().max_capacity(KEYS_MAX).build_with_hasher(Hashed::default());
        Self { until, hasher: RandomState::new() }
    }

    /// The response to `key` could not be shared at `now`.
    pub fn remember(&self, key: &CacheKey, now: Instant) {
        self.until.insert(self.hasher.hash_one(key), now + HOLD);
    }

    /// The response to `key` was storable after all.
    pub fn forget(&self, key: &CacheKey) {
        let hash = self.hasher.hash_one(key);
        if self.until.contains_key(&hash) {
            self.until.invalidate(&hash);
        }
    }

    /// Whether requests for `key` should go alone.
    pub fn remembers(&self, key: &CacheKey, now: Instant) -> bool {
        self.until.get(&self.hasher.hash_one(key)).is_some_and(|until| now < until)
    }
}

impl Default for Uncacheable {
    fn default() -> Self {
        Self::new()
    }
}

/// How long a key is remembered: long enough to spare a busy URL its queue, short enough to notice a changed origin.
pub const HOLD: Duration = Duration::from_secs(60);

/// Most keys remembered; hashes only, so about 6 MiB.
const KEYS_MAX: u64 = 65_536;
