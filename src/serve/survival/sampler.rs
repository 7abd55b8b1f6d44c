//! Takes the sample on a request's road: nearly every request costs a random number and two comparisons.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use http::HeaderMap;

use super::fate::Loss;
use super::minutes::{Minute, Minutes, Thresholds};
use super::reservoir::may_exceed;
use super::sample::Sample;
use super::survey::Survey;
use crate::cache::stored::StoredResponse;
use crate::semantics::cache_status::ForwardReason;
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

/// The sample of one site, and what was made of it last.
#[derive(Debug)]
pub struct Sampler {
    minutes: Mutex<Minutes>,
    /// [`Thresholds`] of the current minute, as bits; written only when a request is taken.
    requests_threshold: AtomicU64,
    bytes_threshold: AtomicU64,
    latest: ArcSwapOption<Survey>,
}

impl Sampler {
    /// An empty sample for one of this many sites.
    pub fn new(sites: usize, now: Instant) -> Self {
        let room = (SAMPLES_PER_MINUTE / sites.max(1)).clamp(ROOM_MIN, ROOM_MAX);
        Self {
            minutes: Mutex::new(Minutes::new(room, now)),
            requests_threshold: AtomicU64::default(),
            bytes_threshold: AtomicU64::default(),
            latest: ArcSwapOption::empty(),
        }
    }

    /// A request that the cache was asked for by `key`; whether what was found `answers`, or may be replaced by something
    /// longer first. Unless `chance`, from above 0 to 1, lets it come into the sample, there is nothing to keep of it.
    pub fn keyed(
        self: &Arc<Self>,
        key: &CacheKey,
        request: &HeaderMap,
        found: Option<&StoredResponse>,
        answers: bool,
        chance: f64,
    ) -> Option<Box<Prospect>> {
        let bytes_max = found.filter(|_| answers).map(|stored| stored.length());
        let nominated = found.map(|stored| stored.head.nominated());
        self.prospect(chance, bytes_max, || Sample::keyed(key, request, nominated))
    }

    /// A request for `url` that the cache has no part in, likewise.
    pub fn bypassing(
        self: &Arc<Self>,
        url: impl FnOnce() -> CacheKey,
        reason: ForwardReason,
        request: &HeaderMap,
        chance: f64,
    ) -> Option<Box<Prospect>> {
        self.prospect(chance, None, || Sample::bypassing(&url(), reason, request))
    }

    fn prospect(
        self: &Arc<Self>,
        chance: f64,
        bytes_max: Option<u64>,
        sample: impl FnOnce() -> Sample,
    ) -> Option<Box<Prospect>> {
        let may_come = self.takes(bytes_max, chance);
        may_come.then(|| Box::new(Prospect { sampler: Arc::clone(self), chance, sample: sample() }))
    }

    /// Whether a request whose answer has at most this many bytes may come into either sample.
    fn takes(&self, bytes_max: Option<u64>, chance: f64) -> bool {
        let Thresholds { requests, bytes } = self.thresholds();
        may_exceed(1.0, chance, requests) || bytes_max.is_none_or(|most| may_exceed(most as f64, chance, bytes))
    }

    fn offer(&self, bytes: u64, chance: f64, sample: Sample) {
        if self.takes(Some(bytes), chance) {
            let mut minutes = self.lock();
            let thresholds = minutes.offer(bytes, chance, sample);
            self.publish(thresholds);
        }
    }

    /// Begins another minute when the current one is over.
    pub(super) fn turn(&self, now: Instant) {
        // Freed once nobody waits for the lock.
        let mut old = Vec::new();
        let mut minutes = self.lock();
        if minutes.turn(now, &mut old) {
            self.publish(Thresholds::default());
        }
    }

    /// Every minute of the last hour.
    pub(super) fn minutes(&self) -> Vec<Arc<Minute>> {
        self.lock().all()
    }

    pub(super) fn show(&self, survey: Option<Survey>) {
        self.latest.store(survey.map(Arc::new));
    }

    /// The last survey; `None` before the first, and after an hour without requests.
    pub fn latest(&self) -> Option<Arc<Survey>> {
        self.latest.load_full()
    }

    fn thresholds(&self) -> Thresholds {
        let read = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        Thresholds { requests: read(&self.requests_threshold), bytes: read(&self.bytes_threshold) }
    }

    fn publish(&self, Thresholds { requests, bytes }: Thresholds) {
        self.requests_threshold.store(requests.to_bits(), Ordering::Relaxed);
        self.bytes_threshold.store(bytes.to_bits(), Ordering::Relaxed);
    }

    /// Held for as long as it takes to compare some numbers. A panic meanwhile would leave a sample that is a sample.
    fn lock(&self) -> MutexGuard<'_, Minutes> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that may come into the sample, once it is known what became of it.
#[derive(Debug)]
pub struct Prospect {
    sampler: Arc<Sampler>,
    chance: f64,
    sample: Sample,
}

impl Prospect {
    /// Its answer has begun.
    #[must_use]
    pub fn answered(mut self: Box<Self>, kept: Kept) -> Box<Self> {
        self.sample = match kept {
            Kept::AsFound => self.sample,
            Kept::Arriving(nominated) => self.sample.selected_by(nominated),
            Kept::Not(reason) => self.sample.otherwise(Loss::NotStored(reason)),
        };
        self
    }

