//! Collapsed forwarding: one leader writes a response, any number of followers read it while it grows.
//!
//! A fill belongs to no client. Its leader runs in a task of its own and the fill outlives whoever asked first. Bytes
//! that will be stored are kept whole; a body that turned out not to fit is kept only in a window around its readers,
//! and a reader that falls behind that window goes on by itself rather than slow the others or pin memory.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use self::state::{Reader, State};
use super::hashed::Hashed;
use super::holds::Holds;
use super::ledger::Reservation;
use super::lock::lock;
use super::stamps::{Fence, Stamps};
use super::stored::{StoredHead, StoredResponse};
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

mod leader;
mod reader;
mod state;

pub use leader::{Hold, Leader, NoReaders};
pub use reader::{BodyBroken, FillReader};

/// What requests must have in common to share one fill.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FillKey {
    /// The cache key.
    pub key: CacheKey,
    /// The normalized `Accept-Encoding`, the one request field most responses vary on.
    pub accept_encoding: &'static str,
    /// Further fields and their values, where a response has shown by which it is selected.
    pub nominated: Option<Nominated>,
    /// Whether there is something to answer with should the origins fail, for which an attempt is given up earlier than
    /// others would like.
    pub has_fallback: bool,
}

impl FillKey {
    /// Bytes that its fields have, for memory accounts.
    fn size(&self) -> u64 {
        (self.key.as_str().len() + self.nominated.as_ref().map_or(0, Nominated::size)) as u64
    }
}

/// A key with its hash: it is long, and looked for several times.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HashedKey {
    hash: u64,
    key: FillKey,
}

impl Hash for HashedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Fills in flight, and failures that are held. `E` is what a leader reports when it fails before a head.
#[derive(Debug)]
pub struct Fills<E> {
    running: Arc<Mutex<Running<E>>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Running<E> {
    fills: HashMap<HashedKey, Arc<Fill<E>>, Hashed>,
    failures: Holds<HashedKey, HeldFill<E>>,
}

/// A failure and what pays for it.
#[derive(Debug)]
struct HeldFill<E> {
    fill: Arc<Fill<E>>,
    _paid: Reservation,
}

impl<E> Running<E> {
    /// Follows what is under way or, as far as failures that are held at `held` count, what has just failed.
    fn follow(&self, key: &HashedKey, held: Option<Instant>) -> Option<FillReader<E>> {
        if let Some(fill) = self.fills.get(key).filter(|fill| !fill.is_outdated()) {
            return Some(fill.reader(None));
        }
        let (HeldFill { fill, .. }, until) = self.failures.get(key, held?)?;
        (!fill.is_outdated()).then(|| fill.reader(Some(until)))
    }
}

impl<E> Fills<E> {
    /// No fill in flight; failures that are held take up to `held_bytes_max`.
    pub fn new(held_bytes_max: u64) -> Self {
        let running = Running { fills: HashMap::default(), failures: Holds::new(held_bytes_max) };
        Self { running: Arc::new(Mutex::new(running)), hasher: RandomState::new() }
    }

    /// Joins the fill of `key`, under way or held as a failure: as its leader, behind the fence that `begin` makes, when
    /// there is none that was not purged. Either way with a reader at the start of the body, so that a fill knows from the
    /// beginning who waits for it.
    pub fn join(&self, key: FillKey, now: Instant, begin: impl FnOnce() -> Fence) -> Joined<E> {
        self.join_or_lead(key, Some(now), begin)
    }

    /// The same, whatever has failed a moment ago.
    pub fn join_anew(&self, key: FillKey, begin: impl FnOnce() -> Fence) -> Joined<E> {
        self.join_or_lead(key, None, begin)
    }

    fn join_or_lead(&self, key: FillKey, held: Option<Instant>, begin: impl FnOnce() -> Fence) -> Joined<E> {
        let key = HashedKey { hash: self.hasher.hash_one(&key), key };
        if let Some(reader) = lock(&self.running).follow(&key, held) {
            return Joined::Follower(reader);
        }
        // Not while others wait for the list of fills.
        let fence = begin();
        let mut running = lock(&self.running);
        if let Some(reader) = running.follow(&key, held) {
            return Joined::Follower(reader);
        }
        let fill = Arc::new(Fill::new(&fence));
        running.fills.insert(key.clone(), Arc::clone(&fill));
        Joined::Leader(Leader::new(fill, fence, Some((Arc::clone(&self.running), key))))
    }

    /// Lets go of failures that were held for their time; for a loop that calls it now and then.
    pub fn let_go(&self, now: Instant) {
        lock(&self.running).failures.let_go(now);
    }

    /// A fill that nobody else can join.
    pub fn alone(&self, fence: Fence) -> Leader<E> {
        Leader::new(Arc::new(Fill::new(&fence)), fence, None)
    }

    /// Fills in flight that can be joined.
    pub fn count(&self) -> usize {
        lock(&self.running).fills.len()
    }
}

/// The caller's part in a fill.
#[derive(Debug)]
pub enum Joined<E> {
    /// Reads what another request's leader writes.
    Follower(FillReader<E>),
    /// Must write it.
    Leader(Leader<E>),
}

/// How far a fill has come, for those who wait for its head.
#[derive(Debug)]
pub enum Stage<E> {
    /// The leader went away without a word; somebody should lead anew.
    Abandoned,
    /// No response: the leader's report.
    Failed(Arc<E>),
    /// The head has arrived; the body grows, or is complete.
    Head(Arc<StoredHead>),
    /// The response is for the leader's own client only; everybody else goes alone.
    NotShared,
    /// The stored response was validated (304) and may be used as this one.
    Validated(Arc<StoredResponse>),
}

impl<E> Clone for Stage<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Abandoned => Self::Abandoned,
            Self::Failed(report) => Self::Failed(Arc::clone(report)),
            Self::Head(head) => Self::Head(Arc::clone(head)),
            Self::NotShared => Self::NotShared,
            Self::Validated(stored) => Self::Validated(Arc::clone(stored)),
        }
    }
}

/// One response while it arrives.
pub struct Fill<E> {
    state: Mutex<State<E>>,
    /// What it can be purged by while its response is not there.
    stamps: Arc<Stamps>,
}

impl<E> Fill<E> {
    fn new(fence: &Fence) -> Self {
        Self { stamps: Arc::clone(fence.stamps()), state: Mutex::new(State::new()) }
    }

    /// Whether what it brings was purged on its way.
    fn is_outdated(&self) -> bool {
        let has_outdated_head = || match &lock(&self.state).stage {
            Some(Stage::Head(head)) => head.stamps.is_outdated(),
            Some(Stage::Validated(stored)) => stored.head.stamps.is_outdated(),
            Some(Stage::Abandoned | Stage::Failed(_) | Stage::NotShared) | None => false,
        };
        self.stamps.is_outdated() || has_outdated_head()
    }

    fn reader(self: &Arc<Self>, held_until: Option<Instant>) -> FillReader<E> {
        let mut state = lock(&self.state);
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, Reader { offset: 0, waker: None });
        FillReader { fill: Arc::clone(self), id, held_until }
    }
}

impl<E> fmt::Debug for Fill<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fill").finish_non_exhaustive()
    }
}

/// Reserved for a body of unknown length before its first byte, and so the least window of one that is not stored: two
/// chunks, so that the origin can be ahead of the fastest reader.
pub const WINDOW_BYTES: u64 = 128 * 1024;

#[cfg(test)]
mod tests;
