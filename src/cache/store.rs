//! The first tier: stored responses in memory, found by key and selected by `Vary`.
//!
//! The [`Engine`] decides what is worth keeping; the [`Ledger`] decides what fits. The engine gets seven eighths of the
//! bound, so that fills in flight and its own lag find room in the last eighth, and less while fills and readers need more
//! or the process takes more memory than it is granted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::HeaderMap;
use prometheus_client::metrics::counter::Counter;

use super::engine::{Change, Engine};
use super::excess::{Counted, Pressure, SPARE_BYTES, excess};
use super::ledger::{Ledger, Reservation};
use super::lock::lock;
use super::purge::{PurgeMode, Purges, Receipt, Selector};
use super::stamps::Fence;
use super::stored::StoredResponse;
use super::variants::{Room, Variants};
use crate::semantics::key::CacheKey;
use crate::telemetry::confinement::Usage;

/// Stored responses under a byte bound. Clones share them.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<Engine<Variants>>,
    ledger: Ledger,
    purges: Purges,
    /// Whether purged responses may still take memory.
    unswept: Arc<AtomicBool>,
    displaced: Counter,
    /// The part of the bound that is taken by what nobody counts.
    excess: Arc<Mutex<Excess>>,
    /// The same, in bytes.
    taken: Arc<AtomicU64>,
    /// Whether more is taken by what nobody counts than could be made free for it.
    overdrawn: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Excess {
    taken: Reservation,
    counted: Counted,
}

/// More is taken by what nobody counts than could be made free for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdraft {
    /// The limit that is too near.
    pub pressure: Pressure,
    /// What would have to be free besides, in bytes.
    pub missing_bytes: u64,
}

/// What a store counts.
#[derive(Clone, Debug, Default)]
pub struct StoreCounters {
    /// Keys evicted, or refused on arrival, to keep within the bound.
    pub evictions: Counter,
    /// Variants that made room for others of their key.
    pub displaced: Counter,
}

impl Store {
    /// An empty store under `bound_bytes`; `now` is any time before the first request.
    pub fn new(bound_bytes: u64, counters: StoreCounters, now: Instant) -> Self {
        let StoreCounters { evictions, displaced } = counters;
        let engine = Engine::new(bound_bytes - spare(bound_bytes), move || {
            evictions.inc();
        });
        let ledger = Ledger::new(bound_bytes);
        let nothing = ledger.reserve(0).expect("nothing fits into any bound");
        Self {
            engine: Arc::new(engine),
            ledger,
            purges: Purges::new(now),
            unswept: Arc::default(),
            displaced,
            excess: Arc::new(Mutex::new(Excess { taken: nothing, counted: Counted::default() })),
            taken: Arc::default(),
            overdrawn: Arc::default(),
        }
    }

    /// The most recent response under `key` that the request's fields select (RFC 9111 §4.1), and that was not purged.
    pub fn lookup(&self, key: &CacheKey, request: &HeaderMap) -> Lookup {
        match self.select(key, request) {
            Lookup::Found(response) if response.head.stamps.is_gone() => {
                self.discard_purged(key.as_str());
                self.select(key, request)
            }
            found => found,
        }
    }

    fn select(&self, key: &CacheKey, request: &HeaderMap) -> Lookup {
        match self.engine.get(key.as_str()) {
            None => Lookup::Absent,
            Some(variants) => variants.select(request).map_or(Lookup::NoVariant, Lookup::Found),
        }
    }

    /// Everything stored under `key` that was not purged, most recent first.
    pub fn variants(&self, key: &CacheKey) -> Vec<Arc<StoredResponse>> {
        let variants = self.engine.get(key.as_str());
        let stored = variants.iter().flat_map(Variants::responses);
        stored.filter(|response| is_kept(response)).cloned().collect()
    }

    /// What [`Store::lookup`] would find; to the engine it is a use of it as well.
    pub fn peek(&self, key: &CacheKey, request: &HeaderMap) -> Lookup {
        let mut stored = self.variants(key);
        if stored.is_empty() {
            return Lookup::Absent;
        }
        stored.sort_by_key(|response| response.head.stamps.is_suspect());
        let selected = stored.into_iter().find(|response| response.head.nominated().matches(request));
        selected.map_or(Lookup::NoVariant, Lookup::Found)
    }

    /// Shows everything stored that was not purged with its key's text, of each key the most recent response first. Goes
    /// through all of it, so not for a worker; but to the engine it is no use of what is stored, as a lookup is, and keeps
    /// nothing from eviction.
    pub fn visit(&self, mut visit: impl FnMut(&str, &mut dyn Iterator<Item = &Arc<StoredResponse>>)) {
        for variants in self.engine.iter() {
            visit(variants.key(), &mut variants.responses().iter().filter(|response| is_kept(response)));
        }
    }

