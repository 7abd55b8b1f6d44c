//! Who writes a fill.

use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::reader::FillReader;
use super::state::{Body, End};
use super::{Fill, HashedKey, HeldFill, Running, Stage};
use crate::cache::chunks::GrowingBody;
use crate::cache::ledger::{Awaited, Reservation};
use crate::cache::lock::lock;
use crate::cache::stamps::{Fence, Stamps};
use crate::cache::store::Store;
use crate::cache::stored::{StoredHead, StoredResponse};

/// The only writer of a fill. Dropped before the end, it releases its followers.
#[derive(Debug)]
pub struct Leader<E> {
    fill: Arc<Fill<E>>,
    fence: Fence,
    registered: Option<Registered<E>>,
    /// Pays for the body while it grows.
    reservation: Option<Reservation>,
    /// What has yet to come of it.
    awaited: Option<Awaited>,
}

/// Where a fill can be joined, and by what.
type Registered<E> = (Arc<Mutex<Running<E>>>, HashedKey);

impl<E> Leader<E> {
    /// That of a fill which has not begun.
    pub(super) fn new(fill: Arc<Fill<E>>, fence: Fence, registered: Option<Registered<E>>) -> Self {
        Self { fill, fence, registered, reservation: None, awaited: None }
    }

    /// A reader at the start of the body, for the leader's own client.
    pub fn reader(&self) -> FillReader<E> {
        self.fill.reader(None)
    }

    /// What it is registered by, in bytes, when it is held: there twice.
    pub fn held_key_bytes(&self) -> u64 {
        self.registered.as_ref().map_or(0, |(_, HashedKey { key, .. })| 2 * key.size())
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
    pub fn head(&mut self, head: Arc<StoredHead>, expected_bytes: Option<u64>, reservation: Reservation) {
        self.awaited = Some(reservation.awaited());
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
        if let Some(awaited) = &mut self.awaited {
            awaited.come(more);
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

/// How long a failure is shared with those who come after it.
#[derive(Debug)]
pub struct Hold {
    /// Its end.
    pub until: Instant,
    /// Pays for what is held, but for the body.
    pub paid: Reservation,
}

/// Nobody reads a body that is not going to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReaders;

/// What is reserved at once while a body of unknown length grows.
const GROWTH_BYTES: u64 = 64 * 1024;
