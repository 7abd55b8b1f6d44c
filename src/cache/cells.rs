//! The cells that purges are written to, shared by all responses that fall under them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::hashed::Hashed;
use super::lock::lock;
use super::purge::PurgeMode;
use super::urls::Urls;

/// What a cell stands for. Cells are found by its hash: two that collide are purged together.
#[derive(Clone, Copy, Hash)]
pub(super) enum Mark<'a> {
    Directory(&'a str, &'a str),
    Everything,
    Host(&'a str),
    Tag(&'a str),
    Term(u64),
    Url(&'a str, &'a str),
}

impl Mark<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Directory(..) | Self::Everything | Self::Host(_) | Self::Url(..) => Kind::Place,
            Self::Tag(_) => Kind::Tag,
            Self::Term(_) => Kind::Term,
        }
    }
}

/// When fills learn that they fall under a cell, and what its purges mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Fills hold it from their beginning.
    Place,
    /// Fills learn of it on their way.
    Tag,
    /// Fills learn of it on their way, and what is purged under it is suspect.
    Term,
}

impl Kind {
    fn is_learned_late(self) -> bool {
        self != Self::Place
    }
}

/// One thing that responses are purged by.
#[derive(Debug)]
pub(super) struct Cell {
    id: u64,
    kind: Kind,
    /// The last hard purge, 0 for none.
    hard: AtomicU64,
    /// The last soft purge, 0 for none.
    soft: AtomicU64,
    /// When that was, in milliseconds after the epoch.
    soft_at: AtomicU64,
}

impl Cell {
    fn new(id: u64, kind: Kind) -> Self {
        Self { id, kind, hard: AtomicU64::new(0), soft: AtomicU64::new(0), soft_at: AtomicU64::new(0) }
    }

    /// Whether it stands for a term.
    pub(super) fn is_term(&self) -> bool {
        self.kind == Kind::Term
    }

    pub(super) fn last_purges(&self) -> LastPurges {
        let (hard, soft) = (self.hard.load(Ordering::Acquire), self.soft.load(Ordering::Acquire));
        LastPurges { hard, soft, soft_at: self.soft_at.load(Ordering::Relaxed) }
    }

    fn last(&self) -> u64 {
        let LastPurges { hard, soft, .. } = self.last_purges();
        hard.max(soft)
    }

    fn purge(&self, sequence: u64, mode: PurgeMode, at: u64) {
        match mode {
            PurgeMode::Hard => self.hard.store(sequence, Ordering::Release),
            PurgeMode::Soft => {
                // Whoever sees the number sees the time.
                self.soft_at.store(at, Ordering::Relaxed);
                self.soft.store(sequence, Ordering::Release);
            }
        }
    }
}

/// When something that responses fall under was purged last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastPurges {
    /// The number of the last hard purge, 0 for none.
    pub(super) hard: u64,
    /// The number of the last soft purge, 0 for none.
    pub(super) soft: u64,
    /// When that was, in milliseconds after the epoch.
    pub(super) soft_at: u64,
}

/// All cells in use, and the purges that running fills have to know of.
#[derive(Debug)]
pub(super) struct Register {
    /// The last purge that is in force.
    latest: AtomicU64,
    /// Purges of tags and terms between the beginning of an older fill and this one may have been forgotten.
    floor: AtomicU64,
    shards: [Mutex<HashMap<u64, Arc<Cell>, Hashed>>; SHARDS],
    urls: Urls,
    /// What all responses fall under, without a reference to it.
    everything: Cell,
    /// How many stored responses and fills there are.
    held: AtomicU64,
    /// Running fills, counted by the last purge before each.
    fences: Mutex<BTreeMap<u64, u64>>,
    /// Tags and terms purged since some running fill began. Also what purges wait for one another with.
    recent: Mutex<Recent>,
    hasher: RandomState,
    epoch: Instant,
}

