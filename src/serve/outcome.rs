//! What became of a request: the one record behind `Cache-Status`, metrics and the access log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};

use super::body::ResponseBody;
use super::client::ClientConnection;
use super::dress;
use super::site::Site;
use super::survival::sampler::{Kept, Prospect};
use super::synthetic::Refusal;
use super::worker::Worker;
use crate::cache::stored::{StoredHead, StoredResponse};
use crate::origin::request::fetch::Fetched;
use crate::semantics::cache_status::CacheStatusMember;
use crate::semantics::field::decimal_value;
use crate::semantics::key::CacheKey;
use crate::semantics::target::Target;
use crate::telemetry::{AccessRecord, RequestSample, SiteMetrics};

/// A response on its way to the client, and how it came about.
#[derive(Debug)]
pub struct Answer {
    /// The response.
    pub response: Response<ResponseBody>,
    /// The protocol version that it came with from its origin.
    pub version: Version,
    /// What `Cache-Status` shall say.
    pub cache: Option<CacheStatusMember>,
    /// The response's age in seconds.
    pub age: Option<u64>,
    /// What names the origin the response comes from, now or when it was stored.
    pub origin: Option<OriginOf>,
    /// Present when an origin was asked for this answer.
    pub fetched: Option<FetchFacts>,
    /// What the cache keeps of it.
    pub kept: Kept,
    /// Whether its fields are already those that its client gets, `Cache-Status` included.
    pub is_dressed: bool,
}

impl From<Response<ResponseBody>> for Answer {
    /// An answer of the node's own, without a part of the cache in it.
    fn from(response: Response<ResponseBody>) -> Self {
        let (version, kept) = (Version::HTTP_11, Kept::AsFound);
        Self { response, version, cache: None, age: None, origin: None, fetched: None, kept, is_dressed: false }
    }
}

/// What names the origin of a response. Hardly anybody asks, so that it is not taken out of where it is.
#[derive(Debug)]
pub enum OriginOf {
    /// A response of which the head has come.
    Arriving(Arc<StoredHead>),
    /// A stored response.
    Stored(Arc<StoredResponse>),
}

impl OriginOf {
    fn name(&self) -> &Arc<str> {
        match self {
            Self::Arriving(head) => &head.origin,
            Self::Stored(response) => &response.head.origin,
        }
    }
}

/// What is told of a forward request.
#[derive(Clone, Debug)]
pub struct FetchFacts {
    /// The origin that answered.
    pub origin: Arc<str>,
    /// The address that answered.
    pub address: SocketAddr,
    /// Endpoints tried.
    pub attempts: u32,
    /// What it answered.
    pub status: StatusCode,
    /// From the first attempt to the response head.
    pub time: Duration,
}

impl FetchFacts {
    /// What is told of `fetched`.
    pub fn of(fetched: &Fetched) -> Self {
        Self {
            origin: Arc::clone(&fetched.origin),
            address: fetched.address,
            attempts: fetched.attempts,
            status: fetched.status,
            time: fetched.received.monotonic.saturating_duration_since(fetched.started.monotonic),
        }
    }
}

/// The record of a request that has no answer yet. Dropped as such, it says that its client left before there was one.
#[derive(Debug)]
pub struct Pending {
    outcome: Option<Box<Outcome>>,
}

impl Pending {
    /// Opens the record of a request that arrived at `arrival`.
    pub fn open(worker: &Arc<Worker>, client: &ClientConnection, request: &Parts, arrival: Instant) -> Self {
        Self { outcome: Some(Outcome::open(worker, client, request, arrival)) }
    }

    /// When the request arrived.
    pub fn arrival(&self) -> Instant {
        self.outcome.as_ref().expect("asked before the end").arrival
    }

    /// The request is for `site`.
    pub fn routed(&mut self, site: &Arc<Site>, target: &Target) {
        if let Some(outcome) = &mut self.outcome {
            outcome.routed(site, target);
        }
    }

    /// The client is one that is told more of its response than others are.
    pub fn tells_more(&mut self) {
        if let Some(outcome) = &mut self.outcome {
            outcome.debug = Some(Debug::default());
        }
    }

