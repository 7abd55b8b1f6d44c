//! Collapsed forwarding: one leader writes a response, any number of followers read it while it grows.
//!
//! A fill belongs to no client. Its leader runs in a task of its own and the fill outlives whoever asked first. Bytes
//! that will be stored are kept whole; a body that turned out not to fit is kept only in a window around its readers,
//! and a reader that falls behind that window goes on by itself rather than slow the others or pin memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use self::state::{Body, End, Reader, State};
use super::chunks::{Forgotten, GrowingBody};
use super::holds::Holds;
use super::ledger::Reservation;
use super::lock::lock;
use super::stamps::{Fence, Stamps};
use super::store::Store;
use super::stored::{StoredHead, StoredResponse};
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

mod state;

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

/// Fills in flight, and failures that are held. `E` is what a leader reports when it fails before a head.
#[derive(Debug)]
pub struct Fills<E> {
    running: Arc<Mutex<Running<E>>>,
}

#[derive(Debug)]
struct Running<E> {
    fills: HashMap<FillKey, Arc<Fill<E>>>,
    failures: Holds<FillKey, HeldFill<E>>,
}

/// A failure and what pays for it.
#[derive(Debug)]
struct HeldFill<E> {
    fill: Arc<Fill<E>>,
    _paid: Reservation,
}

impl<E> Running<E> {
    /// Follows what is under way or, as far as failures that are held at `held` count, what has just failed.
    fn follow(&self, key: &FillKey, held: Option<Instant>) -> Option<FillReader<E>> {
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
        let running = Running { fills: HashMap::new(), failures: Holds::new(held_bytes_max) };
        Self { running: Arc::new(Mutex::new(running)) }
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
        Joined::Leader(Leader { fill, fence, registered: Some((Arc::clone(&self.running), key)), reservation: None })
    }

    /// Lets go of failures that were held for their time; for a loop that calls it now and then.
    pub fn let_go(&self, now: Instant) {
        lock(&self.running).failures.let_go(now);
    }

