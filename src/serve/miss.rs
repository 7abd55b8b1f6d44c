//! An origin has to be asked: join the fill that asks it, and answer with what it brings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::body::Source;
use super::coding;
use super::deliver::{Representation, deliver, not_modified, reduce_to_304};
use super::exchange::{Audience, Exchange};
use super::hit::{from_stored, whole_seconds};
use super::judge::{Fallback, StaleReason};
use super::laggard::Laggard;
use super::lead::{Handed, Lead, Share};
use super::outcome::{Answer, OriginOf};
use super::pass::pass;
use super::stale::stale;
use super::survival::sampler::Kept;
use super::synthetic::{Refusal, Unanswered};
use super::worker::Worker;
use crate::cache::fill::{FillKey, FillReader, Joined, Stage};
use crate::cache::stored::{StoredHead, StoredResponse};
use crate::origin::request::fetch::FetchError;
use crate::origin::request::retry::FailureKind;
use crate::semantics::cache_control::{RequestDirectives, ResponseDirectives};
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember, ForwardReason};
use crate::semantics::freshness::{Prohibition, Reuse};
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;
use crate::semantics::{coded_tag, content_coding};

/// A request that needs an origin, and what is stored for it already.
#[derive(Clone, Debug)]
pub struct Miss<'a> {
    /// The worker.
    pub worker: &'a Arc<Worker>,
    /// The request.
    pub exchange: &'a Exchange,
    /// Its key.
    pub key: &'a CacheKey,
    /// Why the cache does not answer.
    pub reason: ForwardReason,
    /// What is stored and needs validation, or is not what the request wants.
    pub stored: Option<Arc<StoredResponse>>,
    /// Whether it may answer should every origin fail.
    pub fallback: Fallback,
}

