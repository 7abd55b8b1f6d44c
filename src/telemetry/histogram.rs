//! A histogram of durations made of relaxed atomics: observing takes no lock, as the library's own does.

use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::sharded::Sharded;

/// Durations in fixed buckets from 0.5 ms to 30 s, in shards.
pub(super) type DurationHistogram = Sharded<Durations>;

/// What a shard of a histogram holds.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// One count per bound and one for what is above the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_nanoseconds: AtomicU64,
}

impl Durations {
    /// Counts one duration.
    pub(super) fn observe(&self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|&bound| bound < duration);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if nanoseconds > 0 {
            self.sum_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let none = ([0_u64; BOUNDS.len() + 1], 0_u64);
        let (counts, sum) = self.fold(none, |(mut counts, sum), shard| {
            for (count, more) in counts.iter_mut().zip(&shard.counts) {
                *count = count.wrapping_add(more.load(Ordering::Relaxed));
            }
            (counts, sum.wrapping_add(shard.sum_nanoseconds.load(Ordering::Relaxed)))
        });
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // Summed from the same reading, so that the last bucket and the count always agree.
        let count = counts.iter().sum();
        let sum = Duration::from_nanos(sum);
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for DurationHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

/// Upper bounds, inclusive.
const BOUNDS: [Duration; 15] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn buckets_are_cumulative_and_their_bounds_inclusive() {
        let histogram = DurationHistogram::default();
        let shards = [histogram.clone(), histogram.shard()];
        for (index, milliseconds) in [0, 1, 2, 30_000, 30_001].into_iter().enumerate() {
            shards[index % 2].observe(Duration::from_millis(milliseconds));
        }
        let mut registry = Registry::default();
        registry.register("wait_seconds", "Waits", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE wait_seconds histogram",
            "wait_seconds_sum 60.004",
            "wait_seconds_count 5",
            "wait_seconds_bucket{le=\"0.0005\"} 1",
            "wait_seconds_bucket{le=\"0.001\"} 2",
            "wait_seconds_bucket{le=\"0.0025\"} 3",
            "wait_seconds_bucket{le=\"10.0\"} 3",
            "wait_seconds_bucket{le=\"30.0\"} 4",
            "wait_seconds_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
