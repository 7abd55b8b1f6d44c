//! Orders, their outcomes, and the ledger's bound.

use std::time::Instant;

use super::*;
use crate::cache::remote_encoder::remote_encoder;
use crate::cache::store::StoreCounters;
use crate::cache::stored::{Arrival, StoredHead, StoredResponse};
use crate::semantics::key::{CacheKey, cache_key};
use crate::semantics::target::Target;
use crate::telemetry::Metrics;

#[test]
fn a_coding_is_made_once_and_paid_for_as_long_as_its_response_lives() {
    let bench = Bench::new(1 << 20);
    let stored = bench.store("/x", &b"compressible ".repeat(5000));
    let (codings, before) = (codings(&stored), bench.store.ledger().used());
    for _ in 0..2 {
        bench.order(&codings, ContentCoding::Gzip);
    }
    assert_eq!(codings.availability(ContentCoding::Gzip), Availability::Unmade);
    assert_eq!(bench.compressor.run_waiting(), 1);
    let made = codings.made(ContentCoding::Gzip).expect("made");
    assert_eq!(bench.store.ledger().used(), before + made.length());
    assert_eq!(codings.size(), made.length());
    bench.order(&codings, ContentCoding::Gzip);
    assert_eq!(bench.compressor.run_waiting(), 0);
    bench.shows("outcome=\"made\"} 1");
    let weight = bench.store.weight();
    assert_eq!(weight, stored.size(), "the engine knows the new weight");
}

#[test]
fn a_coding_goes_with_its_response() {
    let bench = Bench::new(1 << 20);
    let response = bench.response("/x", &b"compressible ".repeat(5000));
    bench.order(&codings(&response), ContentCoding::Gzip);
    bench.compressor.run_waiting();
    assert!(codings(&response).size() > 0);
    drop(response);
    assert_eq!(bench.store.ledger().used(), 0);
}

#[test]
fn a_freshened_response_keeps_its_codings() {
    let bench = Bench::new(1 << 20);
    let stored = bench.store("/x", &b"compressible ".repeat(5000));
    let codings = codings(&stored);
    bench.order(&codings, ContentCoding::Zstd);
    let paid = bench.store.reserve(600).expect("fits");
    let freshened = Arc::new(stored.freshened(stored.head.clone(), paid));
    bench.store.store(Arc::clone(&freshened));
    drop(stored);
    assert_eq!(bench.compressor.run_waiting(), 1, "an order outlives the head it was made under");
    assert!(freshened.codings().is_some_and(|shared| shared.made(ContentCoding::Zstd).is_some()));
    assert_eq!(bench.store.weight(), freshened.size());
    let paid = bench.store.reserve(600).expect("fits");
    let mut withdrawn = freshened.head.clone();
    withdrawn.codable = false;
    assert!(freshened.freshened(withdrawn, paid).codings().is_none(), "no-transform came with a 304");
}

#[test]
fn what_does_not_shrink_is_not_kept_and_not_tried_again() {
    let bench = Bench::new(1 << 20);
    let mut random = fastrand::Rng::with_seed(1);
    let stored = bench.store("/x", &(0..50_000).map(|_| random.u8(..)).collect::<Vec<_>>());
    let (codings, before) = (codings(&stored), bench.store.ledger().used());
    bench.order(&codings, ContentCoding::Brotli);
    assert_eq!(bench.compressor.run_waiting(), 1);
    for coding in ContentCoding::ALL {
        assert_eq!(codings.availability(coding), Availability::Refused);
    }
    assert_eq!(bench.store.ledger().used(), before);
    bench.shows("outcome=\"not-smaller\"} 1");
}

#[test]
fn what_gzip_cannot_shrink_the_others_may() {
    let bench = Bench::new(1 << 20);
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<_> = (0..40_000).map(|_| random.u8(..)).collect();
    let codings = codings(&bench.store("/x", &noise.repeat(4)));
    for (coding, expected) in [
        (ContentCoding::Gzip, [Availability::Unmade, Availability::Refused, Availability::Unmade]),
        (ContentCoding::Brotli, [Availability::Made, Availability::Refused, Availability::Unmade]),
    ] {
        bench.order(&codings, coding);
        assert_eq!(bench.compressor.run_waiting(), 1);
        assert_eq!(ContentCoding::ALL.map(|coding| codings.availability(coding)), expected);
    }
}

#[test]
fn a_coding_without_room_is_tried_again_after_a_while() {
    let bench = Bench::new(100_000);
    let codings = codings(&bench.store("/x", &[b'x'; 40_000]));
    let ledger = bench.store.ledger();
    let busy = ledger.reserve(ledger.bound() - ledger.used()).expect("fits");
    bench.order(&codings, ContentCoding::Brotli);
    assert_eq!(bench.compressor.run_waiting(), 1);
    bench.shows("outcome=\"no-room\"} 1");
    drop(busy);
    let order_after = |pause| {
        bench.compressor.order(&codings, ContentCoding::Brotli, &bench.metrics, bench.began + pause);
        bench.compressor.run_waiting()
    };
    assert_eq!(order_after(NO_ROOM_PAUSE / 2), 0, "not at every hit");
    assert_eq!(codings.availability(ContentCoding::Brotli), Availability::Unmade);
    // The clock went on a little while the order was filled.
    assert_eq!(order_after(2 * NO_ROOM_PAUSE), 1);
    assert_eq!(codings.availability(ContentCoding::Brotli), Availability::Made);
}

