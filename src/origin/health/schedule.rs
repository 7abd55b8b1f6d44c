//! When to probe an endpoint, and when to take a task that never reported for lost.

use std::time::{Duration, Instant};

use crate::config::model::ProbePolicy;

use super::endpoint::HealthState;

/// The probes of one endpoint.
#[derive(Clone, Debug)]
pub struct ProbeSchedule {
    /// When the last probe began; before the first, when that is to begin.
    began: Instant,
    progress: Progress,
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    Never,
    InFlight { stretch: f64 },
    Ended { stretch: f64 },
}

impl ProbeSchedule {
    /// A new endpoint is probed at once, unless others, `place` of them, come first.
    pub fn new(place: usize, now: Instant) -> Self {
        let others_first = u32::try_from(place).unwrap_or(u32::MAX);
        Self { began: now + FIRST_PROBES_APART.saturating_mul(others_first), progress: Progress::Never }
    }

    /// When the next probe is to begin.
    pub fn due(&self, situation: &Situation, policy: &ProbePolicy) -> Instant {
        match self.progress {
            Progress::Never => self.began,
            Progress::InFlight { .. } => self.began + policy.timeout * 2 + GRACE,
            Progress::Ended { stretch } => self.began + situation.interval(self.began, policy).mul_f64(stretch),
        }
    }

    /// A probe begins; `random` in 0..1 spreads the next one by ±10 %.
    pub fn begin(&mut self, random: f64, now: Instant) {
        self.began = now;
        self.progress = Progress::InFlight { stretch: 0.9 + 0.2 * random.clamp(0.0, 1.0) };
    }

    /// The probe in flight has reported.
    pub fn end(&mut self) {
        if let Progress::InFlight { stretch } = self.progress {
            self.progress = Progress::Ended { stretch };
        }
    }
}

/// What the pace of an endpoint's probes depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The endpoint's health.
    pub state: HealthState,
    /// When that began.
    pub since: Instant,
    /// Since when the site has no usable endpoint at all, when it has none.
    pub dark_since: Option<Instant>,
}

impl Situation {
    /// From a probe that began at `began` to the next, give or take chance.
    fn interval(&self, began: Instant, policy: &ProbePolicy) -> Duration {
        let hurried = policy.interval.min(policy.interval_in_transition);
        match (self.state, self.dark_since) {
            (HealthState::Suspect | HealthState::Probation, _) => hurried,
            // With nothing else to serve from, the first sign of life matters more than a few probes.
            (HealthState::Ejected, Some(dark)) if began.saturating_duration_since(dark) < HURRY_MAX => hurried,
            (HealthState::Healthy, _) | (HealthState::Ejected, Some(_)) => policy.interval,
            (HealthState::Ejected, None) => {
                let down = began.saturating_duration_since(self.since);
                (down / PATIENCE).min(policy.interval_down).max(policy.interval)
            }
        }
    }
}

/// Beyond twice its timeout a probe is lost, and the next may begin.
const GRACE: Duration = Duration::from_secs(1);

/// Between the first probes of a site's endpoints: those of 64 origins begin within 1.3 s, and not at once.
const FIRST_PROBES_APART: Duration = Duration::from_millis(20);

/// An outage that is not over by now does not end within seconds.
const HURRY_MAX: Duration = Duration::from_secs(300);

/// Waiting this part of the time that an endpoint has been down for its next probe makes no outage noticeably longer; at
/// the usual interval of 2 s it begins to count after five minutes.
const PATIENCE: u32 = 150;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::model::ProbeExpectation;

    /// The time from one probe to the next of an endpoint that has been in `state` for `down` seconds, at a site that has
    /// been dark for `dark` seconds, if it is.
    #[track_caller]
    fn check(state: HealthState, down: u64, dark: Option<u64>, random: f64, expected_milliseconds: u64) {
        let start = Clock::new().now().monotonic;
        let now = start + Duration::from_secs(10_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        let situation = Situation { state, since: ago(down), dark_since: dark.map(ago) };
        let mut schedule = ProbeSchedule::new(0, now);
        assert_eq!(schedule.due(&situation, &policy()), now, "the first probe begins at once");
        schedule.begin(random, now);
        assert_eq!(schedule.due(&situation, &policy()), now + Duration::from_secs(3), "one probe at a time");
        schedule.end();
        assert_eq!(schedule.due(&situation, &policy()), now + Duration::from_millis(expected_milliseconds));
    }

    #[test]
    fn probes_keep_their_interval_within_ten_percent() {
        check(HealthState::Healthy, 0, None, 0.0, 1800);
        check(HealthState::Healthy, 0, None, 0.5, 2000);
        check(HealthState::Healthy, 0, None, 1.0, 2200);
        check(HealthState::Healthy, 9000, None, 0.5, 2000);
        check(HealthState::Ejected, 0, None, 0.5, 2000);
    }

    #[test]
    fn probes_hurry_in_transition_and_in_the_dark() {
        check(HealthState::Suspect, 0, None, 0.5, 500);
        check(HealthState::Probation, 0, None, 0.5, 500);
        check(HealthState::Ejected, 0, Some(0), 0.5, 500);
        check(HealthState::Ejected, 9000, Some(299), 0.5, 500);
    }

    #[test]
    fn an_outage_that_lasts_is_watched_at_the_usual_interval() {
        check(HealthState::Ejected, 300, Some(300), 0.5, 2000);
        check(HealthState::Ejected, 9000, Some(9000), 0.5, 2000);
    }

    #[test]
    fn probes_slow_down_with_the_time_an_endpoint_is_down_beside_others() {
        check(HealthState::Ejected, 300, None, 0.5, 2000);
        check(HealthState::Ejected, 600, None, 0.5, 4000);
        check(HealthState::Ejected, 1500, None, 0.5, 10_000);
        check(HealthState::Ejected, 9000, None, 0.5, 10_000);
    }

    #[test]
    fn the_first_probes_of_many_endpoints_are_spread() {
        let now = Clock::new().now().monotonic;
        let situation = Situation { state: HealthState::Probation, since: now, dark_since: None };
        let due = |place| ProbeSchedule::new(place, now).due(&situation, &policy()) - now;
        assert_eq!([0, 1, 63].map(due), [0, 20, 1260].map(Duration::from_millis));
    }

    fn policy() -> ProbePolicy {
        ProbePolicy {
            enabled: true,
            path: "/".to_owned(),
            interval: Duration::from_secs(2),
            interval_in_transition: Duration::from_millis(500),
            interval_down: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            expect: ProbeExpectation::default(),
            lame_duck: Vec::new(),
            rise: 2,
            fall: 3,
        }
    }
}
