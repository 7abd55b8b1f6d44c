//! The first tier: stored responses in memory, found by key and selected by `Vary`.
//!
//! moka decides what is worth keeping; the [`Ledger`] decides what fits. The engine gets seven eighths of the bound, so
//! that fills in flight and its own lag find room in the last eighth.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;
use prometheus_client::metrics::counter::Counter;

use super::ledger::{Ledger, Reservation};
use super::stored::{StoredHead, StoredResponse};
use crate::semantics::key::CacheKey;

/// Stored responses under a byte bound. Clones share them.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Cache<CacheKey, Arc<Variants>>,
    ledger: Ledger,
    /// When keys, by their hash, were invalidated: for responses that are still on their way.
    invalidated: Cache<u64, Instant>,
    hasher: RandomState,
}

impl Store {
    /// An empty store under `bound_bytes`, which counts its evictions.
    pub fn new(bound_bytes: u64, evictions: Counter) -> Self {
        let engine = Cache::builder()
            .max_capacity(bound_bytes - bound_bytes / 8)
            .weigher(|key: &CacheKey, variants: &Arc<Variants>| {
                u32::try_from(variants.size() + key.as_str().len() as u64).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evictions.inc();
                }
            })
            .build();
        let invalidated = Cache::new(INVALIDATED_MAX);
        Self { engine, ledger: Ledger::new(bound_bytes), invalidated, hasher: RandomState::new() }
    }

    /// The most recent response under `key` that the request's fields select (RFC 9111 §4.1).
    pub fn lookup(&self, key: &CacheKey, request: &HeaderMap) -> Lookup {
        match self.engine.get(key) {
            None => Lookup::Absent,
            Some(variants) => variants.select(request).map_or(Lookup::NoVariant, Lookup::Found),
        }
    }

    /// Stores `response`, in place of the one with the same nominated fields, unless it predates an invalidation.
    ///
    /// The engine may refuse a newcomer that is asked for less than what it would displace.
    pub fn store(&self, key: &CacheKey, response: Arc<StoredResponse>) {
        self.engine.entry_by_ref(key).and_compute_with(|found| {
            if self.predates_invalidation(key, &response.head) {
                return Op::Nop;
            }
            Op::Put(Arc::new(Variants::with(found.as_ref().map(|f| &**f.value()), response)))
        });
        self.engine.run_pending_tasks();
    }

    /// Removes `response`, unless it was replaced already.
    pub fn remove(&self, key: &CacheKey, response: &Arc<StoredResponse>) {
        self.engine.entry_by_ref(key).and_compute_with(|found| {
            match found.map(|entry| entry.value().without(response)) {
                Some(Some(rest)) => Op::Put(Arc::new(rest)),
                Some(None) => Op::Remove,
                None => Op::Nop,
            }
        });
    }

    /// Removes every response under `key` (RFC 9111 §4.4), those included that an origin was asked for before `now` and
    /// that have not arrived yet.
    pub fn invalidate(&self, key: &CacheKey, now: Instant) {
        self.invalidated.insert(self.hasher.hash_one(key), now);
        self.engine.entry_by_ref(key).and_compute_with(|_| Op::Remove);
    }

    /// Whether the origin was asked for this response before `key` was invalidated.
    pub fn predates_invalidation(&self, key: &CacheKey, head: &StoredHead) -> bool {
        self.invalidated.get(&self.hasher.hash_one(key)).is_some_and(|at| head.asked < at)
    }

    /// Reserves `bytes`; lets the engine catch up with its evictions first when they do not fit.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.ledger.reserve(bytes).or_else(|| {
            self.engine.run_pending_tasks();
            self.ledger.reserve(bytes)
        })
    }

    /// Grows a reservation, as [`Store::reserve`] makes one.
    #[must_use]
    pub fn grow(&self, reservation: &mut Reservation, more_bytes: u64) -> bool {
        reservation.grow(more_bytes) || {
            self.engine.run_pending_tasks();
            reservation.grow(more_bytes)
        }
    }

    /// What is reserved and the bound.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keys with at least one stored response; may lag a little.
    pub fn keys(&self) -> u64 {
        self.engine.entry_count()
    }
}

/// What was found under a key.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Nothing is stored under the key.
    Absent,
    /// A response that the request's fields select.
    Found(Arc<StoredResponse>),
    /// Only responses selected by other request fields.
    NoVariant,
}

/// The responses stored under one key, most recent first; at most [`VARIANTS_MAX`].
#[derive(Debug)]
struct Variants {
    responses: Vec<Arc<StoredResponse>>,
}

impl Variants {
    fn with(before: Option<&Self>, newest: Arc<StoredResponse>) -> Self {
        let others = before.map_or(&[][..], |variants| &variants.responses);
        let kept = others.iter().filter(|other| other.head.nominated != newest.head.nominated).cloned();
        let responses = std::iter::once(Arc::clone(&newest)).chain(kept).take(VARIANTS_MAX).collect();
        Self { responses }
    }

    fn without(&self, response: &Arc<StoredResponse>) -> Option<Self> {
        let responses: Vec<_> = self.responses.iter().filter(|other| !Arc::ptr_eq(other, response)).cloned().collect();
        (!responses.is_empty()).then_some(Self { responses })
    }

    fn select(&self, request: &HeaderMap) -> Option<Arc<StoredResponse>> {
        self.responses.iter().find(|response| response.head.nominated.matches(request)).cloned()
    }

    fn size(&self) -> u64 {
        self.responses.iter().map(|response| response.size()).sum()
    }
}

/// Most variants of one key: a bound on what a client can make us store by varying its fields.
pub const VARIANTS_MAX: usize = 8;

/// Most invalidations remembered; hashes only, so about 1.5 MiB.
const INVALIDATED_MAX: u64 = 16_384;
