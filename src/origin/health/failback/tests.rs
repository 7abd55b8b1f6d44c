//! Sequences of footings, and the steps they lead to.

use super::*;
use crate::clock::Clock;

/// What an origin amounts to in a step.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// So many good probes in a row.
    Good(u32),
    /// Usable, and too slow.
    Slow,
    Dead,
    /// Usable, and an operator recalls it.
    Recalled,
}

use Origin::{Dead, Good, Recalled, Slow};

/// Steps are seconds since the last step and what the origin amounts to then; expected is one word per step taken: the
/// first letter of a standing, or a share.
#[track_caller]
fn check(policy: &FailbackPolicy, steps: &[(u64, Origin)], expected: &str) {
    let start = Clock::new().now().monotonic;
    check_at(policy, Role { leads: false, settled: start }, start, steps, expected);
}

#[track_caller]
fn check_at(policy: &FailbackPolicy, role: Role, start: Instant, steps: &[(u64, Origin)], expected: &str) {
    let mut now = start;
    let mut failback = Failback::new(now);
    let mut seen = Vec::new();
    for &(seconds, origin) in steps {
        now += Duration::from_secs(seconds);
        let footing = match origin {
            Good(good_probes) => Footing::Usable { good_probes, slow: None },
            Slow => Footing::Usable { good_probes: 9, slow: Some("1.5 s") },
            Dead => Footing::Unusable { reason: "refused" },
            Recalled => {
                failback.recall();
                Footing::Usable { good_probes: 0, slow: None }
            }
        };
        while let Some(step) = failback.on(footing, policy, role, now) {
            match step {
                Step::Standing { to, reason, .. } => {
                    assert_eq!(to, failback.standing());
                    assert!(!reason.is_empty());
                    seen.push(to.as_str()[..1].to_uppercase());
                }
                Step::Share { percent } => {
                    assert_eq!(percent, failback.share());
                    seen.push(percent.to_string());
                }
            }
        }
    }
    assert_eq!(seen.join(" "), expected, "{steps:?}");
}

#[test]
fn an_origin_at_start_stands_in_for_all_keys() {
    check(&AT_ONCE, &[(0, Good(0)), (60, Good(9))], "");
    check(&IN_STEPS, &[(0, Good(0)), (60, Good(9))], "");
}

#[test]
fn it_goes_out_at_once() {
    check(&AT_ONCE, &[(0, Dead)], "O");
    check(&AT_ONCE, &[(0, Dead), (90, Dead)], "O");
}

#[test]
fn it_returns_after_good_probes_and_hold_down() {
    check(&AT_ONCE, &[(0, Dead), (1, Good(1))], "O R");
    check(&AT_ONCE, &[(0, Dead), (29, Good(5))], "O R");
    check(&AT_ONCE, &[(0, Dead), (31, Good(4))], "O R");
    check(&AT_ONCE, &[(0, Dead), (30, Good(5))], "O R I");
    check(&AT_ONCE, &[(0, Dead), (31, Good(4)), (2, Good(5))], "O R I");
    check(&AT_ONCE, &[(0, Dead), (30, Good(u32::MAX))], "O R I");
}

#[test]
fn it_does_not_return_before_the_site_has_settled_with_its_substitute() {
    let start = Clock::new().now().monotonic;
    let role = Role { leads: false, settled: start + Duration::from_secs(40) };
    check_at(&AT_ONCE, role, start, &[(0, Dead), (39, Good(5))], "O R");
    check_at(&AT_ONCE, role, start, &[(0, Dead), (40, Good(5))], "O R I");
    check_at(&AT_ONCE, role, start, &[(0, Slow), (39, Good(5)), (1, Good(5))], "S I");
}

#[test]
fn an_origin_that_fails_while_it_returns_begins_again() {
    check(&AT_ONCE, &[(0, Dead), (20, Good(3)), (5, Dead), (25, Good(5))], "O R O R");
    check(&AT_ONCE, &[(0, Dead), (20, Good(3)), (5, Dead), (30, Good(5))], "O R O R I");
}

