//! What the site consists of: a path says it all, whichever origin is asked.

use std::fmt;

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

impl Class {
    /// All of them, in the order of reports.
    pub(crate) const ALL: [Self; 3] = [Self::Hit, Self::Expiring, Self::Unknown];

    /// The class of request `number` of a load, and its path.
    pub(crate) fn of(number: usize) -> (Self, String) {
        match number % 10 {
            0 => (Self::Unknown, format!("/new/{number}")),
            1 | 6 => (Self::Expiring, Self::Expiring.path(number / 5)),
            _ => (Self::Hit, Self::Hit.path(number)),
        }
    }

    /// The paths that are to be stored before anything breaks.
    pub(crate) fn stored() -> impl Iterator<Item = String> {
        let lasting = (0..HITS).map(|number| Self::Hit.path(number));
        lasting.chain((0..EXPIRING).map(|number| Self::Expiring.path(number)))
    }

    fn path(self, number: usize) -> String {
        match self {
            Self::Hit => format!("/lasting/{}", number % HITS),
            Self::Expiring => format!("/brief/{}", number % EXPIRING),
            Self::Unknown => format!("/new/{number}"),
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

/// The body of a path: every line of it is the path, so that no other has the same.
pub(crate) fn body(path: &str) -> Bytes {
    let lines = 16 + path.bytes().map(usize::from).sum::<usize>() % 256;
    format!("{path}\n").repeat(lines).into()
}

/// Its strong entity tag, which all origins agree on.
pub(crate) fn entity_tag(path: &str) -> String {
    format!("\"{path}\"")
}

/// How long it is fresh.
pub(crate) fn cache_control(path: &str) -> &'static str {
    if path.starts_with("/brief/") { "max-age=1, stale-while-revalidate=0" } else { "max-age=600" }
}

/// URLs that are stored and stay fresh.
const HITS: usize = 100;

/// URLs that expire: so many that the next request for one comes after its second.
const EXPIRING: usize = 100;
