//! What is counted of each site, as it is declared.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::histogram::DurationHistogram;
use crate::telemetry::metrics::{Catalog, Labeled};
use crate::telemetry::sharded::ShardedCounter;

/// The metrics that have a site among their labels.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct SiteFamilies {
    pub(super) bodies_continued: Labeled<Counter, 3>,
    pub(super) coded_responses: Labeled<ShardedCounter, 2>,
    pub(super) coding_bytes_in: Labeled<Counter, 2>,
    pub(super) coding_bytes_out: Labeled<Counter, 2>,
    pub(super) coding_duration: Labeled<DurationHistogram, 2>,
    pub(super) codings: Labeled<Counter, 3>,
    pub(super) duration: Labeled<DurationHistogram, 2>,
    pub(super) first_byte: Labeled<DurationHistogram, 2>,
    pub(super) incomplete: Labeled<Counter, 1>,
    pub(super) left_behind: Labeled<Counter, 2>,
    pub(super) not_stored: Labeled<Counter, 2>,
    pub(super) origin_attempts: Labeled<Counter, 3>,
    pub(super) origin_duration: Labeled<DurationHistogram, 2>,
    pub(super) origin_queued: Labeled<Gauge, 2>,
    pub(super) origin_requests: Labeled<Gauge, 2>,
    pub(super) origin_vain: Labeled<Counter, 2>,
    pub(super) requests: Labeled<ShardedCounter, 5>,
    pub(super) response_bytes: Labeled<ShardedCounter, 2>,
    pub(super) stale_forbidden: Labeled<Counter, 2>,
    pub(super) stale_served: Labeled<ShardedCounter, 2>,
    pub(super) survivable: Labeled<Gauge<f64, AtomicU64>, 3>,
    pub(super) unsurvivable: Labeled<Gauge<f64, AtomicU64>, 3>,
}

impl SiteFamilies {
    pub(in crate::telemetry) fn declare(catalog: &mut Catalog) -> Self {
        Self {
            bodies_continued: catalog.labeled(
                "holdover_origin_bodies_continued_total",
                &["site", "from", "to"],
                "Bodies that broke, or came too slowly, on one origin and were continued on another or the same",
            ),
            coded_responses: catalog.labeled(
                "holdover_http_coded_responses_total",
                &["site", "coding"],
                "Responses with content in a coding that the node has made, or a part of it",
            ),
            coding_bytes_in: catalog.labeled(
                "holdover_cache_coding_bytes_in_total",
                &["site", "coding"],
                "Bytes of stored bodies that content codings were made of",
            ),
            coding_bytes_out: catalog.labeled(
                "holdover_cache_coding_bytes_out_total",
                &["site", "coding"],
                "Bytes of the content codings that were made",
            ),
            coding_duration: catalog.labeled(
                "holdover_cache_coding_duration_seconds",
                &["site", "coding"],
                "The making of one content coding",
            ),
            codings: catalog.labeled(
                "holdover_cache_codings_total",
                &["site", "coding", "outcome"],
                "Content codings of stored bodies by what became of them: made, not-smaller, no-room, dropped or failed",
            ),
            duration: catalog.labeled(
                "holdover_http_request_duration_seconds",
                &["site", "cache"],
                "From the request's head to the end of the response",
            ),
            first_byte: catalog.labeled(
                "holdover_http_first_byte_duration_seconds",
                &["site", "cache"],
                "From the request's head to the response head",
            ),
            incomplete: catalog.labeled(
                "holdover_http_incomplete_responses_total",
                &["site"],
                "Responses that ended before their last byte, whoever ended them",
            ),
            left_behind: catalog.labeled(
                "holdover_http_left_behind_responses_total",
                &["site", "outcome"],
                "Responses too slow for a body that there is no room to keep: continued from an origin, or cut-off",
            ),
            not_stored: catalog.labeled(
                "holdover_cache_not_stored_total",
                &["site", "reason"],
                "Responses of origins that were not stored, by the first reason",
            ),
            origin_attempts: catalog.labeled(
                "holdover_origin_attempts_total",
                &["site", "origin", "outcome"],
                "Forward requests, each attempt by itself",
            ),
            origin_duration: catalog.labeled(
                "holdover_origin_request_duration_seconds",
                &["site", "origin"],
                "From one attempt's beginning to its response head or failure",
            ),
            origin_queued: catalog.labeled(
                "holdover_origin_queued_requests",
                &["site", "origin"],
                "Requests that wait for a place at the origin",
            ),
            origin_requests: catalog.labeled(
                "holdover_origin_requests",
                &["site", "origin"],
                "Requests under way at the origin, until their responses have ended",
            ),
            origin_vain: catalog.labeled(
                "holdover_origin_tries_in_vain_total",
                &["site", "kind"],
                "Tries after a failed one (`retry`) or beside a slow one (`hedge`) that brought no answer",
            ),
            requests: catalog.labeled(
                "holdover_http_requests_total",
                &["site", "proto", "method", "code", "cache"],
                "Finished requests",
            ),
            response_bytes: catalog.labeled(
                "holdover_http_response_bytes_total",
                &["site", "cache"],
                "Body bytes handed to clients",
            ),
            stale_forbidden: catalog.labeled(
                "holdover_cache_stale_forbidden_total",
                &["site", "reason"],
                "Responses stored that must not be served stale and so do not survive an outage",
            ),
            stale_served: catalog.labeled(
                "holdover_cache_stale_served_total",
                &["site", "reason"],
                "Responses served stale",
            ),
            survivable: catalog.labeled(
                "holdover_survivable_ratio",
                &["site", "by", "horizon"],
                "Share of the last hour's requests, or of their bytes, that could be answered if every origin died now, at once and after 5m, 1h, 6h and 24h",
            ),
            unsurvivable: catalog.labeled(
                "holdover_unsurvivable_ratio",
                &["site", "by", "reason"],
                "Share of the last hour's requests, or of their bytes, that could not be answered any more 24 hours after every origin died, by the reason",
            ),
        }
    }
}
