//! The road by which a purge takes effect, and the PURGE method.

use http::{HeaderMap, HeaderValue, Response, header};

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::outcome::Answer;
use super::worker::Shared;
use crate::cache::purge::{PurgeMode, Receipt, Selector};
use crate::telemetry::Event;

/// Purges, and tells of it. `by` says who asked.
pub fn purge(shared: &Shared, selectors: &[Selector], mode: PurgeMode, by: String) -> Receipt {
    let receipt = shared.store.purge(selectors, mode, shared.clock.monotonic());
    shared.events.emit(Event::Purged {
        sequence: receipt.sequence,
        mode: mode.as_str(),
        selectors: selectors.iter().take(SELECTORS_TOLD).map(Selector::to_string).collect(),
        responses: receipt.responses,
        by,
    });
    receipt
}

/// Answers a PURGE request, whose sender was admitted: its target URI is purged, hard unless it asks for less.
pub fn purge_target(shared: &Shared, exchange: &Exchange) -> Answer {
    let mode =
        if SOFT_FIELDS.iter().any(|name| is_set(&exchange.headers, name)) { PurgeMode::Soft } else { PurgeMode::Hard };
    let mut target = exchange.target.clone();
    exchange.site.config.key.reduce(&mut target);
    let selector = Selector::url(&target);
    let receipt = purge(shared, &[selector], mode, exchange.client.to_string());
    let mut response = Response::new(ResponseBody::whole(format!("{}\n", told(receipt, mode))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer::from(response)
}

/// A receipt as JSON.
pub fn told(receipt: Receipt, mode: PurgeMode) -> serde_json::Value {
    serde_json::json!({
        "sequence": receipt.sequence,
        "mode": mode.as_str(),
        "responses": receipt.responses,
    })
}

fn is_set(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes() == b"1")
}

/// Request fields that make a PURGE soft, when they are `1`; the first one is what another cache's clients send.
const SOFT_FIELDS: [&str; 2] = ["fastly-soft-purge", "soft-purge"];

/// Selectors named in an event.
const SELECTORS_TOLD: usize = 8;
