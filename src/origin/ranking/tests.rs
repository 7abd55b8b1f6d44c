//! Views and the candidates they give.

use super::*;
use crate::origin::failback::Standing;
use crate::origin::place::WHOLE;
use crate::origin::view::EndpointView;

/// An origin is `name:rank standing endpoints`: standing `I`, `R` or `O`; a letter per endpoint, `H`, `S`, `P` or `E`;
/// a trailing `-` makes it read-only. Expected are names with the place of the endpoint.
#[track_caller]
fn check(origins: &[&str], demand: Demand, expected: &str) {
    check_in(OutageMode::Normal, origins, demand, expected);
}

#[track_caller]
fn check_in(mode: OutageMode, origins: &[&str], demand: Demand, expected: &str) {
    let view = view(mode, origins);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, &mut fastrand::Rng::with_seed(seed));
        let names: Vec<String> = candidates
            .iter()
            .map(|candidate| format!("{}{}", view.origins[candidate.origin].name, candidate.address.port()))
            .collect();
        assert_eq!(names.join(" "), expected, "{origins:?} {demand:?} seed {seed}");
    }
}

/// Like `check`, for endpoints among which chance decides: compares the names of origins alone.
#[track_caller]
fn check_origins(origins: &[&str], demand: Demand, expected: &str) {
    let view = view(OutageMode::Normal, origins);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, &mut fastrand::Rng::with_seed(seed));
        let names: String = candidates.iter().map(|candidate| &*view.origins[candidate.origin].name).collect();
        assert_eq!(names, expected, "{origins:?} {demand:?} seed {seed}");
    }
}

#[test]
fn standing_goes_before_rank() {
    check(&["b:2 I H", "a:1 I H"], GET, "a0 b0");
    check(&["a:1 R H", "b:2 I H"], GET, "b0 a0");
    check(&["a:1 R P", "b:2 R H", "c:3 I S"], GET, "c0 a0 b0");
}

#[test]
fn healthy_endpoints_go_before_suspects_and_ejected_ones_go_last() {
    check(&["a:1 I SH"], GET, "a1 a0");
    check(&["a:1 I ESH"], GET, "a2 a1 a0");
    check(&["a:1 I EPH"], POST, "a2 a1 a0");
    check(&["a:1 I EH", "b:2 I EH"], GET, "a1 b1 a0 b0");
    check(&["a:1 O E", "b:2 I P"], GET, "b0 a0");
}

#[test]
fn tries_spread_over_origins_before_second_addresses() {
    check(&["a:1 I HS", "b:2 I HS", "c:3 I H"], GET, "a0 b0 c0 a1 b1");
    check(&["a:1 I HS", "b:2 I HS"], GET, "a0 b0 a1 b1");
}

#[test]
fn tries_to_spare_stay_at_home_while_it_is_healthy() {
    check(&["a:1 I SHE", "b:2 I H"], GET, "a1 b0 a0 a2");
    check_origins(&["a:1 I HH", "b:2 I H"], GET, "aab");
    check_origins(&["a:1 I HHH", "b:2 I H"], GET, "aaba");
    check_origins(&["a:1 I HHH", "b:2 I H"], Demand { tries: 2, ..GET }, "abaa");
    check_origins(&["a:1 I HH", "b:2 I H", "c:3 O E"], GET, "aabc");
    check_origins(&["a:1 I HH", "b:2 I HH", "c:3 I H"], Demand { tries: 4, ..GET }, "aabcb");
}

#[test]
fn an_outage_leaves_candidates_to_a_trickle_alone() {
    check_in(OutageMode::StaleOnly, &["b:2 O E", "a:1 O E"], GET, "");
    check_in(OutageMode::StaleOnly, &["b:2 O E", "a:1 O E"], Demand { trickle: true, ..GET }, "a0 b0");
}

#[test]
fn a_read_only_origin_gets_no_unsafe_method() {
    check(&["a:1 I H-", "b:2 I H"], GET, "a0 b0");
    check(&["a:1 I H-", "b:2 I H"], POST, "b0");
    check(&["a:1 I H-", "b:2 O E"], POST, "b0");
    check(&["a:1 I H-"], POST, "");
}

#[test]
fn an_origin_without_addresses_is_no_candidate() {
    check(&["a:1 I ", "b:2 I H"], GET, "b0");
    check(&["a:1 I "], GET, "");
}

#[test]
fn equals_are_chosen_in_proportion_to_weight() {
    let mut view = view(OutageMode::Normal, &["a:1 I H", "b:1 I H", "c:2 I H"]);
    view.origins[0].weight = 3;
    let mut random = fastrand::Rng::with_seed(7);
    let firsts = (0..4_000).map(|_| candidates(&view, GET, &mut random)[0].origin);
    let mut counts = [0; 3];
    firsts.for_each(|origin| counts[origin] += 1);
    assert!((2_850..3_150).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2], 0);
}

