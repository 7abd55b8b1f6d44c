//! Views and the candidates they give.

use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::origin::dns::place::WHOLE;
use crate::origin::health::latency::TRIALS;
use crate::origin::health::outage::OutageMode;
use crate::origin::health::trickle::Trickle;
use crate::origin::request::load::{InFlight, Load};

/// An origin is `name:rank standing endpoints`: standing `I`, `L` (slow), `R` or `O`, with a share in percent after it, or
/// `!` when it is forced, `~` when drained, `x` when disabled; a letter per endpoint, `H`, `S`, `P` or `E`, `L` for a healthy
/// lame duck; a trailing `-`
/// makes it read-only; a leading `*` makes it the preferred one. Expected are names with the place of the endpoint.
#[track_caller]
fn check(origins: &[&str], demand: Demand, expected: &str) {
    let view = view(origins);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, now(), &mut fastrand::Rng::with_seed(seed));
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
    let view = view(origins);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, now(), &mut fastrand::Rng::with_seed(seed));
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
fn lame_ducks_go_after_all_that_are_usable_and_before_the_ejected() {
    check(&["a:1 I LH"], GET, "a1 a0");
    check(&["a:1 I LS"], GET, "a1 a0");
    check(&["a:1 I L", "b:2 I H"], GET, "b0 a0");
    check(&["a:1 I L", "b:2 R S"], GET, "b0 a0");
    check(&["a:1 I LE", "b:2 O E"], GET, "a0 a1 b0");
    check(&["a:1 I L", "b:2 I HE"], POST, "b0 a0 b1");
    check(&["a:1 I L", "b:2 I L"], GET, "a0 b0");
    check(&["a:1 I L", "b:2 I H-"], POST, "a0");
    check(&["a:1 I! L", "b:2 I H"], GET, "a0 b0");
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
fn with_nothing_usable_left_the_ejected_ones_are_candidates() {
    check(&["b:2 O E", "a:1 O E"], GET, "a0 b0");
}

#[test]
fn a_slow_origin_goes_behind_those_that_stand_in() {
    check(&["*a:1 L H", "b:2 I H", "c:3 R H"], GET, "a0 b0 c0");
    check(&["a:1 L H", "*b:2 I H", "c:3 R H"], GET, "b0 a0 c0");
    check(&["a:1 L H", "*b:2 I E"], GET, "a0 b0");
}

#[test]
fn a_trial_goes_to_the_slow_origin_first() {
    check(&["a:1 L H", "*b:2 I H"], Demand { trial: Some(0), ..GET }, "a0 b0");
    check(&["a:1 L E", "*b:2 I H"], Demand { trial: Some(0), ..GET }, "b0 a0");
}

#[test]
fn an_origin_that_is_back_gets_its_share_of_the_urls() {
    let origins = ["*a:1 I10 H", "b:2 I H", "c:3 I H"];
    check(&origins, Demand { bucket: 9, ..GET }, "a0 b0 c0");
    check(&origins, Demand { bucket: 10, ..GET }, "b0 c0 a0");
    check(&["*a:1 I1 H", "b:2 O E"], Demand { bucket: 99, ..GET }, "a0 b0");
    check(&["*b:1 I H", "a:1 I10 H"], Demand { bucket: 10, ..GET }, "b0 a0");
}

#[test]
fn buckets_are_even_and_always_the_same() {
    let mut counts = [0; 100];
    (0..100_000).for_each(|number| counts[usize::from(bucket(&format!("/page/{number}")))] += 1);
    assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    assert_eq!(bucket("/style.css"), 56, "another hash would move every URL between the nodes of a fleet");
}

#[test]
fn an_operator_goes_before_everything() {
    check(&["*a:1 I H", "b:2 O! E"], GET, "b0 a0");
    check(&["a:1 I~ H", "*b:2 I H"], GET, "b0 a0");
    check(&["a:1 I~ H", "*b:2 I HS"], GET, "b0 b1 a0");
    check(&["*a:1 I~ H", "b:2 O E"], GET, "a0 b0");
    check(&["a:1 Ix H", "*b:2 I H"], GET, "b0");
    check(&["a:1 Ix H"], GET, "");
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
    let mut view = view(&["a:1 I H", "b:1 I H", "c:2 I H"]);
    view.origins[0].weight = 3;
    let mut random = fastrand::Rng::with_seed(7);
    let firsts = (0..4_000).map(|_| candidates(&view, GET, now(), &mut random)[0].origin);
    let mut counts = [0; 3];
    firsts.for_each(|origin| counts[origin] += 1);
    assert!((2_850..3_150).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2], 0);
}

