//! Everything a node consists of but its sockets and threads, so that a test can put the same parts into one runtime.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::pki_types::ServerName;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::admin::api::Admin;
use crate::admin::readiness::Readiness;
use crate::cache::admission::Uncacheable;
use crate::cache::compressor::Compressor;
use crate::cache::fill::Fills;
use crate::cache::store::{Store, StoreCounters};
use crate::clock::Clock;
use crate::config::model::{Config, OriginConfig, Scheme, SiteConfig};
use crate::origin::dns::answers::GuardPolicy;
use crate::origin::dns::discovery::Resolve;
use crate::origin::dns::memory::Memory;
use crate::origin::pool::{OriginTls, Pool};
use crate::origin::request::connect::Dial;
use crate::origin::request::fetch::Fetcher;
use crate::origin::roster::Roster;
use crate::origin::steward::{Means, Steward, StewardHandle, TakeBack};
use crate::semantics::cache_status::CacheName;
use crate::semantics::forwarding::Signature;
use crate::serve::error_page::ErrorPage;
use crate::serve::recent::RecentFields;
use crate::serve::site::{FILLS_MAX, Site, SiteTable};
use crate::serve::survival::sampler::Sampler;
use crate::serve::worker::{Shared, Unrouted, Worker};
use crate::telemetry::{AccessLog, Events, Metrics};
use crate::tls::client::{ClientSide, origin_side};

/// How a node reaches the world outside.
#[derive(Clone)]
pub struct World {
    /// Opens connections to origins.
    pub dial: Arc<dyn Dial>,
    /// Resolves their names.
    pub resolve: Arc<dyn Resolve>,
}

/// The parts of a node.
pub struct Assembly {
    /// What the workers share.
    pub shared: Arc<Shared>,
    /// What the admin listener answers from.
    pub admin: Admin,
    /// One per site, to be run.
    pub stewards: Vec<Steward>,
    /// To be run, on a thread of its own.
    pub compressor: Arc<Compressor>,
    dial: Arc<dyn Dial>,
}

impl Assembly {
    /// Builds the parts, whose origins begin with what is in `memory` and note there what they learn; nothing runs yet.
    ///
    /// # Errors
    /// A log that cannot be opened, or a trust anchor or an error page that cannot be used.
    pub fn new(
        config: &Config,
        world: World,
        memory: watch::Sender<Memory>,
        clock: Clock,
        events: Events,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let access_log = AccessLog::open(&config.log.access, &metrics).context("failed to open the access log")?;
        let counters = StoreCounters {
            evictions: metrics.cache_evictions.clone(),
            displaced: metrics.cache_variants_displaced.clone(),
        };
        let store = Store::new(config.cache.memory, counters, clock.now().monotonic);
        let compressor = Arc::new(Compressor::new(store.clone(), clock.clone()));
        let means = Means {
            dial: Arc::clone(&world.dial),
            resolve: world.resolve,
            memory,
            clock: clock.clone(),
            events: events.clone(),
            metrics: metrics.clone(),
            take_back: take_back(store.clone(), clock.clone()),
        };
        let guard = GuardPolicy::of(config);
        let (mut sites, mut stewards, mut asking) = (Vec::new(), Vec::new(), Vec::new());
        for site in &config.sites {
            let (site, steward, ask) = assemble_site(config.sites.len(), site, guard.clone(), &compressor, &means)?;
            sites.push(site);
            stewards.push(steward);
            asking.push(ask);
        }
        let shared = Arc::new(Shared {
            node: Arc::from(config.name.as_str()),
            cache_name: CacheName::of(&config.name),
            signature: Signature::new(&config.name),
            debug_token: config.debug_token.clone(),
            https_port: config.listen.https.first().map(SocketAddr::port),
            sites: SiteTable::new(sites),
            store,
            object_bytes_max: config.cache.object_max,
            fills: Fills::new(config.cache.memory / HELD_SHARE),
            uncacheable: Uncacheable::new(),
            clock: clock.clone(),
            access_log,
            events,
            unrouted: Unrouted { name: Arc::from(UNROUTED), metrics: metrics.site(UNROUTED) },
        });
        let admin = Admin {
            shared: Arc::clone(&shared),
            metrics,
            sites: asking,
            readiness: Readiness::default(),
            region: Arc::from(config.region.as_str()),
            started: clock.now(),
            token: config.admin_token.clone(),
        };
        Ok(Self { shared, admin, stewards, compressor, dial: world.dial })
    }

