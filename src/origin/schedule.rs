//! When to probe an endpoint, and when to take a task that never reported for lost.

use std::time::{Duration, Instant};

use crate::config::model::ProbePolicy;

use super::health::HealthState;

/// The probes of one endpoint.
#[derive(Clone, Debug)]
pub struct ProbeSchedule {
    /// When the last probe began; before the first, when the endpoint appeared.
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
    /// A new endpoint is probed at once.
    pub fn new(now: Instant) -> Self {
        Self { began: now, progress: Progress::Never }
    }

    /// When the next probe is to begin, at the pace that the endpoint's state asks for.
    pub fn due(&self, pace: Pace, policy: &ProbePolicy) -> Instant {
        match self.progress {
            Progress::Never => self.began,
            Progress::InFlight { .. } => self.began + policy.timeout * 2 + GRACE,
            Progress::Ended { stretch } => {
                let interval = match pace {
                    Pace::Steady => policy.interval,
                    Pace::Hurried => policy.interval.min(policy.interval_in_transition),
                };
                self.began + interval.mul_f64(stretch)
            }
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

/// How often an endpoint is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every `interval`.
    Steady,
    /// Every `interval_in_transition`, if that is shorter.
    Hurried,
}

impl Pace {
    /// The pace for an endpoint in `state`, at a site that has another usable endpoint or, when `dark`, has none.
    pub fn of(state: HealthState, dark: bool) -> Self {
        match state {
            HealthState::Suspect | HealthState::Probation => Self::Hurried,
            // With nothing else to serve from, the first sign of life matters more than a few probes.
            HealthState::Ejected if dark => Self::Hurried,
            HealthState::Healthy | HealthState::Ejected => Self::Steady,
        }
    }
}

/// Beyond twice its timeout a probe is lost, and the next may begin.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::model::ProbeExpectation;

    #[track_caller]
    fn check(state: HealthState, dark: bool, random: f64, expected_milliseconds: u64) {
        let now = Clock::new().now().monotonic;
        let mut schedule = ProbeSchedule::new(now);
        let pace = Pace::of(state, dark);
        assert_eq!(schedule.due(pace, &policy()), now, "the first probe begins at once");
        schedule.begin(random, now);
        assert_eq!(schedule.due(pace, &policy()), now + Duration::from_secs(3), "one probe at a time");
        schedule.end();
        assert_eq!(schedule.due(pace, &policy()), now + Duration::from_millis(expected_milliseconds));
    }

    #[test]
    fn probes_keep_their_interval_within_ten_percent() {
        check(HealthState::Healthy, false, 0.0, 1800);
        check(HealthState::Healthy, false, 0.5, 2000);
        check(HealthState::Healthy, false, 1.0, 2200);
        check(HealthState::Ejected, false, 0.5, 2000);
    }

    #[test]
    fn probes_hurry_in_transition_and_in_the_dark() {
        check(HealthState::Suspect, false, 0.5, 500);
        check(HealthState::Probation, false, 0.5, 500);
        check(HealthState::Ejected, true, 0.5, 500);
    }

    fn policy() -> ProbePolicy {
        ProbePolicy {
            enabled: true,
            path: "/".to_owned(),
            interval: Duration::from_secs(2),
            interval_in_transition: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            expect: ProbeExpectation::default(),
            lame_duck: Vec::new(),
            rise: 2,
            fall: 3,
        }
    }
}