    /// Whether it is.
    pub fn is_told_more(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.debug.is_some())
    }

    /// A refusal, in the words of the request's site if it is for one and that has its own.
    pub fn refused(&self, refusal: &Refusal) -> Answer {
        let page = self.outcome.as_ref().and_then(|outcome| outcome.site.as_ref()?.error_page.as_ref());
        Answer { cache: refusal.cache(), ..Answer::from(refusal.response(page)) }
    }

    /// The cache was asked by this key.
    pub fn keyed(&mut self, key: &CacheKey) {
        if let Some(debug) = self.outcome.as_mut().and_then(|outcome| outcome.debug.as_mut()) {
            debug.key = Some(key.clone());
        }
    }

    /// The request comes into the sample of its site, or may come.
    pub fn sampled(&mut self, prospect: Option<Box<Prospect>>) {
        if let (Some(outcome), Some(_)) = (&mut self.outcome, &prospect) {
            outcome.prospect = prospect;
        }
    }

    /// The answer was waited for until this moment.
    pub fn waited(&mut self) {
        if let Some(outcome) = &mut self.outcome {
            outcome.first_byte = outcome.time_since_arrival();
        }
    }

    /// Puts on the response what every response carries, and closes the record with its body.
    pub fn finish(&mut self, answer: Answer) -> Response<ResponseBody> {
        self.outcome.take().expect("a request is answered once").finish(answer)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(mut outcome) = self.outcome.take() {
            outcome.status = CLIENT_LEFT;
            outcome.close(false);
        }
    }
}

/// The record of one request, closed by the end of its response's body.
#[derive(Debug)]
pub struct Outcome {
    worker: Arc<Worker>,
    /// The site that the request is for, if it is for one.
    site: Option<Arc<Site>>,
    protocol: &'static str,
    method: Method,
    arrival: Instant,
    /// None where nothing had to be waited for.
    first_byte: Duration,
    status: u16,
    cache: &'static str,
    stale: Option<&'static str>,
    body_bytes: u64,
    broken: bool,
    /// What only the log wants to know; present when it is on.
    record: Option<Box<AccessRecord>>,
    /// Present when the request may come into the sample of its site.
    prospect: Option<Box<Prospect>>,
    /// Present when the client is told more.
    debug: Option<Debug>,
}

/// What only some clients are told.
#[derive(Debug, Default)]
struct Debug {
    /// By what the cache was asked, if it was.
    key: Option<CacheKey>,
}

impl Outcome {
    fn open(worker: &Arc<Worker>, client: &ClientConnection, request: &Parts, arrival: Instant) -> Box<Self> {
        let record = worker.shared.access_log.is_on().then(|| Box::new(record(worker, client, request)));
        Box::new(Self {
            worker: Arc::clone(worker),
            site: None,
            protocol: client.protocol,
            method: request.method.clone(),
            arrival,
            first_byte: Duration::ZERO,
            status: 0,
            cache: REFUSED,
            stale: None,
            body_bytes: 0,
            broken: false,
            record,
            prospect: None,
            debug: None,
        })
    }

    fn routed(&mut self, site: &Arc<Site>, target: &Target) {
        self.site = Some(Arc::clone(site));
        if let Some(record) = &mut self.record {
            record.site = Arc::clone(&site.name);
            record.host = target.host().into();
            record.path_and_query = target.path_and_query().into();
        }
    }

    fn finish(mut self: Box<Self>, answer: Answer) -> Response<ResponseBody> {
        let Answer { mut response, version, cache, age, origin, fetched, kept, is_dressed } = answer;
        self.prospect = self.prospect.take().map(|prospect| prospect.answered(kept));
        self.status = response.status().as_u16();
        let origin = fetched.as_ref().map(|facts| &facts.origin).or(origin.as_ref().map(OriginOf::name));
        let headers = response.headers_mut();
        if !is_dressed {
            self.dress(headers, cache.as_ref(), version);
        }
        if let Some(member) = &cache {
            self.cache = member.status.as_str();
            self.stale = member.detail.filter(|_| member.stale);
        }
        if let Some(origin) = origin.filter(|_| self.debug.is_some())
            && let Ok(origin) = HeaderValue::try_from(&**origin)
        {
            headers.insert(HOLDOVER_ORIGIN, origin);
        }
        if let Some(record) = &mut self.record {
            record.age = age;
            record.origin = origin.cloned();
            cache.iter().for_each(|member| note_cache(record, member));
            fetched.iter().for_each(|facts| note_fetch(record, facts));
        }
        if self.method == Method::HEAD {
            response = bodiless(response);
        }
        response.body_mut().closes(self);
        response
    }

