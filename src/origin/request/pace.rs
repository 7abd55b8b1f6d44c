//! Whether a body comes too slowly: a floor of bytes per second, over the time that is spent waiting for it.
//!
//! A client that is slow to read holds its origin back; while the node does not wait, no time passes here.

use std::time::Duration;

/// What a body brought in the latest window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes by equal shares of the window, the one under way first.
    shares: [u64; SHARES + 1],
    /// How many shares have passed, up to a window's.
    passed: usize,
    /// How much of the share under way has passed.
    waited: Duration,
    share: Duration,
    /// What a window brings at least, in bytes.
    least: u64,
}

/// What a pace amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// At or above the floor, or not known yet.
    Enough,
    /// A whole window has brought less than it has to.
    TooSlow,
}

impl Pace {
    /// A body that begins, of which `window` after `window` brings at least `bytes_per_second`. `None` when that is nothing.
    pub fn new(bytes_per_second: u64, window: Duration) -> Option<Self> {
        let milliseconds = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let least = bytes_per_second.saturating_mul(milliseconds) / 1000;
        let share = window / SHARES_PER_WINDOW;
        let pace = Self { shares: [0; SHARES + 1], passed: 0, waited: Duration::ZERO, share, least };
        (least > 0 && share > Duration::ZERO).then_some(pace)
    }

    /// Takes that `bytes` have come after a wait of this `time`, or none in it.
    pub fn take(&mut self, bytes: u64, time: Duration) -> Speed {
        let [under_way, ..] = &mut self.shares;
        *under_way = under_way.saturating_add(bytes);
        let mut left = self.waited + time;
        while left >= self.share {
            left -= self.share;
            if self.pass() == Speed::TooSlow {
                self.waited = Duration::ZERO;
                return Speed::TooSlow;
            }
        }
        self.waited = left;
        Speed::Enough
    }

    /// How long nothing may come from here on before it is too slow.
    pub fn patience(&self) -> Duration {
        let mut ahead = *self;
        let mut patience = self.share.saturating_sub(self.waited);
        // After all shares of a window, and the one under way, nothing is left in it.
        for _ in 0..=SHARES {
            if ahead.pass() == Speed::TooSlow {
                break;
            }
            patience += self.share;
        }
        patience
    }

    /// A share is over.
    fn pass(&mut self) -> Speed {
        self.shares.rotate_right(1);
        let [under_way, window @ ..] = &mut self.shares;
        *under_way = 0;
        self.passed = SHARES.min(self.passed + 1);
        let brought: u64 = window.iter().fold(0, |sum, share| sum.saturating_add(*share));
        if self.passed == SHARES && brought < self.least { Speed::TooSlow } else { Speed::Enough }
    }
}

/// The window moves by a fifth of itself.
const SHARES: usize = 5;
const SHARES_PER_WINDOW: u32 = SHARES as u32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a body with a floor of 1000 bytes a second over 5 seconds: milliseconds waited, then bytes that came.
    /// Expected is the step, counted from 1, that finds it too slow.
    #[track_caller]
    fn check(steps: impl IntoIterator<Item = (u64, u64)>, expected: Option<usize>) {
        let mut pace = Pace::new(1000, Duration::from_secs(5)).expect("a floor");
        let too_slow = steps
            .into_iter()
            .position(|(milliseconds, bytes)| pace.take(bytes, Duration::from_millis(milliseconds)) == Speed::TooSlow);
        assert_eq!(too_slow.map(|step| step + 1), expected);
    }

    #[test]
    fn a_drip_is_too_slow_after_a_window() {
        check(std::iter::repeat_n((1000, 200), 4), None);
        check(std::iter::repeat_n((1000, 200), 5), Some(5));
        check(std::iter::repeat_n((100, 99), 100), Some(50));
        check([(4999, 0)], None);
        check([(5000, 0)], Some(1));
    }

    #[test]
    fn at_the_floor_it_goes_on_for_ever() {
        check(std::iter::repeat_n((100, 100), 10_000), None);
        check(std::iter::repeat_n((1, 1), 100_000), None);
        check(std::iter::repeat_n((4000, 5000), 1000), None);
    }

    #[test]
    fn only_waiting_counts() {
        check(std::iter::repeat_n((0, 1), 100_000), None);
        check([(0, 1), (0, 1), (4999, 1), (0, 1), (1, 1)], Some(5));
    }

    #[test]
    fn what_came_before_the_window_is_forgotten() {
        let fast = std::iter::once((0, 10_000_000));
        check(fast.clone().chain(std::iter::repeat_n((1000, 200), 5)), None);
        check(fast.chain(std::iter::repeat_n((1000, 200), 6)), Some(7));
    }

    #[test]
    fn a_pause_is_forgiven_when_enough_came_before() {
        check([(1000, 0), (1000, 5000), (3000, 5000), (1999, 0)], None);
    }

    #[test]
    fn patience_ends_when_it_becomes_too_slow() {
        let mut pace = Pace::new(1000, Duration::from_secs(5)).expect("a floor");
        for (bytes, milliseconds) in [(0, 0), (200, 700), (10_000_000, 300), (0, 2500), (1, 1)] {
            assert_eq!(pace.take(bytes, Duration::from_millis(milliseconds)), Speed::Enough);
            let patience = pace.patience();
            assert_eq!({ pace }.take(0, patience - Duration::from_millis(1)), Speed::Enough, "{pace:?}");
            assert_eq!({ pace }.take(0, patience), Speed::TooSlow, "{pace:?}");
        }
    }

    #[test]
    fn without_a_floor_nothing_is_too_slow() {
        assert_eq!(Pace::new(0, Duration::from_secs(5)), None);
        assert_eq!(Pace::new(1, Duration::from_millis(999)), None);
    }
}
