//! Standing of one origin: when it is left, and when it is used again.
//!
//! `In → Out → Returning → In`. An origin goes out with its last usable endpoint, at once. It is preferred again only
//! after good probes in a row and a hold-down, counted from the moment it went out. The hold-down doubles with every
//! return that did not last, so that an origin that flaps costs the site ever fewer switches.

use std::time::{Duration, Instant};

use crate::config::model::FailbackPolicy;

/// Whether an origin may be preferred; the better standing sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Used by rank.
    In,
    /// Usable again, though only after those that stand in.
    Returning,
    /// Not usable.
    Out,
}

impl Standing {
    /// The word for events, metrics and the status page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Returning => "returning",
            Self::Out => "out",
        }
    }
}

/// What an origin's endpoints amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing<'a> {
    /// At least one endpoint is usable.
    Usable {
        /// The longest run of good probes of a usable endpoint; `u32::MAX` where there are no probes.
        good_probes: u32,
    },
    /// No endpoint is usable.
    Unusable {
        /// Why, for people.
        reason: &'a str,
    },
}

/// A change of standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingChange {
    /// The standing left.
    pub from: Standing,
    /// The standing entered.
    pub to: Standing,
    /// Why, for people.
    pub reason: String,
}

/// The standing of one origin.
#[derive(Clone, Debug)]
pub struct Failback {
    standing: Standing,
    since: Instant,
    reason: String,
    /// When it may stand in again; in the past for one that does.
    held_until: Instant,
    /// Returns that did not last, less one for every quiet time since.
    flaps: u32,
}

impl Failback {
    /// An origin at start stands in.
    pub fn new(now: Instant) -> Self {
        Self { standing: Standing::In, since: now, reason: "start".to_owned(), held_until: now, flaps: 0 }
    }

    /// Takes at most one step; to be called again until it returns `None`.
    pub fn on(&mut self, footing: Footing<'_>, policy: &FailbackPolicy, now: Instant) -> Option<StandingChange> {
        let (to, reason) = match (self.standing, footing) {
            (Standing::In, Footing::Unusable { reason }) => {
                self.forget_flaps(now);
                self.held_until = now + self.hold_down(policy);
                self.flaps = self.flaps.saturating_add(1);
                (Standing::Out, reason.to_owned())
            }
            (Standing::Returning, Footing::Unusable { reason }) => {
                // Nothing was switched to it meanwhile, so this is no flap; the hold-down begins anew.
                self.held_until = now + self.hold_down_served(policy);
                (Standing::Out, reason.to_owned())
            }
            (Standing::Out, Footing::Usable { .. }) => (Standing::Returning, "an endpoint is usable".to_owned()),
            (Standing::Returning, Footing::Usable { good_probes })
                if good_probes >= policy.probes && now >= self.held_until =>
            {
                (Standing::In, returned(good_probes))
            }
            (Standing::In | Standing::Returning, Footing::Usable { .. })
            | (Standing::Out, Footing::Unusable { .. }) => return None,
        };
        let from = std::mem::replace(&mut self.standing, to);
        self.since = now;
        self.reason.clone_from(&reason);
        Some(StandingChange { from, to, reason })
    }

    /// When time alone may change the standing.
    pub fn due(&self) -> Option<Instant> {
        (self.standing == Standing::Returning).then_some(self.held_until)
    }

    /// The standing.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// When the standing began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why the standing began.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// How long it is held down yet; `None` when it is not.
    pub fn hold_down_left(&self, now: Instant) -> Option<Duration> {
        let left = self.held_until.saturating_duration_since(now);
        (self.standing != Standing::In && !left.is_zero()).then_some(left)
    }

    fn forget_flaps(&mut self, now: Instant) {
        let quiet_times = now.saturating_duration_since(self.since).as_secs() / QUIET_TIME.as_secs();
        self.flaps = self.flaps.saturating_sub(u32::try_from(quiet_times).unwrap_or(u32::MAX));
    }

    fn hold_down(&self, policy: &FailbackPolicy) -> Duration {
        doubled(policy.hold_down, self.flaps)
    }

