//! The engine: what is worth keeping, by moka's TinyLFU.
//!
//! TinyLFU lets a newcomer in if it was asked for more often than those it would displace, the least recently used. Left to
//! itself, moka 0.12 makes little of that, and so it is helped here, through nothing but keys and weights:
//!
//! - It counts requests in a sketch, whose size says as well for how long. It chooses that once, when it is half full, by
//!   half of the keys it holds then: a quarter of what there will be, so that it forgets too soon. [`Engine::set_scale`]
//!   chooses for it.
//! - Who is refused leaves those that it was compared with where they are, so that what was in fashion once, at the end of
//!   the queue, keeps everybody out. Now and then a small one is let in without a comparison, and the queue moves on.
//! - The sketch counts to 15, so that a large one is never worth many small ones. It is let in as well once it has been
//!   refused a few times ([`Refusals`]).
//! - It frees what it has evicted two epochs later, and lets them pass once in some sixty changes. However large these are,
//!   not much should wait for that.
//! - It loses the weight of a change that is followed by a removal before it has taken note of the change.
//! - It counts the changes of an entry in 16 bits, and takes one whose count has wrapped around for one that is about to
//!   change, which is never evicted. So an entry is made anew before that.
//! - It keeps a key in memory of its own. So its keys are hashes of ours, and every value knows whose it is: of two keys
//!   with one hash, the one that was stored last is there, and the other is not.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::hashed::Hashed;
use super::lock::lock;
use super::refusals::Refusals;

/// Values by key, up to a weight.
#[derive(Debug)]
pub(super) struct Engine<V: Keyed> {
    cache: Cache<u64, Weighed<V>, Hashed>,
    /// Locks that keys are spread over: one change at a time.
    turns: [Mutex<()>; TURNS],
    /// Makes moka's keys, in a way that nobody can foresee.
    hasher: RandomState,
    /// What a weight of 1 stands for, in bytes.
    unit_bytes: u64,
    /// Small ones that had no value before.
    newcomers: AtomicU64,
    /// Of large ones.
    refusals: Arc<Refusals>,
    /// Bytes that have come since an epoch was let pass for that.
    since_epoch: AtomicU64,
    /// By how much it is weighed down, in units.
    ballast: AtomicU64,
}

/// What knows its key.
pub(super) trait Keyed: Clone + Send + Sync + 'static {
    fn has_key(&self, key: &str) -> bool;
}

#[derive(Clone, Debug)]
struct Weighed<V> {
    /// None of what only takes room.
    value: Option<V>,
    weight: u32,
    /// How often the value has changed since the entry was made.
    changes: u16,
    /// Whether it weighed more than most when it came.
    is_large: bool,
}

impl<V> Weighed<V> {
    /// The value, if it is that of `key`.
    fn value_of(self, key: &str) -> Option<V>
    where
        V: Keyed,
    {
        self.value.filter(|value| value.has_key(key))
    }

    /// What only takes room.
    fn nothing(weight: u32) -> Self {
        Self { value: None, weight, changes: 0, is_large: false }
    }
}

/// What becomes of the value of a key.
pub(super) enum Change<V> {
    /// It stays.
    Keep,
    /// This one of so many bytes is there instead. The engine may refuse it where there was none.
    Put(V, u64),
    /// None is there.
    Remove,
}

