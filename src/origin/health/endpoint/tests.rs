//! Scripts of evidence and the states they lead through.

use super::*;
use crate::clock::Clock;

/// Plays a script and compares the states it leads through.
///
/// One letter is one piece of evidence: `p` and `f` are probes that pass and fail, `l` is one whose answer says
/// that the endpoint is going away, `g` and `b` are good and bad requests, `.` lets a second pass and ticks. Expected is one
/// letter per transition: `H`, `S`, `E`, `P`.
#[track_caller]
fn check(script: &str, expected: &str) {
    check_under(&POLICY, script, expected);
}

#[track_caller]
fn check_under(policy: &HealthPolicy, script: &str, expected: &str) {
    let mut now = Clock::new().now().monotonic;
    let mut health = Health::new(now);
    let mut seen = String::new();
    for letter in script.chars().filter(|letter| *letter != ' ') {
        let transition = match letter {
            'p' => health.on(Evidence::ProbePassed, policy, now),
            'f' => health.on(Evidence::ProbeFailed("refused".to_owned()), policy, now),
            'l' => health.on(Evidence::LameDuck("x-health: drain".to_owned()), policy, now),
            'g' => health.on(Evidence::RequestSucceeded { latency: Duration::from_millis(8) }, policy, now),
            'b' => health.on(Evidence::RequestFailed("status 500".to_owned()), policy, now),
            _ => {
                now += Duration::from_secs(1);
                health.tick(policy, now)
            }
        };
        let Some(transition) = transition else { continue };
        assert_ne!(transition.from, transition.to);
        assert_eq!(transition.to, health.state());
        assert!(!transition.reason.is_empty());
        seen.extend(transition.to.as_str().chars().next().map(|first| first.to_ascii_uppercase()));
    }
    assert_eq!(seen, expected, "{script}");
}

#[test]
fn a_lame_duck_neither_passes_nor_fails() {
    check("l", "");
    check("p lll", "H");
    check("p ff l f", "HS");
    check("p fff lll p", "HSEP");
    check("p fff p l p", "HSEPH");
}

#[test]
fn an_ejected_endpoint_that_answers_is_usable_though_it_is_going_away() {
    check("p fff l", "HSEP");
    check("p fff l f", "HSEPE");
    check("p fff l pp", "HSEPH");
    check("p bbb l .... l", "HSE");
    check("p bbb ..... l b", "HSEPE");
}

#[test]
fn a_lame_duck_is_one_until_a_probe_passes() {
    let start = Clock::new().now().monotonic;
    let mut health = Health::new(start);
    let said = || Evidence::LameDuck("x-health: drain".to_owned());
    let mut lame_after = |evidence, seconds| {
        health.on(evidence, &POLICY, start + Duration::from_secs(seconds));
        health.lame_duck().map(|lame_duck| lame_duck.since - start)
    };
    let since = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(lame_after(Evidence::ProbePassed, 1), None);
    assert_eq!(lame_after(said(), 2), since(2));
    assert_eq!(lame_after(said(), 3), since(2));
    assert_eq!(lame_after(Evidence::RequestSucceeded { latency: Duration::from_millis(8) }, 4), since(2));
    assert_eq!(lame_after(Evidence::ProbeFailed("refused".to_owned()), 5), since(2));
    assert_eq!(lame_after(Evidence::ProbePassed, 6), None);
}

#[test]
fn a_new_endpoint_is_judged_by_the_first_probe() {
    check("", "");
    check("p", "H");
    check("f", "E");
    check("g", "H");
}

#[test]
fn a_new_endpoint_is_not_condemned_by_one_request() {
    check("b", "S");
    check("bf", "SE");
    check("bbb", "SE");
}

#[test]
fn three_bad_probes_eject_and_two_good_ones_heal() {
    check("p f", "HS");
    check("p ff", "HS");
    check("p fff", "HSE");
    check("p fff p", "HSEP");
    check("p fff pp", "HSEPH");
}

