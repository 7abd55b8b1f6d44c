//! What a response is purged by, and whether it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::cells::{CELL_BYTES, Cell, LastPurges, Mark, Register};
use super::purge::directories;
use super::urls::URL_BYTES;

/// Keeps a fill on the right side of every purge; hold it until what the fill brought is stored.
#[derive(Debug)]
pub struct Fence {
    born: u64,
    stamps: Arc<Stamps>,
}

impl Fence {
    pub(super) fn new(register: &Arc<Register>, host: &str, path_and_query: &str) -> Self {
        let born = register.enter();
        let path = path_and_query.split('?').next().unwrap_or_default();
        let place = std::iter::once(Mark::Host(host));
        let marks = place.chain(directories(path).map(|path| Mark::Directory(host, path)));
        let url = register.id(&Mark::Url(host, path_and_query));
        Self { born, stamps: Arc::new(Stamps::of(register, born, url, Vec::new(), marks)) }
    }

    /// The stamps of what the fill will bring, its tags and terms not yet known.
    pub fn stamps(&self) -> &Arc<Stamps> {
        &self.stamps
    }

    /// The stamps of a response of this fill that carries `tags` and came in `terms`.
    pub fn stamps_with(&self, tags: &[Box<str>], terms: &[u64]) -> Stamps {
        self.stamps_of(tags, &[], terms)
    }

    /// The stamps of a stored response, `validated` being those it has, after an answer that came in `terms`. The terms
    /// that it came in itself stay with it: that its validator is current says nothing about its bytes.
    pub fn stamps_again(&self, validated: &Stamps, tags: &[Box<str>], terms: &[u64]) -> Stamps {
        let known: Vec<_> = validated.cells.iter().filter(|cell| cell.is_term()).cloned().collect();
        // The oldest are over, unless they were taken back already.
        self.stamps_of(tags, &known[known.len().saturating_sub(TERMS_MAX)..], terms)
    }

    fn stamps_of(&self, tags: &[Box<str>], known_terms: &[Arc<Cell>], terms: &[u64]) -> Stamps {
        if tags.is_empty() && known_terms.is_empty() && terms.is_empty() {
            return (*self.stamps).clone();
        }
        let register = &self.stamps.register;
        let cells = self.stamps.cells.iter().chain(known_terms).cloned().collect();
        let marks = tags.iter().map(|tag| Mark::Tag(tag)).chain(terms.iter().map(|term| Mark::Term(*term)));
        let mut stamps = Stamps::of(register, self.born, self.stamps.url, cells, marks);
        stamps.made += self.stamps.made;
        if register.has_lost_track_of(self.born) {
            stamps.verdict.fetch_or(GONE, Ordering::Relaxed);
        }
        stamps
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.stamps.register.leave(self.born);
    }
}

/// The URL and the cells that a response falls under, and the purge before it was asked for.
#[derive(Debug)]
pub struct Stamps {
    register: Arc<Register>,
    born: u64,
    url: u64,
    cells: Cells,
    /// How many of the cells it was the first to fall under, and so pays for.
    made: u32,
    /// The last purge that the two below know of.
    checked: AtomicU64,
    /// [`GONE`] and [`SUSPECT`].
    verdict: AtomicU8,
    /// When it was purged softly or taken back, in milliseconds after the epoch.
    expired: AtomicU64,
}

/// What purges have made of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Purged hard: it must not be used, whatever happens.
    Gone,
    /// Not purged.
    No,
    /// Purged softly: stale since then.
    Stale {
        /// Time since the purge.
        past: Duration,
    },
    /// Taken back: it came in a term that ended badly, and may be garbage.
    Suspect {
        /// Time since it was taken back or purged softly.
        past: Duration,
    },
}

