//! The URLs that responses are stored or on their way for, and when each of them was purged last.
//!
//! Nearly every stored response has a URL of its own, and nearly none is ever purged alone. So a URL is no cell
//! (`cells.rs`) but a number in a table, and has a record of purges only once there was one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use super::cells::LastPurges;
use super::hashed::Hashed;
use super::lock::lock;
use super::purge::PurgeMode;

/// All of them, by the hash of host, path and query: two that collide are purged together.
#[derive(Debug)]
pub(super) struct Urls {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    /// Those that stored responses and fills fall under.
    held: HashSet<u64, Hashed>,
    /// How many more than one fall under each.
    more: HashMap<u64, u64, Hashed>,
    /// Those of them that were purged.
    purged: HashMap<u64, LastPurges, Hashed>,
}

impl Shard {
    fn count(&self, url: u64) -> u64 {
        if self.held.contains(&url) { 1 + self.more.get(&url).copied().unwrap_or_default() } else { 0 }
    }
}

impl Urls {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// One more falls under `url`.
    pub(super) fn hold(&self, url: u64) {
        let mut shard = self.shard(url);
        if !shard.held.insert(url) {
            *shard.more.entry(url).or_default() += 1;
        }
    }

    /// One less does. With the last one goes what is known of the URL.
    pub(super) fn release(&self, url: u64) {
        let mut shard = self.shard(url);
        match shard.more.entry(url) {
            Entry::Occupied(mut more) if *more.get() > 1 => *more.get_mut() -= 1,
            Entry::Occupied(more) => {
                more.remove();
            }
            Entry::Vacant(_) => {
                shard.held.remove(&url);
                shard.purged.remove(&url);
            }
        }
    }

    /// Whether anything stored or any fill falls under `url`.
    pub(super) fn is_held(&self, url: u64) -> bool {
        self.shard(url).held.contains(&url)
    }

    /// Purges what falls under `url`; how much that is.
    pub(super) fn purge(&self, url: u64, sequence: u64, mode: PurgeMode, at: u64) -> u64 {
        let mut shard = self.shard(url);
        let held = shard.count(url);
        if held > 0 {
            let last = shard.purged.entry(url).or_default();
            match mode {
                PurgeMode::Hard => last.hard = sequence,
                PurgeMode::Soft => (last.soft, last.soft_at) = (sequence, at),
            }
        }
        held
    }

    pub(super) fn last_purges(&self, url: u64) -> LastPurges {
        self.shard(url).purged.get(&url).copied().unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).held.len()).sum()
    }

    /// By bits that the tables do not look at first.
    fn shard(&self, url: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(url >> SHARD_SHIFT) as usize % SHARDS])
    }
}

/// What a URL takes in the table, in bytes, right after that has doubled.
pub(super) const URL_BYTES: usize = 21;

/// Locks that URLs are spread over, so that workers that store at the same time rarely meet.
const SHARDS: usize = 64;

/// Half of a hash.
const SHARD_SHIFT: u32 = 32;
