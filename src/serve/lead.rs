//! Leads a fill: asks the origins, judges the answer, stores it if it may be stored. Belongs to no client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::coding;
use super::exchange::{Audience, Exchange};
use super::judge::Fallback;
use super::not_stored::NotStored;
use super::outcome::FetchFacts;
use super::worker::Worker;
use crate::cache::fill::{Hold, Leader, Stage, WINDOW_BYTES};
use crate::cache::ledger::Reservation;
use crate::cache::stamps::{Fence, TERM_BYTES};
use crate::cache::store::Lookup;
use crate::cache::stored::StoredResponse;
use crate::origin::request::body::OriginBody;
use crate::origin::request::fetch::{FetchError, Fetched, Forward};
use crate::origin::request::incoming::Framing;
use crate::origin::request::retry::FailureKind;
use crate::semantics::key::CacheKey;
use crate::semantics::retry_after::retry_after;
use crate::semantics::surrogate::tags;
use crate::semantics::{forwarding, transformation, validator};

mod verdict;

/// Everything a fill needs to know of the request that started it.
#[derive(Debug)]
pub struct Lead {
    /// The worker it runs on.
    pub worker: Arc<Worker>,
    /// The request.
    pub exchange: Exchange,
    /// Its key.
    pub key: CacheKey,
    /// The stored response that is to be validated or replaced.
    pub stored: Option<Arc<StoredResponse>>,
    /// Whether `stored` may be served stale should every origin fail.
    pub fallback: Fallback,
    /// Whom the answer is asked for.
    pub audience: Audience,
    /// Whether a client waits for it, as nobody does who has been answered already.
    pub awaited: bool,
}

/// What the leader tells the client that started it, and nobody else.
#[derive(Debug)]
pub enum Handed {
    /// The response is shared.
    Shared(Share),
    /// The response is for this client only, for this reason.
    Unshared(Box<Fetched>, &'static str),
}

/// What only the leader's own client learns of a response that is shared.
#[derive(Debug)]
pub struct Share {
    /// Where it came from.
    pub facts: FetchFacts,
    /// Why it is not stored, if it is not.
    pub not_stored: Option<&'static str>,
    /// Fields of it that are for this client alone.
    pub own: HeaderMap,
}

impl Share {
    /// Whether it is being stored.
    pub fn is_stored(&self) -> bool {
        self.not_stored.is_none()
    }
}

impl Lead {
    /// Fetches and fills to the end. It is boxed because a future has room twice for what it is given.
    pub async fn run(mut self: Box<Self>, leader: Leader<FetchError>, hand: oneshot::Sender<Handed>) {
        if self.stored.as_ref().is_some_and(|stored| stored.head.stamps.is_gone()) {
            // Purged before the fill began; neither a validation nor a failure must bring it back.
            self.stored = None;
            self.fallback = Fallback::Nothing;
        }
        let site = Arc::clone(&self.exchange.site);
        // Held to the end.
        let room = site.fills.try_acquire();
        // A fill that finds no room in the store is streamed through, which takes memory as well.
        if room.is_err() || !self.worker.shared.finds_memory().await {
            let error = FetchError { kind: FailureKind::Busy, status: None, attempts: 0 };
            leader.fail(error, None);
            return;
        }
        // Boxed, so that the task does not carry the room for it while the body arrives.
        match Box::pin(self.fetch(leader.fence())).await {
            Err(Failed { error, retry_after }) => {
                let is_for_everybody = error.status.is_none() || !self.may_answer_this_client_alone();
                if is_for_everybody {
                    self.revive(retry_after);
                }
                let is_lasting = is_for_everybody && error.kind.is_evidence();
                let hold = is_lasting.then(|| self.hold(leader.held_key_bytes(), retry_after)).flatten();
                leader.fail(error, hold);
            }
            Ok(Fetch::Validated { validated, share }) => {
                let _client_left = hand.send(Handed::Shared(share));
                leader.finish(Stage::Validated(validated));
            }
            Ok(Fetch::Response(fetched)) => self.take(fetched, leader, hand).await,
        }
    }