    /// Takes what is for caches alone from a response, unless its client is told more, dates it, and adds what the cache says
    /// of it.
    fn dress(&self, headers: &mut HeaderMap, member: Option<&CacheStatusMember>, version: Version) {
        let site = self.site.as_deref();
        if let Some(site) = site.filter(|_| self.debug.is_none()) {
            dress::consume(headers, site);
        }
        dress::date(headers, &self.worker.shared.clock);
        if let Some(member) = member {
            let key = self.debug.as_ref().and_then(|debug| debug.key.as_ref()).map(CacheKey::as_str);
            dress::mark(headers, &self.worker, site, member, version, key);
        }
    }

    /// Counts body bytes handed to the client's connection.
    pub fn sent(&mut self, bytes: u64) {
        self.body_bytes += bytes;
    }

    /// The body ended before its end.
    pub fn broke_off(&mut self) {
        self.broken = true;
    }

    /// Counts and logs the request, once; `complete` when its last byte was handed to the client's connection.
    pub fn close(&mut self, complete: bool) {
        let complete = complete && !self.broken;
        let duration = self.time_since_arrival();
        self.metrics().record(&RequestSample {
            protocol: self.protocol,
            method: &self.method,
            status: self.status,
            cache: self.cache,
            stale: self.stale,
            body_bytes: self.body_bytes,
            complete,
            duration,
            first_byte: self.first_byte,
        });
        if let Some(prospect) = self.prospect.take().filter(|_| self.status != CLIENT_LEFT) {
            prospect.close(self.status, self.body_bytes);
        }
        if let Some(record) = self.record.take() {
            self.worker.shared.access_log.write(AccessRecord {
                status: self.status,
                body_bytes: self.body_bytes,
                complete,
                duration,
                first_byte: self.first_byte,
                cache: self.cache,
                ..*record
            });
        }
    }

    fn metrics(&self) -> &SiteMetrics {
        self.site.as_ref().map_or(&self.worker.unrouted, |site| &site.metrics)
    }

    fn time_since_arrival(&self) -> Duration {
        self.worker.shared.clock.monotonic().saturating_duration_since(self.arrival)
    }
}

/// What the log says of a request that is not yet answered, and belongs to no site.
fn record(worker: &Worker, client: &ClientConnection, request: &Parts) -> AccessRecord {
    let text = |name| Some(Box::from(String::from_utf8_lossy(request.headers.get(name)?.as_bytes())));
    AccessRecord {
        time: worker.shared.clock.now().wall,
        client: client.peer.ip(),
        protocol: client.protocol,
        tls: client.tls.is_some(),
        site: Arc::clone(&worker.shared.unrouted.name),
        method: request.method.clone(),
        scheme: client.scheme(),
        host: Box::default(),
        path_and_query: request.uri.path_and_query().map_or("", |path| path.as_str()).into(),
        status: 0,
        body_bytes: 0,
        complete: false,
        duration: Duration::ZERO,
        first_byte: Duration::ZERO,
        cache: REFUSED,
        detail: None,
        ttl: None,
        stored: false,
        collapsed: false,
        age: None,
        origin: None,
        address: None,
        attempts: 0,
        origin_status: None,
        origin_time: None,
        user_agent: text(header::USER_AGENT),
        referer: text(header::REFERER),
    }
}

fn note_cache(record: &mut AccessRecord, member: &CacheStatusMember) {
    record.detail = member.detail;
    record.ttl = member.ttl;
    record.stored = member.stored;
    record.collapsed = member.collapsed;
}

fn note_fetch(record: &mut AccessRecord, facts: &FetchFacts) {
    record.address = Some(facts.address);
    record.attempts = facts.attempts;
    record.origin_status = Some(facts.status.as_u16());
    record.origin_time = Some(facts.time);
}

/// RFC 9110 §9.3.2: to HEAD "the server MUST NOT send content in the response"; the HTTP library sees to it over HTTP/1
/// only.
fn bodiless(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.length().filter(|&length| length > 0) {
        head.headers.insert(header::CONTENT_LENGTH, decimal_value(length));
    }
    Response::from_parts(head, ResponseBody::empty())
}

/// The status in log and metrics when the client left before it got one, as other servers write it.
const CLIENT_LEFT: u16 = 499;

/// The word for requests that were answered before the cache was asked.
const REFUSED: &str = "refused";

/// The response field with the name of the origin that a response comes from, now or when it was stored.
const HOLDOVER_ORIGIN: HeaderName = HeaderName::from_static("holdover-origin");
