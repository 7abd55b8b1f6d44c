//! Collapsed forwarding: one leader writes a response, any number of followers read it while it grows.
//!
//! A fill belongs to no client. Its leader runs in a task of its own and the fill outlives whoever asked first. Bytes
//! that will be stored are kept whole; a body that turned out not to fit is kept only in a window around its readers,
//! and a reader that falls behind that window is cut off rather than allowed to slow the others or to pin memory.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::chunks::{Forgotten, GrowingBody, StoredBody};
use super::ledger::Reservation;
use super::lock::lock;
use super::stamps::{Fence, Stamps};
use super::store::Store;
use super::stored::{StoredHead, StoredResponse};
use crate::semantics::key::CacheKey;

/// What requests must have in common to share one fill.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FillKey {
    /// The cache key.
    pub key: CacheKey,
    /// The normalized `Accept-Encoding`, the one request field most responses vary on.
    pub accept_encoding: &'static str,
}

/// Fills in flight. `E` is what a leader reports when it fails before a head.
#[derive(Debug)]
pub struct Fills<E> {
    running: Arc<Mutex<Running<E>>>,
}

type Running<E> = HashMap<FillKey, Arc<Fill<E>>>;

impl<E> Fills<E> {
    /// No fill in flight.
    pub fn new() -> Self {
        Self { running: Arc::new(Mutex::new(HashMap::new())) }
    }

    /// Joins the fill of `key`: as its leader, behind the fence that `begin` makes, when there is none that was not
    /// purged. Either way with a reader at the start of the body, so that a fill knows from the beginning who waits for it.
    pub fn join(&self, key: FillKey, begin: impl FnOnce() -> Fence) -> Joined<E> {
        if let Some(reader) = Self::follow(&lock(&self.running), &key) {
            return Joined::Follower(reader);
        }
        // Not while others wait for the list of fills.
        let fence = begin();
        let mut running = lock(&self.running);
        if let Some(reader) = Self::follow(&running, &key) {
            return Joined::Follower(reader);
        }
        let fill = Arc::new(Fill::new(&fence));
        running.insert(key.clone(), Arc::clone(&fill));
        Joined::Leader(Leader { fill, fence, registered: Some((Arc::clone(&self.running), key)), reservation: None })
    }

    fn follow(running: &Running<E>, key: &FillKey) -> Option<FillReader<E>> {
        running.get(key).filter(|fill| !fill.is_outdated()).map(Fill::reader)
    }

    /// A fill that nobody else can join.
    pub fn alone(&self, fence: Fence) -> Leader<E> {
        Leader { fill: Arc::new(Fill::new(&fence)), fence, registered: None, reservation: None }
    }

    /// Fills in flight that can be joined.
    pub fn count(&self) -> usize {
        lock(&self.running).len()
    }
}