    /// What one worker serves with; its fills are counted by `tasks`.
    pub fn worker(&self, tasks: TaskTracker) -> Arc<Worker> {
        // Idle origin connections have tasks too, but nobody waits for them.
        let links = TaskTracker::new();
        let fetcher = Fetcher::new(Arc::clone(&self.dial), self.shared.clock.clone(), links);
        let signature = Signature::new(&self.shared.node);
        let shared = Arc::clone(&self.shared);
        let sites = SiteTable::new(shared.sites.sites().iter().map(|site| Arc::new(site.share())));
        let (unrouted, recent) = (shared.unrouted.metrics.share(), RecentFields::new());
        Arc::new(Worker { shared, sites, unrouted, signature, recent, fetcher: Arc::new(fetcher), tasks })
    }
}

fn assemble_site(
    sites: usize,
    config: &SiteConfig,
    guard: GuardPolicy,
    compressor: &Arc<Compressor>,
    means: &Means,
) -> anyhow::Result<(Arc<Site>, Steward, StewardHandle)> {
    let tls = config.origins.iter().map(|origin| origin_tls(config, origin)).collect::<anyhow::Result<_>>()?;
    let (now, mut told) = (means.clock.now(), Vec::new());
    let mut roster = Roster::new(config, guard, now.monotonic);
    roster.remember(&means.memory.borrow(), now, &mut told);
    told.into_iter().for_each(|event| means.events.emit(event));
    let metrics = means.metrics.site(&config.name);
    let config = Arc::new(config.clone());
    let (pool, reports) = Pool::new(Arc::clone(&config), tls, roster.view(), Arc::clone(&metrics), now.monotonic);
    let (steward, asking) = Steward::new(Arc::clone(&pool), roster, reports, means.clone());
    let (compressor, fills) = (Arc::clone(compressor), Arc::new(Semaphore::new(FILLS_MAX)));
    let sampler = Arc::new(Sampler::new(sites, now.monotonic));
    let error_page = config.error_page.as_deref().map(ErrorPage::load).transpose()?;
    let name = Arc::clone(&pool.site);
    let site = Site { name, config, error_page, pool, metrics, sampler, compressor, fills };
    Ok((Arc::new(site), steward, asking))
}

/// Introduces those who find an origin failing to what is stored of it.
fn take_back(store: Store, clock: Clock) -> TakeBack {
    Arc::new(move |term| store.take_back(term, clock.now().monotonic).responses)
}

fn origin_tls(site: &SiteConfig, origin: &OriginConfig) -> anyhow::Result<Option<OriginTls>> {
    if origin.scheme == Scheme::Http {
        return Ok(None);
    }
    let named = || format!("site {}, origin {}", site.name, origin.name);
    let side = origin_side(origin.ca_file.as_deref(), origin.client_certificate.as_ref()).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("{}", faults.join("\n"))
    });
    let ClientSide { config, full_config, verifier } = side.with_context(named)?;
    let server_name = ServerName::try_from(origin.host.clone()).with_context(named)?;
    Ok(Some(OriginTls { config, full_config, verifier, server_name }))
}

/// Failures that are held take at most this part of the cache's memory: each takes a kilobyte or two, so that there is room
/// for thousands, and what is stored does not notice.
const HELD_SHARE: u64 = 64;

/// The site label of requests that belong to no site.
const UNROUTED: &str = "-";
