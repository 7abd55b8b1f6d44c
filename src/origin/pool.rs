//! A site's origins as the data plane sees them: what to speak to each, and the latest view of their health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::health::endpoint::Evidence;
use super::health::outage::OutageMode;
use super::health::terms::Terms;
use super::health::trickle::{Trickle, TricklePace};
use super::request::budget::Budget;
use super::request::capacity::Capacity;
use super::request::ranking::Candidate;
use super::request::tail::Tail;
use super::view::PoolView;
use crate::config::model::{HostField, OriginConfig, SiteConfig};
use crate::telemetry::{OriginMetrics, SiteMetrics};

/// The origins of one site. Read by workers, published to by the site's steward.
#[derive(Debug)]
pub struct Pool {
    /// The site's name.
    pub site: Arc<str>,
    /// The site's policies.
    pub config: Arc<SiteConfig>,
    /// In the order of the configuration.
    pub origins: Vec<Origin>,
    /// Counters of the site.
    pub metrics: Arc<SiteMetrics>,
    /// Since when what each address sends is trusted.
    pub terms: Terms,
    /// Requests that are tried though no origin is usable: probes may be wrong.
    pub dark: Trickle,
    /// Tries after others that reached an origin and failed.
    pub retries: Budget,
    /// Tries beside others that take longer than usual.
    pub hedges: Budget,
    view: ArcSwap<PoolView>,
    published: Notify,
    reports: mpsc::Sender<Report>,
    urgent: Notify,
}

impl Pool {
    /// A pool that starts with `view`; its steward reads the other end of the channel. `tls` holds, per origin, what to
    /// connect with when its scheme is https.
    pub fn new(
        config: Arc<SiteConfig>,
        tls: Vec<Option<OriginTls>>,
        view: PoolView,
        metrics: Arc<SiteMetrics>,
        now: Instant,
    ) -> (Arc<Self>, mpsc::Receiver<Report>) {
        let (reports, received) = mpsc::channel(REPORTS_MAX);
        let origins = config.origins.iter().zip(tls).map(|(origin, tls)| Origin::new(origin, tls, &metrics)).collect();
        let site = Arc::from(config.name.as_str());
        let (terms, view) = (Terms::default(), ArcSwap::from_pointee(view));
        let (retries, hedges) = (config.failover.retry_budget, config.failover.hedge_budget);
        (
            Arc::new(Self {
                site,
                config,
                origins,
                metrics,
                terms,
                dark: Trickle::new(DARK_TRIALS, now),
                retries: Budget::new(retries, RETRIES_TRUST, now),
                hedges: Budget::new(hedges, HEDGES_TRUST, now),
                view,
                published: Notify::new(),
                reports,
                urgent: Notify::new(),
            }),
            received,
        )
    }

    /// The latest view.
    pub fn view(&self) -> Arc<PoolView> {
        self.view.load_full()
    }

    /// The site's outage mode, at the price of a glance: for the road of every request.
    pub fn mode(&self) -> OutageMode {
        self.view.load().mode
    }

    /// Whether every origin is down, so that none is to be asked; a request that succeeded all the same proves otherwise.
    pub fn is_down(&self) -> bool {
        self.mode() == OutageMode::StaleOnly && !self.dark.is_open()
    }

    /// Publishes a newer view.
    pub fn publish(&self, view: PoolView, now: Instant) {
        let is_dark = view.mode == OutageMode::StaleOnly;
        let before = self.view.swap(Arc::new(view));
        if is_dark && before.mode != OutageMode::StaleOnly {
            self.dark.reset(now);
        }
        self.published.notify_waiters();
    }