impl Stamps {
    /// With `url`, `cells` and the cells of `marks`.
    fn of<'a>(
        register: &Arc<Register>,
        born: u64,
        url: u64,
        mut cells: Vec<Arc<Cell>>,
        marks: impl Iterator<Item = Mark<'a>>,
    ) -> Self {
        let mut made = 0;
        for mark in marks {
            let (cell, is_new) = register.intern(&mark);
            made += u32::from(is_new);
            if !cells.iter().any(|known| Arc::ptr_eq(known, &cell)) {
                cells.push(cell);
            }
        }
        register.hold(url);
        Self {
            register: Arc::clone(register),
            born,
            url,
            cells: cells.into(),
            made,
            checked: AtomicU64::new(born),
            verdict: AtomicU8::new(0),
            expired: AtomicU64::new(NEVER),
        }
    }

    /// What purges have made of it. While nothing is purged this reads two numbers.
    pub fn purged(&self, now: Instant) -> Purged {
        self.catch_up();
        let verdict = self.verdict.load(Ordering::Relaxed);
        if verdict & GONE != 0 {
            return Purged::Gone;
        }
        let expired = self.expired.load(Ordering::Relaxed);
        if expired == NEVER {
            return Purged::No;
        }
        let past = self.register.since_epoch(now).saturating_sub(Duration::from_millis(expired));
        if verdict & SUSPECT == 0 { Purged::Stale { past } } else { Purged::Suspect { past } }
    }

    /// Whether it was purged hard.
    pub fn is_gone(&self) -> bool {
        self.catch_up();
        self.verdict.load(Ordering::Relaxed) & GONE != 0
    }

    /// Whether it was taken back.
    pub fn is_suspect(&self) -> bool {
        self.catch_up();
        self.verdict.load(Ordering::Relaxed) & SUSPECT != 0
    }

    /// Whether it was purged, or taken back, since it was asked for.
    pub fn is_outdated(&self) -> bool {
        self.is_gone() || self.expired.load(Ordering::Relaxed) != NEVER
    }

    /// Bytes held beside itself, the cells that were made for it included.
    pub fn size(&self) -> usize {
        self.cells.size() + self.made as usize * CELL_BYTES + URL_BYTES
    }

    /// The time that times are told from.
    pub(super) fn after_epoch(&self, duration: Duration) -> Instant {
        self.register.after_epoch(duration)
    }

    pub(super) fn since_epoch(&self, time: Instant) -> Duration {
        self.register.since_epoch(time)
    }

    fn catch_up(&self) {
        let latest = self.register.latest();
        if self.checked.load(Ordering::Acquire) == latest {
            return;
        }
        for last in self.register.last_purges(self.url) {
            self.take_note(last, false);
        }
        for cell in self.cells.iter() {
            self.take_note(cell.last_purges(), cell.is_term());
        }
        self.checked.store(latest, Ordering::Release);
    }

    fn take_note(&self, LastPurges { hard, soft, soft_at }: LastPurges, is_term: bool) {
        if hard > self.born {
            self.verdict.fetch_or(GONE, Ordering::Relaxed);
        }
        if soft > self.born {
            if is_term {
                self.verdict.fetch_or(SUSPECT, Ordering::Relaxed);
            }
            self.expired.fetch_min(soft_at, Ordering::Relaxed);
        }
    }
}

impl Clone for Stamps {
    fn clone(&self) -> Self {
        self.register.hold(self.url);
        // What it has checked is read first: a purge that is noted in between is looked for once more.
        let checked = self.checked.load(Ordering::Acquire);
        Self {
            register: Arc::clone(&self.register),
            born: self.born,
            url: self.url,
            cells: self.cells.clone(),
            made: self.made,
            checked: AtomicU64::new(checked),
            verdict: AtomicU8::new(self.verdict.load(Ordering::Relaxed)),
            expired: AtomicU64::new(self.expired.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Stamps {
    fn drop(&mut self) {
        self.register.let_go(self.url);
        std::mem::take(&mut self.cells).into_each(|cell| self.register.release(cell));
    }
}

/// Cells that take no memory of their own while they are few: the host, a directory and a term.
#[derive(Clone, Debug)]
enum Cells {
    Few(Arc<Cell>, [Option<Arc<Cell>>; FEW - 1]),
    Many(Box<[Arc<Cell>]>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl From<Vec<Arc<Cell>>> for Cells {
    fn from(cells: Vec<Arc<Cell>>) -> Self {
        if cells.len() > FEW {
            return Self::Many(cells.into());
        }
        let mut cells = cells.into_iter();
        cells.next().map_or_else(Self::default, |first| Self::Few(first, std::array::from_fn(|_| cells.next())))
    }
}

impl Cells {
    /// Gives each away.
    fn into_each(self, mut take: impl FnMut(Arc<Cell>)) {
        match self {
            Self::Few(first, next) => {
                take(first);
                next.into_iter().flatten().for_each(take);
            }
            Self::Many(many) => many.into_iter().for_each(take),
        }
    }

    /// Bytes held beside itself.
    fn size(&self) -> usize {
        match self {
            Self::Few(..) => 0,
            Self::Many(many) => size_of_val(&**many),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Cell>> {
        let (first, next, many) = match self {
            Self::Few(first, next) => (Some(first), &next[..], &[][..]),
            Self::Many(many) => (None, &[][..], &many[..]),
        };
        first.into_iter().chain(next.iter().flatten()).chain(many)
    }
}

/// Cells of a response that need no memory of their own.
const FEW: usize = 3;

/// Purged hard.
const GONE: u8 = 1;

/// Taken back.
const SUSPECT: u8 = 2;

/// No soft purge yet.
const NEVER: u64 = u64::MAX;

/// Terms that a response keeps over a validation, at most. Each belongs to another probe, so that the one before these
/// ended long ago.
const TERMS_MAX: usize = 7;

/// What one more term adds to [`Stamps::size`], in bytes, at most.
pub const TERM_BYTES: usize = size_of::<Arc<Cell>>() + CELL_BYTES;