    /// Its answer has ended, with this status and this many bytes of body.
    pub fn close(self, status: u16, bytes: u64) {
        let Self { sampler, chance, sample } = self;
        let sample = if status >= 500 { sample.otherwise(Loss::Error) } else { sample };
        sampler.offer(bytes, chance, sample);
    }
}

/// What the cache keeps of an answer, as far as is known when it begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// What it had before; nothing, if it had nothing.
    AsFound,
    /// A response that is arriving, selected by these fields of the request.
    Arriving(Nominated),
    /// Nothing, for this reason.
    Not(&'static str),
}

/// Requests a minute that all sites together keep in each of their two samples: with [`SAMPLE_BYTES_MAX`], what an hour
/// takes is some 10 MiB, and never more than 40. For hundreds of sites [`ROOM_MIN`] makes it more.
///
/// [`SAMPLE_BYTES_MAX`]: super::sample::SAMPLE_BYTES_MAX
const SAMPLES_PER_MINUTE: usize = 512;

/// 240 requests an hour still tell a share within 7 percentage points, 19 times out of 20.
const ROOM_MIN: usize = 4;

/// 3840 requests an hour tell it within 2.
const ROOM_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::cache::chunks::GrowingBody;
    use crate::cache::store::{Store, StoreCounters};
    use crate::cache::stored::{Arrival, StoredHead};
    use crate::clock::Clock;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    #[test]
    fn every_request_of_a_quiet_site_is_kept_and_few_of_a_busy_one() {
        let sampler = Arc::new(Sampler::new(1, Clock::new().now().monotonic));
        let key = cache_key(&Target::new("https", "www.test", None, "/"));
        let mut random = fastrand::Rng::with_seed(1);
        let mut prospects = 0;
        for number in 0..100_000 {
            let prospect =
                sampler.bypassing(|| key.clone(), ForwardReason::Method, &HeaderMap::new(), 1.0 - random.f64());
            prospect.into_iter().for_each(|prospect| prospect.close(200, 1000));
            let chance = 1.0 - random.f64();
            if sampler.takes(Some(1000), chance) {
                prospects += 1;
                sampler.offer(1000, chance, Sample::keyed(&key, &HeaderMap::new(), None));
            }
            assert!(number >= ROOM_MAX / 2 || prospects == number + 1);
        }
        assert!(prospects < 1000, "{prospects}");
        let kept: usize = sampler.minutes().iter().map(|minute| minute.samples().count()).sum();
        assert_eq!(kept, 2 * ROOM_MAX);
    }

    #[test]
    fn what_may_be_replaced_is_not_turned_away_for_its_length() {
        let now = Clock::new().now().monotonic;
        let sampler = Arc::new(Sampler::new(1, now));
        let key = cache_key(&Target::new("https", "www.test", None, "/"));
        for _ in 0..=ROOM_MAX {
            sampler.offer(1000, 0.001, Sample::keyed(&key, &HeaderMap::new(), None));
        }
        let stored = stored(&key, now);
        let is_taken = |answers| sampler.keyed(&key, &HeaderMap::new(), Some(&stored), answers, 1.0).is_some();
        assert_eq!((is_taken(true), is_taken(false)), (false, true));
    }

    /// A response without a body.
    fn stored(key: &CacheKey, now: Instant) -> StoredResponse {
        let store = Store::new(1 << 20, StoreCounters::default(), now);
        let reserve = || store.reserve(1000).expect("there is room");
        let head = StoredHead::of(Arrival::plain(key, store.fence("www.test", "/").stamps_with(&[], &[]), now));
        let body = GrowingBody::new(Some(0)).seal(reserve()).expect("it is whole");
        StoredResponse::new(head, body, reserve())
    }

    #[test]
    fn an_answer_changes_what_is_known_of_a_request() {
        let sampler = Arc::new(Sampler::new(1000, Clock::new().now().monotonic));
        let key = cache_key(&Target::new("https", "www.test", None, "/"));
        for (kept, status, expected) in [
            (Kept::AsFound, 200, Loss::Gone),
            (Kept::AsFound, 503, Loss::Error),
            (Kept::Not("no-store"), 200, Loss::NotStored("no-store")),
            (Kept::Not("status"), 502, Loss::Error),
        ] {
            sampler.turn(Clock::new().now().monotonic + Duration::from_secs(60));
            let prospect = sampler.keyed(&key, &HeaderMap::new(), None, false, 0.5).expect("there is room");
            prospect.answered(kept.clone()).close(status, 0);
            let minutes = sampler.minutes();
            let last = minutes.iter().flat_map(|minute| minute.samples()).last();
            let Some((Sample::Keyed { otherwise, .. }, _)) = last else { panic!("{last:?}") };
            assert_eq!(*otherwise, expected, "{kept:?} {status}");
        }
    }
}
