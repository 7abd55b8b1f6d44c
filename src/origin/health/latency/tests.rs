//! Sequences of answers and waits, and whether they make an origin slow.

use super::*;
use crate::clock::Clock;

/// Steps, 100 ms apart: `q` is an answer after 10 ms, `s` a request that has waited for 250 ms and 350 ms, each for a URL
/// of its own, `r` the same for the same URL again, `l` an answer after 1.5 s. Expected is whether the origin is slow after
/// each.
#[track_caller]
fn check(rival: Rival, policy: &LatencyPolicy, steps: &str, expected: &str) {
    let mut lab = Lab::learned();
    let seen: String = steps
        .chars()
        .map(|step| {
            lab.step(step, rival, policy);
            if lab.latency.slow().is_some() { 'S' } else { '-' }
        })
        .collect();
    assert_eq!(seen, expected, "{steps}");
}

struct Lab {
    latency: Latency,
    now: Instant,
    target: u64,
}

impl Lab {
    /// An origin that usually answers within 10 ms.
    fn learned() -> Self {
        let mut lab = Self { latency: Latency::default(), now: Clock::new().now().monotonic, target: 0 };
        (0..LEARNED_MIN).for_each(|_| lab.step('q', Rival::Unmeasured, &RELATIVE));
        lab
    }

    fn step(&mut self, step: char, rival: Rival, policy: &LatencyPolicy) {
        self.now += Duration::from_millis(100);
        self.target += u64::from(step == 's');
        let target = self.target;
        let observations = match step {
            'q' => vec![Observation::Head(Duration::from_millis(10))],
            'l' => vec![Observation::Head(Duration::from_millis(1_500))],
            _ => [250, 350].map(|waited| Observation::Waiting { waited: Duration::from_millis(waited), target }).into(),
        };
        for observation in observations {
            self.latency.on(observation, rival, policy, self.now);
        }
    }

    fn rival(&self, milliseconds: u64, seconds_from_now: u64) -> Rival {
        let at = self.now + Duration::from_secs(seconds_from_now);
        Rival::Measured { latency: Duration::from_millis(milliseconds), at }
    }
}

#[test]
fn five_slow_requests_in_a_row_make_it_slow() {
    check(Rival::Unmeasured, &RELATIVE, "ssss", "----");
    check(Rival::Unmeasured, &RELATIVE, "sssss", "----S");
    check(Rival::Unmeasured, &RELATIVE, "ssssqssss", "---------");
    check(Rival::Unmeasured, &RELATIVE, "ssssqsssss", "---------S");
}

#[test]
fn a_mixture_of_quick_and_slow_requests_is_no_brown_out() {
    let mut lab = Lab::learned();
    for target in 0..20 {
        let waiting = Observation::Waiting { waited: Duration::from_millis(250), target };
        lab.latency.on(waiting, Rival::Unmeasured, &RELATIVE, lab.now);
    }
    assert_eq!(lab.latency.slow(), None, "the last quick answer was a moment ago");
}

#[test]
fn one_url_that_is_slow_says_nothing_about_the_origin() {
    check(Rival::Unmeasured, &RELATIVE, "srrrrrrr", "--------");
    check(Rival::Unmeasured, &RELATIVE, "srrrssss", "-------S");
}

#[test]
fn three_quick_answers_in_a_row_acquit_it() {
    check(Rival::Unmeasured, &RELATIVE, "sssssqqsqqq", "----SSSSSS-");
    check(Rival::Unmeasured, &RELATIVE, "sssssqqlqqq", "----SSSSSS-");
}

#[test]
fn it_is_not_left_for_nobody_or_for_one_that_is_as_slow() {
    let rival = |milliseconds| Lab::learned().rival(milliseconds, 0);
    check(Rival::Absent, &RELATIVE, "ssssssss", "--------");
    check(rival(200), &RELATIVE, "ssssssss", "--------");
    check(rival(100), &RELATIVE, "sssss", "----S");
}

#[test]
fn an_origin_that_was_always_slow_is_as_it_is_wanted() {
    let mut latency = Latency::default();
    let now = Clock::new().now().monotonic;
    for _ in 0..100 {
        latency.on(Observation::Head(Duration::from_secs(1)), Rival::Unmeasured, &RELATIVE, now);
    }
    for target in 0..20 {
        let waiting = Observation::Waiting { waited: Duration::from_millis(1_400), target };
        latency.on(waiting, Rival::Unmeasured, &RELATIVE, now);
    }
    assert_eq!(latency.slow(), None);
    for target in 0..5 {
        let waiting = Observation::Waiting { waited: Duration::from_millis(5_600), target };
        latency.on(waiting, Rival::Unmeasured, &RELATIVE, now + Duration::from_secs(6));
    }
    assert_eq!(latency.slow(), Some("5 requests in a row waited longer than 5s, 5 times the usual 1s"));
}

#[test]
fn nothing_is_too_long_before_anything_is_usual_but_a_budget() {
    let now = Clock::new().now().monotonic;
    for (policy, waited, slow) in [(&RELATIVE, 8_000, false), (&BUDGET, 300, true)] {
        let mut latency = Latency::default();
        for target in 0..9 {
            let waiting = Observation::Waiting { waited: Duration::from_millis(waited), target };
            latency.on(waiting, Rival::Unmeasured, policy, now);
        }
        assert_eq!(latency.slow().is_some(), slow);
    }
}

#[test]
fn demotion_can_be_turned_off() {
    check(Rival::Unmeasured, &LatencyPolicy { demote: false, ..RELATIVE }, "ssssss", "------");
}

#[test]
fn an_origin_that_was_left_in_vain_is_taken_back_and_spared() {
    let mut lab = Lab::learned();
    "sssss".chars().for_each(|step| lab.step(step, Rival::Unmeasured, &RELATIVE));
    lab.latency.compare(lab.rival(2_000, 4), lab.now);
    assert!(lab.latency.slow().is_some(), "too early to tell");
    lab.latency.compare(lab.rival(20, 6), lab.now);
    assert!(lab.latency.slow().is_some(), "it was worth it");
    lab.latency.compare(lab.rival(2_000, 6), lab.now);
    assert_eq!(lab.latency.slow(), None);
    "ssssssss".chars().for_each(|step| lab.step(step, Rival::Unmeasured, &RELATIVE));
    assert_eq!(lab.latency.slow(), None);
    lab.now += SPARED;
    "sssss".chars().for_each(|step| lab.step(step, Rival::Unmeasured, &RELATIVE));
    assert!(lab.latency.slow().is_some());
}

#[test]
fn a_request_reports_at_marks_or_at_its_budget() {
    let mut marks = Vec::new();
    let mut waited = Duration::ZERO;
    while let Some(mark) = next_mark(waited, &RELATIVE) {
        marks.push(mark.as_millis());
        waited = mark;
    }
    assert_eq!(marks, MARKS.map(u128::from));
    assert_eq!(next_mark(Duration::ZERO, &BUDGET), BUDGET.budget);
    assert_eq!(next_mark(Duration::from_millis(300), &BUDGET), None);
}

const RELATIVE: LatencyPolicy = LatencyPolicy { demote: true, budget: None, factor: 5 };
const BUDGET: LatencyPolicy = LatencyPolicy { budget: Some(Duration::from_millis(300)), ..RELATIVE };
