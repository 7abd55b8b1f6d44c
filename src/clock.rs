//! The only reader of time.
//!
//! Wall time is derived from tokio's monotonic clock and an anchor, so that a paused runtime moves both together and a
//! step of the system clock never makes a stored response younger or older at once. A node re-anchors about once a minute.

#![expect(clippy::disallowed_methods, reason = "the one reader of time")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For ages, deadlines and every other difference.
    pub monotonic: Instant,
    /// For dates in messages and logs, and for nothing else.
    pub wall: SystemTime,
}

/// Reads time; clones share one anchor.
#[derive(Clone, Debug)]
pub struct Clock {
    anchor: Arc<ArcSwap<Now>>,
}

impl Clock {
    /// A clock anchored to the system's wall time.
    pub fn new() -> Self {
        Self { anchor: Arc::new(ArcSwap::from_pointee(system())) }
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        sample(**self.anchor.load(), self.monotonic())
    }

    /// The monotonic clock now: for deadlines and differences, at half the price of both.
    pub fn monotonic(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Follows the system's wall time again; for a loop that calls it about once a minute.
    pub fn anchor_again(&self) {
        self.anchor.store(Arc::new(system()));
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

fn system() -> Now {
    Now { monotonic: tokio::time::Instant::now().into_std(), wall: SystemTime::now() }
}

/// The wall time at `monotonic`, as seen from `anchor`, on either side of it.
fn sample(anchor: Now, monotonic: Instant) -> Now {
    let wall = match monotonic.checked_duration_since(anchor.monotonic) {
        Some(ahead) => anchor.wall.checked_add(ahead),
        None => anchor.wall.checked_sub(anchor.monotonic.saturating_duration_since(monotonic)),
    };
    Now { monotonic, wall: wall.unwrap_or(anchor.wall) }
}

/// How often a node calls [`Clock::anchor_again`].
pub const ANCHOR_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_moves_with_monotonic_time_on_both_sides_of_the_anchor() {
        let anchor = system();
        let later = sample(anchor, anchor.monotonic + Duration::from_secs(5));
        assert_eq!(later.wall, anchor.wall + Duration::from_secs(5));
        let back = sample(later, anchor.monotonic);
        assert_eq!(back.wall, anchor.wall);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_runtime_moves_both_clocks() {
        let clock = Clock::new();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(61)).await;
        let after = clock.now();
        assert_eq!(after.monotonic - before.monotonic, Duration::from_secs(61));
        assert_eq!(after.wall.duration_since(before.wall).ok(), Some(Duration::from_secs(61)));
    }
}