#[test]
fn a_suspect_is_cleared_by_good_probes_in_a_row() {
    check("p f p", "HS");
    check("p f pp", "HSH");
    check("p ffp ffp pp", "HSH");
}

#[test]
fn a_failing_probe_outvotes_good_traffic() {
    check("p f ggggg f ggggg f", "HSE");
    check("p fff ggggg", "HSE");
}

#[test]
fn traffic_failures_outvote_good_probes() {
    check("p b pp b pp b", "HSE");
    check("p bbb pppp", "HSE");
    check("p bbb .... p", "HSE");
    check("p bbb ..... p", "HSEP");
    check("p bbb .pp.. .. p", "HSEH");
}

#[test]
fn a_suspect_of_traffic_stays_one_for_ten_seconds() {
    check("p b gg pp ......... pp", "HS");
    check("p b gg pp .......... ", "HSH");
}

#[test]
fn any_failure_on_probation_ejects() {
    check("p fff p f", "HSEPE");
    check("p fff p b", "HSEPE");
}

#[test]
fn what_traffic_ejected_is_on_trial_until_a_request_succeeds() {
    check("p bbb ..... pp b", "HSEPHE");
    check("p bbb ..... pp g b", "HSEPHS");
}

#[test]
fn probes_that_see_the_fault_as_well_are_trusted_to_see_its_end() {
    check("p bbb . fff pp", "HSEPH");
    check("p bbb . ff pp", "HSE");
    check("p bbb . fff pp b", "HSEPHS");
}

#[test]
fn a_good_answer_under_way_does_not_clear_an_ejected_endpoint() {
    check("p bbb ggg .... p ", "HSE");
    check("p bbb ggg ..... pp b", "HSEPHE");
}

#[test]
fn more_than_half_of_at_least_twenty_within_ten_seconds_eject() {
    let mixed = |times| "bgb".repeat(times);
    check(&format!("p {} b", mixed(6)), "HS");
    check(&format!("p {} bgb", mixed(6)), "HSE");
    check(&format!("p gggggggggg {}", mixed(10)), "HS");
    check(&format!("p gggggggggg {} b", mixed(10)), "HSE");
    check(&format!("p gggggggggg .......... {}", mixed(7)), "HSE");
    check(&format!("p {} .......... pp {}", mixed(6), mixed(6)), "HSHS");
}

#[test]
fn requests_under_way_at_an_ejection_do_not_count_after_it() {
    check("p fff bbb pp b", "HSEPHS");
    check(&format!("p fff {} pp gb", "bgb".repeat(9)), "HSEPHS");
}

#[test]
fn without_probes_time_ends_an_ejection_and_repetition_doubles_it() {
    let policy = HealthPolicy { probes: false, ..POLICY };
    check_under(&policy, "g bbb ....", "HSE");
    check_under(&policy, "g bbb .....", "HSEP");
    check_under(&policy, "g bbb ..... g", "HSEP");
    check_under(&policy, "g bbb ..... gg", "HSEPH");
    check_under(&policy, "g bbb ..... b .........", "HSEPE");
    check_under(&policy, "g bbb ..... b ..........", "HSEPEP");
    check_under(&policy, "g b ..........", "HSH");
}

#[test]
fn ejection_time_is_bounded_and_forgotten() {
    let start = Clock::new().now().monotonic;
    let mut sentence = Sentence { until: start, repetitions: 0, on_trial: false };
    let mut now = start;
    for seconds in [5, 10, 20, 40, 60, 60] {
        sentence.pass(now);
        assert_eq!(sentence.until - now, Duration::from_secs(seconds));
        now = sentence.until + Duration::from_secs(120);
    }
    sentence.pass(now + Duration::from_secs(1));
    assert_eq!(sentence.until - now, Duration::from_secs(6));
}

const POLICY: HealthPolicy = HealthPolicy { probes: true, rise: 2, fall: 3, consecutive_failures: 3 };
