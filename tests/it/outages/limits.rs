//! What scenes may come to.

use std::time::Duration;

use super::figures::Figures;
use super::{report, scene};

/// Nobody fails, waits or gets wrong bytes.
#[track_caller]
pub(crate) fn nobody_notices(figures: &Figures) {
    nobody_fails(figures);
    assert_eq!(figures.wrong, 0, "{figures:?}");
    assert!(slow(figures) <= at_most(SLOW_MAX), "{figures:?}");
}

#[track_caller]
pub(crate) fn nobody_fails(figures: &Figures) {
    assert_eq!(figures.failed, [0; 3], "{figures:?}");
    assert!(figures.slow[0] <= STALLED_MAX, "{figures:?}");
}

/// Every body is whole and right, and so is what was stored of it.
#[track_caller]
pub(crate) fn every_body_is_whole(figures: &Figures) {
    nobody_fails(figures);
    assert_eq!((figures.wrong, figures.still_wrong), (0, 0), "{figures:?}");
}

/// Whoever asks for what is stored gets it at once.
#[track_caller]
pub(crate) fn stored_responses_are_served(figures: &Figures) {
    let [hits, expiring, _] = figures.slow;
    assert_eq!(figures.failed[..2], [0, 0], "{figures:?}");
    assert!(hits <= STALLED_MAX && expiring <= hits, "{figures:?}");
    assert_eq!(figures.wrong, 0, "{figures:?}");
}

/// Whoever asks for anything else waits a moment before the outage is known, and not at all after that.
#[track_caller]
pub(crate) fn the_rest_is_refused_quickly(figures: &Figures) {
    let errors = figures.errors.unwrap_or_else(|| panic!("somebody asks for what nobody has: {figures:?}"));
    assert!(errors.at_first <= within(REFUSAL_AT_FIRST), "{figures:?}");
    assert!(errors.later <= within(REFUSAL), "{figures:?}");
}

/// Origins are not asked for much more than the cache needs.
#[track_caller]
pub(crate) fn origins_are_spared(figures: &Figures) {
    let most = if report::is_wanted() { FETCHES_MAX } else { 2.0 * FETCHES_MAX };
    assert!(figures.fetches <= most, "{figures:?}");
}

/// Requests that are slow for what happened to an origin. Hits need none: where they are slow too, the machine stalled, and
/// of the others it stalled fewer.
pub(crate) fn slow(figures: &Figures) -> usize {
    let [hits, expiring, unknown] = figures.slow;
    (expiring + unknown).saturating_sub(hits)
}

#[track_caller]
pub(crate) fn returns_within(figures: &Figures, most: Duration) {
    assert!(figures.back.is_some_and(|back| back <= most), "{figures:?}");
}

/// Beside other tests, on a machine that is busy with them, twice as much.
pub(crate) fn at_most(figure: usize) -> usize {
    if report::is_wanted() { figure } else { 2 * figure }
}

/// The same of times, and what such a machine may stall besides.
pub(crate) fn within(time: Duration) -> Duration {
    if report::is_wanted() { time } else { 2 * time + STALL }
}

/// A second more than two probes take.
pub(crate) const RETURN: Duration = Duration::from_millis(2100);

/// How many requests may be slow because they met a fault before the node knew of it.
pub(crate) const SLOW_MAX: usize = 5;

/// How many requests an origin may spoil before it is left: three convict it once another origin has answered them, and
/// more set out meanwhile, the more the busier the machine is.
pub(crate) const WASTED_MAX: usize = 5;

/// How many requests may be slow until an origin is left that takes them and then takes its time, or for ever.
pub(crate) const DRAGGED_MAX: usize = 20;

/// How many hits a machine may slow that is busy with other tests: a second's worth.
const STALLED_MAX: usize = scene::RATE;

/// How long such a machine may stall.
const STALL: Duration = Duration::from_millis(400);

/// How long an error may take before it is known that nobody is left to ask: every origin has its chance to answer.
const REFUSAL_AT_FIRST: Duration = Duration::from_secs(2);

/// How long it may take once that is known.
const REFUSAL: Duration = Duration::from_millis(50);

/// How many requests may reach origins for each that a cache cannot answer itself, where every answer is a failure.
const FETCHES_MAX: f64 = 1.1;
