//! A stored response answers.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::body::Source;
use super::coding::{Selected, not_modified, represented, select};
use super::deliver::{Representation, deliver, state_length};
use super::dress;
use super::exchange::Exchange;
use super::outcome::Answer;
use super::recent::Moment;
use super::survival::sampler::Kept;
use super::worker::Worker;
use crate::cache::stored::StoredResponse;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember};
use crate::semantics::content_coding::ContentCoding;

/// What `Cache-Status` says of a hit on a response that stays fresh for `ttl`.
pub fn fresh(ttl: Duration) -> CacheStatusMember {
    CacheStatusMember { ttl: Some(whole_seconds(ttl)), ..CacheStatusMember::new(CacheStatus::Hit) }
}

/// Answers from a response that stays fresh for `ttl`, as every client is answered that is told no more than others.
pub fn hit(worker: &Worker, exchange: &Exchange, stored: &Arc<StoredResponse>, ttl: Duration) -> Answer {
    let member = fresh(ttl);
    answer(exchange, stored, member, true, |coding, age, length| {
        worker.recent.fields(stored, Moment { age, ttl: whole_seconds(ttl), coding }, || {
            let mut headers = represented(&stored.head, coding, Some(age));
            // A copy has no room for one field more; with this one, nobody has to add any.
            state_length(&mut headers, stored.head.status, length);
            if !stored.plain {
                dress::consume(&mut headers, &exchange.site);
                dress::date(&mut headers, &worker.shared.clock);
            }
            dress::mark(&mut headers, worker, Some(&exchange.site), &member, stored.head.version, None);
            headers
        })
    })
}

/// Answers from `stored`, with what `Cache-Status` shall say of it.
pub fn from_stored(exchange: &Exchange, stored: &Arc<StoredResponse>, member: CacheStatusMember) -> Answer {
    answer(exchange, stored, member, false, |coding, age, _| represented(&stored.head, coding, Some(age)))
}

/// Answers from `stored` with `fields` in a coding, at an age in seconds, of a body of so many bytes; they may be dressed.
fn answer(
    exchange: &Exchange,
    stored: &Arc<StoredResponse>,
    member: CacheStatusMember,
    are_dressed: bool,
    fields: impl FnOnce(Option<ContentCoding>, u64, u64) -> HeaderMap,
) -> Answer {
    let age = stored.head.age(exchange.arrival).as_secs();
    let known = not_modified(exchange, &stored.head, Some(age));
    let is_dressed = are_dressed && known.is_none();
    let response = known.unwrap_or_else(|| {
        let Selected { body, coding } = select(exchange, stored);
        let (status, length) = (stored.head.status, body.length());
        let representation = Representation { status, headers: fields(coding, age, length), length: Some(length) };
        deliver(&exchange.method, exchange.asks_for_less(), representation, |offset| {
            if let Some(coding) = coding {
                exchange.site.metrics.coded_response(coding.as_str());
            }
            Source::Stored(body, offset)
        })
    });
    Answer {
        response,
        version: stored.head.version,
        cache: Some(member),
        age: Some(age),
        origin: Some(Arc::clone(&stored.head.origin)),
        fetched: None,
        kept: Kept::AsFound,
        is_dressed,
    }
}

/// Seconds as `Cache-Status` counts them.
pub fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
