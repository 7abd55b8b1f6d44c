//! What a response is purged by, and whether it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::cells::{CELL_BYTES, Cell, Mark, Register};
use super::purge::directories;

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
        let place = [Mark::Everything, Mark::Host(host), Mark::Url(host, path_and_query)];
        let marks = place.into_iter().chain(directories(path).map(|path| Mark::Directory(host, path)));
        Self { born, stamps: Arc::new(Stamps::of(register, born, Vec::new(), marks)) }
    }

    /// The stamps of what the fill will bring, its tags not yet known.
    pub fn stamps(&self) -> &Arc<Stamps> {
        &self.stamps
    }

    /// The stamps of a response of this fill that carries `tags`.
    pub fn stamps_with(&self, tags: &[Box<str>]) -> Arc<Stamps> {
        if tags.is_empty() {
            return Arc::clone(&self.stamps);
        }
        let register = &self.stamps.register;
        let mut stamps =
            Stamps::of(register, self.born, self.stamps.cells.to_vec(), tags.iter().map(|tag| Mark::Tag(tag)));
        stamps.made += self.stamps.made;
        stamps.gone.fetch_or(register.has_lost_track_of(self.born), Ordering::Relaxed);
        Arc::new(stamps)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.stamps.register.leave(self.born);
    }
}

/// The cells that a response falls under, and the purge before it was asked for.
#[derive(Debug)]
pub struct Stamps {
    register: Arc<Register>,
    born: u64,
    cells: Box<[Arc<Cell>]>,
    /// How many of them it was the first to fall under, and so pays for.
    made: usize,
    /// The last purge that the two below know of.
    checked: AtomicU64,
    gone: AtomicBool,
    /// When it was purged softly, in milliseconds after the epoch.
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
}

impl Stamps {
    /// With `cells` and those of `marks`.
    fn of<'a>(
        register: &Arc<Register>,
        born: u64,
        mut cells: Vec<Arc<Cell>>,
        marks: impl Iterator<Item = Mark<'a>>,
    ) -> Self {
        let mut made = 0;
        for mark in marks {
            let (cell, is_new) = register.intern(&mark);
            made += usize::from(is_new);
            cells.push(cell);
        }
        Self {
            register: Arc::clone(register),
            born,
            cells: cells.into(),
            made,
            checked: AtomicU64::new(born),
            gone: AtomicBool::new(false),
            expired: AtomicU64::new(NEVER),
        }
    }

    /// What purges have made of it. While nothing is purged this reads two numbers.
    pub fn purged(&self, now: Instant) -> Purged {
        self.catch_up();
        if self.gone.load(Ordering::Relaxed) {
            return Purged::Gone;
        }
        match self.expired.load(Ordering::Relaxed) {
            NEVER => Purged::No,
            expired => {
                let past = self.register.since_epoch(now).saturating_sub(Duration::from_millis(expired));
                Purged::Stale { past }
            }
        }
    }

    /// Whether it was purged hard.
    pub fn is_gone(&self) -> bool {
        self.catch_up();
        self.gone.load(Ordering::Relaxed)
    }

    /// Whether it was purged at all since it was asked for.
    pub fn is_outdated(&self) -> bool {
        self.is_gone() || self.expired.load(Ordering::Relaxed) != NEVER
    }

    /// Bytes held, the cells that were made for it included.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.cells.len() * size_of::<Arc<Cell>>() + self.made * CELL_BYTES
    }

    fn catch_up(&self) {
        let latest = self.register.latest();
        if self.checked.load(Ordering::Acquire) == latest {
            return;
        }
        for cell in &self.cells {
            if cell.purged_hard() > self.born {
                self.gone.store(true, Ordering::Relaxed);
            }
            let (soft, at) = cell.purged_softly();
            if soft > self.born {
                self.expired.fetch_min(at, Ordering::Relaxed);
            }
        }
        self.checked.store(latest, Ordering::Release);
    }
}

impl Drop for Stamps {
    fn drop(&mut self) {
        for cell in std::mem::take(&mut self.cells) {
            self.register.release(cell);
        }
    }
}

/// No soft purge yet.
const NEVER: u64 = u64::MAX;
