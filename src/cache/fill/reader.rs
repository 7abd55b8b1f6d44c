//! Who reads a fill, each at its own pace.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::state::End;
use super::{Fill, Stage};
use crate::cache::chunks::Forgotten;
use crate::cache::lock::lock;

/// One reader of a growing body, at its own pace.
#[derive(Debug)]
pub struct FillReader<E> {
    pub(super) fill: Arc<Fill<E>>,
    pub(super) id: u64,
    pub(super) held_until: Option<Instant>,
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