impl<V: Keyed> Engine<V> {
    /// Nothing yet; `on_eviction` is told of every key that is evicted, or refused on arrival, to keep within the capacity.
    pub(super) fn new(capacity_bytes: u64, on_eviction: impl Fn() + Send + Sync + 'static) -> Self {
        let unit_bytes = capacity_bytes.div_ceil(CAPACITY_MAX).max(1);
        let capacity = capacity_bytes / unit_bytes;
        let refusals = Arc::new(Refusals::new());
        let refused = Arc::clone(&refusals);
        let cache = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, weighed: &Weighed<V>| weighed.weight)
            .eviction_listener(move |hash: Arc<u64>, weighed, cause| {
                if cause == RemovalCause::Size && weighed.value.is_some() {
                    on_eviction();
                    if weighed.is_large {
                        refused.note(*hash);
                    }
                }
            })
            .build_with_hasher(Hashed::default());
        let engine = Self {
            cache,
            turns: [const { Mutex::new(()) }; TURNS],
            hasher: RandomState::new(),
            unit_bytes,
            newcomers: AtomicU64::new(0),
            refusals,
            since_epoch: AtomicU64::new(0),
            ballast: AtomicU64::new(0),
        };
        engine.set_scale(capacity, (capacity_bytes / SCALE_BYTES).min(KEYS_MAX));
        engine
    }

    /// Makes the sketch one for `keys` keys.
    ///
    /// moka sizes it by the keys it holds times the part of its capacity that is used. Few keys that are made as heavy as it
    /// takes, all at once, look like many; then they go.
    fn set_scale(&self, capacity: u64, keys: u64) {
        let count = (keys / KEYS_PER_STAND_IN).max(STAND_INS_MIN);
        let heavy = u32::try_from(keys * capacity / (count * HEAVY)).unwrap_or(u32::MAX);
        let put = |number, weight| self.cache.insert(self.stand_in(number), Weighed::nothing(weight));
        (0..count).for_each(|number| put(number, 0));
        self.cache.run_pending_tasks();
        (0..HEAVY).for_each(|number| put(number, heavy));
        self.cache.run_pending_tasks();
        (0..count).for_each(|number| self.cache.invalidate(&self.stand_in(number)));
        self.cache.run_pending_tasks();
    }

    /// The value of `key`; a use of it, whether it is there or not.
    pub(super) fn get(&self, key: &str) -> Option<V> {
        self.cache.get(&self.hasher.hash_one(key))?.value_of(key)
    }

    /// All there is; no use of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = V> {
        self.cache.iter().filter_map(|(_, weighed)| weighed.value)
    }

    /// Does with the value of `key` what `decide` says, one change of a key at a time.
    pub(super) fn change(&self, key: &str, decide: impl FnOnce(Option<&V>) -> Change<V>) {
        let hash = self.hasher.hash_one(key);
        let _turn = lock(&self.turns[hash as usize % TURNS]);
        // A look for what is not there would count as one more request for it, so that what is asked for once would seem to
        // be worth as much as what is asked for twice.
        let entry = if self.cache.contains_key(&hash) { self.cache.get(&hash) } else { None };
        let changes = entry.as_ref().map_or(0, |entry| entry.changes);
        let found = entry.and_then(|entry| entry.value_of(key));
        match decide(found.as_ref()) {
            Change::Keep => {}
            Change::Put(value, bytes) => {
                let weight = u32::try_from(bytes.div_ceil(self.unit_bytes)).unwrap_or(u32::MAX);
                let is_worn = changes == CHANGES_MAX;
                if is_worn {
                    self.remove(hash);
                }
                let changes = if is_worn { 0 } else { changes + 1 };
                let is_large = u64::from(weight) * self.cache.entry_count() > self.cache.weighted_size();
                let weighed = Weighed { value: Some(value), weight, changes, is_large };
                if is_worn || (found.is_none() && self.lets_in(hash, is_large)) {
                    // What weighs nothing displaces nobody, and is compared with nobody; then it grows.
                    self.cache.insert(hash, Weighed { weight: 0, ..weighed.clone() });
                }
                self.cache.insert(hash, weighed);
                if self.since_epoch.fetch_add(bytes, Ordering::Relaxed) + bytes >= EPOCH_BYTES {
                    self.since_epoch.store(0, Ordering::Relaxed);
                    let_an_epoch_pass();
                }
            }
            Change::Remove => self.remove(hash),
        }
    }

    fn remove(&self, hash: u64) {
        // Changes that are not yet in the account would be left out of it.
        self.cache.run_pending_tasks();
        self.cache.invalidate(&hash);
    }

    /// Whether a newcomer is let in without a comparison.
    fn lets_in(&self, hash: u64, is_large: bool) -> bool {
        if is_large {
            self.refusals.are_enough(hash)
        } else {
            self.newcomers.fetch_add(1, Ordering::Relaxed).is_multiple_of(LET_IN_EVERY)
        }
    }

    /// Takes note of all changes, evicts what is beyond the capacity, and frees what was evicted.
    pub(super) fn catch_up(&self) {
        self.cache.run_pending_tasks();
        (0..EPOCHS).for_each(|_| let_an_epoch_pass());
    }

    /// Leaves so many bytes less of its capacity to everything else.
    pub(super) fn weigh_down(&self, bytes: u64) {
        let ballast = self.stand_in(BALLAST);
        let weight = u32::try_from(bytes.div_ceil(self.unit_bytes)).unwrap_or(u32::MAX);
        // Of the two it is the lesser one in between, so that everything else never seems to weigh less than it does.
        self.ballast.fetch_min(weight.into(), Ordering::Relaxed);
        // A newcomer that weighs much would be refused; one that grows is not. The look for it is a use of it.
        if self.cache.get(&ballast).is_none() {
            self.cache.insert(ballast, Weighed::nothing(0));
            self.cache.run_pending_tasks();
        }
        self.cache.insert(ballast, Weighed::nothing(weight));
        self.cache.run_pending_tasks();
        self.ballast.store(weight.into(), Ordering::Relaxed);
    }

    /// Whether it leaves less than its capacity to everything else.
    pub(super) fn is_weighed_down(&self) -> bool {
        self.ballast.load(Ordering::Relaxed) > 0
    }

    /// Holds the place of a key before the first one.
    fn stand_in(&self, number: u64) -> u64 {
        self.hasher.hash_one(number)
    }

    /// What it believes it holds, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let ballast = self.ballast.load(Ordering::Relaxed);
        self.cache.weighted_size().saturating_sub(ballast) * self.unit_bytes
    }

    /// Keys; may lag a little.
    pub(super) fn keys(&self) -> u64 {
        let ballast = u64::from(self.cache.contains_key(&self.stand_in(BALLAST)));
        self.cache.entry_count().saturating_sub(ballast)
    }
}