impl<E> Default for Fills<E> {
    fn default() -> Self {
        Self::new()
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
        Self {
            stamps: Arc::clone(fence.stamps()),
            state: Mutex::new(State {
                stage: None,
                expected: None,
                body: Body::Growing(GrowingBody::new(None)),
                held: None,
                end: None,
                windowed: false,
                readers: HashMap::new(),
                next_reader: 0,
                leader: None,
            }),
        }
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

    fn reader(self: &Arc<Self>) -> FillReader<E> {
        let mut state = lock(&self.state);
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, Reader { offset: 0, waker: None });
        FillReader { fill: Arc::clone(self), id }
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
        self.fill.reader()
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

    /// Releases the followers at the head; `expected_bytes` is the declared length of the body, and `reservation` pays
    /// for at least that much of it.
    pub fn head(&mut self, head: Arc<StoredHead>, expected_bytes: Option<u64>, reservation: Reservation) {
        self.reservation = Some(reservation);
        let mut state = lock(&self.fill.state);
        state.stage = Some(Stage::Head(head));
        state.expected = expected_bytes;
        state.body = Body::Growing(GrowingBody::new(expected_bytes));
        state.wake_readers();
    }

    /// Puts other stamps on the head, for what joins and what is stored from here on.
    pub fn restamp(&mut self, stamps: Arc<Stamps>) {
        if let Some(Stage::Head(head)) = &mut lock(&self.fill.state).stage {
            *head = Arc::new(StoredHead { stamps, ..(**head).clone() });
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
            let window = self.reservation.as_ref().map_or(0, Reservation::bytes);
            poll_fn(|context| lock(&self.fill.state).make_way(more, window, context)).await?;
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
    /// head, stored under `key` and given back.
    pub fn complete(mut self, store: &Store, key: &CacheKey, head: Option<Reservation>) -> Option<Arc<StoredResponse>> {
        let stored = {
            let mut state = lock(&self.fill.state);
            let stored = state.seal(key, self.reservation.take(), head).map(Arc::new);
            state.end = Some(End::Complete);
            state.wake_readers();
            stored
        };
        // Stored before it can no longer be joined, so that no request in between fetches the response again.
        if let Some(stored) = &stored {
            store.store(key, Arc::clone(stored));
        }
        self.unregister();
        stored
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

    fn unregister(&mut self) {
        if let Some((running, key)) = self.registered.take() {
            let mut running = lock(&running);
            if running.get(&key).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
                running.remove(&key);
            }
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
            return Poll::Ready(Some(Err(BodyBroken)));
        };
        match state.body.read(offset) {
            Err(Forgotten) => Poll::Ready(Some(Err(BodyBroken))),
            Ok(bytes) if bytes.is_empty() => match state.end {
                Some(End::Complete) => Poll::Ready(None),
                Some(End::Broken) => Poll::Ready(Some(Err(BodyBroken))),
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
pub struct BodyBroken;

struct State<E> {
    stage: Option<Stage<E>>,
    expected: Option<u64>,
    body: Body,
    /// Pays for a body that is not stored, as long as it has readers.
    held: Option<Reservation>,
    end: Option<End>,
    windowed: bool,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
    /// The leader, waiting for readers of a windowed body.
    leader: Option<Waker>,
}

impl<E> State<E> {
    /// The stored response, when the whole body was kept.
    fn seal(&mut self, key: &CacheKey, body: Option<Reservation>, head: Option<Reservation>) -> Option<StoredResponse> {
        let (Some(Stage::Head(stored_head)), Some(body), Body::Growing(growing)) = (&self.stage, body, &mut self.body)
        else {
            return None;
        };
        let Some(head) = head.filter(|_| !self.windowed) else {
            self.held = Some(body);
            return None;
        };
        match growing.seal(body) {
            Ok(sealed) => {
                let sealed = Arc::new(sealed);
                self.body = Body::Sealed(Arc::clone(&sealed));
                Some(StoredResponse::new(key, (**stored_head).clone(), sealed, head))
            }
            Err(body) => {
                self.held = Some(body);
                None
            }
        }
    }

    /// Makes way for `more` bytes in a window of `window` bytes: forgets what every reader has, then, if need be, what the
    /// fastest has. Ready when they fit, or when the fastest reader has everything there is.
    fn make_way(&mut self, more: u64, window: u64, context: &mut Context<'_>) -> Poll<Result<(), NoReaders>> {
        let offsets = || self.readers.values().map(|reader| reader.offset);
        let (Some(slowest), Some(fastest), Body::Growing(body)) = (offsets().min(), offsets().max(), &mut self.body)
        else {
            return Poll::Ready(Err(NoReaders));
        };
        body.forget_before(slowest);
        if body.kept() + more > window {
            body.forget_before(fastest);
        }
        if body.kept() + more <= window || body.length() <= fastest {
            return Poll::Ready(Ok(()));
        }
        self.leader = Some(context.waker().clone());
        Poll::Pending
    }

    /// The reader wants to know what happens next.
    fn wait(&mut self, reader: u64, context: &Context<'_>) {
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.waker = Some(context.waker().clone());
        }
    }

    fn wake_readers(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }
}

struct Reader {
    offset: u64,
    waker: Option<Waker>,
}

enum Body {
    Growing(GrowingBody),
    Sealed(Arc<StoredBody>),
}

impl Body {
    fn length(&self) -> u64 {
        match self {
            Self::Growing(body) => body.length(),
            Self::Sealed(body) => body.length(),
        }
    }

    fn read(&self, offset: u64) -> Result<Bytes, Forgotten> {
        match self {
            Self::Growing(body) => body.read(offset),
            Self::Sealed(body) => Ok(body.read(offset)),
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Broken,
    Complete,
}

/// Reserved for a body of unknown length before its first byte, and so the least window of one that is not stored: two
/// chunks, so that the origin can be ahead of the fastest reader.
pub const WINDOW_BYTES: u64 = 128 * 1024;

/// What is reserved at once while a body of unknown length grows.
const GROWTH_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