    async fn fetch(&self, fence: &Fence) -> Result<Fetch, Failed> {
        let conditions = match (&self.stored, self.audience) {
            // A validator that came with garbage may be as good as any.
            (Some(stored), _) if stored.head.stamps.is_suspect() => Vec::new(),
            (Some(stored), _) => validator::conditional_fields(&stored.head.fields().to_headers(0)),
            (None, Audience::OneClient) => self.exchange.own_conditions(),
            (None, Audience::Everybody) => Vec::new(),
        };
        let fetched = self.ask(conditions).await?;
        match &self.stored {
            Some(stored) if self.is_head() && fetched.status == StatusCode::OK && !fetched.unexpected => {
                let matches =
                    validator::head_matches(&stored.head.fields().to_headers(0), stored.length(), &fetched.headers);
                if matches && let Some((validated, share)) = self.freshen(stored, &fetched, fence) {
                    return Ok(Fetch::Validated { validated, share });
                }
                // RFC 9111 §4.3.5: "otherwise, the cache SHOULD consider the stored response to be stale." A stale one is
                // kept for an outage; a fresh one would go on answering.
                if matches!(self.fallback, Fallback::Fresh { .. }) && !self.may_answer_this_client_alone() {
                    self.worker.shared.store.remove(stored);
                }
                Ok(Fetch::Response(fetched))
            }
            Some(stored) if fetched.status == StatusCode::NOT_MODIFIED => match self.freshen(stored, &fetched, fence) {
                Some((validated, share)) => Ok(Fetch::Validated { validated, share }),
                // RFC 9111 §4.3.4: a 304 that selects no stored response updates none; only a whole answer helps.
                None => self.ask(Vec::new()).await.map(Fetch::Response),
            },
            Some(_) | None => Ok(Fetch::Response(fetched)),
        }
    }

    fn is_head(&self) -> bool {
        self.exchange.method_for(self.audience) == Method::HEAD
    }

    /// A failed response counts as an answer only when there is nothing better, or its origin wants nothing else.
    async fn ask(&self, conditions: Vec<(HeaderName, HeaderValue)>) -> Result<Box<Fetched>, Failed> {
        let fetched = self.worker.fetcher.fetch(&self.exchange.site.pool, self.forward(conditions)).await?;
        if !self.refuses(&fetched) || fetched.last_word || self.fallback == Fallback::Nothing {
            return Ok(fetched);
        }
        let retry_after = self.retry_after(&fetched);
        Err(Failed { error: fetched.into_failure(), retry_after })
    }

    fn forward(&self, conditions: Vec<(HeaderName, HeaderValue)>) -> Forward {
        let forward = self.exchange.cacheable_forward(&self.worker.signature, conditions, self.fallback, self.audience);
        // Whoever has sent garbage may well do so again.
        let wary = self.stored.as_ref().is_some_and(|stored| stored.head.stamps.is_suspect());
        Forward { wary, awaited: self.awaited, ..forward }
    }

    /// Whether it is no answer that anybody wants: a failure, or 429, by which an origin refuses this node as a whole unless
    /// it may mean one client.
    fn refuses(&self, fetched: &Fetched) -> bool {
        let is_limited = fetched.status == StatusCode::TOO_MANY_REQUESTS && !self.may_answer_this_client_alone();
        fetched.failed || is_limited
    }

    /// How long it wants to be left alone, as far as that counts: after a failure the next request may go to another origin,
    /// which might be back sooner.
    fn retry_after(&self, fetched: &Fetched) -> Option<Duration> {
        let is_for_all = !fetched.failed || self.exchange.site.pool.origins.len() == 1;
        retry_after(fetched.status, &fetched.headers, fetched.received.wall).filter(|_| is_for_all)
    }

