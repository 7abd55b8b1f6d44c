//! A stored response answers.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::body::Source;
use super::coding::{Selected, known_to_client, represented, select};
use super::deliver::{Representation, deliver, not_modified, reduce_to_304, state_length};
use super::dress;
use super::exchange::Exchange;
use super::outcome::{Answer, OriginOf};
use super::recent::{Form, Moment};
use super::survival::sampler::Kept;
use super::worker::Worker;
use crate::cache::stored::StoredResponse;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember};

/// What `Cache-Status` says of a hit on a response that stays fresh for `ttl`.
pub fn fresh(ttl: Duration) -> CacheStatusMember {
    CacheStatusMember { ttl: Some(whole_seconds(ttl)), ..CacheStatusMember::new(CacheStatus::Hit) }
}

/// Answers from `stored`, with what `Cache-Status` shall say of it, as every client is answered that is told no more than
/// others.
pub fn hit(worker: &Worker, exchange: &Exchange, stored: Arc<StoredResponse>, member: CacheStatusMember) -> Answer {
    answer(exchange, stored, member, true, |stored, form| {
        worker.recent.fields(stored, Moment { form, member }, || {
            let mut headers = fields(stored, form);
            if !stored.plain {
                dress::consume(&mut headers, &exchange.site);
                dress::date(&mut headers, &worker.shared.clock);
            }
            dress::mark(&mut headers, worker, Some(&exchange.site), &member, stored.head.version, None);
            headers
        })
    })
}

/// Answers from `stored`, with what `Cache-Status` shall say of it; what a client may be told besides is for later.
pub fn from_stored(exchange: &Exchange, stored: Arc<StoredResponse>, member: CacheStatusMember) -> Answer {
    answer(exchange, stored, member, false, |stored, form| fields(stored, form))
}

/// Answers from `stored` with the fields that `fields` makes, which may be dressed.
fn answer(
    exchange: &Exchange,
    stored: Arc<StoredResponse>,
    member: CacheStatusMember,
    is_dressed: bool,
    fields: impl FnOnce(&Arc<StoredResponse>, Form) -> HeaderMap,
) -> Answer {
    let head = &stored.head;
    let age = head.age(exchange.arrival).as_secs();
    let response = match known_to_client(exchange, head, || select(exchange, &stored).coding) {
        Some(coding) => not_modified(fields(&stored, Form { age, coding, length: None })),
        None => {
            let Selected { body, coding } = select(exchange, &stored);
            let length = Some(body.length());
            let headers = fields(&stored, Form { age, coding, length });
            let representation = Representation { status: head.status, headers, length };
            deliver(&exchange.method, exchange.ranged(), representation, |offset| {
                if let Some(coding) = coding {
                    exchange.site.metrics.coded_response(coding.as_str());
                }
                Source::Stored(body, offset)
            })
        }
    };
    Answer {
        response,
        version: head.version,
        cache: Some(member),
        age: Some(age),
        origin: Some(OriginOf::Stored(stored)),
        fetched: None,
        kept: Kept::AsFound,
        is_dressed,
    }
}

/// The fields of a response in this form.
fn fields(stored: &StoredResponse, Form { age, coding, length }: Form) -> HeaderMap {
    let mut headers = represented(&stored.head, coding, Some(age));
    match length {
        // A copy has no room for one field more; with this one, nobody has to add any.
        Some(length) => state_length(&mut headers, stored.head.status, length),
        None => reduce_to_304(&mut headers),
    }
    headers
}

/// Seconds as `Cache-Status` counts them.
pub fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