#[test]
fn an_endpoint_on_probation_gets_a_few_safe_requests_to_prove_itself() {
    let view = view(OutageMode::Normal, &["a:1 I HP"]);
    let mut random = fastrand::Rng::with_seed(7);
    let trials = (0..1_600).filter(|_| candidates(&view, GET, &mut random)[0].address.port() == 1).count();
    assert!((70..130).contains(&trials), "{trials}");
    check(&["a:1 I HP"], POST, "a0 a1");
}

#[test]
fn addresses_of_one_origin_share_its_load() {
    let view = view(OutageMode::Normal, &["a:1 I HH"]);
    let mut random = fastrand::Rng::with_seed(7);
    let first = (0..1_000).filter(|_| candidates(&view, GET, &mut random)[0].address.port() == 0).count();
    assert!((400..600).contains(&first), "{first}");
}

/// Like `check`, for one origin whose endpoints have these priorities.
#[track_caller]
fn check_priorities(letters: &str, priorities: &[u16], demand: Demand, expected: &str) {
    let mut view = view(OutageMode::Normal, &[&format!("a:1 I {letters}")]);
    view.origins[0].endpoints.iter_mut().zip(priorities).for_each(|(known, priority)| known.priority = *priority);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, &mut fastrand::Rng::with_seed(seed));
        let places: String = candidates.iter().map(|candidate| candidate.address.port().to_string()).collect();
        assert_eq!(places, expected, "{letters} {priorities:?} seed {seed}");
    }
}

#[test]
fn the_lowest_priority_that_works_goes_first() {
    check_priorities("HHH", &[20, 0, 10], POST, "120");
    check_priorities("HSH", &[20, 0, 10], POST, "120");
    check_priorities("HEH", &[20, 0, 10], POST, "201");
    check_priorities("EEE", &[20, 0, 10], POST, "120");
}

#[test]
fn what_is_on_probation_does_not_go_before_what_is_proven() {
    check_priorities("HPH", &[20, 0, 10], POST, "201");
    check_priorities("PPP", &[20, 0, 10], POST, "120");
}

#[test]
fn endpoints_share_the_load_in_proportion_to_weight() {
    let mut view = view(OutageMode::Normal, &["a:1 I HHH"]);
    let share = |view: &PoolView, weights: [u32; 3]| {
        let mut view = view.clone();
        view.origins[0].endpoints.iter_mut().zip(weights).for_each(|(known, weight)| known.weight = weight);
        let mut random = fastrand::Rng::with_seed(7);
        let mut firsts = [0; 3];
        (0..4_000).for_each(|_| firsts[usize::from(candidates(&view, GET, &mut random)[0].address.port())] += 1);
        firsts
    };
    let firsts = share(&view, [3, 1, 0]);
    assert!((2_800..3_100).contains(&firsts[0]) && (10..200).contains(&firsts[2]), "{firsts:?}");
    let firsts = share(&view, [0, 0, 0]);
    assert!(firsts.iter().all(|first| (1_200..1_500).contains(first)), "{firsts:?}");
    view.origins[0].endpoints[2].priority = 1;
    assert_eq!(share(&view, [1, 1, 99])[2], 0);
}

fn view(mode: OutageMode, origins: &[&str]) -> PoolView {
    PoolView {
        mode,
        preferred: None,
        origins: origins.iter().enumerate().map(|(index, text)| origin(index, text)).collect(),
    }
}

fn origin(index: usize, text: &str) -> OriginView {
    let mut words = text.split(' ');
    let (name, rank) = words.next().and_then(|word| word.split_once(':')).expect("a name and a rank");
    let standing = match words.next() {
        Some("I") => Standing::In,
        Some("R") => Standing::Returning,
        _ => Standing::Out,
    };
    let letters = words.next().unwrap_or_default();
    let endpoints = letters.trim_end_matches('-').bytes().enumerate().map(|(port, letter)| EndpointView {
        address: SocketAddr::from(([192, 0, 2, 1], u16::try_from(port).expect("few endpoints"))),
        state: match letter {
            b'H' => HealthState::Healthy,
            b'S' => HealthState::Suspect,
            b'P' => HealthState::Probation,
            _ => HealthState::Ejected,
        },
        priority: 0,
        weight: WHOLE,
    });
    OriginView {
        name: name.into(),
        index,
        rank: rank.parse().expect("a rank"),
        weight: 1,
        accepts: if letters.ends_with('-') { Accepts::ReadOnly } else { Accepts::All },
        standing,
        endpoints: endpoints.collect(),
    }
}

const POST: Demand = Demand { safe: false, tries: 3, trickle: false };
const GET: Demand = Demand { safe: true, tries: 3, trickle: false };
