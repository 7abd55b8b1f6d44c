//! What a stored response takes beside its body: its key, its fields, what purges find it by, and its place in the index.
//!
//! The memory of the process is read before and after a million of them. What the ledger was told is printed beside it: it
//! must never be less.
#![expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]

use std::sync::Arc;
use std::time::Instant;

use holdover::cache::store::{Store, StoreCounters};
use holdover::cache::stored::Arrival;
use holdover::clock::Clock;
use holdover::semantics::key::cache_key;
use holdover::semantics::target::Target;
use holdover::semantics::vary::Nominated;
use http::{HeaderMap, HeaderName, HeaderValue};

#[path = "hit/put.rs"]
mod put;
use put::put;

/// The allocator of the image.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    // As a test it runs once, unoptimized.
    let count = if std::env::args().any(|argument| argument == "--bench") { 1_000_000 } else { 10_000 };
    let now = Clock::new().now().monotonic;
    let store = Store::new(16 << 30, StoreCounters::default(), now);
    let before = resident_bytes();
    let origin = Arc::from("primary");
    (0..count).for_each(|number| add(&store, number, &origin, now));
    let (memory, bodies) = (resident_bytes().zip(before).map(|(after, before)| after - before), count * BODY_BYTES);
    let beside = |bytes: u64| bytes.saturating_sub(bodies) / count;
    // The engine's own count lags a little.
    let mut kept = 0;
    store.visit(|_, _| kept += 1);
    assert_eq!(kept, count);
    let memory = memory.map_or_else(|| "not known".to_owned(), |bytes| format!("{} bytes", beside(bytes)));
    let ledger = beside(store.ledger().used());
    println!("a stored response beside its body, of {count}: {memory} of memory, {ledger} bytes in the ledger");
}

fn add(store: &Store, number: u64, origin: &Arc<str>, now: Instant) {
    let path = format!("/assets/{number}.js");
    let fence = store.fence("www.test", &path);
    let key = cache_key(&Target::new("https", "www.test", None, &path));
    let arrival = Arrival {
        fields: fields(RESPONSE_FIELDS),
        nominated: Nominated::of(&[http::header::ACCEPT_ENCODING], &fields(REQUEST_FIELDS)),
        origin: Arc::clone(origin),
        ..Arrival::plain(&key, fence.stamps_with(&[], &[]), now)
    };
    put(store, arrival, BODY_BYTES).expect("it fits");
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

/// Memory of this process that is not swapped out.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<u64>().ok()?;
    Some(pages * 4096)
}

const BODY_BYTES: u64 = 1024;

const REQUEST_FIELDS: &[(&str, &str)] = &[("accept-encoding", "gzip, deflate, br, zstd")];

const RESPONSE_FIELDS: &[(&str, &str)] = &[
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("content-type", "text/javascript; charset=utf-8"),
    ("cache-control", "public, max-age=86400"),
    ("etag", "\"5f3c1b2a9d8e7\""),
    ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
    ("vary", "accept-encoding"),
    ("x-content-type-options", "nosniff"),
];
