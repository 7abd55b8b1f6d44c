//! Purge by stamp: one store takes effect for one stored response or ten million, at the next request.
//!
//! Everything that responses can be purged by (a tag, a host, a directory, a URL) is a cell that remembers the number of
//! its last purge (`cells.rs`, `urls.rs`). A response holds the cells it falls under and the number of the last purge before its
//! origin was asked (`stamps.rs`); it is purged when one of its cells has a later one. So a purge also covers what is
//! still on its way: a fence keeps that number from when a fill began.
//!
//! What came in one *term*, whatever that means to whoever counts terms, can be taken back in the same way: it becomes
//! suspect, which is less than stale.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use super::cells::{Mark, Register};
use super::stamps::Fence;
use crate::semantics::target::Target;

/// What a purge covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Every response below a directory of a host; the path begins and ends with a slash.
    Directory {
        /// Lower-case, without port.
        host: Box<str>,
        /// Canonical.
        path: Box<str>,
    },
    /// Every response.
    Everything,
    /// Every response of a host, whatever the port.
    Host(Box<str>),
    /// Every response with a surrogate tag.
    Tag(Box<str>),
    /// Every response for a URL: all variants, both schemes, any port.
    Url {
        /// Lower-case, without port.
        host: Box<str>,
        /// Canonical, as the cache key has it.
        path_and_query: Box<str>,
    },
}

impl Selector {
    /// That of the URL of `target`.
    pub fn url(target: &Target) -> Self {
        Self::Url { host: target.host().into(), path_and_query: target.path_and_query().into() }
    }

    fn mark(&self) -> Mark<'_> {
        match self {
            Self::Directory { host, path } => Mark::Directory(host, path),
            Self::Everything => Mark::Everything,
            Self::Host(host) => Mark::Host(host),
            Self::Tag(tag) => Mark::Tag(tag),
            Self::Url { host, path_and_query } => Mark::Url(host, path_and_query),
        }
    }
}

impl Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { host, path } => write!(formatter, "prefix {host}{path}"),
            Self::Everything => formatter.write_str("everything"),
            Self::Host(host) => write!(formatter, "host {host}"),
            Self::Tag(tag) => write!(formatter, "tag {tag}"),
            Self::Url { host, path_and_query } => write!(formatter, "URL {host}{path_and_query}"),
        }
    }
}

/// What becomes of the responses that a purge covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// They are gone.
    Hard,
    /// They are stale from now on, and may help for as long as a stale response may.
    Soft,
}

impl PurgeMode {
    /// The word in requests, receipts and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// What a purge, or taking back, did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number; what a node purges, invalidates or takes back is counted together from 1.
    pub sequence: u64,
    /// At most so many responses were covered, stored or arriving: one that two selectors cover counts twice, and so does
    /// one that is arriving, or is still read by those who waited for it; one that an earlier purge covered counts until its
    /// memory is freed.
    pub responses: u64,
}

/// All that was purged. Clones share it.
#[derive(Clone, Debug)]
pub struct Purges {
    register: Arc<Register>,
}

impl Purges {
    /// Nothing was purged yet; `epoch` is any time before the first request.
    pub fn new(epoch: Instant) -> Self {
        Self { register: Arc::new(Register::new(epoch)) }
    }

    /// Purges what `selectors` cover, in one step.
    pub fn purge(&self, selectors: &[Selector], mode: PurgeMode, now: Instant) -> Receipt {
        let marks = selectors.iter().map(Selector::mark);
        let (sequence, responses) = self.register.purge(marks, mode, now);
        Receipt { sequence, responses }
    }

    /// Purges one URL hard, unless nothing stored and no fill is for it.
    pub fn invalidate(&self, host: &str, path_and_query: &str, now: Instant) {
        let url = Mark::Url(host, path_and_query);
        if self.register.is_held(self.register.id(&url)) {
            self.register.purge(std::iter::once(url), PurgeMode::Hard, now);
        }
    }

    /// Takes back what came in `term`, in one step: it is suspect from here on.
    pub fn take_back(&self, term: u64, now: Instant) -> Receipt {
        let term = Mark::Term(term);
        if self.register.is_idle(&term) {
            return Receipt { sequence: self.latest(), responses: 0 };
        }
        let (sequence, responses) = self.register.purge(std::iter::once(term), PurgeMode::Soft, now);
        Receipt { sequence, responses }
    }

    /// The number of the last purge; 0 before the first.
    pub fn latest(&self) -> u64 {
        self.register.latest()
    }

    /// Begins a fill for a URL: no purge from here on misses what it brings.
    pub fn fence(&self, host: &str, path_and_query: &str) -> Fence {
        Fence::new(&self.register, host, path_and_query)
    }

    /// What responses can be purged by at the moment, each thing once.
    pub fn cells(&self) -> usize {
        self.register.cells()
    }
}

/// The directories that hold `path`, without the root, which is the host; the outermost [`DIRECTORIES_MAX`] of them.
pub(super) fn directories(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    slashes.map(|(at, _)| &path[..=at]).skip(1).take(DIRECTORIES_MAX)
}

/// Deepest directory that can be purged.
pub const DIRECTORIES_MAX: usize = 16;

#[cfg(test)]
mod tests;
