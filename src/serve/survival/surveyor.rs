//! Looks up every sampled request of all sites, and publishes what that comes to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::fate::{Fate, Fates, HORIZONS, Loss, fates};
use super::minutes::{Minute, Weights};
use super::sample::Sample;
use super::survey::{Lost, Survey, Tally};
use crate::cache::store::Store;
use crate::cache::stored::StoredResponse;
use crate::semantics::freshness::FreshnessPolicy;
use crate::semantics::vary::Nominated;
use crate::serve::site::{Site, SiteTable};
use crate::telemetry::SiteMetrics;

/// Surveys every site. Goes through all that is stored, so not for a worker; and calls `rest` after every few milliseconds
/// of it, since even on a thread of its own it takes time and cache lines from one.
pub fn survey(sites: &SiteTable, store: &Store, now: Instant, mut rest: impl FnMut()) {
    let hours: Vec<_> = sites.sites().iter().map(|site| Hour::of(site, now)).collect();
    let mut tallies: Vec<_> = hours.iter().map(|_| Tally::default()).collect();
    let mut wanted: HashMap<&str, Vec<Question<'_>>> = HashMap::new();
    for (site, hour) in hours.iter().enumerate() {
        for (sample, weights) in hour.minutes.iter().flat_map(|minute| minute.samples()) {
            match sample {
                Sample::Keyed { key, nominated, otherwise } => {
                    let question = Question { site, url: sample.url(), nominated, otherwise: *otherwise, weights };
                    wanted.entry(key.as_str()).or_default().push(question);
                }
                Sample::Lost { loss, .. } => tallies[site].add(sample.url(), weights, lost(*loss)),
            }
        }
    }
    let mut visited = 0_usize;
    store.visit(|key, stored| {
        visited += 1;
        if visited.is_multiple_of(STRETCH) {
            rest();
        }
        let questions = wanted.remove(key).unwrap_or_default();
        let stored = if questions.is_empty() { Vec::new() } else { stored.collect() };
        for question in questions {
            let fates = question.fates(&stored, &hours[question.site].site.config.freshness, now);
            tallies[question.site].add(question.url, question.weights, fates);
        }
    });
    for question in wanted.into_values().flatten() {
        tallies[question.site].add(question.url, question.weights, lost(question.otherwise));
    }
    for (hour, tally) in hours.iter().zip(tallies) {
        let survey = tally.survey(now);
        show(&hour.site.metrics, survey.as_ref());
        hour.site.sampler.show(survey);
    }
}

/// The last hour of one site.
struct Hour<'a> {
    site: &'a Site,
    minutes: Vec<Arc<Minute>>,
}

impl<'a> Hour<'a> {
    fn of(site: &'a Site, now: Instant) -> Self {
        site.sampler.turn(now);
        Self { site, minutes: site.sampler.minutes() }
    }
}

/// What would become of one sampled request?
struct Question<'a> {
    site: usize,
    url: &'a str,
    nominated: &'a Nominated,
    otherwise: Loss,
    weights: Weights,
}

impl Question<'_> {
    /// As [`Store::lookup`] selects: the most recent response, and what may be garbage only for want of another.
    fn fates(&self, stored: &[&Arc<StoredResponse>], policy: &FreshnessPolicy, now: Instant) -> Fates {
        let mut suitable = stored.iter().filter(|stored| stored.head.nominated().is_part_of(self.nominated));
        let trusted = suitable.clone().find(|stored| !stored.head.stamps.is_suspect());
        trusted.or_else(|| suitable.next()).map_or(lost(self.otherwise), |stored| fates(&stored.head, policy, now))
    }
}

fn lost(loss: Loss) -> Fates {
    [Fate::Lost(loss); HORIZONS.len()]
}

fn show(metrics: &SiteMetrics, survey: Option<&Survey>) {
    let Some(survey) = survey else { return metrics.show_survivability(&[], &[]) };
    let mut survivable = Vec::with_capacity(2 * HORIZONS.len());
    for (place, (horizon, _)) in HORIZONS.iter().enumerate() {
        survivable.push((["requests", *horizon], survey.requests[place]));
        survivable.push((["bytes", *horizon], survey.bytes[place]));
    }
    let last = HORIZONS.len() - 1;
    let reasons = |Lost { reason, requests, bytes, .. }: &Lost| {
        [(["requests", *reason], requests[last]), (["bytes", *reason], bytes[last])]
    };
    metrics.show_survivability(&survivable, &survey.losses.iter().flat_map(reasons).collect::<Vec<_>>());
}

/// How many keys are visited between two rests.
const STRETCH: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::chunks::GrowingBody;
    use crate::cache::store::StoreCounters;
    use crate::cache::stored::{Arrival, StoredHead};
    use crate::clock::Clock;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    #[test]
    fn a_survey_of_much_rests_on_its_way() {
        check(0, 0);
        check(STRETCH - 1, 0);
        check(2 * STRETCH + 1, 2);
    }

    #[track_caller]
    fn check(stored: usize, rests: usize) {
        let now = Clock::new().now().monotonic;
        let store = Store::new(64 << 20, StoreCounters::default(), now);
        (0..stored).for_each(|number| put(&store, &format!("/{number}"), now));
        let mut rested = 0;
        survey(&SiteTable::default(), &store, now, || rested += 1);
        assert_eq!(rested, rests);
    }

    fn put(store: &Store, path: &str, now: Instant) {
        let key = cache_key(&Target::new("https", "www.test", None, path));
        let stamps = store.fence("www.test", path).stamps_with(&[], &[]);
        let head = StoredHead::of(Arrival::plain(&key, stamps, now));
        let body =
            GrowingBody::new(Some(0)).seal(store.reserve(0).expect("there is room")).expect("nothing was forgotten");
        let paid = store.reserve(head.cost()).expect("there is room");
        store.store(Arc::new(StoredResponse::new(head, body, paid)));
    }
}
