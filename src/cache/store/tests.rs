//! What the store makes of its engine: whatever comes and goes, the engine knows what is there, and makes room.

use std::sync::mpsc;
use std::thread;

use http::{HeaderValue, header};

use super::*;
use crate::cache::chunks::GrowingBody;
use crate::cache::excess::grant;
use crate::cache::stored::{Arrival, StoredHead};
use crate::clock::Clock;
use crate::semantics::key::cache_key;
use crate::semantics::target::Target;
use crate::semantics::vary::Nominated;

struct Bench {
    store: Store,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Clock::new().now().monotonic;
        Self { store: Store::new(BOUND_BYTES, StoreCounters::default(), now), now }
    }

    /// A response for requests in `language`, which its head pays for, so that its body takes no memory.
    fn response(&self, key: &CacheKey, language: &str, bytes: u64) -> Arc<StoredResponse> {
        let nominated = Nominated::of(&[header::ACCEPT_LANGUAGE], &in_language(language));
        let stamps = self.store.fence(HOST, key.as_str()).stamps_with(&[language.into()], &[]);
        let head = StoredHead::of(Arrival { nominated, ..Arrival::plain(key, stamps, self.now) });
        let nothing = self.store.reserve(0).expect("nothing always fits");
        let body = GrowingBody::default().seal(nothing).expect("nothing was forgotten");
        let paid = self.room(bytes).expect("the engine has made room");
        Arc::new(StoredResponse::new(head, body, paid))
    }

    /// Measures a few times, with so many bytes in RAM that nobody counts: evictions come in batches, and what they free
    /// counts for a while. Each time as soon as no other test keeps what was evicted, so that no more than `held` is.
    fn make_way_for(&self, uncounted: u64, held: u64) {
        for _ in 0..20 {
            let counted = self.store.ledger().used() - self.store.excess();
            self.store.make_way(uncounted + counted, None);
            let is_freed = || self.store.held() <= held + (8 << 10);
            (0..ATTEMPTS).take_while(|_| !is_freed()).for_each(|_| {
                self.store.engine.catch_up();
                thread::yield_now();
            });
        }
    }

    /// A reservation, as soon as no other test is in the middle of a lookup, which keeps what was evicted from being freed.
    fn room(&self, bytes: u64) -> Option<Reservation> {
        (0..ATTEMPTS).find_map(|_| {
            let room = self.store.reserve(bytes);
            if room.is_none() {
                thread::yield_now();
            }
            room
        })
    }

    fn store(&self, name: &str, language: &str, bytes: u64) -> Arc<StoredResponse> {
        let response = self.response(&key(name), language, bytes);
        self.store.store(Arc::clone(&response));
        response
    }

    fn has(&self, name: &str, language: &str) -> bool {
        matches!(self.store.lookup(&key(name), &in_language(language)), Lookup::Found(_))
    }
}

fn key(name: &str) -> CacheKey {
    cache_key(&Target::new("https", HOST, None, name))
}

fn in_language(language: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_str(language).expect("a word"))])
}

#[test]
fn a_key_that_shrinks_and_goes_at_once_leaves_no_weight() {
    let bench = Bench::new();
    let (large, small) = (bench.store("/a", "de", 10_000), bench.store("/a", "en", 1000));
    bench.store.remove(&large);
    bench.store.remove(&small);
    assert_eq!(bench.store.weight(), 0);
}

#[test]
fn what_lookups_find_purged_one_after_another_leaves_no_weight() {
    let bench = Bench::new();
    bench.store("/a", "de", 10_000);
    bench.store("/a", "en", 1000);
    for language in ["de", "en"] {
        bench.store.purge(&[Selector::Tag(language.into())], PurgeMode::Hard, bench.now);
        assert!(!bench.has("/a", language));
    }
    assert_eq!(bench.store.weight(), 0);
}

#[test]
fn purges_of_variants_never_cost_room_for_others() {
    let bench = Bench::new();
    for round in 0..200 {
        let name = format!("/{round}");
        let (large, small) = (bench.store(&name, "de", 10_000), bench.store(&name, "en", 1000));
        bench.store.remove(&large);
        bench.store.remove(&small);
    }
    bench.store("/a", "de", 10_000);
    assert!(bench.has("/a", "de"));
}

#[test]
fn stored_responses_make_way_for_what_nobody_counts() {
    // What 96 responses of 8 KiB leave in a store of 1 MiB, the ledger's part and the number of them.
    let with_uncounted = |kibibytes: u64| {
        let bench = Bench::new();
        for number in 0..96 {
            bench.store(&format!("/{number}"), "de", 8 << 10);
        }
        bench.make_way_for(kibibytes << 10, 0);
        let mut kept = 0;
        bench.store.visit(|_, _| kept += 1);
        (bench.store.excess(), kept)
    };
    assert_eq!(with_uncounted(16 << 10), (0, 96));
    // The grant is some 40 MiB.
    let (excess, kept) = with_uncounted((40 << 10) + 512);
    assert!((300 << 10..500 << 10).contains(&excess), "{excess}");
    assert!((40..70).contains(&kept), "{kept}");
    assert_eq!(with_uncounted(1000 << 10), (1 << 20, 0));
}

