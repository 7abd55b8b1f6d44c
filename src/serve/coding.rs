//! Which representation of a response a client gets: in a content coding, without one, or none because it has one.

use std::sync::Arc;

use http::{HeaderMap, header};

use super::exchange::Exchange;
use crate::cache::content::StoredContent;
use crate::cache::stored::{StoredHead, StoredResponse};
use crate::semantics::content_coding::{AcceptedCodings, ContentCoding, negotiate};
use crate::semantics::field::decimal_value;
use crate::semantics::transformation::{RangeOf, forbids_transformation, known, represent};
use crate::semantics::validator::{Precondition, evaluate};

/// The representation of a stored response that answers.
#[derive(Debug)]
pub(super) struct Selected {
    /// Its body.
    pub(super) body: StoredContent,
    /// The coding that this node has given it.
    pub(super) coding: Option<ContentCoding>,
}

/// Selects a representation of `stored`.
pub(super) fn select(exchange: &Exchange, stored: &Arc<StoredResponse>) -> Selected {
    if !stored.head.codable {
        return Selected { body: stored.content(), coding: None };
    }
    let coded = order(exchange, stored).and_then(|coding| Some((coding, stored.codings()?.made(coding)?)));
    match coded {
        Some((coding, body)) => Selected { body: StoredContent::Shared(Arc::clone(body)), coding: Some(coding) },
        None => Selected { body: stored.content(), coding: None },
    }
}

/// The coding that answers, if any. One that would be better and that nobody has tried is ordered for the next client
/// that accepts as much.
pub(super) fn order(exchange: &Exchange, stored: &StoredResponse) -> Option<ContentCoding> {
    let (site, request) = (&exchange.site, &exchange.headers);
    let policy = &site.config.compression;
    // Whoever sends no Accept-Encoding gets no coding, whatever else the request says.
    let codings = stored.codings().filter(|_| exchange.present.codings && policy.covers(stored.length()))?;
    if exchange.present.directives && forbids_transformation(request) {
        return None;
    }
    let accepted = AcceptedCodings::of(request);
    match RangeOf::representation(&exchange.method, request, || stored.head.fields().only(&header::ETAG)) {
        RangeOf::Coding(coding) if accepted.accepts(coding) && codings.made(coding).is_some() => return Some(coding),
        RangeOf::Identity if accepted.accepts_identity() => return None,
        RangeOf::Coding(_) | RangeOf::Identity | RangeOf::Nothing => {}
    }
    let negotiated = negotiate(&accepted, &policy.codings, |coding| codings.availability(coding));
    if let Some(wanted) = negotiated.wanted {
        site.compressor.order(codings, wanted, &site.metrics, exchange.arrival);
    }
    negotiated.coding
}

/// The fields of a response in `coding`, or in none, with its age in seconds if that is to be told.
pub(super) fn represented(head: &StoredHead, coding: Option<ContentCoding>, age: Option<u64>) -> HeaderMap {
    let mut headers = head.fields().to_headers(ADDED_LINES);
    if let Some(age) = age {
        headers.insert(header::AGE, decimal_value(age));
    }
    if head.codable {
        represent(&mut headers, coding);
    }
    headers
}

/// The representation that the client has and need not get again: in the coding that this is, or without one. Of a codable
/// response it may have another one than it would get, which is the one in the coding `selected`.
pub(super) fn known_to_client(
    exchange: &Exchange,
    head: &StoredHead,
    selected: impl FnOnce() -> Option<ContentCoding>,
) -> Option<Option<ContentCoding>> {
    let request = &exchange.headers;
    if !exchange.present.conditions {
        return None;
    }
    if head.codable && request.contains_key(header::IF_NONE_MATCH) {
        let tag = head.fields().only(&header::ETAG);
        return known(request, tag.as_deref(), &exchange.site.config.compression.codings);
    }
    let precondition = evaluate(&exchange.method, request, head.status, &head.fields());
    (precondition == Precondition::NotModified).then(selected)
}

/// Lines that an answer may have beside those of the response: `Vary` and `Content-Encoding` of its coding, `Age`,
/// `Cache-Status` and `Via`. More would be room that hardly any answer needs, of a size that allocators are slower with.
const ADDED_LINES: usize = 5;