    /// A fill that nobody else can join.
    pub fn alone(&self, fence: Fence) -> Leader<E> {
        Leader { fill: Arc::new(Fill::new(&fence)), fence, registered: None, reservation: None }
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

/// How long a failure is shared with those who come after it.
#[derive(Debug)]
pub struct Hold {
    /// Its end.
    pub until: Instant,
    /// Pays for what is held, but for the body.
    pub paid: Reservation,
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

/// The only writer of a fill. Dropped before the end, it releases its followers.
#[derive(Debug)]
pub struct Leader<E> {
    fill: Arc<Fill<E>>,
    fence: Fence,
    registered: Option<(Arc<Mutex<Running<E>>>, FillKey)>,
    /// Pays for the body while it grows.
    reservation: Option<Reservation>,
}

impl<E> Leader<E> {
    /// A reader at the start of the body, for the leader's own client.
    pub fn reader(&self) -> FillReader<E> {
        self.fill.reader(None)
    }

    /// What it is registered by, in bytes, when it is held: there twice.
    pub fn held_key_bytes(&self) -> u64 {
        self.registered.as_ref().map_or(0, |(_, key)| 2 * key.size())
    }

    /// What no purge from the fill's beginning on gets past.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Ends the fill without a body.
    pub fn finish(mut self, stage: Stage<E>) {
        self.unregister();
        let mut state = lock(&self.fill.state);
        state.stage.get_or_insert(stage);
        state.wake_readers();
    }

    /// Ends the fill without a response, and shares the report with those who come while it is held.
    pub fn fail(mut self, report: E, hold: Option<Hold>) {
        {
            let mut state = lock(&self.fill.state);
            state.stage.get_or_insert(Stage::Failed(Arc::new(report)));
            state.is_failure = true;
            state.wake_readers();
        }
        self.retire(hold);
    }

    /// The response that is about to arrive is a failure.
    pub fn brings_a_failure(&mut self) {
        lock(&self.fill.state).is_failure = true;
    }

    /// Releases the followers at the head; `expected_bytes` is the declared length of the body, and `reservation` pays
    /// for at least that much of it.
    pub fn head(&mut self, head: Arc<StoredHead>, expected_bytes: Option<u64>, mut reservation: Reservation) {
        reservation.wait();
        self.reservation = Some(reservation);
        let mut state = lock(&self.fill.state);
        state.stage = Some(Stage::Head(head));
        state.expected = expected_bytes;
        state.body = Body::Growing(GrowingBody::new(expected_bytes));
        state.wake_readers();
    }

    /// Puts other stamps on the head, for what joins and what is stored from here on.
    pub fn restamp(&mut self, stamps: Stamps) {
        if let Some(Stage::Head(head)) = &mut lock(&self.fill.state).stage {
            *head = Arc::new(head.restamped(stamps));
        }
    }

    /// Appends to the body. Bytes beyond the reservation are reserved in `store` first. When there is no room for them, or
    /// the body grows past `object_bytes_max`, the fill is windowed from then on: nobody else joins it, its reservation is
    /// the window, and this waits until the fastest reader has made way.
    ///
    /// # Errors
    /// [`NoReaders`] when the body is windowed and nobody reads it any more.
    pub async fn append(&mut self, data: &[u8], store: &Store, object_bytes_max: u64) -> Result<(), NoReaders> {
        let more = data.len() as u64;
        if !self.pay_for(more, store, object_bytes_max) {
            self.unregister();
            let window = self.widen(more, store, object_bytes_max);
            poll_fn(|context| lock(&self.fill.state).make_way(more, window, context)).await?;
        }
        if let Some(reservation) = &mut self.reservation {
            reservation.come(more);
        }
        let mut state = lock(&self.fill.state);
        if let Body::Growing(body) = &mut state.body {
            body.append(data);
        }
        state.wake_readers();
        Ok(())
    }

    /// Whether anybody reads it; a fill goes on without, for those who come later.
    pub fn is_read(&self) -> bool {
        !lock(&self.fill.state).readers.is_empty()
    }

    /// The body is proven complete: it is released to its readers and, when it was kept whole and `head` pays for its
    /// head, stored and given back.
    pub fn complete(mut self, store: &Store, head: Option<Reservation>) -> Option<Arc<StoredResponse>> {
        let stored = {
            let mut state = lock(&self.fill.state);
            let stored = state.seal(self.reservation.take(), head);
            state.end = Some(End::Complete);
            state.wake_readers();
            stored
        };
        // Stored before it can no longer be joined, so that no request in between fetches the response again.
        if let Some(stored) = &stored {
            store.store(Arc::clone(stored));
        }
        self.unregister();
        stored
    }

    /// The body of a failure is proven complete: it is released to its readers, and shared with those who come while it is
    /// held.
    pub fn complete_failure(mut self, hold: Option<Hold>) {
        {
            let mut state = lock(&self.fill.state);
            state.seal_body(self.reservation.take());
            state.end = Some(End::Complete);
            state.wake_readers();
        }
        self.retire(hold);
    }

    /// Whether the bytes are paid for; once they were not, none are any more.
    fn pay_for(&mut self, more_bytes: u64, store: &Store, object_bytes_max: u64) -> bool {
        let (length, windowed) = {
            let state = lock(&self.fill.state);
            (state.body.length() + more_bytes, state.windowed)
        };
        let Some(reservation) = self.reservation.as_mut().filter(|_| !windowed) else { return false };
        let missing = length.saturating_sub(reservation.bytes());
        let paid = length <= object_bytes_max
            && (missing == 0 || store.grow(reservation, missing.max(GROWTH_BYTES)) || store.grow(reservation, missing));
        lock(&self.fill.state).windowed = !paid;
        paid
    }

    /// Makes the window wide enough for the slowest reader and `more_bytes` as well, if there is room; how wide it is.
    fn widen(&mut self, more_bytes: u64, store: &Store, object_bytes_max: u64) -> u64 {
        let Some(reservation) = &mut self.reservation else { return 0 };
        let wanted = lock(&self.fill.state).wanted() + more_bytes;
        let missing = wanted.saturating_sub(reservation.bytes());
        if missing > 0 && wanted <= object_bytes_max {
            // Without it the slowest reader is left behind.
            let _room = store.grow(reservation, missing);
        }
        reservation.bytes()
    }

    /// Nobody else joins it from here on.
    pub fn unregister(&mut self) {
        self.retire(None);
    }

    /// Is not to be joined any more as one that is under way. A purge may have given its place to another fill.
    fn retire(&mut self, hold: Option<Hold>) {
        let Some((running, key)) = self.registered.take() else { return };
        let mut running = lock(&running);
        let key = match running.fills.entry(key) {
            Entry::Occupied(place) if Arc::ptr_eq(place.get(), &self.fill) => place.remove_entry().0,
            Entry::Occupied(_) | Entry::Vacant(_) => return,
        };
        if let Some(Hold { until, paid }) = hold {
            let bytes = paid.bytes() + lock(&self.fill.state).body.length();
            let held = HeldFill { fill: Arc::clone(&self.fill), _paid: paid };
            running.failures.hold(key, held, bytes, until);
        }
    }
}

impl<E> Drop for Leader<E> {
    fn drop(&mut self) {
        self.unregister();
        let mut state = lock(&self.fill.state);
        state.stage.get_or_insert(Stage::Abandoned);
        state.end.get_or_insert(End::Broken);
        if state.held.is_none() {
            state.held = self.reservation.take();
        }
        state.wake_readers();
    }
}

/// Nobody reads a body that is not going to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReaders;

/// One reader of a growing body, at its own pace.
#[derive(Debug)]
pub struct FillReader<E> {
    fill: Arc<Fill<E>>,
    id: u64,
    held_until: Option<Instant>,
}

impl<E> FillReader<E> {
    /// Waits for the head, or for the news that there will be none.
    pub async fn stage(&self) -> Stage<E> {
        poll_fn(|context| {
            let mut state = lock(&self.fill.state);
            match &state.stage {
                Some(stage) => Poll::Ready(stage.clone()),
                None => {
                    state.wait(self.id, context);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Until when the fill is held, if it had failed before this reader came.
    pub fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Whether what it brings is a failure; known with its stage.
    pub fn is_failure(&self) -> bool {
        lock(&self.fill.state).is_failure
    }

    /// The declared length of the body, in bytes, once the head is there.
    pub fn expected_length(&self) -> Option<u64> {
        lock(&self.fill.state).expected
    }

    /// The same reader, at `offset` of the body.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.seek(offset);
        self
    }

    /// Goes on at `offset` of the body.
    pub fn seek(&mut self, offset: u64) {
        if let Some(reader) = lock(&self.fill.state).readers.get_mut(&self.id) {
            reader.offset = offset;
        }
    }

    /// The next bytes; `None` at the proven end.
    ///
    /// # Errors
    /// [`BodyBroken`] when the body broke off, or went on without this reader.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyBroken>>> {
        let mut state = lock(&self.fill.state);
        let Some(offset) = state.readers.get(&self.id).map(|reader| reader.offset) else {
            return Poll::Ready(Some(Err(BodyBroken::Off)));
        };
        match state.body.read(offset) {
            Err(Forgotten) => Poll::Ready(Some(Err(BodyBroken::Behind { offset }))),
            Ok(bytes) if bytes.is_empty() => match state.end {
                Some(End::Complete) => Poll::Ready(None),
                Some(End::Broken) => Poll::Ready(Some(Err(BodyBroken::Off))),
                None => {
                    state.wait(self.id, context);
                    Poll::Pending
                }
            },
            Ok(bytes) => {
                if let Some(reader) = state.readers.get_mut(&self.id) {
                    reader.offset = offset + bytes.len() as u64;
                }
                if let Some(leader) = state.leader.take() {
                    leader.wake();
                }
                Poll::Ready(Some(Ok(bytes)))
            }
        }
    }
}

impl<E> Drop for FillReader<E> {
    fn drop(&mut self) {
        let mut state = lock(&self.fill.state);
        state.readers.remove(&self.id);
        if let Some(leader) = state.leader.take() {
            leader.wake();
        }
    }
}

/// A body that will not be completed for this reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyBroken {
    /// It went on without this reader, which has no more of it than comes before `offset`.
    Behind {
        /// In bytes of the body.
        offset: u64,
    },
    /// It broke off.
    Off,
}

/// Reserved for a body of unknown length before its first byte, and so the least window of one that is not stored: two
/// chunks, so that the origin can be ahead of the fastest reader.
pub const WINDOW_BYTES: u64 = 128 * 1024;

/// What is reserved at once while a body of unknown length grows.
const GROWTH_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
