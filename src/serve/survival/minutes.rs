//! The requests of the last hour, sampled minute by minute: twice, once by their number and once by their bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reservoir::Reservoir;
use super::sample::Sample;

/// The last hour.
#[derive(Debug)]
pub(super) struct Minutes {
    room: usize,
    current: Minute,
    /// The oldest first; at most as many as an hour has.
    past: VecDeque<Arc<Minute>>,
}

/// The requests of one minute.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    began: Instant,
    requests: Reservoir<Arc<Sample>>,
    bytes: Reservoir<Arc<Sample>>,
}

/// What one request stands for; one of them is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Weights {
    /// Requests.
    pub(super) requests: f64,
    /// Bytes of their answers.
    pub(super) bytes: f64,
}

/// Priorities that a request has to exceed to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Thresholds {
    /// By its number, where each weighs 1.
    pub(super) requests: f64,
    /// By the bytes of its answer.
    pub(super) bytes: f64,
}

impl Minutes {
    /// An hour without requests, of which at most `room` a minute will be kept in each sample.
    pub(super) fn new(room: usize, now: Instant) -> Self {
        Self { room, current: Minute::new(room, now), past: VecDeque::new() }
    }

    /// A request was answered with this many bytes of body.
    pub(super) fn offer(&mut self, bytes: u64, chance: f64, sample: Sample) -> Thresholds {
        let sample = Arc::new(sample);
        self.current.requests.offer(1.0, chance, Arc::clone(&sample));
        self.current.bytes.offer(bytes as f64, chance, sample);
        let Minute { requests, bytes, .. } = &self.current;
        Thresholds { requests: requests.threshold(), bytes: bytes.threshold() }
    }

    /// Begins another minute once this one is over; whether it did. What is older than an hour is moved to `old`.
    pub(super) fn turn(&mut self, now: Instant, old: &mut Vec<Arc<Minute>>) -> bool {
        let age = |minute: &Minute| now.saturating_duration_since(minute.began);
        let is_over = age(&self.current) >= MINUTE;
        if is_over {
            let over = std::mem::replace(&mut self.current, Minute::new(self.room, now));
            self.past.push_back(Arc::new(over));
        }
        while self.past.front().is_some_and(|minute| age(minute) > HOUR) {
            old.extend(self.past.pop_front());
        }
        is_over
    }

    /// Every minute of the last hour, this one included.
    pub(super) fn all(&self) -> Vec<Arc<Minute>> {
        self.past.iter().cloned().chain([Arc::new(self.current.clone())]).collect()
    }
}

impl Minute {
    fn new(room: usize, now: Instant) -> Self {
        Self { began: now, requests: Reservoir::new(room), bytes: Reservoir::new(room) }
    }

    /// The requests of both samples.
    pub(super) fn samples(&self) -> impl Iterator<Item = (&Sample, Weights)> {
        let requests = self.requests.estimates();
        let requests = requests.map(|(sample, requests)| (&**sample, Weights { requests, bytes: 0.0 }));
        let bytes = self.bytes.estimates();
        requests.chain(bytes.map(|(sample, bytes)| (&**sample, Weights { requests: 0.0, bytes })))
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::serve::survival::fate::Loss;

    fn sample(number: u32) -> Sample {
        Sample::Lost { url: number.to_string().into(), loss: Loss::Gone }
    }

    /// Estimated requests and bytes of the last hour.
    fn totals(minutes: &Minutes) -> (f64, f64) {
        let all = minutes.all();
        let weights = all.iter().flat_map(|minute| minute.samples()).map(|(_, weights)| weights);
        weights.fold((0.0, 0.0), |(requests, bytes), more| (requests + more.requests, bytes + more.bytes))
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let begin = Clock::new().now().monotonic;
        let (mut minutes, mut old) = (Minutes::new(4, begin), Vec::new());
        for minute in 0..90 {
            let now = begin + minute * MINUTE;
            minutes.turn(now, &mut old);
            minutes.offer(10, 0.5, sample(minute));
            assert_eq!(totals(&minutes), (f64::from(minute.min(60) + 1), f64::from(minute.min(60) + 1) * 10.0));
        }
        assert_eq!(old.len(), 29);
        assert!(minutes.turn(begin + 1000 * MINUTE, &mut old));
        assert_eq!(totals(&minutes), (0.0, 0.0));
    }

    #[test]
    fn a_new_minute_takes_everything_until_it_is_full() {
        let begin = Clock::new().now().monotonic;
        let (mut minutes, mut old) = (Minutes::new(2, begin), Vec::new());
        assert_eq!(minutes.offer(10, 0.5, sample(0)), Thresholds::default());
        assert_eq!(minutes.offer(30, 0.25, sample(1)), Thresholds::default());
        assert_eq!(minutes.offer(20, 1.0, sample(2)), Thresholds { requests: 1.0, bytes: 20.0 });
        assert!(!minutes.turn(begin + MINUTE / 2, &mut old));
        assert!(minutes.turn(begin + MINUTE, &mut old));
        assert_eq!(minutes.offer(10, 0.5, sample(3)), Thresholds::default());
    }

    #[test]
    fn an_hour_of_many_requests_is_bounded() {
        let begin = Clock::new().now().monotonic;
        let mut random = fastrand::Rng::with_seed(3600);
        let (mut minutes, mut old) = (Minutes::new(8, begin), Vec::new());
        for second in 0..7200 {
            minutes.turn(begin + Duration::from_secs(second), &mut old);
            for number in 0..10 {
                minutes.offer(100, 1.0 - random.f64(), sample(number));
            }
        }
        let all = minutes.all();
        assert!(all.len() <= 62 && all.iter().all(|minute| minute.samples().count() <= 16));
        let (requests, bytes) = totals(&minutes);
        assert!((requests / 36_000.0 - 1.0).abs() < 0.15 && (bytes / 3_600_000.0 - 1.0).abs() < 0.15, "{requests}");
    }
}