#[test]
fn stored_responses_make_way_though_fills_hold_more_than_their_part() {
    let bench = Bench::new();
    for number in 0..56 {
        bench.store(&format!("/{number}"), "de", 8 << 10);
    }
    let _fills = bench.room(BOUND_BYTES / 2).expect("half is theirs");
    bench.make_way_for(grant(BOUND_BYTES) + (100 << 10), BOUND_BYTES / 2);
    assert_eq!(bench.store.excess(), 100 << 10);
    let mut kept = 0;
    bench.store.visit(|_, _| kept += 1);
    assert!((40..53).contains(&kept), "{kept}");
}

#[test]
fn stored_responses_make_way_for_fills_and_come_back_after_them() {
    let bench = Bench::new();
    let fill_up = |round: usize| {
        for number in 0..200 {
            bench.store(&format!("/{round}/{number}"), "de", 8 << 10);
        }
        bench.store.engine.catch_up();
        bench.store.engine.weight()
    };
    let full = fill_up(0);
    assert!(full > BOUND_BYTES / 4 * 3, "{full}");
    let fills: Vec<_> = (0..4).filter_map(|_| bench.room(BOUND_BYTES / 10)).collect();
    assert_eq!(fills.len(), 4, "stored responses make way");
    assert!(fill_up(1) > BOUND_BYTES / 10 * 4, "they make no more way than they have to");
    assert!(bench.store.ledger().used() <= BOUND_BYTES);
    drop(fills);
    bench.make_way_for(0, 0);
    assert!(fill_up(2) > BOUND_BYTES / 4 * 3, "what was lent comes back");
}

#[test]
fn what_fills_have_yet_to_bring_hides_nothing_of_the_excess() {
    let bench = Bench::new();
    let resident = grant(BOUND_BYTES) + (100 << 10);
    let fill = bench.room(BOUND_BYTES / 4).expect("it fits");
    bench.store.make_way(resident, None);
    assert_eq!(bench.store.excess(), 0, "what is counted is in memory");
    let _yet_to_come = fill.awaited();
    for _ in 0..4 {
        bench.store.make_way(resident, None);
    }
    assert_eq!(bench.store.excess(), 100 << 10, "none of it has come");
}

#[test]
fn a_store_is_overdrawn_while_what_is_reserved_leaves_no_room_for_the_excess() {
    let store = Store::new(256 << 20, StoreCounters::default(), Clock::new().now().monotonic);
    let pinned = store.ledger.reserve(250 << 20).expect("it fits");
    for (mebibytes, missing) in [(320, None), (400, Some(73)), (320, None), (400, Some(73))] {
        let overdraft = store.make_way(mebibytes << 20, None);
        assert_eq!(overdraft.map(|overdraft| overdraft.missing_bytes >> 20), missing, "{mebibytes} MiB in RAM");
        assert_eq!(store.is_overdrawn(), missing.is_some(), "{mebibytes} MiB in RAM");
    }
    drop(pinned);
    store.make_way(150 << 20, None);
    assert!(!store.is_overdrawn());
}

#[test]
fn a_store_is_overdrawn_while_what_nobody_counts_takes_more_than_all_of_the_bound() {
    let store = Store::new(256 << 20, StoreCounters::default(), Clock::new().now().monotonic);
    for (mebibytes, missing) in [(335, None), (400, Some(73)), (2000, Some(1673)), (335, None)] {
        let overdraft = store.make_way(mebibytes << 20, None);
        assert_eq!(overdraft.map(|overdraft| overdraft.missing_bytes >> 20), missing, "{mebibytes} MiB in RAM");
    }
}

#[test]
fn fills_and_readers_leave_half_to_what_makes_way() {
    let bench = Bench::new();
    let held = bench.store.reserve(BOUND_BYTES / 2).expect("it fits");
    assert!(bench.store.reserve(1).is_none());
    assert!(bench.store.reserve(0).is_some(), "nothing always fits");
    drop(held);
    assert!(bench.store.reserve(1).is_some());
}

#[test]
fn what_a_silent_worker_has_evicted_is_room_for_others() {
    let bench = Bench::new();
    let ((stored, has_stored), (done, is_done)) = (mpsc::channel(), mpsc::channel::<()>());
    thread::scope(|scope| {
        let worker = &bench;
        scope.spawn(move || {
            (0..500).for_each(|number| drop(worker.store(&format!("/{number}"), "de", BOUND_BYTES / 64)));
            stored.send(()).expect("somebody waits");
            let _ = is_done.recv();
        });
        has_stored.recv().expect("all were stored");
        let room = bench.room(BOUND_BYTES / 16);
        drop(done);
        assert!(room.is_some(), "{} bytes in use", bench.store.ledger().used());
    });
}

const BOUND_BYTES: u64 = 1 << 20;

const HOST: &str = "www.test";

/// Some hundredths of a second.
const ATTEMPTS: usize = 10_000;