    /// The number of what was purged, invalidated or taken back last; 0 before the first.
    pub fn last_purge(&self) -> u64 {
        self.purges.latest()
    }

    /// Stores `response`, in place of the one with the same nominated fields, unless it was purged on its way. What became
    /// suspect on its way does not replace what is not.
    ///
    /// The engine may refuse a newcomer that is asked for less than what it would displace. It decides some stores or a third
    /// of a second later, or once [`Store::reserve`] finds no room.
    pub fn store(&self, response: Arc<StoredResponse>) {
        let this = Arc::clone(&response);
        self.engine.change(this.head.key(), |found| {
            if response.head.stamps.is_gone() {
                return Change::Keep;
            }
            let is_better = |other: &Arc<StoredResponse>| {
                other.head.nominated() == response.head.nominated() && is_kept(other) && !other.head.stamps.is_suspect()
            };
            if response.head.stamps.is_suspect() && found.is_some_and(|found| found.responses().iter().any(is_better)) {
                return Change::Keep;
            }
            let others = found.and_then(|found| found.kept(is_kept));
            let (variants, room) = Variants::with(others.as_ref(), response);
            if room == Room::Displaced {
                self.displaced.inc();
            }
            put(variants)
        });
    }

    /// Removes `response`, unless it was replaced already.
    pub fn remove(&self, response: &Arc<StoredResponse>) {
        self.keep(response.head.key(), |other| !Arc::ptr_eq(other, response));
    }

    /// Weighs what is stored under `key` again, after a response there has grown by a coding.
    pub fn reweigh(&self, key: &str) {
        self.engine.change(key, |found| found.map_or(Change::Keep, |found| put(found.clone())));
        self.engine.catch_up();
    }

    /// Purges what `selectors` cover, what is on its way included. It takes effect at the next lookup; a hard purge's
    /// memory comes back with [`Store::sweep`].
    pub fn purge(&self, selectors: &[Selector], mode: PurgeMode, now: Instant) -> Receipt {
        let receipt = self.purges.purge(selectors, mode, now);
        // A single response is found by its next lookup or by eviction. Soft ones are looked through too, so that a later
        // soft purge does not pass for the first.
        let is_worth_it = mode == PurgeMode::Soft || selectors.iter().any(|one| !matches!(one, Selector::Url { .. }));
        self.unswept.fetch_or(is_worth_it && receipt.responses > 0, Ordering::Release);
        receipt
    }

    /// Takes back what came in `term`, what is on its way included: it is suspect from the next lookup on.
    pub fn take_back(&self, term: u64, now: Instant) -> Receipt {
        self.purges.take_back(term, now)
    }

    /// Purges one URL hard because a request has changed what is behind it (RFC 9111 §4.4).
    pub fn invalidate(&self, host: &str, path_and_query: &str, now: Instant) {
        self.purges.invalidate(host, path_and_query, now);
    }

    /// Begins a fill for a URL; purges from here on cover what it brings.
    pub fn fence(&self, host: &str, path_and_query: &str) -> Fence {
        self.purges.fence(host, path_and_query)
    }

    /// Frees the memory of what was purged hard since the last time, and makes everything else take note of soft purges.
    /// Goes through all that is stored, so not for a worker.
    pub fn sweep(&self) {
        if self.unswept.swap(false, Ordering::AcqRel) {
            // Each of the variants is asked, so that each takes note.
            let purged = self
                .engine
                .iter()
                .filter(|variants| variants.responses().iter().filter(|response| !is_kept(response)).count() > 0);
            purged.for_each(|variants| self.discard_purged(variants.key()));
            self.engine.catch_up();
        }
    }

    fn discard_purged(&self, key: &str) {
        self.keep(key, is_kept);
    }

    /// Removes all but what `keep` keeps.
    fn keep(&self, key: &str, keep: impl Fn(&Arc<StoredResponse>) -> bool) {
        self.engine.change(key, |found| match found.map(|found| found.kept(keep)) {
            Some(Some(rest)) => put(rest),
            Some(None) => Change::Remove,
            None => Change::Keep,
        });
    }