    /// The hold-down that the present absence began with.
    fn hold_down_served(&self, policy: &FailbackPolicy) -> Duration {
        doubled(policy.hold_down, self.flaps.saturating_sub(1))
    }
}

fn returned(good_probes: u32) -> String {
    match good_probes {
        u32::MAX => "its hold-down is over".to_owned(),
        _ => format!("{good_probes} probes passed in a row and its hold-down is over"),
    }
}

fn doubled(hold_down: Duration, times: u32) -> Duration {
    let longest = HOLD_DOWN_MAX.max(hold_down);
    hold_down.checked_mul(2_u32.saturating_pow(times)).map_or(longest, |doubled| doubled.min(longest))
}

/// Doubling ends here, unless the operator's own hold-down is longer.
const HOLD_DOWN_MAX: Duration = Duration::from_secs(600);
/// Standing in this long makes up for one flap.
const QUIET_TIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// Steps are `(seconds since the last step, good probes or unusable)`; expected is one letter per change: `O`, `R`,
    /// `I`.
    #[track_caller]
    fn check(steps: &[(u64, Option<u32>)], expected: &str) {
        let mut now = Clock::new().now().monotonic;
        let mut failback = Failback::new(now);
        let mut seen = String::new();
        for &(seconds, good_probes) in steps {
            now += Duration::from_secs(seconds);
            let footing = good_probes
                .map_or(Footing::Unusable { reason: "refused" }, |good_probes| Footing::Usable { good_probes });
            while let Some(change) = failback.on(footing, &POLICY, now) {
                assert_eq!(change.to, failback.standing());
                assert!(!change.reason.is_empty());
                seen.extend(change.to.as_str().chars().next().map(|first| first.to_ascii_uppercase()));
            }
        }
        assert_eq!(seen, expected, "{steps:?}");
    }

    #[test]
    fn an_origin_at_start_stands_in() {
        check(&[(0, Some(0)), (60, Some(9))], "");
    }

    #[test]
    fn it_goes_out_at_once() {
        check(&[(0, None)], "O");
        check(&[(0, None), (90, None)], "O");
    }

    #[test]
    fn it_returns_after_good_probes_and_hold_down() {
        check(&[(0, None), (1, Some(1))], "OR");
        check(&[(0, None), (29, Some(5))], "OR");
        check(&[(0, None), (31, Some(4))], "OR");
        check(&[(0, None), (30, Some(5))], "ORI");
        check(&[(0, None), (31, Some(4)), (2, Some(5))], "ORI");
        check(&[(0, None), (30, Some(u32::MAX))], "ORI");
    }

    #[test]
    fn an_origin_that_fails_while_it_returns_begins_again() {
        check(&[(0, None), (20, Some(3)), (5, None), (25, Some(5))], "OROR");
        check(&[(0, None), (20, Some(3)), (5, None), (30, Some(5))], "ORORI");
    }

    #[test]
    fn hold_down_doubles_with_every_flap() {
        let flap = [(0, None), (30, Some(5))];
        check(&[flap[0], flap[1], (1, None), (59, Some(9))], "ORIOR");
        check(&[flap[0], flap[1], (1, None), (60, Some(9))], "ORIORI");
        check(&[flap[0], flap[1], (1, None), (60, Some(9)), (1, None), (119, Some(9))], "ORIORIOR");
        check(&[flap[0], flap[1], (1, None), (60, Some(9)), (1, None), (120, Some(9))], "ORIORIORI");
    }

    #[test]
    fn hold_down_ends_at_ten_minutes_and_is_forgotten_after_quiet_times() {
        assert_eq!(doubled(Duration::from_secs(30), 4), Duration::from_secs(480));
        assert_eq!(doubled(Duration::from_secs(30), 5), Duration::from_secs(600));
        assert_eq!(doubled(Duration::from_secs(30), u32::MAX), Duration::from_secs(600));
        assert_eq!(doubled(Duration::from_secs(900), 3), Duration::from_secs(900));
        check(&[(0, None), (30, Some(5)), (600, None), (30, Some(5))], "ORIORI");
    }

    const POLICY: FailbackPolicy = FailbackPolicy { probes: 5, hold_down: Duration::from_secs(30) };
}
