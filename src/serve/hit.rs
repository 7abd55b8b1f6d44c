//! A stored response answers.

use std::sync::Arc;
use std::time::Duration;

use super::body::Source;
use super::coding::{self, Selected};
use super::deliver::{Representation, deliver};
use super::exchange::Exchange;
use super::outcome::Answer;
use super::survival::sampler::Kept;
use crate::cache::stored::StoredResponse;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember};

/// Answers from a response that stays fresh for `ttl`.
pub fn hit(exchange: &Exchange, stored: &Arc<StoredResponse>, ttl: Duration) -> Answer {
    let member = CacheStatusMember { ttl: Some(whole_seconds(ttl)), ..CacheStatusMember::new(CacheStatus::Hit) };
    from_stored(exchange, stored, member)
}

/// Answers from `stored`, with what `Cache-Status` shall say of it.
pub fn from_stored(exchange: &Exchange, stored: &Arc<StoredResponse>, member: CacheStatusMember) -> Answer {
    let age = stored.head.age(exchange.arrival).as_secs();
    let response = coding::not_modified(exchange, &stored.head, Some(age)).unwrap_or_else(|| {
        let Selected { headers, body, coding } = coding::select(exchange, stored);
        let (status, length) = (stored.head.status, Some(body.length()));
        let representation = Representation { status, headers, length, age: Some(age) };
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
        plain: stored.plain,
    }
}

/// Seconds as `Cache-Status` counts them.
pub fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