    /// The stored response after a 304. `None` when the 304 is of another response, or withdraws the permission to store
    /// this one, or when this one has become suspect.
    fn freshen(
        &self,
        stored: &Arc<StoredResponse>,
        fetched: &Fetched,
        fence: &Fence,
    ) -> Option<(Arc<StoredResponse>, Share)> {
        if stored.head.stamps.is_suspect() {
            return None;
        }
        let headers = validator::freshen(&stored.head.fields().to_headers(0), &fetched.headers)?;
        let directives = self.directives(&headers);
        let is_for_one = self.exchange.is_authorized() && !directives.allow_sharing();
        if directives.private || (directives.no_store && !directives.must_understand) || is_for_one {
            return None;
        }
        let nominated = self.nominated(&headers)?;
        let stamps = fence.stamps_again(&stored.head.stamps, &tags(&headers).ok()?, fetched.body.terms());
        // The body is what it was: its length was judged, and whoever asks now has no part in it.
        let is_codable =
            |headers: &_| stored.head.codable && self.codable(stored.head.status, headers, &directives, None, false);
        let marks = (nominated, stamps);
        let (head, own) = self.head(stored.head.status, headers, &directives, fetched, marks, is_codable);
        let store = &self.worker.shared.store;
        let paid = store.reserve(stored.cost_under(&head));
        let verdict = if self.has_fields_outside_the_key() { Err(NotStored::Request) } else { Ok(()) };
        let not_stored = why_not(verdict, paid.as_ref());
        let reservation = paid.or_else(|| store.reserve(0))?;
        let validated = Arc::new(stored.freshened(head, reservation));
        if not_stored.is_none() {
            store.store(Arc::clone(&validated));
        }
        Some((validated, Share { facts: FetchFacts::of(fetched), not_stored, own }))
    }

    async fn take(&self, mut fetched: Box<Fetched>, mut leader: Leader<FetchError>, hand: oneshot::Sender<Handed>) {
        let site = &self.exchange.site;
        let shared = &self.worker.shared;
        let expected = match fetched.framing {
            Framing::Bodiless => Some(0),
            Framing::Chunked | Framing::Close => None,
            Framing::Length(length) => Some(length),
        };
        let (directives, tags) = (self.directives(&fetched.headers), tags(&fetched.headers).ok());
        let verdict = self.storable(&fetched, expected, &directives, tags.is_some());
        if let Err(reason) = verdict {
            site.metrics.not_stored(reason.as_str());
        }
        let shares = verdict.is_ok()
            || (verdict != Err(NotStored::TooLarge) && self.is_failure_for_everybody(&fetched, &directives));
        // Neither is shared that cannot be told apart from others nor what cannot be purged.
        let marks = self.nominated(&fetched.headers).zip(tags).filter(|_| shares);
        let room = if marks.is_some() { self.room_for(expected, &fetched.headers).await } else { None };
        let Some(((nominated, tags), body)) = marks.zip(room) else {
            self.forget_what_was_stored(&fetched, verdict);
            let why = verdict.err().unwrap_or(NotStored::NoRoom).as_str();
            let _client_left = hand.send(Handed::Unshared(fetched, why));
            leader.finish(Stage::NotShared);
            return;
        };
        let mut headers = fetched.headers.clone();
        forwarding::remove_hop_by_hop(&mut headers);
        let stamps = leader.fence().stamps_with(&tags, fetched.body.terms());
        let is_codable = |headers: &_| {
            let cookies_are_keyed = !site.config.key.cookies.is_empty();
            let is_personal = transformation::is_personal(&self.exchange.headers, headers, cookies_are_keyed);
            self.codable(fetched.status, headers, &directives, expected, is_personal)
        };
        let marks = (nominated, stamps);
        let (head, own) = self.head(fetched.status, headers, &directives, &fetched, marks, is_codable);
        let head = Arc::new(head);
        // An origin's last word is for those who ask; what may still be used stays for the next outage.
        let is_worse = fetched.failed && self.fallback != Fallback::Nothing;
        let paid = (verdict.is_ok() && !is_worse).then(|| shared.store.reserve(head.cost())).flatten();
        if let (Some(_), Some(prohibition)) = (&paid, head.lifetime().prohibition) {
            site.metrics.stale_forbidden(prohibition.as_str());
        }
        let share = Share { facts: FetchFacts::of(&fetched), not_stored: why_not(verdict, paid.as_ref()), own };
        let _client_left = hand.send(Handed::Shared(share));
        if paid.is_some() {
            shared.uncacheable.forget(&self.key);
        }
        let is_refusal = self.refuses(&fetched);
        if is_refusal {
            leader.brings_a_failure();
        }
        let held_bytes = head.cost() + leader.held_key_bytes();
        leader.head(head, expected, body);
        let first_terms = fetched.body.terms().len();
        if self.pour(&mut fetched, &mut leader).await {
            let later_terms = fetched.body.terms().len() - first_terms;
            let paid = if later_terms > 0 {
                leader.restamp(leader.fence().stamps_with(&tags, fetched.body.terms()));
                paid.and_then(|paid| self.pay_for_terms(paid, later_terms))
            } else {
                paid
            };
            if is_refusal && paid.is_none() {
                leader.complete_failure(self.hold(held_bytes, self.retry_after(&fetched)));
            } else {
                self.complete(leader, &mut fetched.body, paid);
            }
        }
    }

