//! How far a fill has come, who reads it, and what has become of its body.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{NoReaders, Stage};
use crate::cache::chunks::{CHUNK_BYTES, Forgotten, GrowingBody, StoredBody};
use crate::cache::content::StoredContent;
use crate::cache::ledger::Reservation;
use crate::cache::stored::StoredResponse;

/// All of a fill that changes.
pub(super) struct State<E> {
    pub(super) stage: Option<Stage<E>>,
    pub(super) expected: Option<u64>,
    pub(super) body: Body,
    /// Pays for a body that is not stored, as long as it has readers.
    pub(super) held: Option<Reservation>,
    pub(super) end: Option<End>,
    pub(super) windowed: bool,
    pub(super) is_failure: bool,
    pub(super) readers: BTreeMap<u64, Reader>,
    pub(super) next_reader: u64,
    /// The leader, waiting for readers of a windowed body.
    pub(super) leader: Option<Waker>,
}

impl<E> State<E> {
    pub(super) fn new() -> Self {
        Self {
            stage: None,
            expected: None,
            body: Body::Growing(GrowingBody::new(None)),
            held: None,
            end: None,
            windowed: false,
            is_failure: false,
            readers: BTreeMap::new(),
            next_reader: 0,
            leader: None,
        }
    }

    /// The stored response, when the whole body was kept and `head` pays for its head.
    pub(super) fn seal(&mut self, body: Option<Reservation>, head: Option<Reservation>) -> Option<Arc<StoredResponse>> {
        let sealed = self.sealed(body)?;
        let (Some(Stage::Head(arrived)), Some(head)) = (&self.stage, head) else {
            self.body = Body::Sealed(StoredContent::Shared(Arc::new(sealed)));
            return None;
        };
        let stored = Arc::new(StoredResponse::new((**arrived).clone(), sealed, head));
        self.body = Body::Sealed(stored.content());
        Some(stored)
    }

    /// The same of a body that is not stored.
    pub(super) fn seal_body(&mut self, paid: Option<Reservation>) {
        if let Some(sealed) = self.sealed(paid) {
            self.body = Body::Sealed(StoredContent::Shared(Arc::new(sealed)));
        }
    }

    /// The body in chunks as large as what is in them, when it was kept whole.
    fn sealed(&mut self, paid: Option<Reservation>) -> Option<StoredBody> {
        let (Some(paid), Body::Growing(growing)) = (paid, &mut self.body) else { return None };
        if self.windowed {
            self.held = Some(paid);
            return None;
        }
        match growing.seal(paid) {
            Ok(sealed) => Some(sealed),
            Err(paid) => {
                self.held = Some(paid);
                None
            }
        }
    }

    /// Bytes that somebody has yet to read, and what is kept with them.
    pub(super) fn wanted(&self) -> u64 {
        let slowest = self.readers.values().map(|reader| reader.offset).min();
        // A reader may wait for a part that has yet to come.
        let kept_from = |slowest| slowest / CHUNK_BYTES as u64 * CHUNK_BYTES as u64;
        slowest.map_or(0, |slowest| self.body.length().saturating_sub(kept_from(slowest)))
    }

    /// Makes way for `more` bytes in a window of `window` bytes: forgets what every reader has, then, if need be, what the
    /// fastest has. Ready when they fit, or when the fastest reader has everything there is.
    pub(super) fn make_way(
        &mut self,
        more: u64,
        window: u64,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), NoReaders>> {
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
    pub(super) fn wait(&mut self, reader: u64, context: &Context<'_>) {
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.waker = Some(context.waker().clone());
        }
    }

    pub(super) fn wake_readers(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }
}

/// Where a reader is, and whom to wake when there is more.
pub(super) struct Reader {
    pub(super) offset: u64,
    pub(super) waker: Option<Waker>,
}

/// What is there of a body.
pub(super) enum Body {
    Growing(GrowingBody),
    Sealed(StoredContent),
}

impl Body {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Growing(body) => body.length(),
            Self::Sealed(body) => body.length(),
        }
    }

    pub(super) fn read(&self, offset: u64) -> Result<Bytes, Forgotten> {
        match self {
            Self::Growing(body) => body.read(offset),
            Self::Sealed(body) => Ok(body.read(offset)),
        }
    }
}

#[derive(Clone, Copy)]
/// How a body ended.
pub(super) enum End {
    Broken,
    Complete,
}
