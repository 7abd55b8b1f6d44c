//! `/status`: the node's state in one JSON document.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::api::Admin;
use crate::origin::dns::place::WHOLE;
use crate::origin::status::{EndpointStatus, Happening, OriginStatus, RosterStatus};
use crate::serve::survival::fate::HORIZONS;
use crate::serve::survival::survey::{Shares, Survey};
use crate::telemetry::timestamp::Timestamp;

/// The document, as text.
pub async fn status(admin: &Admin) -> String {
    let mut rosters = Vec::with_capacity(admin.sites.len());
    for site in &admin.sites {
        rosters.extend(site.status().await);
    }
    let shared = &admin.shared;
    let now = shared.clock.now();
    let table = &shared.sites;
    let survey = |name: &str| table.sites().iter().find(|site| &*site.name == name)?.sampler.latest();
    let told = |roster: &RosterStatus| site(roster, survey(&roster.site).as_deref(), now.monotonic);
    let document = json!({
        "node": &*shared.node,
        "version": env!("CARGO_PKG_VERSION"),
        "region": &*admin.region,
        "state": admin.readiness.as_str(),
        "time": Timestamp(now.wall).to_string(),
        "uptime_seconds": seconds(now.monotonic.saturating_duration_since(admin.started.monotonic)),
        "cache": {
            "bytes": shared.store.ledger().used(),
            "capacity_bytes": shared.store.ledger().bound(),
            "keys": shared.store.keys(),
            "fills_in_flight": shared.fills.count(),
        },
        "sites": rosters.iter().map(told).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn site(status: &RosterStatus, survey: Option<&Survey>, now: Instant) -> Value {
    json!({
        "name": status.site,
        "mode": status.mode.state.as_str(),
        "mode_seconds": seconds(status.mode.age),
        "mode_reason": status.mode.reason,
        "preferred_origin": status.preferred.as_deref(),
        "survivability": survey.map(|survey| survivability(survey, now)),
        "origins": status.origins.iter().map(origin).collect::<Vec<_>>(),
        "history": status.history.iter().map(happening).collect::<Vec<_>>(),
    })
}

/// What of the last hour's requests could be answered if every origin died now, and why the rest could not.
fn survivability(survey: &Survey, now: Instant) -> Value {
    let lost = survey.losses.iter().map(|lost| {
        let examples = lost.examples.iter();
        json!({
            "reason": lost.reason,
            "requests": shares(&lost.requests),
            "bytes": shares(&lost.bytes),
            "examples": examples.map(|one| json!({ "url": one.url, "requests": share(one.requests) })).collect::<Vec<_>>(),
        })
    });
    json!({
        "requests": shares(&survey.requests),
        "bytes": shares(&survey.bytes),
        "lost": lost.collect::<Vec<_>>(),
        "samples": survey.samples,
        "seconds_ago": seconds(now.saturating_duration_since(survey.at)),
    })
}

/// Shares by how long the outage has lasted.
fn shares(shares: &Shares) -> Map<String, Value> {
    HORIZONS.iter().zip(shares).map(|((horizon, _), value)| ((*horizon).to_owned(), share(*value).into())).collect()
}

/// A sample of an hour is no finer than this.
fn share(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// One origin of the document.
pub(super) fn origin(status: &OriginStatus) -> Value {
    json!({
        "name": &*status.name,
        "host": status.host,
        "rank": status.rank,
        "weight": status.weight,
        "duty": status.duty.as_str(),
        "standing": status.standing.state.as_str(),
        "standing_seconds": seconds(status.standing.age),
        "standing_reason": status.standing.reason,
        "share_percent": status.share,
        "hold_down_left_seconds": status.hold_down_left.map(seconds),
        "answer_age_seconds": status.answer_age.map(seconds),
        "answer_remembered": status.answer_remembered,
        "next_lookup_seconds": status.next_lookup.map(seconds),
        "lookup_failure": status.lookup_failure,
        "endpoints": status.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn happening(happening: &Happening) -> Value {
    json!({
        "seconds_ago": seconds(happening.age),
        "event": happening.event.name(),
        "message": happening.event.sentence(),
    })
}

fn endpoint(status: &EndpointStatus) -> Value {
    json!({
        "address": status.place.address.to_string(),
        "priority": status.place.priority,
        "weight": f64::from(status.place.weight) / f64::from(WHOLE),
        "health": status.health.state.as_str(),
        "health_seconds": seconds(status.health.age),
        "health_reason": status.health.reason,
        "lame_duck_seconds": status.lame_duck.as_ref().map(|lame_duck| seconds(lame_duck.age)),
        "lame_duck_reason": status.lame_duck.as_ref().map(|lame_duck| &lame_duck.reason),
        "last_probe_seconds": status.last_probe_age.map(seconds),
        "certificate_not_after": status.certificate_end.map(|(end, _)| Timestamp(end).to_string()),
        "certificate_days_left": status.certificate_end.map(|(_, left)| left.as_secs() / SECONDS_PER_DAY),
    })
}

/// Milliseconds are as fine as anybody reads them.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