    /// Room for a body of `expected` bytes, if need be after a moment: what was evicted for it is in memory as long as
    /// another worker may look at it. Where there is none, for a window on one that a client who is left behind can go on
    /// with. Otherwise every client would ask an origin, and hold pieces of its own.
    async fn room_for(&self, expected: Option<u64>, headers: &HeaderMap) -> Option<Reservation> {
        let store = &self.worker.shared.store;
        let whole = expected.unwrap_or(WINDOW_BYTES);
        for pause in ROOM_PAUSES_MS {
            if let Some(room) = store.reserve(whole) {
                return Some(room);
            }
            sleep(Duration::from_millis(pause)).await;
        }
        let can_go_on = validator::strong_validator(headers).is_some();
        store.reserve(whole).or_else(|| can_go_on.then(|| store.reserve(WINDOW_BYTES)).flatten())
    }

    /// For how long the failure that this fill was is shared with those who come after it, if there is room for it beside
    /// its body: for its head and its key, of `bytes`. What an origin says of when to come back prolongs that.
    fn hold(&self, bytes: u64, retry_after: Option<Duration>) -> Option<Hold> {
        let site = &self.exchange.site;
        let hold = site.config.failover.hold;
        if hold.is_zero() {
            return None;
        }
        let paid = self.worker.shared.store.reserve(HELD_BYTES + bytes)?;
        Some(Hold { until: self.now() + spread(hold).max(retry_after.unwrap_or_default()), paid })
    }

    /// A body that arrives for longer than a term belongs to all it came in.
    fn pay_for_terms(&self, mut paid: Reservation, terms: usize) -> Option<Reservation> {
        self.worker.shared.store.grow(&mut paid, (terms * TERM_BYTES) as u64).then_some(paid)
    }

    fn complete(&self, leader: Leader<FetchError>, body: &mut OriginBody, paid: Option<Reservation>) {
        let store = &self.worker.shared.store;
        let paid = paid.filter(|_| !body.has_void_part());
        let Some(stored) = leader.complete(store, paid) else { return };
        if !stored.head.stamps.is_suspect() {
            self.retire_what_was_selected();
        }
        // For the next client like this one.
        coding::order(&self.exchange, &stored);
        let (store, stored) = (store.clone(), Arc::downgrade(&stored));
        body.once_surplus_comes(move || {
            if let Some(stored) = stored.upgrade() {
                store.remove(&stored);
            }
        });
    }

