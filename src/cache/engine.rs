//! The engine: what is worth keeping, by moka's TinyLFU.
//!
//! It is told what every value weighs, and evicts by that. Its account is kept right here: moka 0.12 loses the weight of a
//! change that is followed by a removal before it has taken note of the change.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::lock::lock;
use crate::semantics::key::CacheKey;

/// Values by key, up to a weight.
#[derive(Debug)]
pub(super) struct Engine<V: Send + Sync + 'static> {
    cache: Cache<CacheKey, Weighed<V>>,
    /// Locks that keys are spread over: one change at a time.
    turns: [Mutex<()>; TURNS],
    hasher: std::hash::RandomState,
}

#[derive(Debug)]
struct Weighed<V> {
    value: Arc<V>,
    weight: u32,
}

impl<V> Clone for Weighed<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), weight: self.weight }
    }
}

/// What becomes of the value of a key.
pub(super) enum Change<V> {
    /// It stays.
    Keep,
    /// This one of so many bytes is there instead. The engine may refuse it where there was none.
    Put(Arc<V>, u64),
    /// None is there.
    Remove,
}

impl<V: Send + Sync + 'static> Engine<V> {
    /// Nothing yet; `on_eviction` is told of every key that is evicted, or refused on arrival, to keep within the capacity.
    pub(super) fn new(capacity_bytes: u64, on_eviction: impl Fn() + Send + Sync + 'static) -> Self {
        let cache = Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|_, weighed: &Weighed<V>| weighed.weight)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    on_eviction();
                }
            })
            .build();
        Self { cache, turns: [const { Mutex::new(()) }; TURNS], hasher: std::hash::RandomState::new() }
    }

    /// The value of `key`; a use of it, whether it is there or not.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<V>> {
        self.cache.get(key).map(|weighed| weighed.value)
    }

    /// All there is; no use of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<CacheKey>, Arc<V>)> {
        self.cache.iter().map(|(key, weighed)| (key, weighed.value))
    }

    /// Does with the value of `key` what `decide` says, one change of a key at a time.
    pub(super) fn change(&self, key: &CacheKey, decide: impl FnOnce(Option<&Arc<V>>) -> Change<V>) {
        let _turn = lock(&self.turns[self.hasher.hash_one(key) as usize % TURNS]);
        // A look for what is not there would count as one more request for it, so that what is asked for once would seem to
        // be worth as much as what is asked for twice.
        let found = if self.cache.contains_key(key) { self.get(key) } else { None };
        match decide(found.as_ref()) {
            Change::Keep => {}
            Change::Put(value, bytes) => {
                let weight = u32::try_from(bytes).unwrap_or(u32::MAX);
                self.cache.insert(key.clone(), Weighed { value, weight });
            }
            Change::Remove => {
                // Changes that are not yet in the account would be left out of it.
                self.cache.run_pending_tasks();
                self.cache.invalidate(key);
            }
        }
    }

    /// Takes note of all changes, and evicts what is beyond the capacity.
    pub(super) fn catch_up(&self) {
        self.cache.run_pending_tasks();
    }

    /// What it believes it holds, in bytes.
    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// Keys; may lag a little.
    pub(super) fn keys(&self) -> u64 {
        self.cache.entry_count()
    }
}

/// Enough for workers to meet rarely.
const TURNS: usize = 64;
