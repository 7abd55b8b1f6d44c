//! When to tell that there is no memory for more clients, and that there is again.
//!
//! The door opens and shuts many times a second. A shortage lasts from the first time that it is shut until it has been
//! open for a while.

use std::time::{Duration, Instant};

/// Whether memory is short, as far as was told.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    /// When memory was short the last time.
    latest: Instant,
    /// Connections that had been refused before.
    refused_before: u64,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A shortage began.
    Began,
    /// It is over, for as long as [`QUIET`].
    Ended {
        /// From its beginning to the last time that memory was short.
        lasted: Duration,
        /// Connections refused meanwhile.
        refused: u64,
    },
    /// Nothing.
    None,
}

impl Shortage {
    /// Takes note of one measurement, when `refused` connections had been refused since the start.
    pub(super) fn look(&mut self, is_short: bool, refused: u64, now: Instant) -> News {
        match &mut self.current {
            None if is_short => {
                self.current = Some(Current { began: now, latest: now, refused_before: refused });
                News::Began
            }
            None => News::None,
            Some(current) if is_short => {
                current.latest = now;
                News::None
            }
            Some(Current { began, latest, refused_before }) if now.saturating_duration_since(*latest) >= QUIET => {
                let ended = News::Ended {
                    lasted: latest.saturating_duration_since(*began),
                    refused: refused.saturating_sub(*refused_before),
                };
                self.current = None;
                ended
            }
            Some(_) => News::None,
        }
    }
}

/// How long memory has to suffice before that is told: no more than two events in so much time.
const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_and_its_end_once_it_stays_away() {
        let start = crate::clock::Clock::new().monotonic();
        let mut shortage = Shortage::default();
        let none = News::None;
        for (seconds, is_short, refused, expected) in [
            (0, false, 3, none),
            (1, true, 3, News::Began),
            (2, true, 20, none),
            (3, false, 20, none),
            (4, true, 25, none),
            (13, false, 25, none),
            (14, false, 25, News::Ended { lasted: Duration::from_secs(3), refused: 22 }),
            (15, false, 25, none),
            (30, false, 40, none),
            (31, true, 40, News::Began),
        ] {
            let news = shortage.look(is_short, refused, start + Duration::from_secs(seconds));
            assert_eq!(news, expected, "after {seconds} s");
        }
    }
}