impl Miss<'_> {
    /// Answers with what an origin says or, failing that, with the fallback.
    ///
    /// # Errors
    /// [`Refusal`] when no origin answered in time and nothing stored may.
    pub async fn answer(&self) -> Result<Answer, Refusal> {
        let mut alone = self.goes_alone();
        let mut variant = None;
        let mut joins = 0;
        while joins < JOINS_MAX {
            let company = if alone { Company::Nobody } else { Company::Anybody };
            let (reader, handed) = self.join(company, variant.clone());
            let Ok(stage) = timeout_at(self.patience().into(), reader.stage()).await else {
                let setback = Setback { reason: StaleReason::SlowOrigin, ..Setback::of(FailureKind::Deadline) };
                return self.fall_back(Setback { collapsed: handed.is_none(), ..setback });
            };
            let held_until = reader.held_until();
            match (stage, handed) {
                (Stage::Failed(error), handed) => {
                    let (status, collapsed) = (error.status, handed.is_none());
                    return self.fall_back(Setback { status, collapsed, held_until, ..Setback::of(error.kind) });
                }
                (Stage::Validated(stored), handed) if handed.is_some() || self.selects(&stored.head) => {
                    return Ok(self.validated(&stored, handed));
                }
                (Stage::Head(head), handed) if handed.is_some() || self.may_share(&head, reader.is_failure()) => {
                    return Ok(self.arriving(reader, &head, handed));
                }
                (Stage::NotShared, Some(handed)) => {
                    if let Ok(Handed::Unshared(mut fetched, why)) = handed.await {
                        // The whole is on its way where a part was asked for: the origin can cut it, now that nothing
                        // is to be stored.
                        if !alone && fetched.status == http::StatusCode::OK && self.wants_range() {
                            alone = true;
                            continue;
                        }
                        coded_tag::recode(fetched.status, &mut fetched.headers, &self.exchange.headers);
                        // What an origin has compared is not for a cache to compare again.
                        let is_validation = self.stored.as_ref().is_some_and(|stored| self.may_validate(stored));
                        let conditions = (!alone || is_validation).then_some(&self.exchange.headers);
                        let answer = pass(self.worker, &self.exchange.method, conditions, fetched, self.member());
                        return Ok(Answer { kept: Kept::Not(why), ..answer });
                    }
                }
                // Purged on its way; whoever joins now gets a newer one. The wait as a whole is bounded all the same.
                (Stage::Head(head), _) if head.stamps.is_outdated() => continue,
                (Stage::Validated(stored), _) if stored.head.stamps.is_outdated() => continue,
                // Another variant than this request's, which others may want as well.
                (Stage::Head(head), None) if variant.is_none() && !self.is_selected_by(&head) => {
                    variant = Some(self.nominated_by(&head));
                }
                (Stage::Validated(stored), None) if variant.is_none() && !self.is_selected_by(&stored.head) => {
                    variant = Some(self.nominated_by(&stored.head));
                }
                // What the others share is not for this request.
                (Stage::Head(_) | Stage::NotShared | Stage::Validated(_), _) => alone = true,
                (Stage::Abandoned, _) => {}
            }
            joins += 1;
        }
        self.fall_back(Setback::of(FailureKind::Deadline))
    }

    /// Whether nobody else may have a part in what this request gets, or nobody would want one.
    fn goes_alone(&self) -> bool {
        // "A cache or intermediary MAY ignore If-Match because its interoperability features are only necessary for an
        // origin server" (RFC 9110 §13.1.1), and If-Unmodified-Since alike: a stored response answers regardless, but the
        // answer of an origin is for whoever stated the condition.
        self.exchange.has_conditions_for_an_origin()
            || self.exchange.is_authorized()
            || self.exchange.asked.no_store
            || self.exchange.is_extraordinary()
            || self.worker.shared.uncacheable.remembers(self.key, self.exchange.arrival)
    }

    /// Asks an origin in the background, unless somebody does already, or what it says to this client could not be stored.
    pub fn refresh(&self) {
        let is_of_use = self.stored.as_ref().is_some_and(|stored| self.may_validate(stored));
        if is_of_use && !self.exchange.is_extraordinary() {
            // What the client asks of caches is about the answer that it has got already.
            let exchange = Exchange { asked: RequestDirectives::default(), ..self.exchange.clone() };
            drop(Miss { exchange: &exchange, ..self.clone() }.join(Company::Later, None));
        }
    }

    /// Asks an origin though all of them are down, once in a while and behind the client's back: probes may be wrong.
    pub fn try_in_the_dark(&self, now: Instant) {
        let is_for_everybody = self.exchange.method == http::Method::GET && !self.goes_alone();
        if is_for_everybody && self.exchange.site.pool.dark.take(now) {
            drop(self.join(Company::UnderWay, None));
        }
    }

    /// Whether a response is the one this request selects, and was not purged since.
    fn selects(&self, head: &StoredHead) -> bool {
        self.is_selected_by(head) && !head.stamps.is_outdated()
    }

    fn is_selected_by(&self, head: &StoredHead) -> bool {
        head.nominated().matches(&self.exchange.headers)
    }

    /// What this request says in the fields that select a response like this one.
    fn nominated_by(&self, head: &StoredHead) -> Nominated {
        let names: Vec<_> = head.nominated().iter().map(|(name, _)| name.into_owned()).collect();
        Nominated::of(&names, &self.exchange.headers)
    }

    /// Whether a response that another request asked for answers this one too: as one from the store would, or because
    /// it was generated while this request waited, unless it wants to be validated first (RFC 9111 §5.2.2.4). A failure
    /// does as long as it can be joined: it says that the origins were asked in vain, which is not to be validated.
    fn may_share(&self, head: &StoredHead, is_failure: bool) -> bool {
        let arrival = self.exchange.arrival;
        let age = head.age(arrival);
        let ttl = head.lifetime().freshness.saturating_sub(age);
        let is_fresh = !ttl.is_zero() && self.exchange.asked.accept_fresh(age, ttl);
        let is_simultaneous = head.received() >= arrival && head.lifetime().prohibition != Some(Prohibition::NoCache);
        self.selects(head) && (is_failure || is_fresh || is_simultaneous)
    }

    /// Whether what an origin says of `stored` to this request may be stored with it.
    fn may_validate(&self, stored: &StoredResponse) -> bool {
        let targets = &self.exchange.site.config.store.targets;
        let is_shared =
            || ResponseDirectives::from_headers(&stored.head.fields().to_headers(0), targets).allow_sharing();
        !self.exchange.asked.no_store && (!self.exchange.is_authorized() || is_shared())
    }

    /// What to read, and, for the leader's own client, where the leader reports.
    fn join(
        &self,
        company: Company,
        nominated: Option<Nominated>,
    ) -> (FillReader<FetchError>, Option<oneshot::Receiver<Handed>>) {
        let (fills, target) = (&self.worker.shared.fills, &self.exchange.target);
        let fence = || self.worker.shared.store.fence(target.host(), target.path_and_query());
        let accept_encoding = content_coding::normalize(&self.exchange.headers);
        let has_fallback = self.fallback != Fallback::Nothing;
        let key = || FillKey { key: self.key.clone(), accept_encoding, nominated, has_fallback };
        let joined = match company {
            Company::Anybody | Company::Later => fills.join(key(), self.now(), fence),
            Company::Nobody => Joined::Leader(fills.alone(fence())),
            Company::UnderWay => fills.join_anew(key(), fence),
        };
        let leader = match joined {
            Joined::Follower(reader) => return (reader, None),
            Joined::Leader(leader) => leader,
        };
        let reader = leader.reader();
        let lead = Box::new(Lead {
            worker: Arc::clone(self.worker),
            exchange: self.exchange.clone(),
            key: self.key.clone(),
            stored: self.stored.clone().filter(|stored| self.may_validate(stored)),
            fallback: self.fallback,
            audience: if company == Company::Nobody { Audience::OneClient } else { Audience::Everybody },
            awaited: matches!(company, Company::Anybody | Company::Nobody),
        });
        let (hand, handed) = oneshot::channel();
        // Boxed, so that what becomes a task is moved no more than once.
        self.worker.tasks.spawn(Box::pin(lead.run(leader, hand)));
        (reader, Some(handed))
    }

    fn wants_range(&self) -> bool {
        self.exchange.forwarded_range().is_some()
    }

    /// Until when to wait for the head: not long when something can be served instead.
    fn patience(&self) -> Instant {
        match self.fallback {
            Fallback::Fresh { .. } | Fallback::LastRemedy { .. } | Fallback::Nothing => {
                self.exchange.deadline() + MARGIN
            }
            Fallback::Stale { .. } => self.exchange.arrival + self.exchange.site.config.stale.wait,
        }
    }

    fn fall_back(&self, setback: Setback) -> Result<Answer, Refusal> {
        let Setback { reason, kind, status, collapsed, held_until } = setback;
        // It may have been purged, or have run out of its time, while this request waited.
        let now = self.now();
        let reuse = self.stored.as_ref().filter(|_| self.fallback != Fallback::Nothing);
        let reuse = reuse.map(|stored| (stored, stored.head.reuse(now, &self.exchange.site.config.freshness)));
        match reuse {
            Some((stored, Reuse::Fresh { ttl })) => {
                let member = CacheStatusMember {
                    ttl: Some(whole_seconds(ttl)),
                    forward_status: status,
                    detail: Some(kind.as_str()),
                    collapsed,
                    ..self.member()
                };
                Ok(from_stored(self.exchange, Arc::clone(stored), member))
            }
            Some((stored, Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past })) => {
                let member = stale(past, reason, status, collapsed);
                Ok(from_stored(self.exchange, Arc::clone(stored), member))
            }
            Some((stored, Reuse::LastRemedy { past })) => {
                let member = stale(past, StaleReason::Suspect { asked: true }, status, collapsed);
                Ok(from_stored(self.exchange, Arc::clone(stored), member))
            }
            Some((_, Reuse::Unusable { .. })) | None => {
                let retry_after = held_until.map(|until| until.saturating_duration_since(now));
                Err(Refusal::Fetch(Unanswered { reason: self.reason, kind, collapsed, retry_after }))
            }
        }
    }

    fn validated(&self, stored: &Arc<StoredResponse>, handed: Option<oneshot::Receiver<Handed>>) -> Answer {
        let collapsed = handed.is_none();
        let share = share(handed);
        let now = self.now();
        let ttl = stored.head.lifetime().freshness.saturating_sub(stored.head.age(now));
        let member = CacheStatusMember {
            ttl: Some(whole_seconds(ttl)),
            forward_status: Some(share.as_ref().map_or(http::StatusCode::NOT_MODIFIED, |share| share.facts.status)),
            stored: share.as_ref().is_some_and(Share::is_stored),
            collapsed,
            ..self.member()
        };
        told(from_stored(self.exchange, Arc::clone(stored), member), share)
    }

    fn arriving(
        &self,
        reader: FillReader<FetchError>,
        head: &Arc<StoredHead>,
        handed: Option<oneshot::Receiver<Handed>>,
    ) -> Answer {
        let collapsed = handed.is_none();
        let detail = reader.held_until().map(|_| HELD);
        let share = share(handed);
        let stored = share.as_ref().is_some_and(Share::is_stored);
        let not_stored = share.as_ref().and_then(|share| share.not_stored);
        let age = head.age(self.now());
        let shown_age = (!age.is_zero() || collapsed).then_some(age.as_secs());
        let known = coding::known_to_client(self.exchange, head, || None);
        let mut headers = coding::represented(head, known.flatten(), shown_age);
        let response = if known.is_some() {
            reduce_to_304(&mut headers);
            not_modified(headers)
        } else {
            let length = reader.expected_length();
            // A body whose length is known was paid for as a whole.
            let laggard = length.is_none().then(|| Box::new(Laggard::new(self.worker, self.exchange, head)));
            let representation = Representation { status: head.status, headers, length };
            deliver(&self.exchange.method, self.exchange.ranged(), representation, |offset| {
                Source::Fill(reader.at(offset), laggard)
            })
        };
        let member =
            CacheStatusMember { forward_status: Some(head.status), stored, collapsed, detail, ..self.member() };
        let answer = Answer {
            response,
            version: head.version,
            cache: Some(member),
            age: Some(age.as_secs()),
            origin: Some(OriginOf::Arriving(Arc::clone(head))),
            fetched: None,
            kept: not_stored.map_or_else(|| Kept::Arriving(head.nominated().into_owned()), Kept::Not),
            is_dressed: false,
        };
        told(answer, share)
    }

    fn now(&self) -> Instant {
        self.worker.shared.clock.monotonic()
    }

    fn member(&self) -> CacheStatusMember {
        CacheStatusMember::new(CacheStatus::Forward(self.reason))
    }
}