    /// Waits for the next view that is published after this call.
    pub fn published(&self) -> Notified<'_> {
        self.published.notified()
    }

    /// Tells the steward that an endpoint failed a request.
    pub fn blame(&self, endpoint: Candidate, cause: String) {
        self.report(endpoint.origin, endpoint.address, Evidence::RequestFailed(cause));
    }

    /// Tells the steward that a request waits for a response head.
    pub fn tell_waiting(&self, endpoint: Candidate, waited: Duration, target: u64) {
        self.report(endpoint.origin, endpoint.address, Evidence::RequestWaiting { waited, target });
    }

    /// Tells the steward what a request met. Under a flood some reports are lost; the rest say the same.
    pub fn report(&self, origin: usize, address: SocketAddr, evidence: Evidence) {
        let can_wait = matches!(evidence, Evidence::RequestSucceeded { .. });
        let _lost_in_a_flood = self.reports.try_send(Report { origin, address, evidence });
        if !can_wait {
            self.urgent.notify_one();
        }
    }

    /// Waits for a report that cannot wait. One that was sent before this call and not waited for counts.
    pub fn urgent(&self) -> Notified<'_> {
        self.urgent.notified()
    }
}

/// One origin: how to reach and to address it.
#[derive(Debug)]
pub struct Origin {
    /// Unique within the site.
    pub name: Arc<str>,
    /// As configured.
    pub config: OriginConfig,
    /// Present for https.
    pub tls: Option<OriginTls>,
    /// Its places for requests.
    pub capacity: Capacity,
    /// How long its slowest heads usually take.
    pub tail: Tail,
    /// Its counters.
    pub metrics: OriginMetrics,
    authority: HeaderValue,
}

impl Origin {
    fn new(config: &OriginConfig, tls: Option<OriginTls>, metrics: &SiteMetrics) -> Self {
        let authority = match &config.host_field {
            HostField::Named(name) => name.clone(),
            HostField::Client | HostField::Origin => config.authority(),
        };
        // The configuration admits only names that are valid field values.
        let authority = HeaderValue::try_from(authority).unwrap_or_else(|_| HeaderValue::from_static(""));
        let capacity = Capacity::new(config.requests_max, config.queue_max, metrics.origin_gauges(&config.name));
        Self {
            name: Arc::from(config.name.as_str()),
            config: config.clone(),
            tls,
            capacity,
            tail: Tail::default(),
            metrics: metrics.origin(&config.name),
            authority,
        }
    }

    /// The `Host` field this origin gets on behalf of a client that asked for `client_authority`.
    pub fn host_field(&self, client_authority: &str) -> HeaderValue {
        match self.config.host_field {
            HostField::Client => HeaderValue::try_from(client_authority).unwrap_or_else(|_| self.authority.clone()),
            HostField::Named(_) | HostField::Origin => self.authority.clone(),
        }
    }
}

/// What to connect to an https origin with.
#[derive(Clone, Debug)]
pub struct OriginTls {
    /// Trust anchors and protocol versions.
    pub config: Arc<ClientConfig>,
    /// The same without resumed sessions, for probes: they prove what the origin shows at this moment.
    pub full_config: Arc<ClientConfig>,
    /// What both verify certificates with.
    pub verifier: Arc<dyn ServerCertVerifier>,
    /// The configured name: sent as SNI and verified, whatever address answers.
    pub server_name: ServerName<'static>,
}

/// What a request met at an address of an origin.
#[derive(Debug)]
pub struct Report {
    /// Index of the origin within the site.
    pub origin: usize,
    /// The address asked.
    pub address: SocketAddr,
    /// What happened.
    pub evidence: Evidence,
}

/// One request in five seconds costs a dead origin nothing.
const DARK_TRIALS: TricklePace =
    TricklePace { shortest: Duration::ZERO, first: Duration::from_secs(5), longest: Duration::from_secs(5) };

/// A failover that helps one request in a hundred is worth that much: it is the only way to an answer.
const RETRIES_TRUST: u32 = 100;

/// A hedge only saves time.
const HEDGES_TRUST: u32 = 10;

/// Reports waiting for the steward, at most: while it pauses, some hundreds gather.
const REPORTS_MAX: usize = 4096;
