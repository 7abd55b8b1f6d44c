//! Metrics in shards: whoever counts often has one of its own, and what is shown is their sum.
//!
//! A count that several processors write goes to and fro between their caches, and every one of them waits for it.

use std::fmt::Error;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// One shard of something that is counted; clones are the same shard.
#[derive(Debug)]
pub(super) struct Sharded<C> {
    own: Arc<Apart<C>>,
    all: Arc<Mutex<Vec<Arc<Apart<C>>>>>,
}

/// Lies in no line of a processor's cache with anything else; processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart<C>(C);

impl<C: Default> Sharded<C> {
    /// Another shard of the same, which goes on counting there when this is dropped.
    pub(super) fn shard(&self) -> Self {
        let own = Arc::<Apart<C>>::default();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&own));
        Self { own, all: Arc::clone(&self.all) }
    }

    /// What `add` makes of all shards, beginning with the `first`.
    pub(super) fn fold<S>(&self, first: S, add: impl FnMut(S, &Arc<Apart<C>>) -> S) -> S {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().fold(first, add)
    }
}

impl<C: Default> Default for Sharded<C> {
    fn default() -> Self {
        let own = Arc::<Apart<C>>::default();
        Self { all: Arc::new(Mutex::new(vec![Arc::clone(&own)])), own }
    }
}

impl<C> Clone for Sharded<C> {
    fn clone(&self) -> Self {
        Self { own: Arc::clone(&self.own), all: Arc::clone(&self.all) }
    }
}

impl<C> Deref for Sharded<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.own.0
    }
}

impl<C> Deref for Apart<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// A counter in shards.
pub(super) type ShardedCounter = Sharded<Count>;

/// What a shard of a counter holds.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Counts one.
    pub(super) fn inc(&self) {
        self.inc_by(1);
    }

    /// Counts so many.
    pub(super) fn inc_by(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }
}

impl EncodeMetric for ShardedCounter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let sum = self.fold(0_u64, |sum, count| sum.wrapping_add(count.0.0.load(Ordering::Relaxed)));
        encoder.encode_counter::<NoLabelSet, u64, u64>(&sum, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for ShardedCounter {
    const TYPE: MetricType = MetricType::Counter;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn what_is_shown_is_the_sum_of_all_shards() {
        let counter = ShardedCounter::default();
        let mut registry = Registry::default();
        registry.register("hits", "Hits", counter.clone());
        counter.inc();
        let shard = counter.shard();
        shard.inc_by(10);
        shard.clone().inc_by(100);
        // A shard of a shard is one more of the same.
        shard.shard().inc_by(1000);
        drop(shard);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes every character");
        assert!(text.lines().any(|line| line == "hits_total 1111"), "{text}");
    }

    #[test]
    fn no_two_shards_lie_in_one_line() {
        let counter = ShardedCounter::default();
        let other = counter.shard();
        let distance = std::ptr::from_ref(&*counter).addr().abs_diff(std::ptr::from_ref(&*other).addr());
        assert!(distance >= 128, "{distance}");
    }
}
