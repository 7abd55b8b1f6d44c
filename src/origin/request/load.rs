//! How much an endpoint has to do, and how fast it answers: what balances traffic among equals.
//!
//! The time to the response head is averaged by peak-EWMA: a slower answer counts at once and in full, a faster one little by
//! little. It fades while nothing is measured, so that an endpoint that was slow is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The load of one endpoint, shared by all workers.
#[derive(Debug)]
pub struct Load {
    born: Instant,
    in_flight: AtomicU32,
    /// An [`Average`], packed so that it is replaced as a whole.
    average: AtomicU64,
}

impl Load {
    /// An endpoint that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self { born: now, in_flight: AtomicU32::new(0), average: AtomicU64::new(0) }
    }

    /// Requests under way there.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The average time to a response head; short for an endpoint that was never measured, so that it will be.
    pub fn latency(&self, now: Instant) -> Duration {
        let average = Average::unpack(self.average.load(Ordering::Relaxed));
        average.map_or(UNMEASURED, |average| average.at(self.age(now))).max(LEAST)
    }

    /// Takes the time that a response head took, or that was waited for it in vain.
    pub fn measured(&self, latency: Duration, now: Instant) {
        let age = self.age(now);
        let averaged =
            |packed| Some(Average::unpack(packed).map_or(Average::new(latency, age), |a| a.with(latency, age)));
        let _always_some = self
            .average
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| averaged(packed).map(Average::pack));
    }

    fn age(&self, now: Instant) -> u32 {
        // Wraps after 49 days, and differences with it.
        now.saturating_duration_since(self.born).as_millis() as u32
    }
}

/// One request under way at an endpoint, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Load>);

impl InFlight {
    /// Counts one more.
    pub fn new(load: Arc<Load>) -> Self {
        load.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(load)
    }

    /// Takes the time that the response head took, or that was waited for it in vain.
    pub fn measured(&self, latency: Duration, now: Instant) {
        self.0.measured(latency, now);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Average {
    /// At least 1.
    microseconds: u32,
    /// Milliseconds since the birth of the load, when it was last measured.
    measured_at: u32,
}

impl Average {
    fn new(latency: Duration, now: u32) -> Self {
        let microseconds = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
        Self { microseconds, measured_at: now }
    }

    fn at(self, now: u32) -> Duration {
        Duration::from_micros(self.microseconds.into()).mul_f64(self.remainder(now))
    }

    fn with(self, latency: Duration, now: u32) -> Self {
        let faded = self.at(now);
        if latency >= faded {
            return Self::new(latency, now);
        }
        Self::new(faded + latency.mul_f64(1.0 - self.remainder(now)), now)
    }

    /// What is left of it.
    fn remainder(self, now: u32) -> f64 {
        let age = Duration::from_millis(now.wrapping_sub(self.measured_at).into());
        (-age.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }

    fn pack(self) -> u64 {
        u64::from(self.microseconds) << 32 | u64::from(self.measured_at)
    }

    fn unpack(packed: u64) -> Option<Self> {
        let (microseconds, measured_at) = ((packed >> 32) as u32, packed as u32);
        (microseconds > 0).then_some(Self { microseconds, measured_at })
    }
}

/// Time in which an average fades to 1/e: longer than a pause of a garbage collector, shorter than a patient operator.
const DECAY: Duration = Duration::from_secs(10);

/// Faster than most endpoints, and still more than nothing, so that a crowd does not go there as one.
const UNMEASURED: Duration = Duration::from_millis(1);

/// Below this, differences are those of the measurement.
const LEAST: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// Steps are `(milliseconds since the last step, latency in milliseconds)`; then so many milliseconds pass.
    #[track_caller]
    fn check(steps: &[(u64, u64)], then: u64, expected: u64) {
        let mut now = Clock::new().now().monotonic;
        let load = Load::new(now);
        for &(pause, latency) in steps {
            now += Duration::from_millis(pause);
            load.measured(Duration::from_millis(latency), now);
        }
        let average = load.latency(now + Duration::from_millis(then));
        assert_eq!((average.as_secs_f64() * 1000.0).round() as u64, expected, "{steps:?} {average:?}");
    }

    #[test]
    fn an_endpoint_that_was_never_measured_looks_fast() {
        check(&[], 0, 1);
        check(&[], 60_000, 1);
    }

    #[test]
    fn a_peak_counts_at_once_and_a_better_time_little_by_little() {
        check(&[(0, 20)], 0, 20);
        check(&[(0, 20), (1, 200)], 0, 200);
        check(&[(0, 200), (100, 20)], 0, 198);
        check(&[(0, 200), (10_000, 20)], 0, 86);
        check(&[(0, 200), (10_000, 20), (10_000, 20)], 0, 44);
    }

    #[test]
    fn it_fades_while_nothing_is_measured() {
        check(&[(0, 200)], 10_000, 74);
        check(&[(0, 200)], 30_000, 10);
        check(&[(0, 200)], 600_000, 0);
    }

    #[test]
    fn time_is_reckoned_right_across_the_end_of_its_counter() {
        check(&[(u32::MAX.into(), 200)], 10_000, 74);
        check(&[(1 << 33, 200), (10_000, 20)], 0, 86);
    }

    #[test]
    fn requests_are_under_way_until_they_are_dropped() {
        let load = Arc::new(Load::new(Clock::new().now().monotonic));
        let requests = [InFlight::new(Arc::clone(&load)), InFlight::new(Arc::clone(&load))];
        assert_eq!(load.in_flight(), 2);
        drop(requests);
        assert_eq!(load.in_flight(), 0);
    }
}