#[test]
fn hold_down_doubles_with_every_flap() {
    let flap = [(0, Dead), (30, Good(5))];
    check(&AT_ONCE, &[flap[0], flap[1], (1, Dead), (59, Good(9))], "O R I O R");
    check(&AT_ONCE, &[flap[0], flap[1], (1, Dead), (60, Good(9))], "O R I O R I");
    check(&AT_ONCE, &[flap[0], flap[1], (1, Dead), (60, Good(9)), (1, Dead), (119, Good(9))], "O R I O R I O R");
    check(&AT_ONCE, &[flap[0], flap[1], (1, Dead), (60, Good(9)), (1, Dead), (120, Good(9))], "O R I O R I O R I");
}

#[test]
fn hold_down_ends_at_ten_minutes_and_is_forgotten_after_quiet_times() {
    assert_eq!(doubled(Duration::from_secs(30), 4), Duration::from_secs(480));
    assert_eq!(doubled(Duration::from_secs(30), 5), Duration::from_secs(600));
    assert_eq!(doubled(Duration::from_secs(30), u32::MAX), Duration::from_secs(600));
    assert_eq!(doubled(Duration::from_secs(900), 3), Duration::from_secs(900));
    check(&AT_ONCE, &[(0, Dead), (30, Good(5)), (600, Dead), (30, Good(5))], "O R I O R I");
}

#[test]
fn it_takes_its_keys_back_in_steps() {
    let back = [(0, Dead), (30, Good(5))];
    check(&IN_STEPS, &[back[0], back[1], (9, Good(9))], "O R I 1");
    check(&IN_STEPS, &[back[0], back[1], (10, Good(9)), (10, Good(9)), (10, Good(9))], "O R I 1 10 50 100");
    check(&IN_STEPS, &[back[0], back[1], (30, Good(9))], "O R I 1 10 50 100");
    check(&IN_STEPS, &[back[0], back[1], (15, Dead), (60, Good(9))], "O R I 1 O R I 1");
}

#[test]
fn an_origin_that_leads_already_gives_nothing_away() {
    let start = Clock::new().now().monotonic;
    check_at(
        &IN_STEPS,
        Role { leads: true, settled: start },
        start,
        &[(0, Dead), (30, Good(5)), (60, Good(9))],
        "O R I",
    );
}

#[test]
fn a_slow_origin_is_demoted_and_comes_back_in_steps() {
    check(&IN_STEPS, &[(0, Slow), (60, Slow)], "S");
    check(&IN_STEPS, &[(0, Slow), (5, Good(9)), (30, Good(9))], "S I 1 10 50 100");
    check(&IN_STEPS, &[(0, Slow), (5, Dead), (29, Good(9)), (1, Good(9))], "S O R I 1");
}

#[test]
fn manual_failback_waits_for_the_operator() {
    check(&MANUAL, &[(0, Good(9)), (0, Dead), (9_999, Good(99))], "O R");
    check(&MANUAL, &[(0, Good(9)), (0, Dead), (9, Good(9)), (1, Recalled)], "O R I");
    check(&MANUAL, &[(0, Good(9)), (0, Slow), (9, Good(9))], "S I");
}

#[test]
fn an_origin_that_never_served_needs_no_operator_for_its_first_time() {
    check(&MANUAL, &[(0, Dead), (30, Good(5))], "O R I");
}

#[test]
fn a_recall_waits_for_nothing_but_a_usable_endpoint() {
    check(&AT_ONCE, &[(0, Dead), (1, Recalled)], "O R I");
    check(&AT_ONCE, &[(0, Recalled), (1, Dead), (1, Good(9))], "O R");
}

const AT_ONCE: FailbackPolicy = FailbackPolicy {
    mode: FailbackMode::Auto,
    probes: 5,
    hold_down: Duration::from_secs(30),
    dwell: Duration::ZERO,
    ramp: Duration::ZERO,
};
const IN_STEPS: FailbackPolicy = FailbackPolicy { ramp: Duration::from_secs(30), ..AT_ONCE };
const MANUAL: FailbackPolicy = FailbackPolicy { mode: FailbackMode::Manual, ..AT_ONCE };
