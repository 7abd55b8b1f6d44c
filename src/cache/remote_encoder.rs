//! Encoding on another thread, for one that waits until it is done.
//!
//! Encoding is for the processor time that others leave. A thread that has to wait for its next turn must not hold what
//! they wait for: a lock of the store, of a queue, of the metrics. So this one gets a body, gives a body, and knows nothing
//! else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::chunks::{GrowingBody, StoredBody};
use super::encoder::{NotEncoded, encode};
use crate::semantics::content_coding::ContentCoding;

/// The side that waits.
#[derive(Debug)]
pub struct RemoteEncoder {
    jobs: SyncSender<Job>,
    results: Receiver<Result<GrowingBody, NotEncoded>>,
}

/// The side that works.
#[derive(Debug)]
pub struct EncoderLoop {
    jobs: Receiver<Job>,
    results: SyncSender<Result<GrowingBody, NotEncoded>>,
}

#[derive(Debug)]
struct Job {
    body: Arc<StoredBody>,
    coding: ContentCoding,
    length_max: u64,
}

/// Both sides, each for one thread.
pub fn remote_encoder() -> (RemoteEncoder, EncoderLoop) {
    // One job at a time: whoever gives it waits for its result.
    let ((give, jobs), (send, results)) = (sync_channel(1), sync_channel(1));
    (RemoteEncoder { jobs: give, results }, EncoderLoop { jobs, results: send })
}

impl RemoteEncoder {
    /// Does as [`encode`] does, on the other thread; when that has ended, it fails.
    pub(super) fn encode(
        &self,
        body: &Arc<StoredBody>,
        coding: ContentCoding,
        length_max: u64,
    ) -> Result<GrowingBody, NotEncoded> {
        let job = Job { body: Arc::clone(body), coding, length_max };
        self.jobs.send(job).map_err(|_ended| NotEncoded::Failed)?;
        self.results.recv().unwrap_or(Err(NotEncoded::Failed))
    }
}

impl EncoderLoop {
    /// Encodes until the other side is dropped. An encoder that panics costs the coding, not the thread.
    pub fn run(self) {
        while let Ok(Job { body, coding, length_max }) = self.jobs.recv() {
            let encoded = catch_unwind(AssertUnwindSafe(|| encode(&body, coding, length_max)));
            // The other thread has it too, and is the one to free it if nobody else does.
            drop(body);
            if self.results.send(encoded.unwrap_or(Err(NotEncoded::Failed))).is_err() {
                return;
            }
        }
    }
}
