//! The road of every request, on one screen.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;
use http_body_util::BodyExt;

use super::admit::{self, Admission, Head};
use super::body::ResponseBody;
use super::bypass::bypass;
use super::client::ClientConnection;
use super::consider::{Considered, consider};
use super::debug;
use super::exchange::Exchange;
use super::hit::{fresh, from_stored, hit};
use super::judge::{Fallback, Way};
use super::miss::Miss;
use super::outcome::{Answer, Pending};
use super::purge::purge_target;
use super::responding::Responding;
use super::route::route;
use super::stale::stale;
use super::synthetic::{self, Refusal};
use super::worker::Worker;
use crate::cache::stored::StoredResponse;
use crate::origin::request::connect::RequestBody;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::ForwardReason;
use crate::semantics::key::CacheKey;
use crate::semantics::presence::Presence;
use crate::semantics::target::{BadTarget, target};

/// Answers one request, whose head was there at `arrival`; whatever happens, there is a response.
pub fn handle<B>(
    worker: &Arc<Worker>,
    mut request: Parts,
    body: B,
    client: &ClientConnection,
    arrival: Instant,
) -> Responding<ResponseBody>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let mut outcome = Pending::open(worker, client, &request, arrival);
    if debug::is_authorized(worker.shared.debug_token.as_ref(), &mut request.headers) {
        outcome.tells_more();
    }
    let present = Presence::of(&request.headers);
    let has_body = admit::has_body(&request.headers, present, body.is_end_stream());
    let body = has_body.then(|| body.map_err(Into::into).boxed_unsync());
    match reply(worker, request, present, body, client, &mut outcome) {
        Ok(Reply::Answered(response)) => Responding::Now(response),
        Ok(Reply::Asking(asking)) => Responding::later(async move {
            let answer = asking.await.unwrap_or_else(|refusal| outcome.refused(&refusal));
            outcome.waited();
            outcome.finish(answer)
        }),
        Err(refusal) => Responding::Now(outcome.finish(outcome.refused(&refusal))),
    }
}

/// How far an answer has come without waiting for anybody.
enum Reply {
    Answered(Response<ResponseBody>),
    /// An origin is being asked.
    Asking(Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>),
}

fn reply(
    worker: &Arc<Worker>,
    request: Parts,
    present: Presence,
    body: Option<RequestBody>,
    client: &ClientConnection,
    outcome: &mut Pending,
) -> Result<Reply, Refusal> {
    let target = match target(client.scheme(), &request.uri, &request.headers, request.version) {
        Err(BadTarget::Asterisk) if request.method == Method::OPTIONS && body.is_none() => {
            return Ok(Reply::Answered(outcome.finish(synthetic::options().into())));
        }
        target => target.map_err(Refusal::BadTarget)?,
    };
    let site = route(&worker.sites, request.uri.scheme_str(), &target, client)?;
    outcome.routed(&site, &target);
    let head = Head { method: &request.method, target: &target, headers: &request.headers, present };
    let admission = admit::admit(&site, &worker.shared, client, &head, body.is_some())?;
    let asked = match site.config.request_directives {
        honored if present.directives => RequestDirectives::from_headers(&request.headers, honored),
        _ => RequestDirectives::default(),
    };
    let mut exchange = Exchange {
        site,
        client: client.peer.ip(),
        arrival: outcome.arrival(),
        method: request.method,
        version: request.version,
        target,
        headers: request.headers,
        present,
        asked,
    };
    let answer = match admission {
        Admission::Cache => match cached(worker, &mut exchange, outcome)? {
            Cached::Answered(answer) => answer,
            Cached::Missed { key, reason, stored, fallback } => {
                let worker = Arc::clone(worker);
                return Ok(Reply::Asking(Box::pin(async move {
                    let (worker, exchange, key) = (&worker, &exchange, &key);
                    Miss { worker, exchange, key, reason, stored, fallback }.answer().await
                })));
            }
        },
        Admission::Forward(reason) => {
            let sampler = &exchange.site.sampler;
            outcome.sampled(sampler.bypassing(|| exchange.url(), reason, &exchange.headers, chance()));
            let worker = Arc::clone(worker);
            return Ok(Reply::Asking(Box::pin(async move { bypass(&worker, &exchange, reason, body).await })));
        }
        Admission::Options => synthetic::options().into(),
        Admission::Purge => purge_target(&worker.shared, &exchange),
        Admission::Redirect(url) => synthetic::redirect(&url, exchange.method.is_safe()).into(),
    };
    Ok(Reply::Answered(outcome.finish(answer)))
}

/// What the cache knows of a request.
#[expect(clippy::large_enum_variant, reason = "nearly all are answered, and a box would cost an allocation")]
enum Cached {
    Answered(Answer),
    /// An origin has to be asked.
    Missed {
        key: CacheKey,
        reason: ForwardReason,
        stored: Option<Arc<StoredResponse>>,
        fallback: Fallback,
    },
}

fn cached(worker: &Arc<Worker>, exchange: &mut Exchange, outcome: &mut Pending) -> Result<Cached, Refusal> {
    let key = exchange.reduce_to_key();
    outcome.keyed(&key);
    let (site, now) = (&exchange.site, exchange.arrival);
    let lookup = worker.shared.store.lookup(&key, &exchange.headers);
    let Considered { stored, way, reason } = consider(lookup, site, &exchange.asked, now);
    let answers = matches!(way, Way::Hit { .. } | Way::Stale { .. });
    outcome.sampled(site.sampler.keyed(&key, &exchange.headers, stored.as_deref(), answers, chance()));
    let is_told_more = outcome.is_told_more();
    let answer = |stored, member| match is_told_more {
        true => from_stored(exchange, stored, member),
        false => hit(worker, exchange, stored, member),
    };
    let miss = |stored, fallback| Miss { worker, exchange, key: &key, reason, stored, fallback };
    match (way, stored) {
        (Way::Hit { ttl }, Some(stored)) => Ok(Cached::Answered(answer(stored, fresh(ttl)))),
        (Way::Stale { past, reason }, Some(stored)) => {
            let answer = answer(Arc::clone(&stored), stale(past, reason, None, false));
            if reason.refreshes() {
                miss(Some(stored), Fallback::Stale { past }).refresh();
            }
            Ok(Cached::Answered(answer))
        }
        (Way::Forward { .. }, _) if exchange.asked.only_if_cached => Err(Refusal::NotCached(reason)),
        (Way::Forward { fallback }, stored) => Ok(Cached::Missed { key, reason, stored, fallback }),
        (Way::Unavailable, stored) => {
            miss(stored, Fallback::Nothing).try_in_the_dark(now);
            Err(Refusal::OriginsDown(reason))
        }
        (Way::Hit { .. } | Way::Stale { .. }, None) => Err(Refusal::OriginsDown(reason)),
    }
}

/// Above 0, and at most 1.
fn chance() -> f64 {
    1.0 - fastrand::f64()
}
