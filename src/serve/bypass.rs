//! Requests in which the cache has no part: other methods, and requests for one user.

use super::exchange::Exchange;
use super::outcome::Answer;
use super::pass::pass;
use super::synthetic::{Refusal, Unanswered};
use super::worker::Worker;
use crate::origin::request::connect::RequestBody;
use crate::origin::request::retry::FailureKind;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember, ForwardReason};
use crate::semantics::coded_tag;
use crate::semantics::invalidation::invalidated;

/// Passes the client's own request to the first usable origin that accepts it, and its answer back.
///
/// # Errors
/// [`Refusal`] when no origin can be asked or none answered.
pub async fn bypass(
    worker: &Worker,
    exchange: &Exchange,
    reason: ForwardReason,
    body: Option<RequestBody>,
) -> Result<Answer, Refusal> {
    if exchange.site.pool.is_down() {
        return Err(Refusal::OriginsDown(reason));
    }
    let unanswered = |kind| Refusal::Fetch(Unanswered { reason, kind, collapsed: false, retry_after: None });
    if !worker.shared.finds_memory().await {
        return Err(unanswered(FailureKind::Busy));
    }
    let forward = exchange.own_forward(&worker.signature, body);
    let fetched = worker.fetcher.fetch(&exchange.site.pool, forward).await;
    let mut fetched = fetched.map_err(|error| unanswered(error.kind))?;
    coded_tag::recode(fetched.status, &mut fetched.headers, &exchange.headers);
    if !exchange.method.is_safe() && (fetched.status.is_success() || fetched.status.is_redirection()) {
        for mut target in invalidated(&exchange.target, &fetched.headers) {
            exchange.site.config.key.reduce(&mut target);
            worker.shared.store.invalidate(target.host(), target.path_and_query(), fetched.received.monotonic);
        }
    }
    Ok(pass(worker, &exchange.method, None, fetched, CacheStatusMember::new(CacheStatus::Forward(reason))))
}
