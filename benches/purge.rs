//! Purging: a tag that a million stored responses carry, and what it costs the lookups after it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use holdover::cache::purge::{PurgeMode, Selector};
use holdover::cache::store::{Lookup, Store, StoreCounters};
use holdover::cache::stored::Arrival;
use holdover::clock::Clock;
use holdover::semantics::key::{CacheKey, cache_key};
use holdover::semantics::target::Target;
use http::HeaderMap;

#[path = "hit/put.rs"]
mod put;
use put::put;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    // As a test it runs once, unoptimized.
    let count = if std::env::args().any(|argument| argument == "--bench") { 1_000_000 } else { 10_000 };
    let shelf = Shelf::new(count);
    purges(&mut criterion, &shelf);
    lookups(&mut criterion, &shelf);
    criterion.final_summary();
}

/// Of one response or of all, a purge is one store.
fn purges(criterion: &mut Criterion, shelf: &Shelf) {
    let mut group = criterion.benchmark_group("purge");
    for (name, selector, covered) in [
        ("a tag of every response", Selector::Tag("all".into()), shelf.count),
        ("a host", Selector::Host(HOST.into()), shelf.count),
        ("one URL", Selector::Url { host: HOST.into(), path_and_query: path(7).into() }, 1),
    ] {
        group.bench_function(format!("{name}, among {}", shelf.count), |bencher| {
            bencher.iter(|| {
                let receipt = shelf.store.purge(std::slice::from_ref(&selector), PurgeMode::Soft, shelf.now);
                assert_eq!(receipt.responses, covered as u64);
            });
        });
    }
    group.bench_function(format!("a term of every response, among {}", shelf.count), |bencher| {
        bencher.iter(|| {
            let receipt = shelf.store.take_back(TERM, shelf.now);
            assert_eq!(receipt.responses, shelf.count as u64);
        });
    });
    group.finish();
}

/// While nothing was purged, and right after a purge of something else, when a response compares its numbers again.
fn lookups(criterion: &mut Criterion, shelf: &Shelf) {
    let (key, request) = (key(11), HeaderMap::new());
    let look_up = || match shelf.store.lookup(black_box(&key), &request) {
        Lookup::Found(response) => black_box(response.head.stamps.purged(shelf.now)),
        Lookup::Absent | Lookup::NoVariant => panic!("it is stored"),
    };
    criterion.bench_function("lookup/nothing purged since", |bencher| bencher.iter(look_up));
    let other = [Selector::Tag("other".into())];
    criterion.bench_function("lookup/after a purge", |bencher| {
        bencher.iter_batched(
            || shelf.store.purge(&other, PurgeMode::Hard, shelf.now),
            |_| look_up(),
            criterion::BatchSize::PerIteration,
        );
    });
}

/// Small responses, all with one tag.
struct Shelf {
    store: Store,
    count: usize,
    now: Instant,
}

impl Shelf {
    fn new(count: usize) -> Self {
        let now = Clock::new().now().monotonic;
        let shelf = Self { store: Store::new(8 << 30, StoreCounters::default(), now), count, now };
        (0..count).for_each(|number| shelf.add(number));
        shelf
    }

    fn add(&self, number: usize) {
        let (store, key) = (&self.store, key(number));
        let stamps = store.fence(HOST, &path(number)).stamps_with(&["all".into()], &[TERM]);
        put(store, Arrival::plain(&key, stamps, self.now), 0).expect("it fits");
    }
}

fn path(number: usize) -> String {
    format!("/assets/{}/{number}.js", number % 1000)
}

fn key(number: usize) -> CacheKey {
    cache_key(&Target::new("https", HOST, None, &path(number)))
}

/// As if all of it had come between two probes.
const TERM: u64 = 1;

const HOST: &str = "www.test";
