//! Outage mode of one site, from the standing of its origins.
//!
//! ```text
//! Normal ◄──► Degraded            an origin does not stand in
//!    │           │
//!    └────┬──────┘                no origin is usable
//!         ▼
//!     StaleOnly ◄──► Recovering ──► Normal or Degraded, after five seconds with a usable origin
//! ```

use std::time::{Duration, Instant};

/// How a site stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutageMode {
    /// Every origin stands in.
    Normal,
    /// Origins answer, though not all of them, or not the preferred one.
    Degraded,
    /// No origin is usable: stale responses are served at once, and no origin is tried per request.
    StaleOnly,
    /// An origin has just become usable: it is asked again, gently, and stale responses still come first.
    Recovering,
}

impl OutageMode {
    /// The word for events, metrics and the status page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Degraded => "degraded",
            Self::StaleOnly => "stale-only",
            Self::Recovering => "recovering",
        }
    }
}

/// What a site's origins amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// Number of usable origins.
    pub usable: usize,
    /// Whether every origin of the best rank stands in.
    pub best_in: bool,
    /// Whether every origin stands in.
    pub all_in: bool,
}

/// A change of mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange {
    /// The mode left.
    pub from: OutageMode,
    /// The mode entered.
    pub to: OutageMode,
    /// Why, for people.
    pub reason: &'static str,
}

/// The outage mode of one site.
#[derive(Clone, Debug)]
pub struct Outage {
    mode: OutageMode,
    since: Instant,
    reason: &'static str,
}

impl Outage {
    /// A site at start is in normal mode until something is known against it.
    pub fn new(now: Instant) -> Self {
        Self { mode: OutageMode::Normal, since: now, reason: "start" }
    }

    /// Looks at the origins again.
    pub fn on(&mut self, strength: Strength, now: Instant) -> Option<ModeChange> {
        let (to, reason) = match self.mode {
            _ if strength.usable == 0 => (OutageMode::StaleOnly, "no origin is usable"),
            OutageMode::StaleOnly => (OutageMode::Recovering, "an origin is usable again"),
            OutageMode::Recovering if now < self.since + RECOVERY => return None,
            OutageMode::Normal | OutageMode::Degraded | OutageMode::Recovering => serving(strength),
        };
        if to == self.mode {
            return None;
        }
        let from = std::mem::replace(&mut self.mode, to);
        self.since = now;
        self.reason = reason;
        Some(ModeChange { from, to, reason })
    }

    /// When time alone may change the mode.
    pub fn due(&self) -> Option<Instant> {
        (self.mode == OutageMode::Recovering).then(|| self.since + RECOVERY)
    }

    /// The mode.
    pub fn mode(&self) -> OutageMode {
        self.mode
    }

    /// When the mode began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why the mode began.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

fn serving(strength: Strength) -> (OutageMode, &'static str) {
    if strength.all_in {
        (OutageMode::Normal, "every origin stands in")
    } else if strength.best_in {
        (OutageMode::Degraded, "a standby origin does not stand in")
    } else {
        (OutageMode::Degraded, "a preferred origin does not stand in")
    }
}

/// Long enough for a returning origin to fail again under its first requests, which is when it is likeliest to.
const RECOVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const ALL: Strength = Strength { usable: 2, best_in: true, all_in: true };
    const STANDBY_LOST: Strength = Strength { usable: 1, best_in: true, all_in: false };
    const BEST_LOST: Strength = Strength { usable: 1, best_in: false, all_in: false };
    const RETURNING: Strength = Strength { usable: 2, best_in: false, all_in: false };
    const NONE: Strength = Strength { usable: 0, best_in: false, all_in: false };

    /// Steps are `(seconds since the last step, strength)`; expected are the modes entered.
    #[track_caller]
    fn check(steps: &[(u64, Strength)], expected: &[&str]) {
        let mut now = Clock::new().now().monotonic;
        let mut outage = Outage::new(now);
        let mut seen = Vec::new();
        for &(seconds, strength) in steps {
            now += Duration::from_secs(seconds);
            seen.extend(outage.on(strength, now).map(|change| change.to.as_str()));
        }
        assert_eq!(seen, expected, "{steps:?}");
    }

    #[test]
    fn a_site_whose_origins_all_stand_in_is_normal() {
        check(&[(0, ALL), (9, ALL)], &[]);
    }

    #[test]
    fn losing_any_origin_degrades() {
        check(&[(0, STANDBY_LOST), (1, BEST_LOST), (1, RETURNING), (1, ALL)], &["degraded", "normal"]);
    }

    #[test]
    fn losing_every_origin_leaves_stale_only_at_once() {
        check(&[(0, NONE)], &["stale-only"]);
        check(&[(0, BEST_LOST), (0, NONE), (60, NONE)], &["degraded", "stale-only"]);
    }

    #[test]
    fn recovery_needs_five_seconds_with_a_usable_origin() {
        check(&[(0, NONE), (9, BEST_LOST), (4, BEST_LOST)], &["stale-only", "recovering"]);
        check(&[(0, NONE), (9, BEST_LOST), (5, RETURNING)], &["stale-only", "recovering", "degraded"]);
        check(&[(0, NONE), (9, RETURNING), (5, ALL)], &["stale-only", "recovering", "normal"]);
        check(
            &[(0, NONE), (9, RETURNING), (4, NONE), (1, ALL), (4, ALL)],
            &["stale-only", "recovering", "stale-only", "recovering"],
        );
    }
}