    /// "A full response (i.e., one containing content) indicates that none of the stored responses nominated in the
    /// conditional request are suitable." (RFC 9111 §4.3.3) One that is selected still, for its Date is later than that of
    /// the full response, would be validated in vain by every request.
    fn retire_what_was_selected(&self) {
        let Some(stored) = &self.stored else { return };
        let store = &self.worker.shared.store;
        if let Lookup::Found(selected) = store.lookup(&self.key, &self.exchange.headers)
            && Arc::ptr_eq(stored, &selected)
        {
            store.remove(stored);
        }
    }

    /// Pours the body into the fill; whether it is proven complete.
    async fn pour(&self, fetched: &mut Fetched, leader: &mut Leader<FetchError>) -> bool {
        let shared = &self.worker.shared;
        let mut room = Some(shared.object_bytes_max);
        while let Some(read) = fetched.body.next().await {
            let Ok(data) = read else { return false };
            let rest = room.and_then(|room| room.checked_sub(data.len() as u64));
            if room.is_some() && rest.is_none() && !fetched.failed {
                // It did not say so, but it is too large: ranges of it are the origin's to cut from here on.
                shared.uncacheable.remember(&self.key, self.now());
            }
            room = rest;
            let arriving = self.now().saturating_duration_since(fetched.received.monotonic);
            if arriving > UNREAD_MAX && !leader.is_read() {
                return false;
            }
            if arriving > self.exchange.site.config.failover.hold && self.refuses(fetched) {
                // However long its body takes, it says no more of the origins than one that is held.
                leader.unregister();
            }
            if leader.append(&data, &shared.store, shared.object_bytes_max).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Requests for what cannot be shared stop queuing. Where the origin has changed its mind about a response that is
    /// stored, that goes as well. An answer that speaks of one request alone, a part, or an error says nothing about it.
    fn forget_what_was_stored(&self, fetched: &Fetched, verdict: Result<(), NotStored>) {
        if verdict.is_err_and(NotStored::speaks_of_the_resource) && !fetched.failed && !self.exchange.is_authorized() {
            self.worker.shared.uncacheable.remember(&self.key, fetched.received.monotonic);
            let withdrawn = fetched.status.is_success() && matches!(verdict, Err(NotStored::Rule(_)));
            if let Some(stored) = self.stored.as_ref().filter(|_| withdrawn) {
                self.worker.shared.store.remove(stored);
            }
        }
    }

    /// The stored response counts as good for a while, so that one dead origin is not asked by every request.
    fn revive(&self, retry_after: Option<Duration>) {
        if let Some(stored) = self.stored.as_ref().filter(|_| matches!(self.fallback, Fallback::Stale { .. })) {
            let revive = spread(self.exchange.site.config.stale.revive).max(retry_after.unwrap_or_default());
            stored.revive(self.now() + revive);
        }
    }

    fn now(&self) -> Instant {
        self.worker.shared.clock.monotonic()
    }
}

/// `time` ±20 %, so that what began together does not end together.
fn spread(time: Duration) -> Duration {
    time.mul_f64(0.8 + 0.4 * fastrand::f64())
}

/// No origin gave an answer.
struct Failed {
    error: FetchError,
    /// How long the last one wants to be left alone.
    retry_after: Option<Duration>,
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self { error, retry_after: None }
    }
}

enum Fetch {
    Response(Box<Fetched>),
    Validated { validated: Arc<StoredResponse>, share: Share },
}

/// Milliseconds between attempts to find room for a body; together less than anybody would notice.
const ROOM_PAUSES_MS: [u64; 5] = [1, 2, 4, 8, 16];

/// A fill without its head, its body and its key.
const HELD_BYTES: u64 = 1024;

/// Why a response of this verdict is not stored, if it is not; one that may be is if it is paid for.
fn why_not(verdict: Result<(), NotStored>, paid: Option<&Reservation>) -> Option<&'static str> {
    verdict.err().or(paid.is_none().then_some(NotStored::NoRoom)).map(NotStored::as_str)
}

/// How long a body may arrive when nobody reads it any more: some never end.
const UNREAD_MAX: Duration = Duration::from_secs(60);
