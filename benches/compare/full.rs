//! A node whose cache is full from the beginning: to have as many responses come from an origin would take an hour.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use holdover::cache::store::Store;
use holdover::cache::stored::Arrival;
use holdover::clock::Clock;
use holdover::config::{Surroundings, load};
use holdover::node::start::start;
use holdover::semantics::key::cache_key;
use holdover::semantics::target::Target;
use holdover::telemetry::{Events, Metrics};
use http::{HeaderMap, HeaderName, HeaderValue};

#[path = "../hit/put.rs"]
mod put;
use put::put;

/// Serves by the configuration in `file` with so many small responses in its cache, and writes a file called [`FULL`]
/// beside it as soon as they all are.
///
/// # Errors
/// The configuration is not sound, the node does not start, or its cache does not keep them all.
pub(crate) async fn serve(file: &Path, responses: u64) -> io::Result<()> {
    let text = fs::read_to_string(file)?;
    let config = load(&text, &Surroundings::none(&file.display().to_string()))
        .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
    let (clock, metrics) = (Clock::new(), Metrics::new());
    let events = Events::new(&config.log.events, clock.clone(), metrics.clone())?;
    let node = start(config, clock.clone(), events, metrics).await.map_err(io::Error::other)?;
    let address = node.address("https").ok_or(io::ErrorKind::AddrNotAvailable)?;
    let store = &node.admin().shared.store;
    let (origin, now) = (Arc::from("origin"), clock.now().monotonic);
    for number in 0..responses {
        add(store, address, number, &origin, now)?;
    }
    let mut kept = 0;
    store.visit(|_, _| kept += 1);
    if kept < responses {
        return Err(io::Error::other(format!("of {responses} responses {kept} were kept")));
    }
    fs::write(file.with_file_name(FULL), "")?;
    std::future::pending().await
}

fn add(store: &Store, address: SocketAddr, number: u64, origin: &Arc<str>, now: Instant) -> io::Result<()> {
    let path = format!("{PATH}{number}");
    let fence = store.fence("localhost", &path);
    let target = Target::new("https", "localhost", Some(address.port()), &path);
    let key = cache_key(&target);
    let arrival = Arrival {
        fields: fields(FIELDS),
        origin: Arc::clone(origin),
        ..Arrival::plain(&key, fence.stamps_with(&[], &[]), now)
    };
    put(store, arrival, BODY_BYTES).ok_or_else(|| io::Error::other("the cache is too small"))
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

/// The path of one of them.
pub(crate) const PATH: &str = "/full/";

/// Says that a cache is full, beside its configuration.
pub(crate) const FULL: &str = "full";

const BODY_BYTES: u64 = 64;

/// As the origin sends them.
const FIELDS: &[(&str, &str)] = &[
    ("server", "nginx"),
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("content-type", "application/octet-stream"),
    ("content-length", "64"),
    ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
    ("etag", "\"69546f00-40\""),
    ("cache-control", "public, max-age=86400"),
    ("accept-ranges", "bytes"),
];