/// Shares of requests in percent that come to the origins, or to the addresses of the only one, when each takes so many
/// milliseconds and a request comes every millisecond.
#[track_caller]
fn check_shares(view: &PoolView, latencies: &[u64], expected: &[std::ops::Range<usize>]) {
    let (mut now, mut random) = (now(), fastrand::Rng::with_seed(7));
    let alone = view.origins.len() == 1;
    let mut counts = vec![0; latencies.len()];
    let mut under_way: Vec<(Instant, InFlight)> = Vec::new();
    for _ in 0..20_000 {
        now += Duration::from_millis(1);
        let first = candidates(view, GET, now, &mut random)[0];
        let place = if alone { usize::from(first.address.port()) } else { first.origin };
        let latency = Duration::from_millis(latencies[place]);
        let load = &view.endpoint(first.origin, first.address).expect("a known endpoint").load;
        counts[place] += 1;
        under_way.push((now + latency, InFlight::new(Arc::clone(load))));
        load.measured(latency, now);
        under_way.retain(|(end, _)| *end > now);
    }
    for (count, expected) in counts.iter().zip(expected) {
        assert!(*count > 0 && expected.contains(&(count / 200)), "{latencies:?} {counts:?}");
    }
}

#[test]
fn weights_hold_among_origins_that_are_equally_fast() {
    let mut view = view(&["a:1 I H", "b:1 I H"]);
    view.origins[0].weight = 3;
    for latency in [1, 10, 100] {
        check_shares(&view, &[latency, latency], &[68..82, 18..32]);
    }
    check_shares(&view, &[10, 12], &[68..82, 18..32]);
}

#[test]
fn an_equal_that_is_ten_times_slower_gets_a_small_share() {
    check_shares(&view(&["a:1 I H", "b:1 I H"]), &[10, 100], &[90..100, 0..10]);
    check_shares(&view(&["a:1 I HH"]), &[10, 100], &[90..100, 0..10]);
    check_shares(&view(&["a:1 I HHH"]), &[10, 10, 100], &[40..60, 40..60, 0..10]);
}

#[test]
fn an_endpoint_on_probation_gets_a_few_safe_requests_to_prove_itself() {
    let view = view(&["a:1 I HP"]);
    let mut random = fastrand::Rng::with_seed(7);
    let trials = (0..1_600).filter(|_| candidates(&view, GET, now(), &mut random)[0].address.port() == 1).count();
    assert!((70..130).contains(&trials), "{trials}");
    check(&["a:1 I HP"], POST, "a0 a1");
}

#[test]
fn addresses_of_one_origin_share_its_load() {
    let view = view(&["a:1 I HH"]);
    let mut random = fastrand::Rng::with_seed(7);
    let first = (0..1_000).filter(|_| candidates(&view, GET, now(), &mut random)[0].address.port() == 0).count();
    assert!((400..600).contains(&first), "{first}");
}

#[test]
fn the_families_of_equal_addresses_alternate() {
    let mut view = view(&["a:1 I HHHHHS"]);
    for endpoint in &mut view.origins[0].endpoints[..3] {
        endpoint.address.set_ip("2001:db8::1".parse().expect("an address"));
    }
    for seed in 0..32 {
        let candidates = candidates(&view, GET, now(), &mut fastrand::Rng::with_seed(seed));
        let families: String =
            candidates.iter().map(|candidate| if candidate.address.is_ipv6() { '6' } else { '4' }).collect();
        assert!(["646464", "464664"].contains(&families.as_str()), "{families}");
    }
}

#[test]
fn the_families_alternate_behind_an_address_on_trial_too() {
    let mut view = view(&["a:1 I PPP"]);
    for endpoint in &mut view.origins[0].endpoints[..2] {
        endpoint.address.set_ip("2001:db8::1".parse().expect("an address"));
    }
    for seed in 0..256 {
        let candidates = candidates(&view, GET, now(), &mut fastrand::Rng::with_seed(seed));
        assert_ne!(candidates[0].address.is_ipv6(), candidates[1].address.is_ipv6(), "seed {seed}");
    }
}

/// Like `check`, for one origin whose endpoints have these priorities.
#[track_caller]
fn check_priorities(letters: &str, priorities: &[u16], demand: Demand, expected: &str) {
    let mut view = view(&[&format!("a:1 I {letters}")]);
    view.origins[0].endpoints.iter_mut().zip(priorities).for_each(|(known, priority)| known.priority = *priority);
    for seed in 0..32 {
        let candidates = candidates(&view, demand, now(), &mut fastrand::Rng::with_seed(seed));
        let places: String = candidates.iter().map(|candidate| candidate.address.port().to_string()).collect();
        assert_eq!(places, expected, "{letters} {priorities:?} seed {seed}");
    }
}

