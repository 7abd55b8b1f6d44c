//! Outcomes of the latest requests to one endpoint: whether most of them failed.

use std::time::Instant;

/// Outcomes of the requests of the last ten seconds, by the second.
#[derive(Clone, Debug)]
pub(super) struct Window {
    start: Instant,
    buckets: [Bucket; WINDOW_SECONDS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    good: u32,
    bad: u32,
}

impl Window {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, buckets: [Bucket::default(); WINDOW_SECONDS as usize] }
    }

    pub(super) fn add(&mut self, good: bool, now: Instant) {
        let second = self.second(now);
        let bucket = &mut self.buckets[(second % WINDOW_SECONDS) as usize];
        if bucket.second != second {
            *bucket = Bucket { second, ..Bucket::default() };
        }
        let counter = if good { &mut bucket.good } else { &mut bucket.bad };
        *counter = counter.saturating_add(1);
    }

    /// `(failed, all)` when more than half of enough requests failed.
    pub(super) fn majority(&self, now: Instant) -> Option<(u64, u64)> {
        let second = self.second(now);
        let recent = self.buckets.iter().filter(|bucket| bucket.second + WINDOW_SECONDS > second);
        let (good, bad) =
            recent.fold((0, 0), |(good, bad), bucket| (good + u64::from(bucket.good), bad + u64::from(bucket.bad)));
        (good + bad >= WINDOW_REQUESTS_MIN && bad > good).then_some((bad, good + bad))
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }
}

const WINDOW_SECONDS: u64 = 10;

/// Fewer requests than this say nothing about a share.
const WINDOW_REQUESTS_MIN: u64 = 20;
