//! What one worker answers requests with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::TaskTracker;

use super::recent::RecentFields;
use super::site::SiteTable;
use crate::cache::admission::Uncacheable;
use crate::cache::fill::Fills;
use crate::cache::store::Store;
use crate::clock::Clock;
use crate::config::model::Secret;
use crate::origin::request::fetch::{FetchError, Fetcher};
use crate::origin::request::idle::TEND_INTERVAL;
use crate::semantics::cache_status::CacheName;
use crate::semantics::forwarding::Signature;
use crate::telemetry::{AccessLog, Events, SiteMetrics};

/// One worker's means; connections to origins are its own, the rest is shared with the other workers.
#[derive(Debug)]
pub struct Worker {
    /// Shared by all workers of the node.
    pub shared: Arc<Shared>,
    /// Its shares of the sites.
    pub sites: SiteTable,
    /// Its share of the counters of requests that belong to no site.
    pub unrouted: SiteMetrics,
    /// What messages bear: each worker has its own, so that they do not count its users together.
    pub signature: Signature,
    /// The fields of its latest hits.
    pub recent: RecentFields,
    /// Asks origins.
    pub fetcher: Arc<Fetcher>,
    /// Fills and body pumps, which outlive the requests that started them; a drain waits for them.
    pub tasks: TaskTracker,
}

impl Worker {
    /// Tends the connections to origins, for as long as it is polled.
    pub async fn tend(&self) {
        let mut rounds = interval(TEND_INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.fetcher.tend(self.sites.sites().iter().map(|site| &site.pool));
        }
    }
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The node's name.
    pub node: Arc<str>,
    /// That of its cache.
    pub cache_name: CacheName,
    /// What requests bear that have been here.
    pub signature: Signature,
    /// What clients present that want to know more of their responses.
    pub debug_token: Option<Secret>,
    /// The port of the first HTTPS listener, for redirects.
    pub https_port: Option<u16>,
    /// Sites by host name, of which workers have shares.
    pub sites: SiteTable,
    /// Stored responses.
    pub store: Store,
    /// Largest body stored, in bytes.
    pub object_bytes_max: u64,
    /// Fills in flight.
    pub fills: Fills<FetchError>,
    /// Keys whose responses proved not storable.
    pub uncacheable: Uncacheable,
    /// Time.
    pub clock: Clock,
    /// One line per request.
    pub access_log: AccessLog,
    /// Changes of state.
    pub events: Events,
    /// For requests that belong to no site.
    pub unrouted: Unrouted,
}

impl Shared {
    /// Whether there is memory for one more request to an origin, if need be after a moment: it is measured twenty times a
    /// second, and one measurement that finds it short should refuse nobody.
    pub async fn finds_memory(&self) -> bool {
        for pause in MEMORY_PAUSES_MS {
            if !self.store.is_overdrawn() {
                return true;
            }
            sleep(Duration::from_millis(pause)).await;
        }
        !self.store.is_overdrawn()
    }
}

/// Milliseconds between looks whether memory is short: each is a little more than between two measurements.
const MEMORY_PAUSES_MS: [u64; 2] = [60, 60];

/// What stands for the site of requests that belong to none.
#[derive(Debug)]
pub struct Unrouted {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// Their counters.
    pub metrics: Arc<SiteMetrics>,
}