impl Register {
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            latest: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            urls: Urls::new(),
            everything: Cell::new(0, Kind::Place),
            held: AtomicU64::new(0),
            fences: Mutex::default(),
            recent: Mutex::default(),
            hasher: RandomState::new(),
            epoch,
        }
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// Purges all of `marks` under one number; that number, and how many responses hold their cells.
    pub(super) fn purge<'a>(&self, marks: impl Iterator<Item = Mark<'a>>, mode: PurgeMode, now: Instant) -> (u64, u64) {
        let mut recent = lock(&self.recent);
        let sequence = self.latest() + 1;
        let at = u64::try_from(self.since_epoch(now).as_millis()).unwrap_or(u64::MAX - 1);
        let mut responses = 0;
        for mark in marks {
            if matches!(mark, Mark::Everything) {
                responses += self.held.load(Ordering::Relaxed);
                self.everything.purge(sequence, mode, at);
                continue;
            }
            if matches!(mark, Mark::Url(..)) {
                responses += self.urls.purge(self.id(&mark), sequence, mode, at);
                continue;
            }
            let cell = if mark.kind().is_learned_late() { Some(self.intern(&mark).0) } else { self.find(&mark) };
            // What nothing stored and no fill holds covers nothing.
            let Some(cell) = cell else { continue };
            // The register's own reference and this one are no responses.
            responses += Arc::strong_count(&cell).saturating_sub(2) as u64;
            if cell.kind.is_learned_late() && self.is_settled(&cell) {
                recent.cells.push(cell.id);
            }
            cell.purge(sequence, mode, at);
            self.release(cell);
        }
        self.latest.store(sequence, Ordering::Release);
        if recent.cells.len() > RECENT_MIN.max(2 * recent.unsettled) {
            self.forget_settled(&mut recent);
        }
        if recent.cells.len() > RECENT_MAX {
            self.floor.store(sequence, Ordering::Release);
            self.forget_settled(&mut recent);
        }
        (sequence, responses)
    }

    /// One more stored response or fill falls under `url`.
    pub(super) fn hold(&self, url: u64) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.urls.hold(url);
    }

    /// One less does.
    pub(super) fn let_go(&self, url: u64) {
        self.held.fetch_sub(1, Ordering::Relaxed);
        self.urls.release(url);
    }

    /// When everything, and when `url` was purged last.
    pub(super) fn last_purges(&self, url: u64) -> [LastPurges; 2] {
        [self.everything.last_purges(), self.urls.last_purges(url)]
    }

    /// Whether anything stored or any fill falls under `url`.
    pub(super) fn is_held(&self, url: u64) -> bool {
        self.urls.is_held(url)
    }

    /// What a cell or URL is found by.
    pub(super) fn id(&self, mark: &Mark<'_>) -> u64 {
        self.hasher.hash_one(mark)
    }

    /// Whether no fill is under way and nothing stored falls under `mark`, so that a purge of it would change nothing.
    pub(super) fn is_idle(&self, mark: &Mark<'_>) -> bool {
        let id = self.id(mark);
        lock(&self.fences).is_empty() && !self.shard(id).contains_key(&id)
    }

    /// A fill begins; the last purge before it.
    pub(super) fn enter(&self) -> u64 {
        let mut fences = lock(&self.fences);
        let born = self.latest();
        *fences.entry(born).or_default() += 1;
        born
    }

    /// A fill that began after purge `born` is over.
    pub(super) fn leave(&self, born: u64) {
        let mut fences = lock(&self.fences);
        if let Some(count) = fences.get_mut(&born) {
            *count -= 1;
            if *count == 0 {
                fences.remove(&born);
            }
        }
    }

    /// Whether purges after `born` may have been forgotten already.
    pub(super) fn has_lost_track_of(&self, born: u64) -> bool {
        born < self.floor.load(Ordering::Acquire)
    }

    /// The cell of `mark`, and whether it was made for this call.
    pub(super) fn intern(&self, mark: &Mark<'_>) -> (Arc<Cell>, bool) {
        let id = self.id(mark);
        match self.shard(id).entry(id) {
            Entry::Occupied(known) => (Arc::clone(known.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(Arc::new(Cell::new(id, mark.kind())))), true),
        }
    }

    /// The cell of `mark`, if anything stored or any fill falls under it.
    fn find(&self, mark: &Mark<'_>) -> Option<Arc<Cell>> {
        let id = self.id(mark);
        self.shard(id).get(&id).cloned()
    }

    /// Takes a reference back. The last one takes the cell along, unless a running fill may yet have to know of its purge.
    pub(super) fn release(&self, cell: Arc<Cell>) {
        let id = cell.id;
        let mut shard = self.shard(id);
        // Given up under the lock, so that of two last ones one sees that it is.
        drop(cell);
        let is_settled = |cell: &Cell| !cell.kind.is_learned_late() || self.is_settled(cell);
        if shard.get(&id).is_some_and(|cell| Arc::strong_count(cell) == 1 && is_settled(cell)) {
            shard.remove(&id);
        }
    }

    pub(super) fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    pub(super) fn after_epoch(&self, duration: Duration) -> Instant {
        self.epoch + duration
    }

    pub(super) fn cells(&self) -> usize {
        let everything = usize::from(self.held.load(Ordering::Relaxed) > 0);
        self.shards.iter().map(|shard| lock(shard).len()).sum::<usize>() + self.urls.count() + everything
    }

    /// Drops from the list what every running fill has begun after, and cells that nothing holds.
    fn forget_settled(&self, recent: &mut Recent) {
        recent.cells.retain(|&id| {
            let mut shard = self.shard(id);
            let Some(cell) = shard.get(&id) else { return false };
            let is_settled = self.is_settled(cell);
            if is_settled && Arc::strong_count(cell) == 1 {
                shard.remove(&id);
            }
            !is_settled
        });
        recent.unsettled = recent.cells.len();
    }

    /// Whether no running fill can be older than the last purge of `cell`.
    fn is_settled(&self, cell: &Cell) -> bool {
        let last = cell.last();
        last == 0 || last <= self.oldest_fence().max(self.floor.load(Ordering::Acquire))
    }

    fn oldest_fence(&self) -> u64 {
        let fences = lock(&self.fences);
        // Without a fill, the oldest is one that begins now.
        fences.keys().next().copied().unwrap_or_else(|| self.latest())
    }

    /// By bits that the tables do not look at first.
    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Arc<Cell>, Hashed>> {
        lock(&self.shards[(id >> SHARD_SHIFT) as usize % SHARDS])
    }
}

/// Tags and terms that were purged since some running fill began, and others not yet found to be settled.
#[derive(Debug, Default)]
struct Recent {
    cells: Vec<u64>,
    /// How many were left when the list was last gone through.
    unsettled: usize,
}

/// What a cell takes in the register, in bytes, the allocator's rounding included.
pub(super) const CELL_BYTES: usize = 96;

/// Locks that cells are spread over, so that workers that store at the same time rarely meet.
const SHARDS: usize = 64;

/// Half of a hash.
const SHARD_SHIFT: u32 = 32;

/// Purged tags and terms remembered before the list is gone through for the first time.
const RECENT_MIN: usize = 1024;

/// Most purged tags and terms remembered for running fills: 6 MiB. Beyond, what these fills bring is not stored if it has
/// any.
const RECENT_MAX: usize = 65_536;