/// Hands in what this thread has evicted, and frees what nobody can look at any more.
fn let_an_epoch_pass() {
    crossbeam_epoch::pin().flush();
}

/// Changes of one entry: each is up to two for moka, which counts 65,535.
const CHANGES_MAX: u16 = 1 << 14;

/// The number of what takes room for as long as it is needed; stand-ins have smaller ones.
const BALLAST: u64 = u64::MAX;

/// Enough for workers to meet rarely.
const TURNS: usize = 64;

/// Weights are of 32 bits, and capacities larger than this would leave the stand-ins too light.
const CAPACITY_MAX: u64 = 1 << 28;

/// One key in the sketch for so many bytes; it takes 8 to 16 bytes of memory. After ten requests for each key, the sketch
/// halves what it has counted: were there fewer, it would confuse keys and forget too soon, were there more, it would
/// remember what left fashion for too long.
const SCALE_BYTES: u64 = 16 * 1024;

/// What 256 GiB hold of these.
const KEYS_MAX: u64 = 1 << 24;

/// So that the heavy ones are at most 16 times as heavy as the capacity.
const KEYS_PER_STAND_IN: u64 = 512;

/// As many as are made heavy, or more.
const STAND_INS_MIN: u64 = 64;

/// Changes that moka takes note of at once.
const HEAVY: u64 = 32;

/// What is evicted in one epoch is freed in the second one after it.
const EPOCHS: usize = 3;

/// What may come before an epoch is let pass, as it is at once for a large one. To let one pass for every small one would cost
/// each of them 1,700 instructions.
const EPOCH_BYTES: u64 = 256 << 10;