    /// Reserves `bytes`; stored responses make way for them when they do not fit otherwise.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.with_room_for(bytes, || self.ledger.reserve(bytes))
    }

    /// Grows a reservation, as [`Store::reserve`] makes one.
    #[must_use]
    pub fn grow(&self, reservation: &mut Reservation, more_bytes: u64) -> bool {
        self.with_room_for(more_bytes, || reservation.grow(more_bytes).then_some(())).is_some()
    }

    /// Tries to `take` so many bytes: as it is, after the evictions that are due, and after others.
    fn with_room_for<T>(&self, bytes: u64, mut take: impl FnMut() -> Option<T>) -> Option<T> {
        let mut attempt = || if self.leaves_enough(bytes) { take() } else { None };
        attempt()
            .or_else(|| {
                self.engine.catch_up();
                attempt()
            })
            .or_else(|| {
                self.lend(bytes);
                attempt()
            })
    }

    /// Evicts what stands in the way of `more_bytes` for fills and readers, though they have their part. It comes back to
    /// what is stored with [`Store::make_way`].
    fn lend(&self, more_bytes: u64) {
        if self.leaves_enough(more_bytes) {
            let latest = lock(&self.excess);
            self.weigh_down(latest.taken.bytes() + self.lent(more_bytes));
        }
    }

    /// Leaves so many bytes less to what is stored.
    fn weigh_down(&self, bytes: u64) {
        self.engine.weigh_down(bytes);
        self.engine.catch_up();
    }

    /// What fills and readers, with `more_bytes`, have beyond the part that is theirs.
    fn lent(&self, more_bytes: u64) -> u64 {
        (self.held() + more_bytes).saturating_sub(spare(self.ledger.bound()))
    }

    /// Whether half of the bound stays free or with what could be evicted, when fills and readers hold so much more: those
    /// never make way.
    fn leaves_enough(&self, more_bytes: u64) -> bool {
        if more_bytes == 0 {
            return true;
        }
        self.held().saturating_add(more_bytes) <= self.ledger.bound() / 2
    }

    /// What fills and readers hold, in bytes.
    fn held(&self) -> u64 {
        let others = self.engine.weight() + self.excess();
        self.ledger.used().saturating_sub(others)
    }

    /// Takes from the bound what the process, with `resident_bytes` in RAM, takes beyond what is counted here and what is
    /// granted for the rest; stored responses are evicted for it. If it lives in a cgroup with a limit, which counts more than
    /// that, what is used of it must not come nearer to the limit. For a loop that calls it several times a second.
    pub fn make_way(&self, resident_bytes: u64, cgroup: Option<Usage>) -> Option<Overdraft> {
        let bound_bytes = self.ledger.bound();
        let pressure = Pressure::of(resident_bytes, cgroup, bound_bytes);
        let mut latest = lock(&self.excess);
        let Excess { taken, counted } = &mut *latest;
        let in_no_memory = taken.bytes() + self.ledger.awaited();
        let counted = counted.most(self.ledger.used().saturating_sub(in_no_memory));
        let excess = excess(pressure.bytes(bound_bytes), counted, bound_bytes);
        if self.lent(0) > 0 {
            // What the engine has not weighed yet would seem to be held by fills.
            self.engine.catch_up();
        }
        let taken_back = excess + self.lent(0);
        if taken_back > 0 || self.engine.is_weighed_down() {
            self.weigh_down(taken_back);
            taken.approach(excess);
            self.taken.store(taken.bytes(), Ordering::Relaxed);
        }
        let missing_bytes = excess - taken.bytes();
        let is_overdrawn = missing_bytes > OVERDRAFT_MAX_BYTES;
        self.overdrawn.store(is_overdrawn, Ordering::Relaxed);
        is_overdrawn.then_some(Overdraft { pressure, missing_bytes })
    }

    /// Whether no more memory should be taken by anybody, as [`Store::make_way`] said: what is stored has made way, and readers
    /// and fills hold the rest.
    pub fn is_overdrawn(&self) -> bool {
        self.overdrawn.load(Ordering::Relaxed)
    }

    /// Bytes of the bound that are taken by what nobody counts.
    pub fn excess(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is reserved and the bound.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the engine believes is stored, in bytes.
    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.engine.catch_up();
        self.engine.weight()
    }

    /// Keys with at least one stored response; may lag a little.
    pub fn keys(&self) -> u64 {
        self.engine.keys()
    }
}

/// Stores `variants` by what they take together.
fn put(variants: Variants) -> Change<Variants> {
    let bytes = variants.size();
    Change::Put(variants, bytes)
}

/// Whether no hard purge covers it.
fn is_kept(response: &Arc<StoredResponse>) -> bool {
    !response.head.stamps.is_gone()
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

/// The part of the bound that is for fills and readers, and for what the engine has yet to evict.
fn spare(bound_bytes: u64) -> u64 {
    bound_bytes / 8
}

/// Excess that may find no room for a moment, half of what is spared for moments.
const OVERDRAFT_MAX_BYTES: u64 = SPARE_BYTES / 2;

#[cfg(test)]
mod tests;
