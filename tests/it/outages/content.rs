//! What the site consists of: a path says it all, whichever origin is asked.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

/// What a cache makes of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Stored, and fresh for longer than any scene lasts.
    Hit,
    /// Stored, and expired nearly every time.
    Expiring,
    /// Never seen before.
    Unknown,
}

/// How large the bodies are that origins are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// A few KiB, which come at once.
    Light,
    /// 64 to 128 KiB, so that a fault can meet them halfway.
    Heavy,
}

impl Class {
    /// All of them, in the order of reports.
    pub(crate) const ALL: [Self; 3] = [Self::Hit, Self::Expiring, Self::Unknown];

    /// The class of request `number` of a load, and its path.
    pub(crate) fn of(number: usize, bulk: Bulk) -> (Self, String) {
        match number % 10 {
            0 => (Self::Unknown, Self::Unknown.path(number, bulk)),
            1 | 6 => (Self::Expiring, Self::Expiring.path(number / 5, bulk)),
            _ => (Self::Hit, Self::Hit.path(number, bulk)),
        }
    }

    /// The paths that are to be stored before anything breaks.
    pub(crate) fn stored(bulk: Bulk) -> impl Iterator<Item = String> {
        let lasting = (0..HITS).map(move |number| Self::Hit.path(number, bulk));
        lasting.chain((0..EXPIRING).map(move |number| Self::Expiring.path(number, bulk)))
    }

    fn path(self, number: usize, bulk: Bulk) -> String {
        let folder = match bulk {
            Bulk::Light => "",
            Bulk::Heavy => HEAVY,
        };
        match self {
            Self::Hit => format!("/lasting/{}", number % HITS),
            Self::Expiring => format!("{folder}/brief/{}", number % EXPIRING),
            Self::Unknown => format!("{folder}/new/{number}"),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hit => "hit",
            Self::Expiring => "expiring",
            Self::Unknown => "unknown",
        })
    }
}

/// What all origins have of the site: everything, and the pages that expire in one edition or the next.
#[derive(Debug)]
pub(crate) struct Site(AtomicUsize);

impl Site {
    /// The first edition.
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(1))
    }

    /// From here on pages that expire are others than before.
    pub(crate) fn publishes_anew(&self) {
        self.0.store(EDITIONS, Ordering::Relaxed);
    }

    /// The edition of a path.
    pub(crate) fn edition(&self, path: &str) -> usize {
        if kind(path) == "brief" { self.0.load(Ordering::Relaxed) } else { 1 }
    }
}

/// The body of a path: every line of it is the path and the edition, so that no other has the same.
pub(crate) fn body(path: &str, edition: usize) -> Bytes {
    let line = format!("{path} {edition}\n");
    let spread = path.bytes().map(usize::from).sum::<usize>() % 256;
    let length = match kind(path) {
        "huge" => HUGE_BYTES,
        "streaming" => STREAMING_BYTES,
        _ if path.starts_with(HEAVY) => HEAVY_BYTES + 256 * spread,
        _ => line.len() * (16 + spread),
    };
    line.repeat(length / line.len()).into()
}

/// Whether these are the bytes of an edition of the path: an older one may be answered with for as long as it is allowed
/// to be stale, but no mixture of two.
pub(crate) fn is_whole(path: &str, bytes: &[u8]) -> bool {
    (1..=EDITIONS).any(|edition| body(path, edition) == bytes)
}

/// Its strong entity tag, which all origins agree on.
pub(crate) fn entity_tag(path: &str, edition: usize) -> String {
    format!("\"{path}-{edition}\"")
}

/// How long it is fresh.
pub(crate) fn cache_control(path: &str) -> &'static str {
    match kind(path) {
        "brief" => "max-age=1, stale-while-revalidate=0",
        "lapsing" => "max-age=1, stale-while-revalidate=60",
        "obeyed" => "max-age=1, must-revalidate",
        "private" => "private, no-store",
        _ => "max-age=600",
    }
}

/// What every origin takes for its head, beyond its usual time.
pub(crate) fn time_to_head(path: &str) -> Duration {
    if matches!(kind(path), "lapsing" | "private") { PAGE_TIME } else { Duration::ZERO }
}

/// What every origin takes between the first half of its body and the second.
pub(crate) fn time_within(path: &str) -> Duration {
    if kind(path) == "streaming" { PAGE_TIME } else { Duration::ZERO }
}

/// The folder of a path that says what kind of page it is.
fn kind(path: &str) -> &str {
    path.strip_prefix(HEAVY).unwrap_or(path).split('/').nth(1).unwrap_or_default()
}

/// Where the large bodies are.
const HEAVY: &str = "/heavy";

/// Dozens of segments, and more than one read of anybody's.
const HEAVY_BYTES: usize = 64 * 1024;

/// So much that nobody keeps the first half for company.
const STREAMING_BYTES: usize = 32 * 1024;

/// More than sockets hold for a client that does not read, and not too much to be stored.
const HUGE_BYTES: usize = 3 * 1024 * 1024;

/// The pages before and after a change.
const EDITIONS: usize = 2;

/// URLs that are stored and stay fresh.
const HITS: usize = 100;

/// URLs that expire: so many that the next request for one comes after its second.
const EXPIRING: usize = 100;

/// What a page takes that is made with effort.
pub(crate) const PAGE_TIME: Duration = Duration::from_secs(1);
