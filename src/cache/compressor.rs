//! Makes content codings, one after another, on threads of their own: no request ever waits for one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::chunks::{GrowingBody, StoredBody};
use super::codings::Codings;
use super::encoder::{NotEncoded, encode};
use super::lock::lock;
use super::remote_encoder::RemoteEncoder;
use super::store::Store;
use crate::clock::Clock;
use crate::semantics::content_coding::{Availability, ContentCoding};
use crate::telemetry::SiteMetrics;

/// Takes orders from everybody at once or not at all; whoever runs it fills them.
#[derive(Debug)]
pub struct Compressor {
    sender: ArcSwapOption<SyncSender<Order>>,
    receiver: Mutex<Receiver<Order>>,
    store: Store,
    clock: Clock,
}

impl Compressor {
    /// Nothing ordered; what is made is paid for in the ledger of `store`.
    pub fn new(store: Store, clock: Clock) -> Self {
        let (sender, receiver) = sync_channel(ORDERS_MAX);
        Self { sender: ArcSwapOption::from_pointee(sender), receiver: Mutex::new(receiver), store, clock }
    }

    /// Asks for `coding` of a body at `now`, unless somebody has. Never waits: when too many orders are waiting, it is left
    /// to the next request for the same.
    pub fn order(&self, codings: &Arc<Codings>, coding: ContentCoding, metrics: &Arc<SiteMetrics>, now: Instant) {
        if !codings.order(coding, now) {
            return;
        }
        let order = Order { codings: Arc::downgrade(codings), coding, metrics: Arc::clone(metrics) };
        let is_taken = self.sender.load().as_ref().is_some_and(|sender| sender.try_send(order).is_ok());
        if !is_taken {
            codings.postpone(coding, now);
            metrics.coding_dropped(coding.as_str());
        }
    }

    /// Fills orders until [`Compressor::close`], with bodies that `encoder` makes; for a thread that does nothing else, and
    /// only one. It takes locks that workers take too, so it needs their priority.
    pub fn run(&self, encoder: &RemoteEncoder) {
        let receiver = lock(&self.receiver);
        while let Ok(order) = receiver.recv()
            && self.sender.load().is_some()
        {
            self.fill(&order, &|body, coding, length_max| encoder.encode(body, coding, length_max));
        }
    }

    /// Fills the orders that wait, for those who run no thread; how many there were.
    pub fn run_waiting(&self) -> usize {
        let receiver = lock(&self.receiver);
        let here: &Encode<'_> = &|body, coding, length_max| encode(body, coding, length_max);
        receiver.try_iter().inspect(|order| self.fill(order, here)).count()
    }

    /// Takes no more orders and forgets those that wait.
    pub fn close(&self) {
        self.sender.store(None);
    }

    fn fill(&self, order: &Order, encode: &Encode<'_>) {
        let Order { codings, coding, metrics } = order;
        // Nobody can ask any more for what was evicted or replaced meanwhile.
        let Some(codings) = codings.upgrade() else { return };
        if codings.availability(*coding) != Availability::Unmade {
            return;
        }
        // Whatever panics costs the coding, not the thread.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| self.make(&codings, *coding, metrics, encode))).unwrap_or(Outcome::Failed);
        match outcome {
            Outcome::Made => {}
            Outcome::NoRoom => codings.postpone(*coding, self.clock.monotonic() + NO_ROOM_PAUSE),
            Outcome::Failed => codings.settle(*coding, None),
            // gzip repeats what it has seen in the last 32 KiB (RFC 1951 §2), the others what they have seen anywhere.
            Outcome::NotSmaller if *coding == ContentCoding::Gzip => codings.settle(*coding, None),
            // What these cannot shrink, nothing can.
            Outcome::NotSmaller => ContentCoding::ALL.into_iter().for_each(|coding| codings.settle(coding, None)),
        }
        metrics.coding_tried(coding.as_str(), outcome.as_str());
    }

    fn make(&self, codings: &Codings, coding: ContentCoding, metrics: &SiteMetrics, encode: &Encode<'_>) -> Outcome {
        let length_max = codings.body.length() * SHARE_MAX_PERCENT / 100;
        let Some(reservation) = self.store.reserve(length_max) else { return Outcome::NoRoom };
        let began = self.clock.monotonic();
        let mut made = match encode(&codings.body, coding, length_max) {
            Ok(made) => made,
            Err(NotEncoded::Failed) => return Outcome::Failed,
            Err(NotEncoded::TooLong) => return Outcome::NotSmaller,
        };
        let took = self.clock.monotonic().saturating_duration_since(began);
        let Ok(body) = made.seal(reservation) else { return Outcome::Failed };
        metrics.coding_made(coding.as_str(), codings.body.length(), body.length(), took);
        codings.settle(coding, Some(Arc::new(body)));
        // The engine goes by the weight that it was told.
        self.store.reweigh(&codings.key);
        Outcome::Made
    }
}

/// Encodes a body, on this thread or elsewhere.
type Encode<'a> = dyn Fn(&Arc<StoredBody>, ContentCoding, u64) -> Result<GrowingBody, NotEncoded> + 'a;

/// One coding of one body. It keeps neither alive.
#[derive(Debug)]
struct Order {
    codings: Weak<Codings>,
    coding: ContentCoding,
    metrics: Arc<SiteMetrics>,
}

/// What became of an order; the label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The encoder gave up or panicked: a bug.
    Failed,
    /// It can be sent.
    Made,
    /// The ledger had no room for it at this time.
    NoRoom,
    /// It would save less than it costs.
    NotSmaller,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Made => "made",
            Self::NoRoom => "no-room",
            Self::NotSmaller => "not-smaller",
        }
    }
}

/// Most orders that wait. At the usual 20 ms for a page this is some seconds of work; whoever asks again later than that
/// asks for what is still wanted.
const ORDERS_MAX: usize = 256;

/// How long a coding is not tried again that the ledger had no room for: fills in flight come and go within seconds, while a
/// cache that is too small for it stays so, and trying costs a look at the engine.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(10);

/// A coded body is kept up to this share of the body without: beside it, both take memory, and a tenth less to send is
/// not worth nearly twice as much to keep.
const SHARE_MAX_PERCENT: u64 = 90;

#[cfg(test)]
mod tests;