/// One of so many small newcomers is let in: enough for a queue to move on, too few for a scan to do harm.
const LET_IN_EVERY: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 4 << 20;
    const BYTES: u64 = 16 << 10;

    /// A value with its key.
    #[derive(Clone, Debug, PartialEq)]
    struct Named(String);

    impl Keyed for Named {
        fn has_key(&self, key: &str) -> bool {
            self.0 == key
        }
    }

    fn engine() -> Engine<Named> {
        Engine::new(CAPACITY, || {})
    }

    fn key(number: u64) -> String {
        format!("https://www.test/{number}")
    }

    fn put(engine: &Engine<Named>, number: u64, bytes: u64) {
        engine.change(&key(number), |_| Change::Put(Named(key(number)), bytes));
    }

    /// A request: a lookup and, when that finds nothing, a change.
    fn request(engine: &Engine<Named>, number: u64) -> bool {
        let is_hit = engine.get(&key(number)).is_some();
        if !is_hit {
            put(engine, number, BYTES);
            engine.catch_up();
        }
        is_hit
    }

    #[test]
    fn what_sets_the_scale_leaves_nothing_behind() {
        for capacity_bytes in [0, 1, 1000, CAPACITY, 1 << 34] {
            let engine: Engine<Named> = Engine::new(capacity_bytes, || panic!("nothing of anybody's is evicted"));
            assert_eq!((engine.keys(), engine.weight(), engine.iter().count()), (0, 0, 0), "{capacity_bytes}");
        }
    }

    #[test]
    fn what_weighs_down_is_nothing_that_is_held() {
        let engine = engine();
        put(&engine, 0, BYTES);
        for bytes in [CAPACITY / 2, 0, CAPACITY / 4] {
            engine.weigh_down(bytes);
            assert_eq!((engine.keys(), engine.weight(), engine.iter().count()), (1, BYTES, 1), "{bytes}");
        }
    }

    #[test]
    fn what_was_changed_very_often_leaves_as_others_do() {
        for changes in [1000, 70_000] {
            let engine = engine();
            (0..changes).for_each(|_| put(&engine, 0, BYTES));
            engine.catch_up();
            // Enough for the sketch to forget what is asked for no more.
            for number in 0..20 * CAPACITY / BYTES {
                request(&engine, 1 + number / 2);
            }
            assert!(engine.iter().all(|kept| kept != Named(key(0))), "after {changes} changes");
        }
    }

    #[test]
    fn of_two_keys_with_one_hash_the_last_one_is_there() {
        let engine = engine();
        // As if the first one's hash were that of the second.
        let collide = |there: &str| {
            let weighed = Weighed { value: Some(Named(there.to_owned())), weight: 1, changes: 0, is_large: false };
            engine.cache.insert(engine.hasher.hash_one("second"), weighed);
        };
        collide("first");
        assert_eq!((engine.get("second"), engine.iter().count()), (None, 1));
        engine.change("second", |found| {
            assert_eq!(found, None);
            Change::Keep
        });
        assert_eq!(engine.iter().collect::<Vec<_>>(), [Named("first".to_owned())]);
        engine.change("second", |_| Change::Put(Named("second".to_owned()), BYTES));
        assert_eq!(engine.get("second"), Some(Named("second".to_owned())));
        engine.catch_up();
        assert_eq!((engine.keys(), engine.weight()), (1, BYTES));
    }

    #[test]
    fn weights_of_any_size_count() {
        let engine = Engine::new(1 << 36, || {});
        put(&engine, 0, 6 << 30);
        engine.catch_up();
        assert_eq!(engine.weight(), 6 << 30);
    }

    #[test]
    fn what_is_asked_for_again_stays_while_others_pass_by() {
        let engine = engine();
        let popular = CAPACITY / BYTES / 2;
        for number in 0..40 * popular {
            request(&engine, if number.is_multiple_of(4) { number / 4 % popular } else { popular + number });
        }
        let kept = (0..popular).filter(|number| engine.get(&key(*number)).is_some()).count() as u64;
        assert!(kept > popular * 9 / 10, "{kept} of {popular}");
    }

    #[test]
    fn what_is_large_and_asked_for_all_the_time_is_kept() {
        let engine = engine();
        // Every one of them twice, which makes each dear, and all together far too dear for any single one.
        for number in 0..20 * CAPACITY / BYTES {
            request(&engine, number / 2);
        }
        let (large, mut fetches) = (1 << 40, 0);
        for round in 0..1000 {
            if engine.get(&key(large)).is_none() {
                fetches += 1;
                put(&engine, large, CAPACITY / 8);
                engine.catch_up();
            }
            request(&engine, (1 << 20) + round / 2);
        }
        assert!(fetches <= 5, "{fetches}");
    }

    #[test]
    fn what_was_in_fashion_does_not_keep_everybody_out() {
        let engine = engine();
        let popular = CAPACITY / BYTES;
        for number in 0..20 * popular {
            request(&engine, number % popular);
        }
        let hits =
            (popular..2 * popular).filter(|number| !request(&engine, *number) && request(&engine, *number)).count();
        assert!(hits > 0);
    }
}