/// Why an origin's answer is not to be had.
struct Setback {
    /// Why a stale response answers in its place.
    reason: StaleReason,
    kind: FailureKind,
    status: Option<http::StatusCode>,
    /// Whether another request met it.
    collapsed: bool,
    held_until: Option<Instant>,
}

impl Setback {
    fn of(kind: FailureKind) -> Self {
        Self { reason: StaleReason::IfError, kind, status: None, collapsed: false, held_until: None }
    }
}

/// With whom a request shares what an origin is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// Whoever asks for the same now, or did a moment ago in vain.
    Anybody,
    /// The same, but nobody waits for it yet.
    Later,
    Nobody,
    /// Whoever asks for the same now; nobody waits for it yet.
    UnderWay,
}

/// What the leader told its own client, which it did before it released the fill.
fn share(handed: Option<oneshot::Receiver<Handed>>) -> Option<Share> {
    match handed?.try_recv() {
        Ok(Handed::Shared(share)) => Some(share),
        Ok(Handed::Unshared(..)) | Err(_) => None,
    }
}

/// `answer` with what is for the leader's own client alone.
fn told(mut answer: Answer, share: Option<Share>) -> Answer {
    if let Some(share) = share {
        answer.fetched = Some(share.facts);
        answer.response.headers_mut().extend(share.own);
    }
    answer
}

/// What `Cache-Status` says of a failure of an origin's that was there before the request: it is collapsed with one that
/// was forwarded a moment earlier.
const HELD: &str = "held";

/// Once with the others, once more when their leader went away, once with those who want the same variant, once alone.
const JOINS_MAX: usize = 4;

/// A leader that is not back by the request's deadline reports so itself; this is for one that never does.
const MARGIN: Duration = Duration::from_millis(500);
