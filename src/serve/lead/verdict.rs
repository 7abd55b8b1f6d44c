//! What a response amounts to: whether it may be stored or shared, and under which head.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Lead;
use crate::cache::stamps::Stamps;
use crate::cache::stored::{Arrival, StoredHead};
use crate::origin::request::fetch::Fetched;
use crate::origin::request::incoming::Framing;
use crate::semantics::cache_control::ResponseDirectives;
use crate::semantics::storable::{storable, withheld};
use crate::semantics::vary::{Nominated, vary_fields};
use crate::semantics::{date, freshness, transformation};
use crate::serve::exchange::Audience;
use crate::serve::not_stored::NotStored;

impl Lead {
    /// Whether an origin may have made its answer of fields that other requests do not have.
    pub(super) fn has_fields_outside_the_key(&self) -> bool {
        let exchange = &self.exchange;
        let is_conditional = || exchange.has_conditions_for_an_origin() || exchange.forwarded_range().is_some();
        // What is stored is validated by its own conditions; the client's go to an origin in their place only.
        let has_validators = || self.stored.is_none() && !exchange.own_conditions().is_empty();
        exchange.is_extraordinary() || (self.audience == Audience::OneClient && (is_conditional() || has_validators()))
    }

    /// Whether what an origin says, bad news among it, may be about this client and nobody else.
    pub(super) fn may_answer_this_client_alone(&self) -> bool {
        self.has_fields_outside_the_key() || self.exchange.is_authorized()
    }

    pub(super) fn storable(
        &self,
        fetched: &Fetched,
        expected: Option<u64>,
        directives: &ResponseDirectives,
        has_few_tags: bool,
    ) -> Result<(), NotStored> {
        // "The no-store request directive indicates that a cache MUST NOT store any part of either this request or any
        // response to it" (RFC 9111 §5.2.1.5).
        if self.exchange.asked.no_store || self.has_fields_outside_the_key() {
            return Err(NotStored::Request);
        }
        if fetched.unexpected {
            return Err(NotStored::Unexpected);
        }
        if fetched.framing == Framing::Close {
            return Err(NotStored::CloseDelimited);
        }
        if expected.is_some_and(|length| length > self.worker.shared.object_bytes_max) {
            return Err(NotStored::TooLarge);
        }
        if !has_few_tags {
            return Err(NotStored::TooManyTags);
        }
        let (request, policy) = (&self.exchange.headers, &self.exchange.site.config.store);
        storable(
            &self.exchange.method_for(self.audience),
            request,
            fetched.status,
            &fetched.headers,
            directives,
            policy,
        )
        .map_err(NotStored::Rule)
    }

    /// Whether a failure is one that a crowd may share though it is not stored: no cookie and nothing else of it is for
    /// one client alone.
    pub(super) fn is_failure_for_everybody(&self, fetched: &Fetched, directives: &ResponseDirectives) -> bool {
        let is_personal = fetched.headers.contains_key(header::SET_COOKIE) || directives.private;
        self.refuses(fetched) && !is_personal && !self.is_head() && !self.exchange.is_authorized()
    }

    pub(super) fn directives(&self, response: &HeaderMap) -> ResponseDirectives {
        ResponseDirectives::from_headers(response, &self.exchange.site.config.store.targets)
    }

    /// The request fields that a response with `headers` was selected by; `None` when it cannot be told.
    pub(super) fn nominated(&self, headers: &HeaderMap) -> Option<Nominated> {
        let mut fields = vary_fields(headers).ok()?;
        // Many origins code responses without saying that they vary; whoever cannot decode them must not get them.
        if headers.contains_key(header::CONTENT_ENCODING) && !fields.contains(&header::ACCEPT_ENCODING) {
            fields.push(header::ACCEPT_ENCODING);
        }
        Some(Nominated::of(&fields, &self.exchange.headers))
    }

    /// The head to store and share, and the fields of `fetched` that are in neither. `is_codable` says whether a body may be
    /// coded under these fields.
    pub(super) fn head(
        &self,
        status: StatusCode,
        mut headers: HeaderMap,
        directives: &ResponseDirectives,
        fetched: &Fetched,
        (nominated, stamps): (Nominated, Stamps),
        is_codable: impl FnOnce(&HeaderMap) -> bool,
    ) -> (StoredHead, HeaderMap) {
        let policy = &self.exchange.site.config;
        let (asked, answered) = (fetched.requested.wall, fetched.received.wall);
        let lifetime = freshness::lifetime(
            status,
            &headers,
            directives,
            asked,
            answered,
            &policy.freshness,
            &policy.store.negative,
        );
        // RFC 9110 §6.6.1: "A recipient with a clock that receives a response message without a Date header field MUST
        // record the time it was received and append a corresponding Date header field […] if it is cached".
        headers.entry(header::DATE).or_insert_with(|| date::format_http_date(answered));
        // "A server that supports byte-range requests for a given target resource MAY send Accept-Ranges: bytes" (RFC 9110
        // §14.3); parts are cut from a 200.
        if status == StatusCode::OK {
            headers.entry(header::ACCEPT_RANGES).or_insert(HeaderValue::from_static("bytes"));
        }
        // Both are this cache's to say: `Age` when it answers, the length by framing.
        headers.remove(header::AGE);
        headers.remove(header::CONTENT_LENGTH);
        let mut own = HeaderMap::new();
        let cookie_answers_credentials =
            self.exchange.is_authorized() && fetched.headers.contains_key(header::SET_COOKIE);
        for name in withheld(directives, &self.exchange.site.config.store, cookie_answers_credentials) {
            if headers.remove(name).is_some() {
                own.extend(fetched.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        let origin = Arc::clone(&fetched.origin);
        let head = StoredHead::of(Arrival {
            key: self.key.clone(),
            version: fetched.version,
            status,
            codable: is_codable(&headers),
            fields: headers,
            lifetime,
            received: fetched.received.monotonic,
            nominated,
            origin,
            stamps,
        });
        (head, own)
    }

    /// Whether a body of `length` may be coded under these fields.
    pub(super) fn codable(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        directives: &ResponseDirectives,
        length: Option<u64>,
        is_personal: bool,
    ) -> bool {
        let policy = &self.exchange.site.config.compression;
        transformation::codable(status, headers, directives, length, is_personal, policy).is_ok()
    }
}
