//! Standing of one origin: when it is left, and when it is used again.
//!
//! ```text
//!            far slower than the next one          quick again
//!        In ◄────────────────────────────► Slow
//!        ▲ └──────────────┐                 │
//!        │                ▼                 │
//!    Returning ◄────────► Out ◄─────────────┘      no usable endpoint
//! ```
//!
//! An origin goes out with its last usable endpoint, at once. It is preferred again only after good probes in a row and a
//! hold-down, counted from the moment it went out, and not before the site has stayed with its substitute for a while. The
//! hold-down doubles with every return that did not last, so that an origin that flaps costs the site ever fewer switches.
//! Under manual failback it waits for its operator instead.
//!
//! What stands in again takes its share of the keys back in steps of 1, 10, 50 and 100 %: its own cache may be cold.

use std::time::{Duration, Instant};

use crate::config::model::{FailbackMode, FailbackPolicy};

/// Whether an origin may be preferred; the better standing sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Used by rank.
    In,
    /// Usable, though so slow that those that stand in go before it.
    Slow,
    /// Usable again, though only after those above.
    Returning,
    /// Not usable.
    Out,
}

impl Standing {
    /// The word for events, metrics and the status page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Slow => "slow",
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
        /// Why it is too slow, for people; `None` when it is not.
        slow: Option<&'a str>,
    },
    /// No endpoint is usable.
    Unusable {
        /// Why, for people.
        reason: &'a str,
    },
}

/// How an origin stands to its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Whether requests go to it first already: there was nothing better.
    pub leads: bool,
    /// When the site has been with its substitute for long enough.
    pub settled: Instant,
}

/// One step of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has another standing.
    Standing {
        /// The standing left.
        from: Standing,
        /// The standing entered.
        to: Standing,
        /// Why, for people.
        reason: String,
    },
    /// It takes another share of the keys.
    Share {
        /// In percent.
        percent: u8,
    },
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
    /// Whether it has proved itself while it stood in; before that, manual failback has nothing to return to.
    proven: bool,
    /// An operator wants it back whatever else is to be waited for.
    recalled: bool,
    share: u8,
}

impl Failback {
    /// An origin at start stands in.
    pub fn new(now: Instant) -> Self {
        Self {
            standing: Standing::In,
            since: now,
            reason: "start".to_owned(),
            held_until: now,
            flaps: 0,
            proven: false,
            recalled: false,
            share: WHOLE,
        }
    }

    /// Takes at most one step; to be called again until it returns `None`.
    pub fn on(&mut self, footing: Footing<'_>, policy: &FailbackPolicy, role: Role, now: Instant) -> Option<Step> {
        match (self.standing, footing) {
            (Standing::In | Standing::Slow, Footing::Unusable { reason }) => {
                self.forget_flaps(now);
                self.held_until = now + self.hold_down(policy);
                self.flaps = self.flaps.saturating_add(1);
                Some(self.enter(Standing::Out, reason.to_owned(), now))
            }
            (Standing::Returning, Footing::Unusable { reason }) => {
                // Nothing was switched to it meanwhile, so this is no flap; the hold-down begins anew.
                self.held_until = now + self.hold_down_served(policy);
                Some(self.enter(Standing::Out, reason.to_owned(), now))
            }
            (Standing::Out, Footing::Usable { .. }) => {
                Some(self.enter(Standing::Returning, "an endpoint is usable".to_owned(), now))
            }
            (Standing::Returning, Footing::Usable { good_probes, .. }) => {
                let reason = self.reason_to_return(good_probes, policy, role, now)?;
                Some(self.stand_in(reason, policy, role, now))
            }
            (Standing::In, Footing::Usable { slow: Some(reason), .. }) => {
                Some(self.enter(Standing::Slow, reason.to_owned(), now))
            }
            (Standing::Slow, Footing::Usable { slow: None, .. }) if self.recalled || now >= role.settled => {
                Some(self.stand_in("it is quick again".to_owned(), policy, role, now))
            }
            (Standing::In, Footing::Usable { good_probes, .. }) => {
                self.proven |= good_probes > 0;
                self.take_share(policy, now)
            }
            (Standing::Slow, Footing::Usable { .. }) | (Standing::Out, Footing::Unusable { .. }) => None,
        }
    }

    /// An operator wants it back: it stands in as soon as it is usable.
    pub fn recall(&mut self) {
        self.recalled = self.standing != Standing::In;
    }

    /// When time alone may change the standing or the share.
    pub fn due(&self, policy: &FailbackPolicy) -> Option<Instant> {
        match self.standing {
            Standing::In => self.next_share(policy).map(|(at, _)| at),
            Standing::Returning => Some(self.held_until),
            Standing::Slow | Standing::Out => None,
        }
    }

    /// The standing.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Its share of the keys while it stands in, in percent; the others see it as one that returns.
    pub fn share(&self) -> u8 {
        self.share
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

    fn reason_to_return(&self, good_probes: u32, policy: &FailbackPolicy, role: Role, now: Instant) -> Option<String> {
        if self.recalled {
            return Some("recalled by an operator".to_owned());
        }
        let waits_for_operator = policy.mode == FailbackMode::Manual && self.proven;
        let is_due = good_probes >= policy.probes && now >= self.held_until.max(role.settled);
        (is_due && !waits_for_operator).then(|| returned(good_probes))
    }

    fn stand_in(&mut self, reason: String, policy: &FailbackPolicy, role: Role, now: Instant) -> Step {
        self.recalled = false;
        // One that had everything because nothing else was left does not give it away to take it back in steps.
        self.share = if policy.ramp.is_zero() || role.leads { WHOLE } else { 0 };
        self.enter(Standing::In, reason, now)
    }

    fn enter(&mut self, to: Standing, reason: String, now: Instant) -> Step {
        let from = std::mem::replace(&mut self.standing, to);
        self.since = now;
        self.reason.clone_from(&reason);
        Step::Standing { from, to, reason }
    }

    fn take_share(&mut self, policy: &FailbackPolicy, now: Instant) -> Option<Step> {
        let (at, percent) = self.next_share(policy)?;
        (now >= at).then(|| {
            self.share = percent;
            Step::Share { percent }
        })
    }

    /// The share that comes next, and when.
    fn next_share(&self, policy: &FailbackPolicy) -> Option<(Instant, u8)> {
        let place = SHARES.iter().position(|percent| *percent > self.share)?;
        let steps = SHARES.len() as u32 - 1;
        Some((self.since + policy.ramp * place as u32 / steps, SHARES[place]))
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

/// The shares of the keys that an origin takes back one after the other, in percent: the first at once, the last at the
/// end of the ramp.
const SHARES: [u8; 4] = [1, 10, 50, WHOLE];
const WHOLE: u8 = 100;
/// Doubling ends here, unless the operator's own hold-down is longer.
const HOLD_DOWN_MAX: Duration = Duration::from_secs(600);
/// Standing in this long makes up for one flap.
const QUIET_TIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