#[test]
fn a_full_queue_drops_orders_that_may_be_given_again() {
    let bench = Bench::new(64 << 20);
    let stored: Vec<_> = (0..=ORDERS_MAX).map(|number| bench.store(&format!("/{number}"), &[b'x'; 2000])).collect();
    for stored in &stored {
        bench.order(&codings(stored), ContentCoding::Gzip);
    }
    bench.shows("outcome=\"dropped\"} 1");
    assert_eq!(bench.compressor.run_waiting(), ORDERS_MAX);
    let last = codings(&stored[ORDERS_MAX]);
    assert_eq!(last.availability(ContentCoding::Gzip), Availability::Unmade);
    bench.order(&last, ContentCoding::Gzip);
    assert_eq!(bench.compressor.run_waiting(), 1);
    assert_eq!(last.availability(ContentCoding::Gzip), Availability::Made);
}

#[test]
fn an_order_for_what_is_gone_is_not_filled() {
    let bench = Bench::new(1 << 20);
    let response = bench.response("/x", &b"compressible ".repeat(5000));
    bench.order(&codings(&response), ContentCoding::Gzip);
    drop(response);
    assert_eq!(bench.store.ledger().used(), 0, "an order keeps nothing alive");
    bench.compressor.run_waiting();
    assert_eq!(bench.store.ledger().used(), 0);
}

#[test]
fn a_closed_compressor_ends_its_threads() {
    let bench = Bench::new(1 << 20);
    let stored = bench.store("/x", &b"compressible ".repeat(5000));
    std::thread::scope(|scope| {
        let (remote, encoder) = remote_encoder();
        let running = scope.spawn(|| {
            bench.compressor.run(&remote);
            drop(remote);
        });
        let encoding = scope.spawn(|| encoder.run());
        bench.order(&codings(&stored), ContentCoding::Gzip);
        while codings(&stored).availability(ContentCoding::Gzip) == Availability::Unmade {
            std::thread::yield_now();
        }
        bench.compressor.close();
        assert!(running.join().is_ok() && encoding.join().is_ok());
    });
    bench.order(&codings(&stored), ContentCoding::Zstd);
    bench.shows("outcome=\"dropped\"} 1");
}

#[test]
fn what_panics_costs_one_coding_and_not_the_thread() {
    let bench = Bench::new(1 << 20);
    let stored = [bench.store("/x", &b"compressible ".repeat(5000)), bench.store("/y", &b"compressible ".repeat(5000))];
    let encode: &Encode<'_> = &|body, coding, length_max| {
        assert!(coding == ContentCoding::Gzip, "this one panics");
        encode(body, coding, length_max)
    };
    for (coding, expected) in [(ContentCoding::Zstd, Availability::Refused), (ContentCoding::Gzip, Availability::Made)]
    {
        let (codings, metrics) = (codings(&stored[0]), Arc::clone(&bench.metrics));
        bench.compressor.fill(&Order { codings: Arc::downgrade(&codings), coding, metrics }, encode);
        assert_eq!(codings.availability(coding), expected);
    }
    bench.shows("outcome=\"failed\"} 1");
    assert_eq!(codings(&stored[1]).availability(ContentCoding::Zstd), Availability::Unmade);
}

#[test]
fn an_encoder_that_has_ended_fails_and_keeps_nobody_waiting() {
    let bench = Bench::new(1 << 20);
    let (remote, encoder) = remote_encoder();
    drop(encoder);
    let stored = bench.store("/x", &b"compressible ".repeat(5000));
    assert_eq!(remote.encode(&codings(&stored).body, ContentCoding::Gzip, u64::MAX).err(), Some(NotEncoded::Failed));
}

struct Bench {
    store: Store,
    compressor: Compressor,
    registry: Metrics,
    metrics: Arc<SiteMetrics>,
    began: Instant,
}

impl Bench {
    fn new(bound_bytes: u64) -> Self {
        let clock = Clock::new();
        let (began, registry) = (clock.monotonic(), Metrics::new());
        let store = Store::new(bound_bytes, StoreCounters::default(), began);
        let metrics = registry.site("shop");
        Self { compressor: Compressor::new(store.clone(), clock), store, registry, metrics, began }
    }

    fn order(&self, codings: &Arc<Codings>, coding: ContentCoding) {
        self.compressor.order(codings, coding, &self.metrics, self.began);
    }

    fn store(&self, path: &str, body: &[u8]) -> Arc<StoredResponse> {
        let response = self.response(path, body);
        self.store.store(Arc::clone(&response));
        response
    }

    fn response(&self, path: &str, body: &[u8]) -> Arc<StoredResponse> {
        let mut growing = GrowingBody::new(Some(body.len() as u64));
        growing.append(body);
        let sealed = growing.seal(self.store.reserve(body.len() as u64).expect("fits")).expect("nothing forgotten");
        let stamps = self.store.fence("a", path).stamps_with(&[], &[]);
        let head = StoredHead::of(Arrival { codable: true, ..Arrival::plain(&self.key(path), stamps, self.began) });
        let paid = self.store.reserve(head.cost()).expect("fits");
        Arc::new(StoredResponse::new(head, sealed, paid))
    }

    fn key(&self, path: &str) -> CacheKey {
        cache_key(&Target::new("https", "a", None, path))
    }

    #[track_caller]
    fn shows(&self, end: &str) {
        let text = self.registry.encode();
        assert!(
            text.lines().any(|line| line.starts_with("holdover_cache_codings_total") && line.ends_with(end)),
            "{text}"
        );
    }
}

fn codings(stored: &Arc<StoredResponse>) -> Arc<Codings> {
    Arc::clone(stored.codings().expect("it is codable"))
}