#[test]
fn only_what_is_usable_and_not_to_be_spared_is_more_than_a_makeshift() {
    let view = view(&["a:1 I HSPEL", "b:2 I! EL", "c:3 I~ H", "d:4 Ox H"]);
    let endpoints = view.origins.iter().flat_map(|origin| {
        origin.endpoints.iter().map(|endpoint| Candidate { origin: origin.index, address: endpoint.address })
    });
    let callings: String = endpoints
        .map(|endpoint| match calling(&view, endpoint) {
            Calling::Ordered => '!',
            Calling::Willing => 'w',
            Calling::Makeshift => '-',
        })
        .collect();
    assert_eq!(callings, "www--!!--");
}

#[test]
fn the_best_endpoint_of_the_next_origin_stands_by() {
    let check = |origins: &[&str], expected: Option<(usize, u16)>| {
        let standby = standby(&view(origins), now(), &mut fastrand::Rng::with_seed(7));
        assert_eq!(standby.map(|next| (next.origin, next.address.port())), expected, "{origins:?}");
    };
    check(&["a:1 I HH", "b:2 I SH", "c:3 I H"], Some((1, 1)));
    check(&["a:1 O E", "b:2 I H", "c:3 I P"], Some((2, 0)));
    check(&["a:1 I HH", "b:2 O E"], None);
    check(&["a:1 I HH", "b:2 I~ H"], None);
    check(&["a:1 I HH", "b:2 I L"], None);
    check(&["a:1 I HH"], None);
    check(&["a:1 O E"], None);
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
    let mut view = view(&["a:1 I HHH"]);
    let share = |view: &PoolView, weights: [u32; 3]| {
        let mut view = view.clone();
        view.origins[0].endpoints.iter_mut().zip(weights).for_each(|(known, weight)| known.weight = weight);
        let mut random = fastrand::Rng::with_seed(7);
        let mut firsts = [0; 3];
        (0..4_000).for_each(|_| firsts[usize::from(candidates(&view, GET, now(), &mut random)[0].address.port())] += 1);
        firsts
    };
    let firsts = share(&view, [3, 1, 0]);
    assert!((2_800..3_100).contains(&firsts[0]) && (10..200).contains(&firsts[2]), "{firsts:?}");
    let firsts = share(&view, [0, 0, 0]);
    assert!(firsts.iter().all(|first| (1_200..1_500).contains(first)), "{firsts:?}");
    view.origins[0].endpoints[2].priority = 1;
    assert_eq!(share(&view, [1, 1, 99])[2], 0);
}

fn view(origins: &[&str]) -> PoolView {
    PoolView {
        mode: OutageMode::Normal,
        preferred: origins.iter().position(|text| text.starts_with('*')),
        origins: origins.iter().enumerate().map(|(index, text)| origin(index, text.trim_start_matches('*'))).collect(),
    }
}

fn origin(index: usize, text: &str) -> OriginView {
    let mut words = text.split(' ');
    let (name, rank) = words.next().and_then(|word| word.split_once(':')).expect("a name and a rank");
    let (standing, more) = words.next().and_then(|word| word.split_at_checked(1)).expect("a standing");
    let letters = words.next().unwrap_or_default();
    let endpoints = letters.trim_end_matches('-').bytes().enumerate().map(|(port, letter)| EndpointView {
        address: SocketAddr::from(([192, 0, 2, 1], u16::try_from(port).expect("few endpoints"))),
        state: match letter {
            b'H' => HealthState::Healthy,
            b'S' => HealthState::Suspect,
            b'P' => HealthState::Probation,
            b'L' => HealthState::Healthy,
            _ => HealthState::Ejected,
        },
        lame_duck: letter == b'L',
        load: Arc::new(Load::new(now())),
        priority: 0,
        weight: WHOLE,
    });
    OriginView {
        name: name.into(),
        index,
        rank: rank.parse().expect("a rank"),
        weight: 1,
        accepts: if letters.ends_with('-') { Accepts::ReadOnly } else { Accepts::All },
        duty: match more {
            "!" => Duty::Forced,
            "~" => Duty::Drained,
            "x" => Duty::Disabled,
            _ => Duty::Auto,
        },
        standing: match standing {
            "I" => Standing::In,
            "L" => Standing::Slow,
            "R" => Standing::Returning,
            _ => Standing::Out,
        },
        share: more.parse().unwrap_or(100),
        trials: Arc::new(Trickle::new(TRIALS, now())),
        endpoints: endpoints.collect(),
    }
}

fn now() -> Instant {
    Clock::new().now().monotonic
}

const POST: Demand = Demand { safe: false, ..GET };
const GET: Demand = Demand { safe: true, tries: 3, trial: None, bucket: 0 };
