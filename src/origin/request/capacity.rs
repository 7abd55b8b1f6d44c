//! How many requests an origin gets at a time from this node, and how many may wait for their turn.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::telemetry::OriginGauges;

/// The places of one origin, shared by all workers.
#[derive(Debug)]
pub struct Capacity {
    places: Arc<Semaphore>,
    queue: Semaphore,
    gauges: OriginGauges,
}

impl Capacity {
    /// Room for `requests_max` requests under way, and for `queue_max` that wait.
    pub fn new(requests_max: usize, queue_max: usize, gauges: OriginGauges) -> Self {
        Self { places: Arc::new(Semaphore::new(requests_max)), queue: Semaphore::new(queue_max), gauges }
    }

    /// Whether there is a free place.
    pub fn has_room(&self) -> bool {
        self.places.available_permits() > 0
    }

    /// A place, if there is a free one and nobody waits for it.
    pub fn try_enter(&self) -> Option<Permit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Permit { _place: place, _counted: Counted::new(&self.gauges.requests) })
    }

    /// A place, in the order of arrival; `None` after `wait`, or at once when as many as may wait do so.
    pub async fn enter(&self, wait: Duration) -> Option<Permit> {
        if let Some(permit) = self.try_enter() {
            return Some(permit);
        }
        let _turn = self.queue.try_acquire().ok()?;
        let _counted = Counted::new(&self.gauges.queued);
        let place = timeout(wait, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()?;
        Some(Permit { _place: place, _counted: Counted::new(&self.gauges.requests) })
    }
}

/// A place at an origin, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

/// One of what a gauge shows.
#[derive(Debug)]
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::telemetry::Metrics;

    const SECOND: Duration = Duration::from_secs(1);

    fn capacity(requests_max: usize, queue_max: usize) -> Capacity {
        Capacity::new(requests_max, queue_max, Metrics::new().site("shop").origin_gauges("a"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_goes_to_the_first_that_waits() {
        let capacity = capacity(1, 2);
        let permit = capacity.enter(SECOND).await.expect("a free place");
        let (mut first, mut second) = (pin!(capacity.enter(SECOND)), pin!(capacity.enter(SECOND)));
        assert!(timeout(Duration::ZERO, &mut first).await.is_err());
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!((capacity.gauges.requests.get(), capacity.gauges.queued.get()), (1, 2));
        drop(permit);
        assert!(capacity.try_enter().is_none(), "nobody passes those who wait");
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        drop(first.await.expect("a place"));
        assert!(second.await.is_some());
        assert_eq!((capacity.gauges.requests.get(), capacity.gauges.queued.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_by_a_panic_too() {
        let capacity = capacity(1, 0);
        let permit = capacity.enter(SECOND).await;
        let task = tokio::spawn(async move { assert!(permit.is_none(), "the panic") });
        assert!(task.await.is_err());
        assert!(capacity.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_agreed_or_behind_too_many() {
        let capacity = capacity(1, 1);
        let _permit = capacity.enter(SECOND).await;
        let mut waiting = pin!(capacity.enter(SECOND));
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        assert!(timeout(Duration::ZERO, capacity.enter(SECOND)).await.expect("an answer at once").is_none());
        assert!(waiting.await.is_none());
        assert_eq!((capacity.gauges.requests.get(), capacity.gauges.queued.get()), (1, 0));
    }
}
