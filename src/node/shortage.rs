//! When to tell that there is no memory for more clients, and that there is again.
//!
//! The door opens and shuts many times a second. A shortage lasts from the first time that it is shut until it has been
//! open for a while.

use std::time::{Duration, Instant};

use crate::cache::store::Overdraft;

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
    /// A shortage began, with this.
    Began(Overdraft),
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
    pub(super) fn look(&mut self, overdraft: Option<Overdraft>, refused: u64, now: Instant) -> News {
        match (&mut self.current, overdraft) {
            (None, Some(overdraft)) => {
                self.current = Some(Current { began: now, latest: now, refused_before: refused });
                News::Began(overdraft)
            }
            (None, None) => News::None,
            (Some(current), Some(_)) => {
                current.latest = now;
                News::None
            }
            (Some(Current { began, latest, refused_before }), None)
                if now.saturating_duration_since(*latest) >= QUIET =>
            {
                let ended = News::Ended {
                    lasted: latest.saturating_duration_since(*began),
                    refused: refused.saturating_sub(*refused_before),
                };
                self.current = None;
                ended
            }
            (Some(_), None) => News::None,
        }
    }
}

/// How long memory has to suffice before that is told: no more than two events in so much time.
const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::excess::{Limit, Pressure};
    use crate::telemetry::confinement::Usage;

    #[test]
    fn a_shortage_is_told_once_and_its_end_once_it_stays_away() {
        let start = crate::clock::Clock::new().monotonic();
        let mut shortage = Shortage::default();
        let none = News::None;
        let [process, cgroup] = [Limit::Process, Limit::Cgroup].map(|limit| {
            let pressure = Pressure { limit, usage: Usage { used_bytes: 350, limit_bytes: 358 } };
            Overdraft { pressure, missing_bytes: 9 }
        });
        for (seconds, overdraft, refused, expected) in [
            (0, None, 3, none),
            (1, Some(process), 3, News::Began(process)),
            (2, Some(cgroup), 20, none),
            (3, None, 20, none),
            (4, Some(process), 25, none),
            (13, None, 25, none),
            (14, None, 25, News::Ended { lasted: Duration::from_secs(3), refused: 22 }),
            (15, None, 25, none),
            (30, None, 40, none),
            (31, Some(cgroup), 40, News::Began(cgroup)),
        ] {
            let news = shortage.look(overdraft, refused, start + Duration::from_secs(seconds));
            assert_eq!(news, expected, "after {seconds} s");
        }
    }
}
